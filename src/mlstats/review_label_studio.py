"""A coder's file for Label Studio: tasks, the labelling configuration, what comes back.

The formats are those of Label Studio's documentation, *Task format* and *Import
pre-annotated data* (JSON), and of its tags Text, Taxonomy, Choice and TextArea. A
choice in a taxonomy comes back as the path of the aliases down to it (as its source of
1.24 in development has it), so aliases are codes.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mlstats import io
from mlstats.coding.classification import Classification
from mlstats.errors import SourceError
from mlstats.review_rows import CANDIDATES
from mlstats.review_search import CodeSearch

__all__ = ["Tasks", "Tell", "config_of", "write_tasks"]

_CODE, _COMMENT, _TEXT = "code", "comment", "text_1"
_WORD: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
# What XML 1.0 cannot hold.
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ONLY_ANNOTATED: Final = "the format JSON of Label Studio's export, not JSON-MIN or CSV"

# Gets row, column, what is wrong and what was expected.
Tell = Callable[..., None]


# -- writing -----------------------------------------------------------------------


def config_of(path: Path) -> Path:
    """Return where the labelling configuration of a file of tasks lies."""
    return path.with_suffix(".xml")


def write_tasks(
    path: Path,
    about: Mapping[str, str],
    table: pd.DataFrame,
    found: pd.DataFrame,
    codes: CodeSearch,
    classification: Classification,
) -> tuple[pd.DataFrame, int]:
    """Write tasks and, beside them, the labelling configuration.

    Parameters
    ----------
    path : pathlib.Path
        Of the tasks, JSON.
    about : mapping
        What the file says of itself; every task repeats it.
    table : pandas.DataFrame
        Row and what :func:`mlstats.review_rows.shown` returns.
    found : pandas.DataFrame
        From :func:`mlstats.review_rows.waiting`, in the order of `table`.
    codes : CodeSearch
        What may be given.
    classification : Classification
        Of the period, for the tree.

    Returns
    -------
    back : pandas.DataFrame
        The texts of each task by the names of its fields.
    dropped : int
        Characters of titles that XML cannot hold.
    """
    offered = [f"candidate_{k + 1}" for k in range(CANDIDATES)]
    kept = table.drop(columns=offered)
    names = _names([str(c) for c in kept])
    fields = kept.set_axis(list(names), axis=1)
    paths = _paths(codes, classification)
    rows = zip(fields.to_dict("records"), found.to_dict("records"), strict=True)
    tasks = [
        {
            "data": {**texts, "about": dict(about)},
            "predictions": list(_predictions(str(texts["row"]), given, paths)),
        }
        for texts, given in rows
    ]
    config, dropped = _config(names, codes, paths)
    io.write_text(config_of(path), config)
    config_of(path).chmod(0o600)
    io.write_json(path, tasks)
    return fields, dropped


def _names(columns: Sequence[str]) -> dict[str, str]:
    """Return names that a configuration can refer to, with the columns they stand for.

    ``$a.b`` and ``$a b`` are not the columns ``a.b`` and ``a b`` there.
    """
    found: dict[str, str] = {}
    for place, column in enumerate(columns):
        plain = _WORD.match(column) and column not in ("about", *found)
        found[column if plain else f"field_{place}"] = column
    return found


def _paths(codes: CodeSearch, classification: Classification) -> dict[str, list[str]]:
    """Return the codes from the top to each code that may be given."""
    above = {
        str(code): [str(group) for group in row if group is not None]
        for code, row in zip(
            classification.codes, classification.ancestors, strict=True
        )
    }
    return {code: above.get(code, [code]) for code in codes.codes}


def _predictions(
    row: str, given: Mapping[Any, Any], paths: Mapping[str, list[str]]
) -> Iterator[dict[str, Any]]:
    for k in range(1, CANDIDATES + 1):
        code, score = given[f"code_{k}"], given[f"score_{k}"]
        if not isinstance(code, str):
            continue
        result = {
            "id": f"{row}{k}",
            "from_name": _CODE,
            "to_name": _TEXT,
            "type": "taxonomy",
            "value": {"taxonomy": [paths[code]]},
        }
        sure = {} if pd.isna(score) else {"score": float(score)}
        yield {"model_version": f"candidate {k}", "result": [result], **sure}


def _config(
    names: Mapping[str, str], codes: CodeSearch, paths: Mapping[str, list[str]]
) -> tuple[str, int]:
    dropped = 0

    def legal(text: str) -> str:
        nonlocal dropped
        found, count = _ILLEGAL.subn("", text)
        dropped += count
        return found

    view = ET.Element("View")
    shown = [(name, column) for name, column in names.items() if name != "row"]
    for place, (name, column) in enumerate(shown, start=1):
        ET.SubElement(view, "Header", value=legal(column), size="5")
        ET.SubElement(view, "Text", name=f"text_{place}", value=f"${name}")
    tree = ET.SubElement(
        view, "Taxonomy", name=_CODE, toName=_TEXT, maxUsages="1", placeholder="code"
    )
    made: dict[str, ET.Element] = {}
    for path in sorted(paths.values()):
        parent = tree
        for code in path:
            if code not in made:
                title = legal(f"{code} {codes.titles.get(code, '')}".strip())
                choice = {"value": title, "alias": legal(code)}
                made[code] = ET.SubElement(parent, "Choice", choice)
            parent = made[code]
    ET.SubElement(
        view, "TextArea", name=_COMMENT, toName=_TEXT, placeholder="comment", rows="2"
    )
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n", dropped


# -- reading -----------------------------------------------------------------------


class Tasks:
    """A JSON export of Label Studio.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    SourceError
        Where it is none.
    """

    whole = False  # Label Studio leaves tasks without an annotation out, unless asked

    def __init__(self, path: Path) -> None:
        try:
            told = json.loads(path.read_bytes())
        except OSError:
            raise SourceError("The file cannot be read", where=str(path)) from None
        except (ValueError, RecursionError):
            raise _no_export(path) from None
        if not isinstance(told, list) or not told or not all(map(_is_task, told)):
            raise _no_export(path)
        self._tasks: list[dict[str, Any]] = told
        ids = [one.get("id") for one in told]
        plain = all(type(i) is int for i in ids) and len(set(ids)) == len(ids)
        numbers = ids if plain else [f"{k}." for k in range(1, len(ids) + 1)]
        self._names = [f"task {number}" for number in numbers]

    def about(self, tell: Tell) -> dict[str, str]:
        """Return what the file says of itself; all tasks have to say the same."""
        said = [task["data"].get("about") for task in self._tasks]
        first = said[0] if isinstance(said[0], dict) else {}
        for name, one in zip(self._names, said, strict=True):
            if one != first:
                tell(name, "about", "a task of another file", "tasks of one file")
        return {str(k): v for k, v in first.items() if isinstance(v, str)}

    def sheet(
        self, locked: Sequence[str], labels: Mapping[str, str], tell: Tell
    ) -> pd.DataFrame:
        """Return row, locked fields and code of each task; the index names the task.

        Parameters
        ----------
        locked : sequence of str
            Names of the fields besides the row.
        labels : mapping
            Code by what a choice shows, for a configuration that lost its aliases.
        tell : callable
            Gets row, column, what is wrong and what was expected.
        """
        names = ["row", *locked]
        rows = []
        for name, task in zip(self._names, self._tasks, strict=True):
            data = task["data"]
            for field in names:
                if not isinstance(data.get(field), str):
                    what = "no text" if field in data else "the field is missing"
                    tell(name, field, what, "as exported")
            for _ in set(data) - {*names, "about"}:
                tell(name, "data", "a field that was not exported", "as exported")
            found = [one for one in task["annotations"] if _counts(one)]
            code = self._code(name, found, labels, tell)
            rows.append([*(str(data.get(field, "")) for field in names), code])
        self._check_person(tell)
        return pd.DataFrame(
            rows, columns=[*names, _CODE], index=self._names, dtype=object
        )

    def _code(
        self, name: str, found: list[Any], labels: Mapping[str, str], tell: Tell
    ) -> str:
        if len(found) > 1:
            tell(name, "annotations", "annotated more than once", "one annotation")
            return ""
        chosen: list[str] = []
        for result in found[0]["result"] if found else []:
            codes = _choices(result)
            if codes is None:
                what = "a result of another kind"
                tell(name, "annotations", what, "the labelling configuration written")
            chosen += codes or []
        if len(chosen) > 1:
            tell(name, _CODE, "several codes", "one code")
        # The only one, and where several were told it is not looked at any more.
        return labels.get(chosen[0], chosen[0]) if len(chosen) == 1 else ""

    def _check_person(self, tell: Tell) -> None:
        """Hold all annotations to one person, for whom the file was made."""
        people = {
            name: _person(one.get("completed_by"))
            for name, task in zip(self._names, self._tasks, strict=True)
            for one in task["annotations"]
            if _counts(one)
        }
        first = next(iter(people.values()), None)
        for name, person in people.items():
            if person != first:
                what = "completed by another person than the first task"
                tell(name, "completed_by", what, "the file of one coder")


def _no_export(path: Path) -> SourceError:
    return SourceError(
        "The file is no export of Label Studio with annotations",
        where=str(path),
        expected=_ONLY_ANNOTATED,
    )


def _is_task(one: object) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("data"), dict)
        and isinstance(one.get("annotations"), list)
        and all(_is_annotation(a) for a in one["annotations"])
    )


def _is_annotation(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("result"), list)


def _counts(one: Mapping[str, Any]) -> bool:
    """Tell whether an annotation was submitted; a skipped one leaves the unit."""
    return not one.get("was_cancelled", False)


def _choices(result: object) -> list[str] | None:
    """Return the last step of each choice of a result, None where it is none of ours.

    Examples
    --------
    >>> value = {"taxonomy": [["01", "01.1"]]}
    >>> _choices({"from_name": "code", "type": "taxonomy", "value": value})
    ['01.1']
    """
    if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
        return None
    named, kind = result.get("from_name"), result.get("type")
    if (named, kind) == (_COMMENT, "textarea"):
        return []
    if named != _CODE or kind not in ("taxonomy", "choices"):
        return None
    given = result["value"].get(kind)
    if not isinstance(given, list):
        return None
    last = given if kind == "choices" else [*_last(given)]
    codes = [code for code in last if isinstance(code, str)]
    return codes if len(codes) == len(last) else None


def _last(paths: Iterable[object]) -> Iterator[object]:
    for path in paths:
        yield path[-1] if isinstance(path, list) and path else None


def _person(told: object) -> object:
    """Return who completed an annotation: a number, or a record with one."""
    if isinstance(told, dict):
        return told.get("id", told.get("email"))
    return told
