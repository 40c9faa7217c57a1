"""A file treated in blocks: the same bytes for any block size, partition and worker."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mlstats.editimpute import (
    ChainedImputer,
    EditConsistent,
    EditSet,
    EstimatorImputer,
    HotDeck,
    MultinomialImputer,
    NearestDonor,
    Variable,
    process,
)
from mlstats.editimpute.streaming import process_file
from mlstats.errors import ConfigError

N = 160
EDITS = EditSet.from_texts(
    [
        "a + b + d == c",
        "a <= 3 * b + 50",
        'if kind == "small" then c <= 60',
        'if kind == "none" then staff == 0',
        "0 <= staff",
    ],
    {
        **{name: Variable(least=0) for name in "abcd"},
        "staff": Variable(integer=True),
        "kind": Variable(values=["small", "large", "none"]),
    },
)
ESTIMATE = EstimatorImputer(
    [
        {"variable": "a", "estimator": "ratio", "auxiliary": ["c"], "residual": True},
        {"variable": "b", "estimator": "regression", "auxiliary": ["c", "d"]},
        {"variable": "c", "estimator": "mean", "by": ["region"]},
        {"variable": "d", "estimator": "trend", "auxiliary": ["c"]},
        {"variable": "b", "estimator": "mean"},
        {"variable": "d", "estimator": "mean"},
        {"variable": "staff", "estimator": "mean", "by": ["region"]},
    ]
)
PREDICTORS = ["a", "b", "c", "d", "staff", "kind", "region"]
IMPUTERS = {
    "hot-deck": HotDeck(["region", "kind"], min_donors=3),
    "nearest donor": NearestDonor(
        ["c"], by=["region"], min_donors=1, min_percent=0, collapse=True
    ),
    "nearest donor by the edits": NearestDonor(
        ["staff"], edits=EDITS, min_donors=1, min_percent=0, match_on_edits=True
    ),
    "random donor": NearestDonor(random=True, min_donors=1, min_percent=0),
    "estimators": ESTIMATE,
    "boosting": ChainedImputer(PREDICTORS, trees=4, neighbours=4),
    "forest, cross-fitted": ChainedImputer(
        PREDICTORS, family="forest", trees=4, cross_fitted=True, bootstrap=True
    ),
}


def records():
    rng = np.random.default_rng(11)
    made = pd.DataFrame({"id": [f"0{i}" for i in range(N)]})
    for name in "abd":
        made[name] = np.round(rng.exponential(20, N), 2)
    made["c"] = (made["a"] + made["b"] + made["d"]).round(2)
    made["staff"] = rng.integers(0, 9, N).astype(float)
    made["kind"] = np.where(made["c"] <= 60, "small", "large").astype(object)
    made.loc[made["staff"] == 0, "kind"] = "none"
    made["region"] = rng.choice(["N", "S", "W"], N).astype(object)
    for name in ("a", "b", "c", "d", "staff", "kind"):
        made.loc[rng.random(N) < 0.08, name] = np.nan
    made.loc[rng.random(N) < 0.1, "a"] *= 100
    made.loc[rng.random(N) < 0.08, "kind"] = "smal"
    return made


FRAME = records()


def digests(found):
    return [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (found.values, found.cells)
    ]


def run(source, out, imputer, edits=EDITS, **how):
    given_how = {"unit": "id", "pool_rows": 40, "by": ["region"], "class_rows": 12}
    return process_file(source, out, edits, imputer, **{**given_how, "seed": 3, **how})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return what each imputer makes of the file in one piece."""
    folder = tmp_path_factory.mktemp("whole")
    source = folder / "records.parquet"
    FRAME.to_parquet(source, index=False)
    made = {}

    def of(name):
        if name not in made:
            found = run(source, folder / name, IMPUTERS[name], block_rows=N)
            assert found.blocks == 1
            assert found.counts["cells"].sum() > 100
            made[name] = digests(found)
        return made[name]

    return of


def written(folder, cuts):
    """Write the records as partitions that end at the cuts."""
    folder.mkdir()
    edges = [0, *sorted(cuts), N]
    for i, (low, high) in enumerate(zip(edges, edges[1:], strict=False)):
        part = FRAME.iloc[low:high]
        part.to_parquet(folder / f"{i:03d}.parquet", index=False, row_group_size=31)


@pytest.mark.parametrize("name", IMPUTERS)
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    # Each example is seconds: a failing one is told as it is, not made smaller.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.integers(1, N), cuts=st.sets(st.integers(1, N - 1), max_size=4))
def test_blocks_and_partitions_change_no_byte(
    tmp_path_factory, whole, name, rows, cuts
):
    folder = tmp_path_factory.mktemp("parts")
    written(folder / "source", cuts)
    rows = max(rows, 12)  # blocks of one record are tested on their own
    found = run(folder / "source", folder / "out", IMPUTERS[name], block_rows=rows)
    assert digests(found) == whole(name)
    assert (found.records, found.blocks) == (N, -(-N // rows))


@pytest.mark.soak
@pytest.mark.parametrize("name", IMPUTERS)
def test_blocks_of_one_record_change_no_byte(tmp_path, whole, name):
    source = tmp_path / "records.parquet"
    FRAME.to_parquet(source, index=False, row_group_size=50)
    found = run(source, tmp_path / "out", IMPUTERS[name], block_rows=1)
    assert found.blocks == N
    assert digests(found) == whole(name)


@pytest.mark.parametrize(
    "name",
    ["nearest donor", pytest.param("forest, cross-fitted", marks=pytest.mark.soak)],
)
def test_two_workers_change_no_byte(tmp_path, whole, name):
    source = tmp_path / "records.parquet"
    FRAME.to_parquet(source, index=False)
    found = run(source, tmp_path / "out", IMPUTERS[name], block_rows=50, workers=2)
    assert digests(found) == whole(name)


@pytest.mark.parametrize("name", IMPUTERS)
def test_the_order_of_the_records_changes_none_of_them(tmp_path, name):
    mixed = FRAME.sample(frac=1, random_state=1)
    tables = []
    for number, frame in enumerate((FRAME, mixed)):
        source = tmp_path / f"{number}.parquet"
        frame.to_parquet(source, index=False)
        found = run(source, tmp_path / str(number), IMPUTERS[name], block_rows=70)
        cells = pd.read_parquet(found.cells).drop(columns="row")
        tables.append(
            (
                pd.read_parquet(found.values).sort_values("id", ignore_index=True),
                cells.sort_values(["unit", "variable"], ignore_index=True),
            )
        )
    for one, other in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize("rows", [17, 100])
def test_text_in_blocks_and_drawn_categories_change_no_byte(tmp_path, rows):
    imputer = MultinomialImputer(["c", "region"], interactions=[("c", "region")])
    edits = EditSet.from_texts(['if kind == "small" then region in {"N", "S", "W"}'])
    frame = FRAME.assign(c=FRAME["c"].fillna(0.0), a=FRAME["a"].astype(object))
    frame = frame.drop(columns=["b", "d", "staff"])
    frame["a"] = frame["a"].where(frame["a"].notna(), "n/a")
    frame.to_csv(tmp_path / "records.csv", index=False, sep=";", decimal=",")
    how = {"numeric": ["c"], "decimal": ","}
    found = [
        run(tmp_path / "records.csv", tmp_path / str(size), imputer, edits, **how, **at)
        for size, at in ((N, {"block_rows": N}), (rows, {"block_rows": rows}))
    ]
    assert digests(found[0]) == digests(found[1])
    drawn = pd.read_parquet(found[0].cells)
    assert (drawn["method"] == "multinomial").sum() > 5


def test_a_record_alone_is_treated_as_among_others():
    complete = FRAME.dropna().set_index("id")
    donors = complete[
        (complete["c"] - complete[["a", "b", "d"]].sum(axis=1)).abs() < 1e-6
    ].head(60)
    rest = FRAME.set_index("id").drop(donors.index)
    for imputer in IMPUTERS.values():
        all_at_once = process(rest, EDITS, imputer, donors=donors, seed=5)
        for label in rest.index[:4]:
            alone = process(rest.loc[[label]], EDITS, imputer, donors=donors, seed=5)
            pd.testing.assert_frame_equal(
                alone.values, all_at_once.values.loc[[label]], check_exact=True
            )


class Together:
    """An imputer that can only treat all records at once."""

    def treat(self, frame, mask, seed, structural=None):
        return HotDeck().treat(frame, mask, seed, structural)


@pytest.mark.parametrize(
    ("imputer", "told"),
    [
        (HotDeck(order="sequential"), "sequential"),
        (NearestDonor(["c"], min_percent=0, limit_uses=2), "limit"),
        (NearestDonor(["c"]), "min_percent"),
        (MultinomialImputer(), "predictors"),
        (ChainedImputer(PREDICTORS, sharpness=2), "sharpness"),
        (
            EstimatorImputer(
                [{"variable": "a", "estimator": "mean", "with_imputed": True}]
            ),
            "with_imputed",
        ),
        (Together(), "together"),
        (EditConsistent(Together(), EDITS), "together"),
    ],
)
def test_what_needs_all_recipients_is_refused(tmp_path, imputer, told):
    source = tmp_path / "records.parquet"
    FRAME.to_parquet(source, index=False)
    with pytest.raises(ConfigError, match=told):
        run(source, tmp_path / "out", imputer, block_rows=100)


def test_an_imputer_of_all_recipients_has_a_file_of_one_block(tmp_path):
    source = tmp_path / "records.parquet"
    FRAME.to_parquet(source, index=False)
    found = run(source, tmp_path / "out", Together(), block_rows=N)
    assert found.edits.empty
