"""A table of any size coded by champion and baseline, without a period or a release.

A worker codes a part, this process writes it. Parts that are done lie beside the target
until all are: a run that was ended goes on from there, and the target is there whole,
with its manifest, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats import __version__, io
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.coding_models import CodingModels
from mlstats.coding_production import files, known_codes, uncodable_texts
from mlstats.coding_release import Rows, limits_of
from mlstats.config import Pilot
from mlstats.dataset import finder, source_finder
from mlstats.errors import ConfigError, MlstatsError, RefusedError, ServiceError
from mlstats.model_store import packed
from mlstats.object_store import is_remote
from mlstats.partitions import MANIFEST, Partition, PartitionedTable
from mlstats.period_parts import (
    PartReader,
    as_parquet,
    finished,
    forget_finished,
    needed_columns,
    staged,
    write_finished,
)
from mlstats.pilot_files import load_pilot
from mlstats.produced import Arm
from mlstats.production_arms import arms_of
from mlstats.provenance import deciding_digest
from mlstats.scale import Scale, map_blocks, progress
from mlstats.settings import Settings
from mlstats.sources import ROW_NUMBER
from mlstats.table import check_has_columns
from mlstats.watching import TRAINED, VOCABULARY
from mlstats.writing import sole_writer

__all__ = ["CodeRows", "Coded", "code_parts", "code_table"]

_ROLES: Final = ("champion", "baseline")


@dataclass(frozen=True)
class Coded:
    """What was coded.

    Parameters
    ----------
    folder : pathlib.Path
        Parts with a row per row of the source, in its order: unit, code, depth, route,
        confidence and, of each arm, champion_code and baseline_code.
    rows, automatic : int
        Of all parts, and those that need no clerk by the champion's thresholds.
    parts, computed : int
        How many there are, and how many were coded by this run.
    """

    folder: Path
    rows: int
    automatic: int
    parts: int
    computed: int


@dataclass(frozen=True, eq=False)
class CodeRows:
    """The work on one part; sent to workers once, with the models."""

    reader: PartReader
    models: CodingModels
    classification: Classification
    unit: str = field(default="")

    def __call__(self, part: Partition) -> tuple[bytes, int]:
        """Return the coded part as Parquet, and how many rows need no clerk."""
        frame = self.reader.rows(part).reset_index(drop=True)
        asked, answers, _ = self.models.answers(frame)
        pilot = self.reader.pilot
        classification = known_codes(self.classification, pilot, [*answers.values()])
        spread = self.models.spread(asked, answers, classification)
        own, base = spread.get("champion"), spread["baseline"]
        led: Rows = base if own is None else own
        given = ~pd.isna(led.code)
        code, depth, automatic = led.code, np.where(given, "full", ""), given
        if own is not None:  # as in a release: the routed code where none looks at it
            automatic = own.automatic
            code = np.where(automatic, own.routed, own.code)
            depth = np.where(automatic, own.depth, depth)
        found = {
            "unit": frame[self.unit].to_numpy(dtype=object),
            "code": code,
            "depth": depth,
            "route": np.where(automatic, "automatic", "queue"),
            "confidence": led.confidence,
            "champion_code": np.full(len(frame), None) if own is None else own.code,
            "baseline_code": base.code,
        }
        repeated = ["code", "depth", "route", "champion_code", "baseline_code"]
        table = pd.DataFrame(found).astype(dict.fromkeys(repeated, "category"))
        return as_parquet(table), int(automatic.sum())


def code_table(name: str, source: str, target: str | Path, settings: Settings) -> Coded:
    """Code a table by the version in production and by the baseline.

    Parameters
    ----------
    name : str
        Name or path of a pilot of the coding theme.
    source : str
        Parquet file, folder of them or address, with the pilot's columns.
    target : str or pathlib.Path
        Folder that is made.
    settings : Settings
        Where models lie and blocks are worked on.

    Raises
    ------
    ConfigError
        Where the pilot is not of the coding theme.
    ServiceError
        Where a model cannot be loaded, and where another run has the target.
    ArmFailed
        Where champion or baseline do not answer.
    RefusedError
        Where the target holds something else, or lies in the source.
    SourceError
        Where the table lacks a column that is needed.
    """
    pilot = load_pilot(name, project=settings.project)
    if pilot.theme != "coding":
        raise ConfigError(
            f"Only texts are coded, {pilot.pilot} is {pilot.theme}", where="theme"
        )
    scale, target = Scale.of(settings), Path(target)
    table = PartitionedTable.open(source_finder(settings)(source))
    _refuse_inside(target, table.source)
    _refuse_missing(pilot, table)
    arms = arms_of(pilot, settings)
    named = {"champion": arms.champion, "baseline": arms.baseline}
    work = _work(pilot, table, settings, named)
    find = finder(settings)
    facts = {
        "mlstats": __version__,
        "pilot": pilot.pilot,
        "source": table.digest(scale),
        "values": deciding_digest(pilot, map(find, files(pilot))),
        **{role: one.label for role, one in named.items() if one is not None},
        "rows": table.rows,
    }
    with sole_writer(target):
        known = _finished(target, facts)
        if known is not None:
            return Coded(target, table.rows, known, len(table.partitions), 0)
        return code_parts(work, table, target, facts, scale)


def _work(
    pilot: Pilot,
    table: PartitionedTable,
    settings: Settings,
    named: dict[str, Arm | None],
) -> CodeRows:
    models = {
        role: packed(one.digest, settings.confidential, (TRAINED, VOCABULARY))
        if one.digest
        else one.method
        for role, one in named.items()
        if one is not None
    }
    limits = {role: limits_of(named[role]) for role in models}
    spec = pilot.data.classification
    assert spec is not None
    return CodeRows(
        PartReader(pilot, "", tuple(needed_columns(pilot, table.columns))),
        CodingModels(
            pilot,
            models,
            limits,
            uncodable_texts(pilot, settings),
            pilot.production.time_budget,
        ),
        arm.read_classification(spec, finder(settings)),
        pilot.data.roles.unit_id,
    )


def _refuse_inside(target: Path, source: str) -> None:
    if is_remote(source):
        return
    if target.resolve().is_relative_to(Path(source).resolve()):
        raise RefusedError(
            "The target lies in the source, which would not be a table any more",
            where=str(target),
            expected="a folder beside the source, or elsewhere",
        )


def _refuse_missing(pilot: Pilot, table: PartitionedTable) -> None:
    roles, recode = pilot.data.roles, pilot.data.recode
    wanted = [roles.unit_id, *roles.text, *roles.auxiliary]
    own = {ROW_NUMBER, *recode}
    named = [*(c for c in wanted if c not in own), *(r.of for r in recode.values())]
    check_has_columns([*table.columns], named, table.source)


def _finished(target: Path, facts: dict[str, Any]) -> int | None:
    """Return how many rows of a target that has been made need no clerk."""
    if not target.exists():
        return None
    try:
        told = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}
    if not isinstance(told, dict) or told.get("facts") != facts:
        raise RefusedError(
            "The target is there already and holds something else",
            where=str(target),
            expected="a folder that is not there yet",
            hint="choose another one, or remove it",
        )
    return int(told["automatic"])


def code_parts(
    work: CodeRows,
    table: PartitionedTable,
    target: Path,
    facts: Mapping[str, Any],
    scale: Scale,
) -> Coded:
    """Code the parts of a table into a folder, with a manifest that says the facts.

    Parameters
    ----------
    work : CodeRows
        What is done to a part.
    table : PartitionedTable
        The parts.
    target : pathlib.Path
        Folder that is not there yet.
    facts : mapping
        All that the result depends on, for JSON.
    scale : Scale
        Where the parts are worked on.

    Raises
    ------
    SourceError
        Where a file was written since the table was opened.
    """
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    beside = target.with_name(f".{target.name}.{key}")
    parts = table.partitions
    counts = {n: told for n in range(len(parts)) if (told := finished(beside, n))}
    missing = [number for number in range(len(parts)) if number not in counts]
    done = map_blocks(work, [parts[n] for n in missing], workers=scale, apart=True)
    for number, (content, count) in zip(
        missing, progress(done, len(missing), "Coding the parts"), strict=True
    ):
        _check(table, beside, parts[number].path)
        write_finished(beside, number, {"": content}, automatic=count)
        counts[number] = {"automatic": count}
    _check(table, beside)
    automatic = sum(told["automatic"] for told in counts.values())
    listed = {
        staged(beside, number).name: {
            "rows": part.rows,
            "sha256": io.sha256_file(staged(beside, number)),
        }
        for number, part in enumerate(parts)
    }
    manifest = {"files": listed, "facts": facts, "automatic": automatic}
    io.write_json(beside / MANIFEST, manifest)
    _moved(beside, target)
    return Coded(target, table.rows, automatic, len(parts), len(missing))


def _check(table: PartitionedTable, beside: Path, path: str | None = None) -> None:
    """Remove what was made of a table that was written since."""
    try:
        table.check_unchanged(path)
    except MlstatsError:
        shutil.rmtree(beside, ignore_errors=True)  # rows of two tables
        raise


def _moved(beside: Path, target: Path) -> None:
    forget_finished(beside)
    try:
        beside.rename(target)
    except OSError as error:
        raise ServiceError(
            f"The folder cannot be moved: {os.strerror(error.errno or 0)}",
            where=str(target),
            expected="a place that is free and may be written to",
            hint="free the place, then run it again",
        ) from None
