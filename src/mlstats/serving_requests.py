"""What may be asked of the server, and how it refuses without repeating what was sent.

A reason names a field of ours or a place in the text, never a value and never a name
that the caller made up: both may be content of a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

__all__ = ["Refusal", "Requests", "reasons"]

BODY: Final = 4 * 2**20  # bytes
RECORDS: Final = 5_000  # others wait until they are coded
TEXT: Final = 2_000  # characters
CANDIDATES_AT_MOST: Final = 10
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
        record = {"text": word, "auxiliary": NotRequired[beside]}
        top = Annotated[int, Field(ge=1, le=CANDIDATES_AT_MOST)]
        one: Any = _strict("Record", record)
        records = Annotated[list[one], Field(min_length=1, max_length=RECORDS)]
        self._names = {"records", "text", "auxiliary", "k", *named}
        self.one = TypeAdapter(_strict("One", {**record, "k": NotRequired[top]}))
        self.batch = TypeAdapter(
            _strict("Batch", {"records": records, "k": NotRequired[top]})
        )

    def read(self, kind: TypeAdapter[Any], body: bytes) -> dict[str, Any]:
        """Return a body as plain values.

        Raises
        ------
        Refusal
            422, with the place and the reason of each fault.
        """
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
