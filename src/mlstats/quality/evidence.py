"""The evidence of a run as canonical JSON: the same facts give the same bytes.

Who signs a promotion signs the digest of these bytes. They hold what was found, by
which rules, from which data, code and environment; they hold no timing, so that a run
that is made again gives them again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError
from mlstats.quality.figures import dimension_of

__all__ = ["bundle", "canonical", "digest", "parse"]

SCHEMA_VERSION: Final = "1"

_TIMING_COLUMNS: Final = frozenset(
    {"created", "cpu_seconds", "ended", "peak_mb", "started", "wall_seconds"}
)
# What a gate on a clock says in numbers; its rule and result stay.
_GATE_NUMBERS: Final = ("value", "lower", "upper", "reason")


def canonical(value: Any) -> bytes:
    r"""Return a value as canonical JSON.

    UTF-8 without escapes beyond those that JSON demands, keys sorted by code point,
    separators ``,`` and ``:``, floats in the shortest form that reads back as the same
    number, as Python's ``repr`` writes it: ``2.0``, ``1e-07``, ``1e+16``.

    Parameters
    ----------
    value : object
        Of mappings with text keys, lists, tuples, texts, integers, finite floats,
        booleans and None, and NumPy's scalars of these kinds.

    Raises
    ------
    MlstatsError
        For NaN and infinity, keys that are no texts, texts that are not Unicode, and
        any other type.

    Examples
    --------
    >>> canonical({"é": 0.1, "a": [1, None, True]})
    b'{"a":[1,null,true],"\xc3\xa9":0.1}'
    """
    try:
        text = json.dumps(
            _plain(value, "$"),
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
        )
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise _refused("A text is not Unicode", "$") from None
    except RecursionError:
        raise _refused("A value is nested too deeply or holds itself", "$") from None


def parse(data: bytes) -> Any:
    """Read canonical JSON, and nothing but canonical JSON.

    Raises
    ------
    MlstatsError
        Where the bytes are not what :func:`canonical` makes of their content: what
        was signed has then been written by something else.
    """
    try:
        value = json.loads(data.decode("utf-8"))
        again = canonical(value)
    except (UnicodeDecodeError, ValueError, MlstatsError):
        raise MlstatsError(
            "The evidence is not canonical JSON",
            expected="the bytes that canonical() wrote",
        ) from None
    if again != data:
        raise MlstatsError(
            "The evidence is JSON, and not in its canonical form",
            expected="sorted keys, no white space, each key once",
        )
    return value


def digest(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON, hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _plain(value: Any, at: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise _refused("A number is not finite", at)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise _refused("A key is not a text", at)
        return {key: _plain(held, f"{at}.{key}") for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held, f"{at}[{i}]") for i, held in enumerate(value)]
    raise _refused(f"A {type(value).__name__} has no canonical form", at)


def _refused(title: str, at: str) -> MlstatsError:
    return MlstatsError(
        title,
        where=at,
        expected="texts, finite numbers, true, false, null, lists and mappings",
        hint="write what is missing as null",
    )


# -- the bundle --------------------------------------------------------------------


def bundle(
    scorecard: pd.DataFrame,
    gates: pd.DataFrame,
    *,
    subject: Mapping[str, str],
    rules: Sequence[Mapping[str, Any]],
    digests: Mapping[str, str],
    timed: Collection[str] = (),
) -> dict[str, Any]:
    """Return the evidence of a run, without a timing in it.

    Rows of the timeliness dimension and columns of clocks are left out. A gate on
    such a row keeps its rule and its result and loses its numbers.

    Parameters
    ----------
    scorecard : pandas.DataFrame
        Columns of :data:`mlstats.quality.scorecard.COLUMNS`.
    gates : pandas.DataFrame
        As :func:`mlstats.quality.gate.judge` returns them, before any waiver.
    subject : mapping
        What the evidence is of: pilot, period, candidate, baseline, model version.
    rules : sequence of mapping
        The gates' rules as they were written, with their file's version.
    digests : mapping
        Of data, units, model, config, gates, code commit, lock, gold sample.
    timed : collection of str
        Further indicators that were read off a clock, such as measured energy.

    Returns
    -------
    dict
        schema, subject, digests, rules, indicators, gates, left_out. NaN becomes
        null, infinity the text ``inf``; rows are sorted by their canonical form, so
        that their order in the tables is of no account.

    Raises
    ------
    MlstatsError
        Where a table holds what has no canonical form.
    """
    clocked = _clocked(scorecard, timed)
    kept = scorecard[~clocked]
    slow = gates["measure"].map(lambda m: _is_timed(str(m), scorecard[clocked], timed))
    said = [_without_numbers(row) for row in _records(gates[slow])]
    return {
        "schema": SCHEMA_VERSION,
        "subject": dict(subject),
        "digests": dict(digests),
        "rules": [_plain(rule, "rules") for rule in rules],
        "indicators": _sorted(_records(kept)),
        "gates": _sorted([*_records(gates[~slow]), *said]),
        "left_out": {
            "timeliness indicators": int(clocked.sum()),
            "numbers of timeliness gates": len(said),
        },
    }


def _clocked(scorecard: pd.DataFrame, timed: Collection[str]) -> pd.Series:
    return (scorecard["dimension"] == "timeliness") | scorecard["indicator"].isin(
        list(timed)
    )


def _is_timed(measure: str, left_out: pd.DataFrame, timed: Collection[str]) -> bool:
    indicator = measure.partition("@")[0]
    return (
        dimension_of(measure) == "timeliness"
        or indicator in timed
        or indicator in set(left_out["indicator"])
    )


def _without_numbers(row: dict[str, Any]) -> dict[str, Any]:
    return {key: held for key, held in row.items() if key not in _GATE_NUMBERS}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    kept = [c for c in table.columns if str(c) not in _TIMING_COLUMNS]
    return [
        {str(key): _cell(held) for key, held in row.items()}
        for row in table[kept].to_dict("records")
    ]


def _cell(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    missing = value is None or value is pd.NA or value is pd.NaT or value != value
    return None if missing else value


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=canonical)
