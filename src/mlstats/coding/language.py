"""The parser of a language: ordered steps that a YAML file lists.

::

    language: fr
    steps:
      - characters: {œ: oe}                  # as written, before normalisation
      - clauses: ["()"]
      - phrases: {pomme de terre: patate}    # from here on normalised words
      - units: [kg, g, l]
      - trivial: [de, la]
      - sort: true

The steps up to the first one on words work on texts as they were written; then the
text is normalised (:func:`mlstats.coding.text.normalise`), once and always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, model_validator

from mlstats.coding import steps
from mlstats.coding.text import distinct_texts, normalise
from mlstats.errors import ConfigError
from mlstats.quality.sheet_file import Sheet, read_sheet_file

__all__ = ["Language", "Step", "make_parser"]

_WRITTEN = ("characters", "clauses", "delete")

Texts = list[str]
Change = Callable[[Texts], Texts]


class Step(Sheet):
    """One step; exactly one of its keys is given.

    Attributes
    ----------
    characters : dict
        Character -> replacement, before normalisation.
    clauses : list
        Pairs of characters such as ``"()"``; what is between them is deleted.
    delete : list
        Strings deleted wherever they stand.
    phrases : dict
        Run of words -> words.
    synonyms : dict
        Word -> words.
    suffixes : dict
        Ending of a word -> what takes its place; the longest that fits.
    trivial : list
        Words that are dropped.
    numbers : {"drop", "mark"}
        Words of digits are dropped, or each becomes "0".
    units : list
        Units that are dropped together with the number before them.
    grams : int
        Runs of a script without spaces are cut into pieces of that many characters.
    sort, unique : True
        Words in alphabetical order; a word only once.
    """

    characters: dict[str, str] | None = Field(default=None, min_length=1)
    clauses: list[str] | None = Field(default=None, min_length=1)
    delete: list[str] | None = Field(default=None, min_length=1)
    phrases: dict[str, str] | None = Field(default=None, min_length=1)
    synonyms: dict[str, str] | None = Field(default=None, min_length=1)
    suffixes: dict[str, str] | None = Field(default=None, min_length=1)
    trivial: list[str] | None = Field(default=None, min_length=1)
    numbers: Literal["drop", "mark"] | None = None
    units: list[str] | None = Field(default=None, min_length=1)
    grams: int | None = Field(default=None, ge=1, le=8)
    sort: Literal[True] | None = None
    unique: Literal[True] | None = None

    @model_validator(mode="after")
    def _is_one_step(self) -> Step:
        if len(self.model_fields_set) != 1:
            raise ValueError(
                f"A step has one key, this one has {len(self.model_fields_set)}"
            )
        value = getattr(self, self.name)
        if value is None:
            raise ValueError(f"The step {self.name!r} is empty")
        _check_entries(self.name, value)
        return self

    @property
    def name(self) -> str:
        """The key that is given."""
        return next(iter(self.model_fields_set))

    def change(self) -> Change:
        """Return what the step does to distinct texts."""
        value = getattr(self, self.name)
        return _CHANGES[self.name](value)


class Language(Sheet):
    """Ordered steps that make texts comparable.

    Attributes
    ----------
    language : str
        Of the resources, for people.
    version : int
        Of the file.
    steps : list of Step
        In the order in which they are done.

    Examples
    --------
    >>> parser = Language.model_validate(
    ...     {"language": "en", "steps": [{"units": ["l"]}, {"trivial": ["of"]}]}
    ... )
    >>> parser.apply(pd.Series(["1.5 L of MILK", None])).tolist()
    ['milk', '']
    """

    language: str
    version: int = 1
    steps: list[Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _are_in_order(self) -> Language:
        on_words = [step.name not in _WRITTEN for step in self.steps]
        if sorted(on_words) != on_words:
            names = ", ".join(_WRITTEN)
            raise ValueError(f"The steps {names} must stand before all others")
        return self

    @classmethod
    def read(cls, path: str | Path) -> Language:
        """Read the file of a language.

        Raises
        ------
        ConfigError
            With file:line, where the file cannot be used as written.
        """
        return read_sheet_file(Path(path), cls)

    def apply(self, texts: pd.Series) -> pd.Series:
        """Return texts in the form in which they are compared.

        Parameters
        ----------
        texts : Series, shape (n,)
            As given; every step is done once per distinct text.

        Returns
        -------
        Series of str, shape (n,)
            With the index and the name of `texts`; empty where nothing is left.
        """
        number, distinct = distinct_texts(texts)
        made = [str(text) for text in distinct]
        on_words = [step for step in self.steps if step.name not in _WRITTEN]
        for step in self.steps[: len(self.steps) - len(on_words)]:
            made = step.change()(made)
        made = normalise(pd.Series(made, dtype=object)).tolist()
        for step in on_words:
            made = step.change()(made)
        values = np.array([*made, ""], dtype=object)[number]
        return pd.Series(values, index=texts.index, name=texts.name, dtype=str)


def make_parser(given: str | Path | Mapping[str, Any] | None) -> Language | None:
    """Return the parser that a method's parameter names.

    Parameters
    ----------
    given : path, mapping or None
        A YAML file, or what such a file holds.

    Raises
    ------
    ConfigError
        Where it cannot be used as written.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        return Language.read(given)
    try:
        return Language.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(
            str(first["msg"]).removeprefix("Value error, "),
            where="parser: " + ".".join(map(str, first["loc"])),
        ) from None


def _check_entries(name: str, value: Any) -> None:
    if name == "characters" and any(len(key) != 1 for key in value):
        raise ValueError("A key of 'characters' is not one character")
    if name == "clauses" and any(len(p) != 2 or p[0] == p[1] for p in value):
        raise ValueError("An entry of 'clauses' is not a pair such as '()'")
    if name == "delete" and "" in value:
        raise ValueError("An entry of 'delete' is empty")
    if name in ("phrases", "synonyms", "suffixes", "trivial", "units"):
        clean = _clean(list(value))
        if "" in clean:
            raise ValueError(f"An entry of {name!r} has no letter or digit")
        if name != "phrases" and any(" " in entry for entry in clean):
            raise ValueError(f"An entry of {name!r} is more than one word")


def _clean(entries: list[str]) -> list[str]:
    """Normalise the entries of a resource as the texts are."""
    return [str(v) for v in normalise(pd.Series(entries, dtype=object)).tolist()]


def _mapping(value: Mapping[str, str]) -> dict[str, str]:
    return dict(zip(_clean(list(value)), _clean(list(value.values())), strict=True))


def _words(mapping: Callable[[str], str]) -> Change:
    return lambda texts: steps.map_words(texts, mapping)


def _synonyms(value: dict[str, str]) -> Change:
    known = _mapping(value)
    return _words(lambda word: known.get(word, word))


def _suffixes(value: dict[str, str]) -> Change:
    return _words(partial(steps.strip_suffix, suffixes=_mapping(value)))


def _trivial(value: list[str]) -> Change:
    dropped = frozenset(_clean(value))
    return _words(lambda word: "" if word in dropped else word)


def _numbers(value: str) -> Change:
    mark = "0" if value == "mark" else ""
    return _words(lambda word: mark if word.isdigit() else word)


_CHANGES: dict[str, Callable[[Any], Change]] = {
    "characters": lambda v: partial(steps.map_characters, characters=v),
    "clauses": lambda v: partial(steps.delete_clauses, pairs=v),
    "delete": lambda v: partial(steps.delete_strings, strings=v),
    "phrases": lambda v: partial(steps.replace_phrases, phrases=_mapping(v)),
    "synonyms": _synonyms,
    "suffixes": _suffixes,
    "trivial": _trivial,
    "numbers": _numbers,
    "units": lambda v: partial(steps.drop_quantities, units=_clean(v)),
    "grams": lambda v: _words(partial(steps.split_grams, size=v)),
    "sort": lambda _: steps.sort_words,
    "unique": lambda _: steps.unique_words,
}
