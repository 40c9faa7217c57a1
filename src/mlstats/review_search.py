"""Looking up codes while a coder types."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np

from mlstats.coding.classification import Classification
from mlstats.errors import UsageError, nearest
from mlstats.review_rows import Reviewing, may_give

__all__ = ["CodeSearch", "Entry"]

_CLOSE = 60  # of 100, by rapidfuzz: below it a title is not offered for a misspelling


@dataclass(frozen=True)
class Entry:
    """A code that a coder may give.

    Parameters
    ----------
    code, title : str
        As the classification has them.
    """

    code: str
    title: str


class CodeSearch:
    """The codes that may be given in a period.

    Parameters
    ----------
    now : Reviewing
        The period.
    classification : Classification
        Of its data.

    Attributes
    ----------
    codes : list of str
        Those that may be given.
    titles : dict of str
        Of these and of all in the classification.
    """

    def __init__(self, now: Reviewing, classification: Classification) -> None:
        titles = dict(
            zip(
                map(str, classification.codes),
                map(str, classification.titles),
                strict=True,
            )
        )
        for code in map(str, now.pilot.data.uncodable.codes):
            titles.setdefault(code, "cannot be coded")
        for name in (c for c in now.queue if str(c).startswith("code_")):
            for code in now.queue[name].dropna():
                titles.setdefault(str(code), "")
        allowed = may_give(now, classification, list(titles))
        self.titles = titles
        self._entries = [Entry(c, t) for c, t in titles.items() if allowed[c]]
        self.codes = [one.code for one in self._entries]
        self._known = set(self.codes)
        # Codes above others: as a title fits both, the one that says more comes first.
        above = {
            str(group)
            for code, row in zip(
                classification.codes, classification.ancestors, strict=True
            )
            for group in row
            if group is not None and group != code
        }
        self._above = np.array([code in above for code in self.codes], dtype=bool)
        self._folded = [folded(one.title) for one in self._entries]

    def check(self, code: str) -> None:
        """Refuse a code that may not be given.

        Raises
        ------
        UsageError
            With the nearest one that may; what was typed is not repeated.
        """
        if code not in self._known:
            near = nearest(code, self.codes)
            raise UsageError("There is no such code in the period", nearest=near)

    def find(self, words: str, limit: int = 12) -> list[Entry]:
        """Return the codes that begin like the words, or whose titles hold them all.

        Where none does, those with the most similar titles. Upper and lower case and
        accents are alike.

        Parameters
        ----------
        words : str
            What was typed.
        limit : int
            Entries at most, the best first: codes that begin so, then titles in which
            each word begins a word; of titles that fit alike codes without others
            below them.
        """
        typed = folded(words).split()
        if not typed:
            return []
        ranks = []
        for place, (one, title) in enumerate(
            zip(self._entries, self._folded, strict=True)
        ):
            if one.code.casefold().startswith("".join(typed)):
                ranks.append((0, False, len(one.code), place))
            elif all(word in title for word in typed):
                begins = all(f" {word}" in f" {title}" for word in typed)
                above = bool(self._above[place])
                ranks.append((1 if begins else 2, above, len(title), place))
        found = [place for *_, place in sorted(ranks)[:limit]]
        return [self._entries[k] for k in found or self._similar(typed, limit)]

    def _similar(self, typed: list[str], limit: int) -> list[int]:
        from rapidfuzz import fuzz, process

        if len("".join(typed)) < 3:
            return []
        scores = process.cdist(
            [" ".join(typed)], self._folded, scorer=fuzz.partial_ratio
        )[0]
        order = np.lexsort((self._above, -scores))[:limit]
        return [int(k) for k in order if scores[k] >= _CLOSE]


def folded(text: str) -> str:
    """Return a text without case and accents.

    Examples
    --------
    >>> folded("Crème BRÛLÉE")
    'creme brulee'
    """
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c))
