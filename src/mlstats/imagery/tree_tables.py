"""Trees of a fitted forest or boosting as tables of bit masks.

A value of a feature is first replaced by its rank among the thresholds of all trees.
The top of each tree, of at most 32 or 64 exits, is then not walked: for every rank
there is a word for each tree that lacks the exits which the value rules out, the AND
of the words of all features leaves as lowest set bit the exit that is reached
(QuickScorer: Lucchese et al. 2015, SIGIR, section 3). Exits that are no leaves are
walked on from there. Trees stand together in groups, whose tables fit a core's cache.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["TREES_TOGETHER", "Tree", "TreeTables", "tree_tables"]

TREES_TOGETHER = 16
_MOST_FEATURES = 1 << 12
_MOST_RANKS = 1 << 24
_MOST_NODES = 1 << 28


@dataclass(frozen=True)
class Tree:
    """A binary tree: a value at most `threshold` goes left, a leaf has feature -1.

    `weight` is the number of training units in a node, `values` one row per node.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    weight: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class TreeTables:
    """Tables for :mod:`.tree_kernels`.

    Attributes
    ----------
    features : ndarray of int, shape (used,)
        Features that some tree asks for.
    thresholds : list of ndarray
        Their distinct thresholds, ascending.
    firsts : ndarray of int, shape (used + 1,)
        Where the ranks of each feature begin; the last one is the rank of a feature
        that rules nothing out.
    rows : ndarray of int32, shape (groups, ranks)
        Row of `masks` of each rank.
    masks : ndarray of uint32 or uint64, shape (rows, trees of a group)
    bases : ndarray of int32, shape (groups, trees of a group)
        Number of the first exit of each tree.
    below : ndarray of int32
        Where in `nodes` an exit goes on; -1 for a leaf.
    nodes : ndarray of uint64
        Left child, feature and rank of the threshold; a leaf is its own child.
    leaves : ndarray of int32
        Row of `values` of each of the `nodes`.
    values : ndarray of float, shape (classes / 4, leaves, 4) or (1, leaves, 1)
    """

    features: np.ndarray
    thresholds: list[np.ndarray]
    firsts: np.ndarray
    rows: np.ndarray
    masks: np.ndarray
    bases: np.ndarray
    below: np.ndarray
    nodes: np.ndarray
    leaves: np.ndarray
    values: np.ndarray


def tree_tables(trees: Sequence[Tree]) -> TreeTables | None:
    """Return the tables of trees, or None where they are too many for the tables.

    Parameters
    ----------
    trees : sequence of Tree
        Their number is a multiple of the size of a group; a tree that adds nothing is
        one leaf of value 0.
    """
    ranks = _Ranks(trees)
    n_nodes = sum(len(tree.feature) for tree in trees)
    if (
        len(ranks.features) >= _MOST_FEATURES
        or ranks.firsts[-1] >= _MOST_RANKS
        or n_nodes >= _MOST_NODES
    ):
        return None
    most_leaves = max(int((tree.feature < 0).sum()) for tree in trees)
    return _Builder(trees, ranks, np.uint32 if most_leaves <= 32 else np.uint64).build()


class _Ranks:
    """Ranks of the thresholds of all trees, the features one after the other."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        feature = np.concatenate([tree.feature for tree in trees])
        threshold = np.concatenate([tree.threshold for tree in trees])
        self.features = np.unique(feature[feature >= 0])
        self.thresholds = [
            np.unique(threshold[feature == name]) for name in self.features
        ]
        sizes = [len(found) + 1 for found in self.thresholds]
        self.firsts = np.cumsum([0, *sizes])

    def of_nodes(self, tree: Tree) -> tuple[np.ndarray, np.ndarray]:
        """Return place of the feature and rank of the threshold of every node."""
        place = np.searchsorted(self.features, tree.feature)
        rank = np.zeros(len(place), np.int64)
        for number, thresholds in enumerate(self.thresholds):
            here = tree.feature == self.features[number]
            rank[here] = self.firsts[number] + np.searchsorted(
                thresholds, tree.threshold[here]
            )
        return place, rank


class _Builder:
    """What the trees leave behind while they are added one after the other."""

    def __init__(self, trees: Sequence[Tree], ranks: _Ranks, word: Any) -> None:
        self.trees, self.ranks, self.word = trees, ranks, word
        self.n_bits = np.dtype(word).itemsize * 8
        self.below: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.nodes: list[np.ndarray] = []
        self.leaves: list[np.ndarray] = []
        self.n_exits = self.n_nodes = self.n_rows = 0

    def build(self) -> TreeTables:
        """Return the tables."""
        groups = range(0, len(self.trees), TREES_TOGETHER)
        bases, rows, masks = zip(*(self._group(first) for first in groups), strict=True)
        return TreeTables(
            features=self.ranks.features,
            thresholds=self.ranks.thresholds,
            firsts=self.ranks.firsts,
            rows=np.array(rows),
            masks=np.concatenate(masks),
            bases=np.array(bases, np.int32),
            below=np.concatenate(self.below).astype(np.int32),
            nodes=np.concatenate([np.empty(0, np.uint64), *self.nodes]),
            leaves=np.concatenate([np.empty(0, np.int32), *self.leaves]),
            values=_by_four(np.concatenate(self.values)),
        )

    def _group(self, first: int) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Return the first exits, the row of each rank and the masks of a group."""
        bases = []
        ruled_out = []
        for number in range(TREES_TOGETHER):
            bases.append(self.n_exits)
            top = self._add(self.trees[first + number])
            ruled_out += [(rank, number, exits) for rank, exits in top]
        rows, masks = self._masks(ruled_out)
        rows += self.n_rows
        self.n_rows += len(masks)
        return bases, rows, masks

    def _masks(
        self, ruled_out: list[tuple[int, int, int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the row of every rank, and the rows; row 0 rules nothing out."""
        asked = np.unique(np.array([rank for rank, _, _ in ruled_out], np.int64))
        firsts = self.ranks.firsts
        rows = np.zeros(firsts[-1] + 1, np.int32)
        for start, end in pairwise(firsts):
            ranks = np.arange(start, end)
            above = np.searchsorted(asked, ranks) - np.searchsorted(asked, start)
            rows[start:end] = (above > 0) * np.searchsorted(asked, ranks)
        last = np.searchsorted(asked, firsts[1:])
        full = int(np.iinfo(self.word).max)
        masks = np.full((len(asked) + 1, TREES_TOGETHER), full, self.word)
        for rank, number, exits in ruled_out:
            place = int(np.searchsorted(asked, rank))
            end = last[np.searchsorted(firsts, rank, side="right") - 1]
            masks[place + 1 : end + 1, number] &= self.word(full ^ exits)
        return rows, masks

    def _add(self, tree: Tree) -> list[tuple[int, int]]:
        """Add a tree; return rank and the exits that it rules out of the top nodes."""
        place, rank = self.ranks.of_nodes(tree)
        exits, left_sides = _left_to_right(tree, _heaviest(tree, self.n_bits - 1))
        goes_on = tree.feature[exits] >= 0
        below = np.full(len(exits), -1)
        below[goes_on] = self.n_nodes + np.arange(goes_on.sum())
        self._keep_exits(tree, exits, below)
        level = exits[goes_on]
        while level.size:
            level = self._add_level(tree, level, place, rank)
        return [(int(rank[node]), exits) for node, exits in left_sides]

    def _add_level(
        self, tree: Tree, level: np.ndarray, place: np.ndarray, rank: np.ndarray
    ) -> np.ndarray:
        """Add nodes of a depth and return their children, siblings side by side."""
        own = self.n_nodes + np.arange(len(level))
        self.n_nodes += len(level)
        inner = tree.feature[level] >= 0
        child = np.where(inner, self.n_nodes + 2 * (np.cumsum(inner) - 1), own)
        feature = np.where(inner, place[level], 0)
        least = np.where(inner, rank[level], _MOST_RANKS - 1)
        self.nodes.append((child << 36 | feature << 24 | least).astype(np.uint64))
        ends = level[~inner]
        leaves = np.full(len(level), -1, np.int32)
        leaves[~inner] = self.n_exits + np.arange(len(ends))
        self.leaves.append(leaves)
        self._keep_exits(tree, ends, np.full(len(ends), -1))
        return np.column_stack(
            [tree.left[level[inner]], tree.right[level[inner]]]
        ).ravel()

    def _keep_exits(self, tree: Tree, exits: np.ndarray, below: np.ndarray) -> None:
        self.below.append(below)
        self.values.append(tree.values[exits])
        self.n_exits += len(exits)


def _heaviest(tree: Tree, most: int) -> set[int]:
    """Return the nodes that most training units pass, from the root downwards."""
    heaviest: set[int] = set()
    heap = [(-float(tree.weight[0]), 0)]
    while heap and len(heaviest) < most:
        _, node = heapq.heappop(heap)
        if tree.feature[node] < 0:
            continue
        heaviest.add(node)
        for child in (int(tree.left[node]), int(tree.right[node])):
            heapq.heappush(heap, (-float(tree.weight[child]), child))
    return heaviest


def _left_to_right(
    tree: Tree, expanded: set[int]
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the exits of the top, and of its nodes the exits on the left as bits."""
    exits: list[int] = []
    left_sides = []
    stack = [(0, -1)]
    while stack:
        node, first = stack.pop()
        if node not in expanded:
            exits.append(node)
        elif first < 0:
            # Met again, with the number of its first exit, after its left side.
            stack += [(node, len(exits)), (int(tree.left[node]), -1)]
        else:
            left_sides.append((node, (1 << len(exits)) - (1 << first)))
            stack.append((int(tree.right[node]), -1))
    return np.array(exits), left_sides


def _by_four(values: np.ndarray) -> np.ndarray:
    """Return the columns by fours, as many as a vector instruction adds."""
    n_rows, n_columns = values.shape
    if n_columns == 1:
        return values[None]
    padded = np.zeros((n_rows, -(-n_columns // 4) * 4))
    padded[:, :n_columns] = values
    return np.ascontiguousarray(padded.reshape(n_rows, -1, 4).swapaxes(0, 1))
