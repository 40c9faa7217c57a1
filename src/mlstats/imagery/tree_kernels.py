"""Compiled passes of pixels through the tables of :mod:`.tree_tables`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils as typeless_cgutils
from numba.extending import intrinsic

from mlstats.imagery.compiling import compiled
from mlstats.imagery.tree_tables import TREES_TOGETHER

__all__ = ["classify_block", "float_ranks", "integer_ranks", "score_block"]

cgutils: Any = typeless_cgutils  # it ships no type information
# Written here, since machine code is kept as long as this file does not change.
_TREES = 16
assert _TREES == TREES_TOGETHER
# In one pass through a node, this many pixels wait for memory at the same time.
_LANES = 16
# Pixels that pass a group of trees before the next group's tables are fetched.
_TILE = 512
_FEATURE_SHIFT = np.uint64(24)
_CHILD_SHIFT = np.uint64(36)
_FEATURE_BITS = np.uint64(0xFFF)
_RANK_BITS = np.uint64(0xFFFFFF)


def _vector(builder: Any, array: Any, row: Any, kind: Any) -> Any:
    """Return the place of a row of an array as that of a vector."""
    place = builder.mul(row, row.type(_TREES))
    return builder.bitcast(builder.gep(array.data, [place]), kind.as_pointer())


def _load(builder: Any, array: Any, row: Any, kind: Any) -> Any:
    found = builder.load(_vector(builder, array, row, kind))
    found.align = 4
    return found


def _exits_left(builder: Any, arrays: list[Any], pixel: Any, words: Any) -> Any:
    """Return the AND of the rows of `masks` that the ranks of a pixel ask for."""
    masks, rows, ranks = arrays
    n_features = builder.extract_value(ranks.shape, 1)
    first = builder.mul(pixel, n_features)
    every = ir.Constant(words, [-1] * _TREES)
    left = cgutils.alloca_once_value(builder, every)
    with cgutils.for_range(builder, n_features) as loop:
        place = builder.add(first, loop.index)
        rank = builder.load(builder.gep(ranks.data, [place]))
        row = builder.load(builder.gep(rows.data, [rank]))
        mask = _load(builder, masks, builder.sext(row, loop.index.type), words)
        builder.store(builder.and_(builder.load(left), mask), left)
    return builder.load(left)


def _write_reach(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    masks, rows, ranks, bases, exits = (
        context.make_array(kind)(context, builder, argument)
        for kind, argument in zip(signature.args[1:], arguments[1:], strict=True)
    )
    pixel = arguments[0]
    word = context.get_data_type(signature.args[1].dtype)
    words = ir.VectorType(word, _TREES)
    numbers = ir.VectorType(ir.IntType(32), _TREES)
    left = _exits_left(builder, [masks, rows, ranks], pixel, words)
    lowest_bits = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(words, [words, ir.IntType(1)]),
        f"llvm.cttz.v{_TREES}i{word.width}",
    )
    never_zero = ir.Constant(ir.IntType(1), 1)
    lowest = builder.call(lowest_bits, [left, never_zero])
    if word.width > 32:
        lowest = builder.trunc(lowest, numbers)
    base = _load(builder, bases, ir.Constant(pixel.type, 0), numbers)
    target = _vector(builder, exits, pixel, numbers)
    builder.store(builder.add(lowest, base), target).align = 4
    return context.get_dummy_value()


def _type_reach(
    typing: Any, i: Any, masks: Any, rows: Any, ranks: Any, bases: Any, exits: Any
) -> Any:
    """Write to row `i` of `exits` where pixel `i` leaves the trees of a group.

    The words of the trees of a group are one vector, which numba alone would not make
    of a loop: measured, this takes a fourth of the time.
    """
    return numba.types.void(i, masks, rows, ranks, bases, exits), _write_reach


_reach: Any = intrinsic(_type_reach)


@compiled
def integer_ranks(values: Any, table: Any, low: int, ranks: Any) -> None:
    """Look up the rank of every value of one feature."""
    for i in range(values.size):
        ranks[i] = table[np.int64(values[i]) - low]


@compiled
def float_ranks(
    values: Any, keys: Any, thresholds: Any, lowest: Any, first: int, ranks: Any
) -> None:
    """Find the rank of every value of one feature among its thresholds.

    `keys` are the bits of the float32 `values`; of equal upper halves, ordered as the
    numbers are, `lowest` holds the least and the greatest possible rank.
    """
    for i in range(values.size):
        upper = np.int64(keys[i] >> np.uint32(16))
        if upper >= 0x8000:
            upper = 0xFFFF - upper
        else:
            upper += 0x8000
        rank = lowest[upper]
        greatest = lowest[upper + 1]
        while rank < greatest:
            middle = (rank + greatest) >> 1
            if thresholds[middle] < values[i]:
                rank = middle + 1
            else:
                greatest = middle
        ranks[i] = first + rank


@compiled
def _exits(
    ranks: Any, live: Any, rows: Any, masks: Any, bases: Any, exits: Any
) -> None:
    """Find where each pixel leaves the top of each tree of a group."""
    for j in range(live.size):
        _reach(live[j], masks, rows, ranks, bases, exits)


@compiled
def _descend(
    ranks: Any, live: Any, below: Any, nodes: Any, leaves: Any, exits: Any, waiting: Any
) -> None:
    """Follow the trees below their top, several pixels at a time."""
    # Unsigned, since a signed index is first asked whether it counts from the end.
    place = np.empty(_LANES, np.uint64)
    first = np.empty(_LANES, np.uint64)
    n_features = ranks.shape[1]
    flat = ranks.reshape(ranks.size)
    for t in range(_TREES):
        n_waiting = 0
        for j in range(live.size):
            waiting[n_waiting] = live[j]
            n_waiting += below[exits[live[j], t]] >= 0
        for start in range(0, n_waiting, _LANES):
            n = min(_LANES, n_waiting - start)
            for k in range(_LANES):
                pixel = waiting[start + min(k, n - 1)]
                first[k] = np.uint64(pixel * n_features)
                place[k] = nodes[below[exits[pixel, t]]]
            moving = True
            while moving:
                before = np.uint64(0)
                for k in range(_LANES):
                    node = place[k]
                    feature = (node >> _FEATURE_SHIFT) & _FEATURE_BITS
                    rank = np.uint64(flat[first[k] + feature])
                    right = np.uint64(rank > (node & _RANK_BITS))
                    place[k] = nodes[(node >> _CHILD_SHIFT) + right]
                    before |= place[k] ^ node
                moving = before != 0
            for k in range(n):
                exits[waiting[start + k], t] = leaves[place[k] >> _CHILD_SHIFT]


@compiled
def _add_shares(live: Any, exits: Any, values: Any, scores: Any) -> None:
    """Add the class shares of the leaves, tree after tree as scikit-learn does."""
    for j in range(live.size):
        i = live[j]
        for c in range(values.shape[0]):
            k = 4 * c
            s0, s1 = scores[i, k], scores[i, k + 1]
            s2, s3 = scores[i, k + 2], scores[i, k + 3]
            for t in range(_TREES):
                leaf = values[c, exits[i, t]]
                s0 += leaf[0]
                s1 += leaf[1]
                s2 += leaf[2]
                s3 += leaf[3]
            scores[i, k], scores[i, k + 1] = s0, s1
            scores[i, k + 2], scores[i, k + 3] = s2, s3


@compiled
def _add_steps(live: Any, exits: Any, values: Any, scores: Any, column: int) -> None:
    """Add the values of the leaves to the score of one class, step by step."""
    for j in range(live.size):
        i = live[j]
        score = scores[i, column]
        for t in range(_TREES):
            score += values[0, exits[i, t], 0]
        scores[i, column] = score


@compiled
def _still_open(live: Any, scores: Any, n_classes: int, enough: float) -> int:
    """Keep the pixels whose winner leads by no more than `enough`; return how many."""
    kept = 0
    for j in range(live.size):
        i = live[j]
        first = scores[i, 0]
        second = -np.inf
        for k in range(1, n_classes):
            value = scores[i, k]
            second = max(second, min(first, value))
            first = max(first, value)
        live[kept] = i
        kept += not (first - second > enough)
    return kept


@compiled
def score_block(
    ranks: Any,
    scores: Any,
    n_classes: int,
    enough: Any,
    columns: Any,
    rows: Any,
    masks: Any,
    bases: Any,
    below: Any,
    nodes: Any,
    leaves: Any,
    values: Any,
) -> None:
    """Add the trees to `scores`, for each pixel until its winner cannot change."""
    exits = np.empty((_TILE, _TREES), np.int32)
    waiting = np.empty(_TILE + 1, np.int64)
    everyone = np.empty(_TILE, np.int64)
    for start in range(0, ranks.shape[0], _TILE):
        tile = ranks[start : start + _TILE]
        sums = scores[start : start + _TILE]
        live = everyone[: tile.shape[0]]
        for i in range(live.size):
            live[i] = i
        for g in range(rows.shape[0]):
            _exits(tile, live, rows[g], masks, bases[g], exits)
            if nodes.size:
                _descend(tile, live, below, nodes, leaves, exits, waiting)
            if columns[g] < 0:
                _add_shares(live, exits, values, sums)
            else:
                _add_steps(live, exits, values, sums, columns[g])
            if enough[g] < np.inf:
                live = live[: _still_open(live, sums, n_classes, enough[g])]
                if live.size == 0:
                    break


@compiled
def classify_block(
    scores: Any, n_classes: int, divisor: float, ties_to_last: bool, classes: Any
) -> None:
    """Write the class of the greatest score; of equal ones the first.

    The division is scikit-learn's and kept, since it can make two scores equal.
    """
    for i in range(classes.size):
        best = 0
        top = scores[i, 0] / divisor
        for k in range(1, n_classes):
            value = scores[i, k] / divisor
            if value > top or (ties_to_last and value == top):
                top = value
                best = k
        classes[i] = best
