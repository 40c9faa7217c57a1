"""What a fitted forest or boosting of scikit-learn adds up, tree by tree.

The sums are those of scikit-learn: class shares of a forest's trees in their order,
divided by their number; raw values of boosting in the order of its iterations, upon
its starting value. Labels are therefore equal, ties included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlstats.imagery.tree_tables import (
    TREES_TOGETHER,
    Tree,
    TreeTables,
    tree_tables,
)

__all__ = ["FittedTrees", "fitted_trees"]

# Rounding of a sum of class shares, far above what it can be.
_ROUNDING = 1e-6
_NOTHING = Tree(
    np.array([-1]),
    np.zeros(1),
    np.array([-1]),
    np.array([-1]),
    np.ones(1),
    np.zeros((1, 1)),
)


@dataclass(frozen=True)
class FittedTrees:
    """Trees and how their leaves become scores of classes.

    Attributes
    ----------
    tables : TreeTables
        The trees.
    columns : ndarray of int, shape (groups,)
        Class whose score a group of trees adds to; -1 where to all.
    start : ndarray of float, shape (classes,)
        Scores before the first tree.
    divisor : float
        What the scores are divided by in the end.
    ties_to_last : bool
        Of two equal scores the last wins, as in gradient boosting of two classes.
    changes : ndarray of float, shape (groups,)
        How much the groups that follow can change the difference of two scores;
        infinite where the scores of some class are not yet as far.
    reached : ndarray of float, shape (groups,)
        The greatest difference there can be after a group.
    n_trees, n_nodes : int
        Their numbers.
    """

    tables: TreeTables
    columns: np.ndarray
    start: np.ndarray
    divisor: float
    ties_to_last: bool
    changes: np.ndarray
    reached: np.ndarray
    n_trees: int
    n_nodes: int

    def enough(self, lead: float) -> np.ndarray:
        """Return the lead after each group from which the winner stays, or inf."""
        needed = lead * self.changes + _ROUNDING
        # After the last group there is nothing left to save.
        worth_asking = (needed < self.reached) & (self.changes > 0)
        return np.where(worth_asking, needed, np.inf)


def fitted_trees(estimator: Any) -> FittedTrees | None:
    """Return the trees of an estimator, or None where it has none of a known form.

    Parameters
    ----------
    estimator : object
        A fitted forest, boosting or tree of scikit-learn, for one outcome and with
        numeric features only.
    """
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.tree import DecisionTreeClassifier

    if isinstance(estimator, RandomForestClassifier | ExtraTreesClassifier):
        return _forest(estimator, [tree.tree_ for tree in estimator.estimators_])
    if isinstance(estimator, DecisionTreeClassifier):
        return _forest(estimator, [estimator.tree_])
    if isinstance(estimator, HistGradientBoostingClassifier):
        return _histogram_boosting(estimator)
    if isinstance(estimator, GradientBoostingClassifier):
        return _gradient_boosting(estimator)
    return None


def _forest(estimator: Any, trees: list[Any]) -> FittedTrees | None:
    n_classes = len(estimator.classes_)
    found = [_tree(tree, tree.value[:, 0, :n_classes]) for tree in trees]
    padded = _whole_groups(found, n_classes)
    tables = tree_tables(padded)
    if tables is None:
        return None
    n_groups = len(padded) // TREES_TOGETHER
    done = np.minimum(np.arange(1, n_groups + 1) * TREES_TOGETHER, len(found))
    return FittedTrees(
        tables=tables,
        columns=np.full(n_groups, -1),
        start=np.zeros(n_classes),
        divisor=float(len(found)),
        ties_to_last=False,
        changes=(len(found) - done).astype(float),
        reached=done.astype(float),
        n_trees=len(found),
        n_nodes=sum(len(tree.feature) for tree in found),
    )


def _histogram_boosting(estimator: Any) -> FittedTrees | None:
    rounds = [[one.nodes for one in round_] for round_ in estimator._predictors]
    if any(nodes["is_categorical"].any() for round_ in rounds for nodes in round_):
        return None
    trees = [[_histogram_tree(nodes) for nodes in round_] for round_ in rounds]
    return _boosting(estimator, trees, estimator._baseline_prediction.ravel(), False)


def _gradient_boosting(estimator: Any) -> FittedTrees | None:
    from sklearn.dummy import DummyClassifier

    if not (estimator.init_ == "zero" or isinstance(estimator.init_, DummyClassifier)):
        return None  # starts from another model, whose values differ between pixels
    trees = [
        [
            _tree(one.tree_, estimator.learning_rate * one.tree_.value[:, 0])
            for one in round_
        ]
        for round_ in estimator.estimators_
    ]
    anywhere = np.zeros((1, estimator.n_features_in_), np.float32)
    start = estimator._raw_predict_init(anywhere).ravel()
    return _boosting(estimator, trees, start, True)


def _boosting(
    estimator: Any, rounds: list[list[Tree]], start: np.ndarray, ties_to_last: bool
) -> FittedTrees | None:
    """Return groups of one class each, all classes after the same iterations."""
    n_classes, n_columns = len(estimator.classes_), len(start)
    trees: list[Tree] = []
    columns: list[int] = []
    for first in range(0, len(rounds), TREES_TOGETHER):
        together = rounds[first : first + TREES_TOGETHER]
        for column in range(n_columns):
            trees += _whole_groups([round_[column] for round_ in together], 1)
            # With two classes there is one score, and that of the first class is 0.
            columns.append(column + n_classes - n_columns)
    tables = tree_tables(trees)
    if tables is None:
        return None
    changes, reached = _leads(rounds, start)
    last_of_round = np.arange(len(columns)) % n_columns == n_columns - 1
    return FittedTrees(
        tables=tables,
        columns=np.array(columns),
        start=np.concatenate([np.zeros(n_classes - n_columns), start]),
        divisor=1.0,
        ties_to_last=ties_to_last and n_columns == 1,
        changes=np.where(last_of_round, np.repeat(changes, n_columns), np.inf),
        reached=np.repeat(reached, n_columns),
        n_trees=sum(map(len, rounds)),
        n_nodes=sum(len(tree.feature) for round_ in rounds for tree in round_),
    )


def _leads(
    rounds: list[list[Tree]], start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what two scores can part after, and until, each group of iterations."""
    widest = np.array(
        [
            max(max(tree.values.max() for tree in round_), 0)
            - min(min(tree.values.min() for tree in round_), 0)
            for round_ in rounds
        ]
    )
    until = np.cumsum(widest)
    ends = np.minimum(
        np.arange(TREES_TOGETHER, len(rounds) + TREES_TOGETHER, TREES_TOGETHER),
        len(rounds),
    )
    apart = max(start.max(), 0) - min(start.min(), 0)
    return until[-1] - until[ends - 1], apart + until[ends - 1]


def _whole_groups(trees: list[Tree], n_columns: int) -> list[Tree]:
    nothing = Tree(**{**vars(_NOTHING), "values": np.zeros((1, n_columns))})
    return trees + [nothing] * (-len(trees) % TREES_TOGETHER)


def _tree(tree: Any, values: np.ndarray) -> Tree:
    inner = tree.children_left >= 0
    return Tree(
        feature=np.where(inner, tree.feature, -1),
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        weight=tree.weighted_n_node_samples,
        values=values,
    )


def _histogram_tree(nodes: np.ndarray) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=np.where(leaf, -1, nodes["feature_idx"].astype(np.int64)),
        threshold=nodes["num_threshold"],
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        weight=nodes["count"].astype(float),
        values=nodes["value"][:, None],
    )
