"""Cheapest sets of variables that hit every one of some sets of variables.

Branch and bound over bit masks. The costs are whole numbers: a variable's weight in
the high bits and its place in a drawn order in the low ones, so that the least cost is
the least weight and, among equals, the set that the draw prefers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["TooManyNodes", "bits", "least_hitting_set", "minimal_sets"]


class TooManyNodes(Exception):  # noqa: N818
    """The search is given up, it became too large."""


def bits(mask: int) -> list[int]:
    """Return the places of the bits of a mask.

    Examples
    --------
    >>> bits(0b1010)
    [1, 3]
    """
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def least_hitting_set(
    masks: Sequence[int],
    cost: Sequence[int],
    most_nodes: int = 200_000,
    *,
    are_minimal: bool = False,
) -> int | None:
    """Return the cheapest mask that shares a bit with each of some masks.

    Parameters
    ----------
    masks : sequence of int
        The sets to hit.
    cost : sequence of int
        Of every place, above zero.
    most_nodes : int
        The search stops after as many.
    are_minimal : bool, default=False
        Whether the masks come from :func:`minimal_sets`.

    Returns
    -------
    int or None
        None where a set is empty.

    Raises
    ------
    TooManyNodes
        After `most_nodes`.

    Examples
    --------
    >>> least_hitting_set([0b011, 0b110], [5, 9, 5])
    2
    """
    family = list(masks) if are_minimal else minimal_sets(masks)
    if family and family[0] == 0:
        return None
    search = _Search(cost, most_nodes)
    search.go(family, 0, 0)
    return search.best


def minimal_sets(masks: Iterable[int]) -> list[int]:
    """Return the masks that hold no other one, smaller ones first.

    Examples
    --------
    >>> minimal_sets([0b111, 0b1, 0b110, 0b11])
    [1, 6]
    """
    kept: list[int] = []
    for mask in sorted(set(masks), key=int.bit_count):
        for one in kept:
            if one & mask == one:
                break
        else:
            kept.append(mask)
    return kept


class _Search:
    def __init__(self, cost: Sequence[int], most_nodes: int) -> None:
        self.cost = cost
        self.least: int | None = None
        self.best: int | None = None
        self.nodes = most_nodes

    def go(self, family: list[int], chosen: int, spent: int) -> None:
        """Hit the rest of a family, whose masks hold only what may still be chosen."""
        if not family:
            if self.least is None or spent < self.least:
                self.least, self.best = spent, chosen
            return
        self.nodes -= 1
        if self.nodes < 0:
            raise TooManyNodes
        if self.least is not None and spent + self._bound(family) >= self.least:
            return
        first = min(family, key=int.bit_count)
        banned = 0
        for place in sorted(bits(first), key=self.cost.__getitem__):
            bit = 1 << place
            total = spent + self.cost[place]
            if self.least is not None and total >= self.least:
                return
            rest = [mask & ~banned for mask in family if not mask & bit]
            if all(rest):
                self.go(rest, chosen | bit, total)
            banned |= bit

    def _bound(self, family: list[int]) -> int:
        """Return a lower bound: the cheapest place of each of disjoint masks."""
        used, total = 0, 0
        for mask in family:
            if not mask & used:
                used |= mask
                least = None
                while mask:
                    low = mask & -mask
                    value = self.cost[low.bit_length() - 1]
                    if least is None or value < least:
                        least = value
                    mask ^= low
                total += least or 0
        return total
