"""The synthetic diaries keep what they promise."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from mlstats import demo
from mlstats.demo import DemoData, generate_lines, make_products, write_index
from mlstats.demo_words import Draw, Drift, products
from mlstats.io import read_table, write_parquet, write_xlsx

CONFIGS = Path(__file__).parents[2] / "configs"
CODES = ["coicop_clerk", "coicop_gold", "coder_a", "coder_b"]


def names(*, new: bool) -> set[tuple[str, str]]:
    """Return the names and codes of the products, the new or the old ones."""
    return {
        (name, product.code)
        for product in products()
        for language in product.names.values()
        for name in language
        if (product.since > 0) == new
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    return make_products(tmp_path_factory.mktemp("with space") / "demo")


def within(observed: float, probability: float, n: int) -> bool:
    """Say whether a share lies in its 99.9 % binomial interval (normal)."""
    return abs(observed - probability) <= 3.29 * math.sqrt(
        probability * (1 - probability) / n
    )


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(
    data: DemoData, tmp_path: Path
):
    again = make_products(tmp_path, periods=["2026-03"])
    bytes_of_march = data.files["2026-03"].read_bytes()
    assert again.files["2026-03"].read_bytes() == bytes_of_march
    make_products(tmp_path, periods=["2026-03"])
    assert again.files["2026-03"].read_bytes() == bytes_of_march
    make_products(tmp_path, periods=["2026-03"], seed=2)
    assert again.files["2026-03"].read_bytes() != bytes_of_march


def test_the_draws_are_those_of_every_python():
    assert Draw(20260101, "2026-01").share() == 0.9528204427129598
    first = generate_lines("2026-01").iloc[0]
    assert first["description"] == "Cappuccino Fernau 1x"
    assert first["true_code"] == "11.1.1.1"


def test_everything_says_that_it_is_synthetic(data: DemoData):
    assert sorted(path.name for path in data.folder.iterdir()) == [
        "README.txt",
        *(f"products_2026-0{month}.csv" for month in range(1, 9)),
    ]
    readme = (data.folder / "README.txt").read_text(encoding="utf-8")
    assert readme.startswith("SYNTHETIC DATA")
    for path in data.files.values():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert all(line.endswith(",synthetic") for line in lines)


def test_no_file_holds_the_true_code(data: DemoData):
    assert "true_code" in data.frame
    for period, path in data.files.items():
        header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
        assert "true_code" not in header
        # Nor does one of the columns of the file equal it under another name.
        lines = data.frame[data.frame["period"] == period].reset_index(drop=True)
        read = read_table(path, text_columns=CODES).frame
        assert not any(read[name].equals(lines["true_code"]) for name in header)


def test_line_ids_are_unique_texts_with_leading_zeros(data: DemoData):
    ids = data.frame["line_id"]
    assert ids.is_unique
    assert ids.str.fullmatch(r"00\d{13}").all()


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet"])
def test_ids_and_codes_survive_a_round_trip(data: DemoData, tmp_path: Path, kind: str):
    lines = generate_lines("2026-02", households=20).astype({"amount": "float64"})
    path = tmp_path / f"a b.{kind}"
    if kind == "csv":
        lines.to_csv(path, index=False)
    elif kind == "xlsx":
        write_xlsx(path, {"SYNTHETIC": lines}, ["Synthetic data."])
    else:
        write_parquet(path, lines)
    read = read_table(path, text_columns=CODES).frame
    pd.testing.assert_frame_equal(read, lines, check_dtype=False)
    assert read["line_id"].str.startswith("00").all()


def test_households_have_5_to_15_lines_in_one_region_each(data: DemoData):
    sizes = data.frame.groupby("household_id").size()
    assert sizes.between(5, 15).all()
    assert (data.frame.groupby("household_id")["stratum"].nunique() == 1).all()
    assert (data.frame.groupby("period")["household_id"].nunique() == 160).all()
    assert data.frame.groupby("period").size().between(1400, 1650).all()


def test_the_weights_add_up_to_the_population(data: DemoData):
    households = data.frame.drop_duplicates("household_id")
    totals = households.groupby(["period", "stratum"])["budget_weight"].sum().unstack()
    for region, size in data.known["households_by_stratum"].items():
        assert totals[region].tolist() == pytest.approx([size] * 8)


def test_the_clerks_error_rate_lies_in_its_binomial_interval(data: DemoData):
    true, clerk = data.frame["true_code"], data.frame["coicop_clerk"]
    wrong = true != clerk
    assert within(wrong.mean(), data.known["clerk_error_rate"], len(wrong))
    near = true[wrong].str[:2] == clerk[wrong].str[:2]
    assert within(near.mean(), data.known["within_division"], len(near))


def test_the_gold_sample_is_of_whole_households_with_the_known_probability(
    data: DemoData,
):
    gold = data.frame.groupby("household_id")["coicop_gold"].agg(["count", "size"])
    sampled = gold["count"] > 0
    assert (gold["count"] == gold["size"])[sampled].all()
    share = sampled.mean()
    assert within(share, data.known["gold_probability"], len(gold))


def test_gold_is_what_the_coders_agree_on_and_the_truth_where_they_differ(
    data: DemoData,
):
    rows = data.frame.dropna(subset="coicop_gold")
    agree = rows["coder_a"] == rows["coder_b"]
    assert (rows["coicop_gold"] == rows["coder_a"])[agree].all()
    assert (rows["coicop_gold"] == rows["true_code"])[~agree].all()
    for coder, rate in zip("ab", data.known["coder_error_rates"], strict=True):
        wrong = rows[f"coder_{coder}"] != rows["true_code"]
        assert within(wrong.mean(), rate, len(rows))
    assert data.frame[data.frame["coicop_gold"].isna()]["coder_a"].isna().all()


def words(frame: pd.DataFrame) -> pd.Series:
    return frame["description"].str.lower().str.findall(r"\w+").explode()


def test_the_drift_grows(data: DemoData):
    parts = dict(list(data.frame.groupby("period")))
    known = set(words(parts["2026-01"]))
    unseen = [1 - words(parts[p]).isin(known).mean() for p in demo.PERIODS[1:]]
    thirds = [sum(unseen[:2]) / 2, sum(unseen[2:5]) / 3, sum(unseen[5:]) / 2]
    assert thirds[0] + 0.02 < thirds[1] < thirds[2] - 0.02
    facts = data.known["drift"]
    for name in ("german", "abbreviation", "other_shops", "new_brands", "new_products"):
        path = [facts[period][name] for period in demo.PERIODS]
        assert path == sorted(path)
        assert path[0] < path[-1]
    assert facts["2026-01"]["new_products"] == 0
    assert Drift.of("2025-06") == Drift.of("2026-01")
    assert Drift.of("2027-01").strength == 1


def test_new_products_appear_as_often_as_is_said(data: DemoData):
    old = {name.lower() for name, _ in names(new=False)}
    new = {name.lower() for name, _ in names(new=True)} - old
    pattern = "|".join(sorted(map(re.escape, new), key=len, reverse=True))
    text = data.frame["description"].str.lower()
    found = text.str.contains(rf"(?:^|\s)(?:{pattern})(?:$|\s)", regex=True)
    by_period = found.groupby(data.frame["period"]).mean()
    assert by_period["2026-01"] == 0
    # Some are cut, misspelt or written as a general word, so a little fewer are seen.
    said = data.known["drift"]["2026-08"]["new_products"]
    assert 0.7 * said < by_period["2026-08"] < said


def test_scale_multiplies_the_households(tmp_path: Path):
    half = make_products(tmp_path, periods=["2026-01"], scale=0.5)
    assert half.frame["household_id"].nunique() == 80
    assert set(half.frame["stratum"]) == set(demo.REGIONS)


def test_every_code_is_a_leaf_of_the_shipped_classification():
    path = CONFIGS / "classifications" / "coicop2018_demo.csv"
    structure = read_table(path, text_columns=["code", "parent"]).frame
    parents = set(structure["parent"].dropna())
    leaves = set(structure["code"]) - parents
    assert structure["code"].is_unique
    assert parents <= set(structure["code"])
    assert structure["parent"].isna().sum() == 13
    assert leaves == {product.code for product in products()}
    assert structure["title"].notna().all()


def test_the_shipped_index_is_what_the_generator_writes(tmp_path: Path):
    write_index(tmp_path / "index.csv")
    shipped = CONFIGS / "rules" / "coicop_demo_index.csv"
    assert shipped.read_bytes() == (tmp_path / "index.csv").read_bytes()


def test_the_index_is_incomplete_and_says_nothing_of_new_products():
    index = read_table(
        CONFIGS / "rules" / "coicop_demo_index.csv", text_columns=["code"]
    ).frame
    old = {
        (n, p.code)
        for p in products()
        if not p.since
        for n in sum(p.names.values(), [])
    }
    entries = set(zip(index["text"], index["code"], strict=True))
    assert entries < old
    assert within(len(entries) / len(old), demo.INDEX_COVERAGE, len(old))


def test_an_exact_match_codes_about_three_lines_in_ten(data: DemoData):
    index = read_table(
        CONFIGS / "rules" / "coicop_demo_index.csv", text_columns=["code"]
    ).frame
    index["text"] = index["text"].str.lower()
    single = index.groupby("text")["code"].agg(["nunique", "first"])
    code_of = single[single["nunique"] == 1]["first"]
    coded = data.frame["description"].str.lower().map(code_of)
    assert 0.25 < (coded == data.frame["true_code"]).mean() < 0.35
