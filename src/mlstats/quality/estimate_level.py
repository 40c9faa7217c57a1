"""What coding does to the published shares, under every arm and in every domain.

An arm is the truth, a method, the hybrid that would be published (the method where it
decides by itself, the baseline elsewhere) or a method corrected for misclassification
with the valid part as the audit. All stand on the weights of the same test units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlstats.quality.aggregates import Arm, compared_aggregates
from mlstats.quality.bias import largest_bias_ratio, squared_bias_difference
from mlstats.quality.design import Design, SingleClusterRule
from mlstats.quality.estimate import Estimate, absent, t_estimate
from mlstats.quality.indicator import Indicator
from mlstats.quality.judged import Judged
from mlstats.quality.misclassification import Audit, corrected_shares
from mlstats.quality.summaries import UNCODED, Ancestor

__all__ = [
    "AGGREGATES",
    "ShareArms",
    "coded_arms",
    "kinds_of",
    "share_indicators",
    "share_row",
    "share_table",
]

AGGREGATES = (
    "level", "variable", "domain", "arm", "kind", "value", "se", "lower", "upper",
    "difference", "difference_se", "difference_lower", "difference_upper", "gap",
    "gap_lower", "gap_upper", "n", "status", "note",
)  # fmt: skip
_ACROSS = ("difference", "gap")
_POINTS = 1e4  # squared shares -> squared percentage points


@dataclass(frozen=True)
class ShareArms:
    """Every arm of one level on the same test units.

    Parameters
    ----------
    level : str
        Of the classification.
    arms, kinds : mapping
        Name -> arm, and truth, traditional, ml or hybrid.
    design : Design
        Of the test units.
    domains : sequence of (str, numpy.ndarray of bool)
        Name of each publication domain and the units inside; "" is all of them.
    baseline : str
        The arm that the gaps refer to.
    """

    level: str
    arms: Mapping[str, Arm]
    kinds: Mapping[str, str]
    design: Design
    domains: Sequence[tuple[str, np.ndarray]]
    baseline: str

    @classmethod
    def of(
        cls,
        units: pd.DataFrame,
        ancestor: Ancestor,
        level: str,
        kinds: Mapping[str, str],
        *,
        baseline: str,
        single: SingleClusterRule = "adjust",
    ) -> ShareArms:
        """Bring the arms of a test fold together.

        Parameters
        ----------
        units : pandas.DataFrame
            One fold of an Evaluation.
        ancestor, level
            Classification and level of the published classes.
        kinds : mapping
            Method -> traditional or ml.
        baseline : str
            Name of a method; it codes what the hybrids leave.
        single : {"adjust", "refuse"}
            The rule for a stratum with a single cluster.
        """
        judged = {
            name: Judged.of(units, name, ancestor, level, single=single)
            for name in kinds
        }
        first = judged[baseline]
        coded = coded_arms(judged, baseline)
        told = kinds_of(kinds, baseline)
        for name, one in judged.items():
            if name != baseline and pd.isna(one.decided).all():
                del coded[hybrid_name(name, baseline)]
        arms = {name: Arm(codes) for name, codes in coded.items()}
        told = {name: told[name] for name in arms}
        everyone = np.ones(len(first.part), dtype=bool)
        domains = [("", everyone)]
        domains += [(f"{n}: {v}", inside) for n, v, inside in first.each_domain()]
        return cls(level, arms, told, first.design, domains, baseline)

    def inside(self, members: np.ndarray) -> tuple[Design, dict[str, Arm]]:
        """Return design and arms of a domain: weights of zero outside, no unit lost."""
        held = replace(self.design, weight=self.design.weight * members)
        nowhere = np.array(None, dtype=object)
        arms = {
            name: Arm(np.where(members, arm.domain, nowhere))
            for name, arm in self.arms.items()
        }
        return held, arms


def coded_arms(judged: Mapping[str, Judged], baseline: str) -> dict[str, np.ndarray]:
    """Return the class of each unit under every arm.

    Parameters
    ----------
    judged : mapping of str to Judged
        Method -> its units; those of the baseline among them.
    baseline : str
        Codes what a method leaves, in the hybrid arms.

    Returns
    -------
    dict of str to numpy.ndarray of object, shape (n,)
        Truth, the methods, and a hybrid of each that is not the baseline; what is not
        coded is a class of its own.
    """
    arms = {"truth": judged[baseline].truth}
    arms |= {name: _named(one.code) for name, one in judged.items()}
    for name, one in judged.items():
        if name != baseline:
            sure = ~pd.isna(one.decided)
            own = np.where(sure, one.decided, arms[baseline])
            arms[hybrid_name(name, baseline)] = own
    return arms


def kinds_of(kinds: Mapping[str, str], baseline: str) -> dict[str, str]:
    """Return the kind of every arm of :func:`coded_arms`, from those of the methods."""
    hybrids = [hybrid_name(name, baseline) for name in kinds if name != baseline]
    return {"truth": "truth", **kinds, **dict.fromkeys(hybrids, "hybrid")}


def hybrid_name(method: str, baseline: str) -> str:
    """Return how the arm is called in which the baseline codes the method's queue."""
    return f"{method}, rest {baseline}"


def share_table(
    shares: ShareArms, corrected: pd.DataFrame | None = None, *, min_cell: int = 10
) -> pd.DataFrame:
    """Return the share of every class under every arm, overall and by domain.

    Parameters
    ----------
    shares : ShareArms
        The arms.
    corrected : pandas.DataFrame, optional
        Further rows with the columns of :data:`AGGREGATES`.
    min_cell : int
        A cell with fewer units is not told.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`AGGREGATES`: ``difference`` is the arm minus truth, ``gap`` the
        arm minus the baseline, with the standard errors of paired figures.
    """
    tables = [
        _domain_table(shares, name, members, min_cell)
        for name, members in shares.domains
    ]
    if corrected is not None:
        tables.append(corrected)
    return pd.concat(tables, ignore_index=True)


def _domain_table(
    shares: ShareArms, name: str, members: np.ndarray, min_cell: int
) -> pd.DataFrame:
    design, arms = shares.inside(members)
    versus = dict(zip(_ACROSS, ("truth", shares.baseline), strict=True))
    table = compared_aggregates(design, arms, versus, min_cell=min_cell)
    table = table.rename(columns={"domain": "variable"}).assign(
        level=shares.level, domain=name, kind=table["arm"].map(dict(shares.kinds))
    )
    return table[list(AGGREGATES)]


# -- one figure for each method ----------------------------------------------------


def share_indicators(shares: ShareArms) -> Iterator[dict[str, Any]]:
    """Yield rows of the scorecard for the effect on the published shares.

    ``share_mse`` adds up over the classes the squared bias, less what the audit's own
    error puts into it, and the sampling variance of the arm's share; its difference
    to the baseline is that of the squared biases and the variances, in squared
    percentage points. ``bias_ratio`` is the largest ``|B| / SE`` of a class, with an
    interval that holds for all classes together (Bonferroni).
    """
    codes = {str(c) for arm in shares.arms.values() for c in arm.domain}
    classes = sorted(codes - {UNCODED})
    base = _Moments.of(shares, shares.baseline, classes)
    for arm, kind in shares.kinds.items():
        if kind == "truth":
            continue
        own = _Moments.of(shares, arm, classes)
        mse = Indicator("accuracy", "share_mse", own.mse())
        of_mse = share_row(mse, arm, kind, shares.level)
        if arm != shares.baseline:
            of_mse |= own.versus(base, shares.baseline)
        yield of_mse
        ratio = Indicator("accuracy", "bias_ratio", own.largest_bias_ratio(classes))
        yield share_row(ratio, arm, kind, shares.level)


def share_row(found: Indicator, arm: str, kind: str, level: str) -> dict[str, Any]:
    """Return the row of the scorecard of a figure on the shares under an arm.

    Parameters
    ----------
    found : Indicator
        The figure; that of a hybrid arm stands with the arm's method, as
        ``hybrid_NAME``.
    arm, kind : str
        As of :func:`kinds_of`.
    level : str
        Of the published classes.
    """
    hybrid = kind == "hybrid"
    method = arm.partition(", rest ")[0] if hybrid else arm
    row = found.row(method=method)
    name = f"hybrid_{found.indicator}" if hybrid else found.indicator
    note = f"shares at level {level}; {row['note']}"
    return row | {"indicator": name, "note": note}


@dataclass(frozen=True)
class _Moments:
    """Biases of the shares of one arm, with the influences of the units."""

    design: Design
    bias: np.ndarray  # (classes,)
    scores: np.ndarray  # (n, classes), of the biases
    variance: np.ndarray  # (classes,), sampling variance of the arm's shares
    truth_variance: np.ndarray  # (classes,)

    @classmethod
    def of(cls, shares: ShareArms, arm: str, classes: Sequence[str]) -> _Moments:
        design = shares.design
        scale = design.weight / design.weight.sum()

        def influence(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            inside = codes[:, None] == np.array(classes, dtype=object)[None, :]
            share = scale @ inside
            return share, (inside - share) * scale[:, None]

        true, of_true = influence(shares.arms["truth"].domain)
        own, of_own = influence(shares.arms[arm].domain)
        return cls(
            design,
            own - true,
            of_own - of_true,
            np.diag(design.covariance(of_own)),
            np.diag(design.covariance(of_true)),
        )

    @property
    def df(self) -> float:
        return float(self.design.degrees_of_freedom())

    def mse(self) -> Estimate:
        """Return the sum over the classes, in squared percentage points."""
        of_bias = np.diag(self.design.covariance(self.scores))
        n = int((self.design.weight > 0).sum())
        if self.design.fault or self.df < 1 or not np.isfinite(of_bias).all():
            return absent("not_measured", self.design.fault or "no standard error", n)
        squared = float((self.bias**2 - of_bias).sum())
        sampling = float(self.variance.sum())
        note = f"squared bias {squared * _POINTS:.3f}, "
        note += f"sampling {sampling * _POINTS:.3f}"
        if squared < 0:
            note += "; squared bias below zero: the audit cannot tell it from none"
        zero = squared_bias_difference(
            np.vstack([self.bias, np.zeros_like(self.bias)]),
            np.pad(self.design.covariance(self.scores), (0, len(self.bias))),
            self.df,
        )
        value = (squared + sampling) * _POINTS
        return t_estimate(value, zero.se * _POINTS, self.df, n=n, note=note)

    def versus(self, base: _Moments, name: str) -> dict[str, Any]:
        covariance = self.design.covariance(np.hstack([self.scores, base.scores]))
        found = squared_bias_difference(
            np.vstack([self.bias, base.bias]),
            covariance,
            self.df,
            shift=float(self.variance.sum() - base.variance.sum()),
        )
        return {
            "versus": name,
            "difference": found.value * _POINTS,
            "difference_se": found.se * _POINTS,
            "difference_lower": found.lower * _POINTS,
            "difference_upper": found.upper * _POINTS,
        }

    def largest_bias_ratio(self, classes: Sequence[str]) -> Estimate:
        """Return the bias ratio of the class that has the largest one."""
        se = np.sqrt(np.diag(self.design.covariance(self.scores)))
        sampling = np.sqrt(self.truth_variance)
        n = int((self.design.weight > 0).sum())
        return largest_bias_ratio(classes, self.bias, se, sampling, self.df, n=n)


# -- corrected for misclassification ------------------------------------------------


def corrected_rows(
    shares: ShareArms,
    audit: Judged,
    method: str,
    *,
    current: bool,
    min_cell: int = 10,
) -> pd.DataFrame:
    """Return a method's shares corrected by the valid part as the audit.

    The calibration estimator where the audit is of the population whose shares are
    wanted, else the misclassification estimator, which holds when the true shares have
    moved (Kloos et al. 2021). The audit and the test part are two samples: the error
    of the difference to the truth adds the audit's to that of the corrected counts
    less the truth, unit by unit.

    Parameters
    ----------
    shares : ShareArms
        The arms of the test part.
    audit : Judged
        The method's units of the valid part at the same level.
    method : str
        Whose shares are corrected.
    current : bool
        Whether the valid part is of the test part's population.
    """
    truth = shares.arms["truth"].domain
    code = shares.arms[method].domain
    base = shares.arms[shares.baseline].domain
    seen = [truth, code, base, audit.truth, _named(audit.code)]
    classes = sorted({str(c) for part in seen for c in part})
    found = Audit.of(audit.design, audit.truth, _named(audit.code), classes)
    indicator = pd.Index(classes, dtype=object)
    inside = np.eye(len(classes))[indicator.get_indexer(pd.Index(code, dtype=object))]
    scale = shares.design.weight / shares.design.weight.sum()
    estimator = "calibration" if current else "misclassification"
    table = corrected_shares(found, scale @ inside, current=current)
    table = table[table["estimator"] == estimator]
    cells = {str(row["class"]): row for row in table.to_dict("records")}
    turned = inside @ _matrix(found, current=current)
    rows = []
    for j, name in enumerate(classes):
        if name == UNCODED:
            continue
        row = _corrected_row(shares, cells[name], name, turned[:, j], min_cell)
        rows.append(row | {"arm": f"{method}, corrected", "level": shares.level})
    return pd.DataFrame(rows, columns=list(AGGREGATES))


def _corrected_row(
    shares: ShareArms, at: dict[Any, Any], name: str, turned: np.ndarray, min_cell: int
) -> dict[str, Any]:
    """Return the row of one class; `turned` is each unit's part in its share."""
    row: dict[str, Any] = {"variable": name, "domain": "", "kind": "corrected"}
    true = shares.arms["truth"].domain == name
    n = int(true.sum())
    if at["status"] != "measured" or n < min_cell:
        few = "" if at["status"] != "measured" else f"fewer than {min_cell} units"
        note = few or str(at["note"])
        return row | {"status": "not_measured", "note": note, "n": 0 if few else n}
    audit_se = float(at["se"])
    row |= {
        "value": float(at["value"]),
        "status": "measured",
        "note": at["note"],
        "n": n,
    }
    others = {
        "": np.zeros(len(true)),
        "difference": true.astype(float),
        "gap": (shares.arms[shares.baseline].domain == name).astype(float),
    }
    for prefix, other in others.items():
        apart = shares.design.mean(turned - other)
        se = float(np.hypot(apart.se, audit_se))
        df = min(apart.df, float(at["df"]))
        found = t_estimate(row["value"] - _mean(shares.design, other), se, df)
        head = f"{prefix}_" if prefix else ""
        row |= {f"{head}{c}": getattr(found, c) for c in ("se", "lower", "upper")}
        if prefix:
            row[prefix] = found.value
    return row


def _mean(design: Design, values: np.ndarray) -> float:
    return float(design.weight @ values / design.weight.sum())


def _matrix(audit: Audit, *, current: bool) -> np.ndarray:
    """Return what turns predicted shares, as a row, into corrected ones."""
    table = audit.table()
    if current:
        of_predicted = table.sum(axis=0)
        c = np.divide(
            table, of_predicted, out=np.zeros_like(table), where=of_predicted > 0
        )
        return np.asarray(c.T)
    of_true = table.sum(axis=1)
    p = np.divide(
        table, of_true[:, None], out=np.eye(len(table)), where=of_true[:, None] > 0
    )
    return np.asarray(np.linalg.pinv(p))


def _named(codes: np.ndarray) -> np.ndarray:
    """Give what is not coded a class of its own."""
    return np.array([UNCODED if code is None else code for code in codes], dtype=object)
