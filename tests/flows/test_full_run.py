"""A run with refits: what it adds, and that no word of a record leaves by it."""

import re

import pandas as pd
import pytest

from mlstats.quality.dimensions import REFITS
from tests.flows.canary import find, publishable
from tests.flows.conftest import NAME, PILOT, PLANTED, diaries, run_pilot

pytestmark = pytest.mark.xdist_group("full")

DROPPED = ("  weighted:", "  bayes:")  # nothing that the other methods do not show
METHODS = {"exact", "program", "linear", "fasttext"}


def test_a_full_run_tells_what_refits_tell_and_no_word(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pilot = "\n".join(x for x in PILOT.splitlines() if not x.startswith(DROPPED))
    pilot = pilot.replace("epoch: 10", "epoch: 5")
    frame = diaries().head(650)
    frame.loc[::40, "what"] += f" for {NAME}"  # in every fold, so explained as well
    full = run_pilot(
        tmp_path_factory.mktemp("full"), "--full", frame=frame, pilot=pilot
    )

    assert find(PLANTED, publishable(full.project, full.inputs)) == []
    assert full.attempts == ""
    confidential = full.project / ".mlstats" / "confidential" / "runs"
    names = ("explanations.parquet", "expert_sheet.xlsx")
    files = [next(confidential.rglob(name)) for name in names]
    assert "quackenbush" in {word for word, _ in find(["Quackenbush"], files)}

    card = pd.read_parquet(full.folder / "scorecard.parquet")
    told = card[(card["domain"] == "") & card["indicator"].isin([n for _, n in REFITS])]
    assert not told.duplicated(["method", "indicator"]).any()
    assert len(told) == len(METHODS) * len(REFITS)
    rerun = told[told["indicator"] == "rerun_changed"].set_index("method")["value"]
    assert rerun.to_dict() == dict.fromkeys(METHODS, 0.0)
    assert not told["note"].str.contains("--full").any()

    page = (full.folder / "scorecard.html").read_text(encoding="utf-8")
    assert '<h2 id="explanation">' in page
    book = pd.read_excel(full.folder / "scorecard.xlsx", sheet_name="Importances")
    assert set(book["column"]) == {"text", "shop", "amount"}
    assert re.search(r"refit 1 of 24", full.output)
    # It is no trial: the card is written, as the aliases are moved.
    assert (full.project / "models" / "canary.md").is_file()
