#!/bin/sh
# Every check and test, or the quick part, or the long one: sh tests/run.sh all|quick|soak
set -eu
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
part=${1:-all}
# Figures must not depend on how many threads a library takes.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

step() { echo "== $1"; shift; "$@"; }

if [ "$part" != soak ]; then
    step "ruff: lint" "$BIN/ruff" check .
    step "ruff: format" "$BIN/ruff" format --check .
    step "import-linter: the layers" "$BIN/lint-imports" --config .importlinter
    step "mypy: strict" "$BIN/mypy"
fi
case $part in
    quick) step "pytest: the quick part" "$BIN/python" -m pytest -q -n 2 tests/unit src -m "not slow and not soak" ;;
    all) step "pytest: everything" "$BIN/python" -m pytest -n 2 --dist loadgroup -m "not soak" ;;
    soak) step "pytest: the long part" "$BIN/python" -m pytest -m soak ;;
    *) echo "usage: tests/run.sh all|quick|soak" >&2; exit 2 ;;
esac
