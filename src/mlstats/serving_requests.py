"""What may be asked of the server, and how it refuses without repeating what was sent.

A reason names a field of ours or a place in the text, never a value and never a name
that the caller made up: both may be content of a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

__all__ = ["Asked", "Refusal", "Requests", "Value", "reasons"]

Value = str | int | float | None

BODY: Final = 4 * 2**20  # bytes
RECORDS: Final = 5_000  # others wait until they are coded
TEXT: Final = 2_000  # characters
CANDIDATES_AT_MOST: Final = 10
_TOP: Final = 5  # where no number is asked for
_TOLD: Final = 20  # reasons in one answer
_STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_EXACT: Final = 2**53  # whole numbers beyond it change when they become floats


class Refusal(Exception):
    """A request that is not answered.

    Parameters
    ----------
    status : int
        Of HTTP.
    said : str
        The reason, without anything that was sent.
    details : sequence of dict
        ``where`` and ``reason`` of each fault.
    """

    def __init__(
        self, status: int, said: str, details: Sequence[dict[str, str]] = ()
    ) -> None:
        super().__init__(said)
        self.status, self.said, self.details = status, said, list(details)


@dataclass(frozen=True, eq=False)
class Asked:
    """Texts to code.

    Parameters
    ----------
    texts : sequence of str, n
        As the pilot's text columns joined by a blank.
    beside : mapping of str to sequence, n
        Each column beside the text; None is a missing value.
    k : int
        Number of candidates.
    """

    texts: Sequence[str]
    beside: Mapping[str, Sequence[Value]]
    k: int


class Requests:
    """The bodies that a version understands.

    Parameters
    ----------
    auxiliary : iterable of str
        Columns beside the text.
    numeric : collection of str
        Those that have to be numbers.
    """

    def __init__(self, auxiliary: Iterable[str], numeric: frozenset[str]) -> None:
        word = Annotated[str, Field(max_length=TEXT)]
        number = Annotated[int, Field(ge=-_EXACT, le=_EXACT)] | float | None
        # From left to right, for speed: a text is no number under strict rules.
        first = Field(union_mode="left_to_right")
        kinds = {True: Annotated[number, first], False: Annotated[word | number, first]}
        named: dict[str, Any] = {
            name: NotRequired[kinds[name in numeric]] for name in auxiliary
        }
        beside = _strict("Auxiliary", named)
        self.auxiliary = list(named)
        record = {"text": word, "auxiliary": NotRequired[beside]}
        top = Annotated[int, Field(ge=1, le=CANDIDATES_AT_MOST)]
        one: Any = _strict("Record", record)
        several = Field(min_length=1, max_length=RECORDS)
        lists: dict[bool, Any] = {
            one: Annotated[list[kind], several]  # type: ignore[valid-type]
            for one, kind in kinds.items()
        }
        values: dict[str, Any] = {
            name: NotRequired[lists[name in numeric]] for name in named
        }
        columns = _strict("Columns", {**values, "text": Annotated[list[word], several]})
        forms = {
            "records": NotRequired[Annotated[list[one], several]],
            "columns": NotRequired[columns],
        }
        self._names = {"records", "columns", "text", "auxiliary", "k", *named}
        self.one = TypeAdapter(_strict("One", {**record, "k": NotRequired[top]}))
        self.batch = TypeAdapter(_strict("Batch", {**forms, "k": NotRequired[top]}))

    def single(self, body: bytes) -> Asked:
        """Return what is asked of one text.

        Raises
        ------
        Refusal
            422, with the place and the reason of each fault.
        """
        return self._of_records([read := self._read(self.one, body)], read)

    def several(self, body: bytes) -> Asked:
        """Return what is asked of a batch, which is given as records or as columns.

        Raises
        ------
        Refusal
            422, with the place and the reason of each fault.
        """
        read = self._read(self.batch, body)
        if ("records" in read) == ("columns" in read):
            said = "either records or columns, one of the two"
            details = [{"where": "body", "reason": said}]
            raise Refusal(422, "The body is not as it has to be", details)
        if "records" in read:
            return self._of_records(read["records"], read)
        given: dict[str, list[Value]] = read["columns"]
        texts: list[Any] = given.pop("text")
        n = len(texts)
        short = [name for name, values in given.items() if len(values) != n]
        if short:
            said = f"its number of values is not that of text, {n}"
            details = [{"where": f"columns.{one}", "reason": said} for one in short]
            raise Refusal(422, "The columns are not of one length", details)
        beside = {name: given.get(name) or [None] * n for name in self.auxiliary}
        return Asked(texts, beside, read.get("k", _TOP))

    def _of_records(
        self, records: Sequence[Mapping[str, Any]], read: Mapping[str, Any]
    ) -> Asked:
        given = [record.get("auxiliary", {}) for record in records]
        return Asked(
            [record["text"] for record in records],
            {name: [one.get(name) for one in given] for name in self.auxiliary},
            read.get("k", _TOP),
        )

    def _read(self, kind: TypeAdapter[Any], body: bytes) -> dict[str, Any]:
        try:
            found: dict[str, Any] = kind.validate_json(body)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False)
            details = reasons(faults[:_TOLD], self._names)
            more = f" ({len(faults)} faults)" if len(faults) > _TOLD else ""
            said = f"The body is not as it has to be{more}"
            raise Refusal(422, said, details) from None
        return found


def reasons(faults: Iterable[ErrorDetails], known: set[str]) -> list[dict[str, str]]:
    """Return place and reason of each fault, with names of ours only.

    Parameters
    ----------
    faults : iterable of ErrorDetails
        From pydantic, without the input.
    known : set of str
        Names that may be told.
    """
    told: dict[tuple[str, str], None] = {}
    for fault in faults:
        unknown = fault["type"] == "extra_forbidden"
        steps = fault["loc"][:-1] if unknown else fault["loc"]
        where = [str(s) for s in steps if isinstance(s, int) or s in known]
        said = "a field that is not known here" if unknown else fault["msg"]
        told[".".join(where) or "body", said] = None
    return [{"where": where, "reason": said} for where, said in told]


def _strict(name: str, named: dict[str, Any]) -> Any:
    made: Any = TypedDict(name, named)  # type: ignore[misc]
    return with_config(_STRICT)(made)
