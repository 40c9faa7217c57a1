"""The process in which fastText trains: ``python -m mlstats.coding.fasttext_training``.

fastText leaves nine tenths of its input matrix as it finds the memory, so a training
after other work in the same process differs from one time to the next or ends in NaN.
This process does nothing else, has glibc clear new memory before fastText asks for
any, and a crash of compiled code ends it instead of the flow.

It imports fastText alone; its files hold numbers of terms and codes, no text.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

__all__ = ["clear_new_memory", "main"]

_M_PERTURB = -6  # malloc.h of glibc
_ZEROS = 255  # new memory is filled with the complement of this byte


def main(job: Path) -> None:
    """Train as the job file says.

    Parameters
    ----------
    job : pathlib.Path
        JSON: ``model`` (path to write), ``settings`` (keyword arguments of
        ``fasttext.train_supervised``) and, where the model is quantised too,
        ``quantised`` (path to write).
    """
    work = json.loads(job.read_text(encoding="utf-8"))
    clear_new_memory()
    import fasttext

    model = fasttext.train_supervised(thread=1, verbose=0, **work["settings"])
    model.save_model(work["model"])
    if "quantised" in work:
        model.quantize()
        model.save_model(work["quantised"])


def clear_new_memory() -> None:
    """Have glibc fill new memory with zeros; elsewhere nothing is done."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # not glibc; the initial vectors still fill the matrix
    mallopt(_M_PERTURB, _ZEROS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
