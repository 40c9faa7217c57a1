"""The steps of a parser: each a pure function from texts to texts.

The first three work on texts as they were written, the others on normalised texts,
which are words between single spaces. A step is given distinct texts, so that its
work is done once per distinct text; the steps that look at single words do theirs
once per distinct word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "delete_clauses",
    "delete_strings",
    "drop_quantities",
    "map_characters",
    "map_words",
    "replace_phrases",
    "sort_words",
    "split_grams",
    "strip_suffix",
    "unique_words",
]

_BLOCK = 512  # texts joined at a time: bounds the memory that long texts need
LEAST_STEM = 3
"""Characters that must be left of a word whose suffix is taken off."""

# Scripts written without spaces: Thai, Lao, Khmer, kana, Han (Hangul has spaces).
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
_NUMBER = r"\d+(?: \d+)?"


def map_characters(texts: Sequence[str], characters: Mapping[str, str]) -> list[str]:
    """Replace single characters, in capitals too; accents count as one character.

    Examples
    --------
    >>> map_characters(["Öl", "O\u0308l"], {"ö": "oe"})
    ['oel', 'oel']
    """
    capitals = {key.upper(): new for key, new in characters.items()}
    table = str.maketrans(
        {key: new for key, new in {**capitals, **characters}.items() if len(key) == 1}
    )
    return [_composed(text).translate(table) for text in texts]


def delete_clauses(texts: Sequence[str], pairs: Sequence[str]) -> list[str]:
    """Delete what stands between two characters, such as ``"()"``, and both.

    An opening character without its closing one is left as it is.

    Examples
    --------
    >>> delete_clauses(["milk (1 litre), whole", "open ( end"], ["()"])
    ['milk  , whole', 'open ( end']
    """
    clauses = [
        f"{re.escape(pair[0])}[^{re.escape(pair)}]*{re.escape(pair[1])}"
        for pair in pairs
    ]
    pattern = re.compile("|".join(clauses))
    return [pattern.sub(" ", text) for text in texts]


def delete_strings(texts: Sequence[str], strings: Sequence[str]) -> list[str]:
    """Delete strings wherever they stand, whatever their case; the longest first.

    Examples
    --------
    >>> delete_strings(["N/A milk", "n/a"], ["n/a"])
    ['  milk', ' ']
    """
    longest = sorted(map(_composed, strings), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest)), re.IGNORECASE)
    return [pattern.sub(" ", _composed(text)) for text in texts]


def replace_phrases(texts: Sequence[str], phrases: Mapping[str, str]) -> list[str]:
    """Replace runs of whole words, the longest phrase first.

    Examples
    --------
    >>> replace_phrases(["pomme de terre", "pomme"], {"pomme de terre": "patate"})
    ['patate', 'pomme']
    """
    longest = sorted(phrases, key=len, reverse=True)
    pattern = _whole_words("|".join(map(re.escape, longest)))
    return _in_blocks(texts, lambda joined: pattern.sub(_of(phrases), joined))


def drop_quantities(texts: Sequence[str], units: Sequence[str]) -> list[str]:
    """Drop numbers with their unit, "1 5 l" as well as "500g" and "6x500 g".

    Examples
    --------
    >>> drop_quantities(["milk 1 5 l", "6x500 g rice", "type 45"], ["l", "g"])
    ['milk', 'rice', 'type 45']
    """
    longest = "|".join(map(re.escape, sorted(units, key=len, reverse=True)))
    pattern = _whole_words(rf"(?:\d+ ?x ?)?{_NUMBER} ?(?:{longest})")
    return _in_blocks(texts, lambda joined: pattern.sub("", joined))


def map_words(texts: Sequence[str], mapping: Callable[[str], str]) -> list[str]:
    """Replace each word by what `mapping` makes of it: words, or nothing.

    Examples
    --------
    >>> map_words(["choc bar", "bar"], {"choc": "chocolate", "bar": ""}.__getitem__)
    ['chocolate', '']
    """
    made = _Made(mapping)
    return [" ".join(filter(None, map(made.__getitem__, t.split()))) for t in texts]


def strip_suffix(word: str, suffixes: Mapping[str, str]) -> str:
    """Replace the longest suffix that leaves a stem of :data:`LEAST_STEM` or more.

    Examples
    --------
    >>> strip_suffix("tomatoes", {"es": "", "s": ""}), strip_suffix("bus", {"s": ""})
    ('tomato', 'bus')
    """
    longest = max(map(len, suffixes), default=0)
    for length in range(min(len(word) - LEAST_STEM, longest), 0, -1):
        if word[-length:] in suffixes:
            return word[:-length] + suffixes[word[-length:]]
    return word


def split_grams(word: str, size: int) -> str:
    """Cut runs of a script without spaces into overlapping pieces of `size`.

    Examples
    --------
    >>> split_grams("牛乳パック500ml", 2)
    '牛乳 乳パ パッ ック 500ml'
    """
    return " ".join(_UNSPACED.sub(lambda run: _grams(run[0], size), word).split())


def sort_words(texts: Sequence[str]) -> list[str]:
    """Sort the words of each text.

    Examples
    --------
    >>> sort_words(["whole milk"])
    ['milk whole']
    """
    return [" ".join(sorted(text.split())) for text in texts]


def unique_words(texts: Sequence[str]) -> list[str]:
    """Keep the first of equal words of each text.

    Examples
    --------
    >>> unique_words(["milk whole milk"])
    ['milk whole']
    """
    return [" ".join(dict.fromkeys(text.split())) for text in texts]


class _Made(dict[str, str]):
    """What a mapping made of each word, worked out when it is first asked for."""

    def __init__(self, mapping: Callable[[str], str]) -> None:
        super().__init__()
        self._mapping = mapping

    def __missing__(self, word: str) -> str:
        self[word] = self._mapping(word)
        return self[word]


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _whole_words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^ \n])(?:{pattern})(?![^ \n])")


def _of(phrases: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda found: phrases[found[0]]


def _in_blocks(texts: Sequence[str], change: Callable[[str], str]) -> list[str]:
    """Change blocks of texts joined by line feeds; mend the spaces afterwards."""
    changed: list[str] = []
    for start in range(0, len(texts), _BLOCK):
        changed += change("\n".join(texts[start : start + _BLOCK])).split("\n")
    return [" ".join(text.split()) for text in changed]


def _grams(run: str, size: int) -> str:
    pieces = [run[i : i + size] for i in range(max(len(run) - size + 1, 1))]
    return f" {' '.join(pieces)} "
