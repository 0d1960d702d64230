"""A record that was tampered with is found out: naively, and by a forger who states every hash and digest anew.

What no check of the files alone can find, because nothing in them contradicts it, a rerun finds (`invbench verify`):
scores of images outside the audit set with every aggregate recomputed, the names of such images exchanged, and what
`tests/records/test_field_checks.py` forges field by field. Nobody finds another section `run`, which is stated by the
author.

Threats: T11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from forge import (
    IMAGES,
    SMALL,
    TARGET,
    World,
    at,
    edit_json,
    make_world,
    put,
    reseal,
    write_tables,
)

from benchmark.content.content import Content
from benchmark.engine.rescore import compare_reruns, rescore
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.metrics.spec import get_metric
from benchmark.records.audit import audit_to_table, read_audit
from benchmark.records.columns import AUDIT_SCHEMA, SCORE_SCHEMA
from benchmark.records.consistency import check_record
from benchmark.records.record import load_record, write_record
from benchmark.records.scores import scores_to_table
from benchmark.suites.lock import Lock
from benchmark.suites.spec import INPUT, AuditCells, ImagenetData, Suite
from leaderboard.data.entries import load_entries

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def place(world: World, tmp_path: Path) -> Path:
    return world.write(tmp_path)


@dataclass(frozen=True)
class Forgery:
    """One kind of tampering, and how it is found out once everything is sealed again."""

    kind: str
    where: str
    found: str
    scores: Callable[[Rows], Any] | None = None
    audit: Callable[[Rows], Any] | None = None
    record: Callable[[dict[str, Any]], Any] | None = None

    def apply(self, folder: Path, *, sealed: bool) -> None:
        for name, change, schema in (("scores", self.scores, SCORE_SCHEMA), ("audit", self.audit, AUDIT_SCHEMA)):
            if change is not None:
                rows = pq.read_table(folder / f"{name}.parquet").to_pylist()
                rows = change(rows) or rows
                write_tables(folder, **{name: pa.Table.from_pylist(rows, schema=schema)})
        if sealed:
            reseal(folder, self.record)
        elif self.record is not None:
            edit_json(folder / "record.json", self.record)


def set_rows(**values: Any) -> Callable[[Rows], None]:
    """Return a change of the first row of scores that is of no audit image."""
    return lambda rows: next(row for row in rows if row["image"] not in IMAGES[:2]).update(values)


def swap_pngs(key: str, first: str, second: str, *, inputs: bool) -> Callable[[Rows], None]:
    """Return a change that exchanges the images of all rows of two labels."""

    def change(rows: Rows) -> None:
        for one, other in zip(*([row for row in rows if row[key] == name] for name in (first, second)), strict=True):
            if inputs or one["tap"] != INPUT:
                one["png"], other["png"] = other["png"], one["png"]

    return change


def rename_images(first: str, second: str) -> Callable[[Rows], None]:
    names = {first: second, second: first}
    return lambda rows: [row | {"image": names.get(row["image"], row["image"])} for row in rows]


def change_input(rows: Rows) -> None:
    rows[0]["png"] = next(row["png"] for row in rows if row["tap"] != INPUT)


AXES = f"targets/{TARGET}/axes/detail"
STAGE = f"layers/{TARGET}/0"
SEEN = "is not the suite's image"
FORGERIES = (
    Forgery("a score raised", "record.json", "follows as", scores=set_rows(value=0.99)),
    Forgery("a score of an audit image raised", "record.json", "follows as", scores=lambda r: r[0].update(value=0.99)),
    Forgery("two rows exchanged", "scores.parquet", "does not belong", scores=lambda r: [r[1], r[0], *r[2:]]),
    Forgery("a row dropped", "scores.parquet", "rows, not", scores=lambda r: r[:-1]),
    Forgery("a row twice instead of another", "scores.parquet", "belong", scores=lambda r: [*r[:-1], r[0]]),
    Forgery("a bad score left out without a reason", "scores.parquet", "belong", scores=set_rows(value=None)),
    Forgery(
        "a bad score left out for a reason of one's own", "scores.parquet", "does not belong",
        scores=set_rows(value=None, reason="too hard"),
    ),
    Forgery("a score with a reason", "scores.parquet", "belong", scores=set_rows(reason="ssim: the shorter side")),
    Forgery("a score above its range", "scores.parquet", "does not belong", scores=set_rows(value=1.5)),
    Forgery("a reported score beyond anything", "scores.parquet", "does not belong",
            scores=lambda rows: next(r for r in rows if r["metric"] == "delta_e_2000").update(value=3.4e38)),
    Forgery("a bad score left out for the reason of another metric", "scores.parquet", "does not belong",
            scores=set_rows(value=None, reason=f"recognition: {get_metric('recognition').unscored}")),
    Forgery("a bad score left out for its own reason", "scores.parquet", "whether it is depends on the image alone",
            scores=set_rows(value=None, reason=f"frc: {get_metric('frc').unscored}")),
    Forgery("a score that is not a number", "scores.parquet", "does not belong", scores=set_rows(value=float("nan"))),
    Forgery("an infinite score", "scores.parquet", "does not belong", scores=set_rows(value=float("inf"))),
    Forgery("an image of one's own", "scores.parquet", "not one of", scores=rename_images("scene-0000", "easy-1")),
    Forgery("names of audit images exchanged", "audit.parquet", "row 1 is of", audit=rename_images(*IMAGES[:2])),
    Forgery("a tap of another target", "scores.parquet", "belong", scores=set_rows(tap="encoder.5")),
    Forgery("two audit images exchanged", "audit.parquet", SEEN, audit=swap_pngs("image", *IMAGES[:2], inputs=True)),
    Forgery("two perturbations exchanged", "audit.parquet", SEEN,
            audit=swap_pngs("perturbation", "identity", "gray", inputs=True)),
    Forgery("another input", "audit.parquet", SEEN, audit=change_input),
    Forgery("an audit image dropped", "audit.parquet", "rows, not", audit=lambda rows: rows[:-1]),
    Forgery("an audit image twice", "audit.parquet", "rows, not", audit=lambda rows: [*rows, rows[-1]]),
    Forgery("an audit image instead of another", "audit.parquet", "is of", audit=lambda rows: [*rows[:-1], rows[0]]),
    Forgery("no image at all", "audit.parquet", "no PNG", audit=lambda rows: rows[3].update(png=b"GIF89a")),
    Forgery("a cell's value", "record.json", "cells.0.value", record=put("cells/0/value", 0.99)),
    Forgery("a cell's interval", "record.json", "cells.0.low", record=put("cells/0/low", 0.5)),
    Forgery("how many were scored", "record.json", "cells.0.scored", record=put("cells/0/scored", 4)),
    Forgery("how many were not", "record.json", "unscored", record=put("cells/0/unscored", {"tired": 1})),
    Forgery("a cell dropped", "record.json", "'cells'", record=lambda c: c["cells"].pop()),
    Forgery("an overall axis", "record.json", "overall.detail.value", record=put("overall/detail/value", 0.99)),
    Forgery("an overall interval", "record.json", "overall.shape.high", record=put("overall/shape/high", 1.0)),
    Forgery("a part of an axis", "record.json", "parts.frc", record=put("overall/detail/parts/frc", 0.99)),
    Forgery("the axis of a target", "record.json", f"{TARGET}.axes.detail.value", record=put(f"{AXES}/value", 0.99)),
    Forgery("the axis of a tap", "record.json", "encoder.0.axes.color.value",
            record=put(f"targets/{TARGET}/taps/encoder.0/axes/color/value", 0.99)),
    Forgery("a tap dropped", "record.json", "encoder.1",
            record=lambda c: c["targets"][TARGET]["taps"].pop("encoder.1")),
    Forgery("partial called complete", "record.json", "'status'", record=put("status", "complete")),
    Forgery("the mark of a draft", "record.json", "'draft'", record=put("draft", True)),
    Forgery("the number of images", "scores.parquet", "rows, not", record=put("images", 4)),
    Forgery("more images than the suite has", "record.json", "'images'", record=put("images", 1000)),
    Forgery("the text of the suite", "record.json", "another text", record=put("suite_digest", "0" * 64)),
    Forgery("the lock", "record.json", "another lock", record=put("lock_digest", "0" * 64)),
    Forgery("a record of another suite", "record.json", "is a record on 'coco@1'", record=put("suite", "coco@1")),
    Forgery("a record of another submission", "record.json", "is the record of 'ridge'",
            record=put("submission/id", "ridge")),
    Forgery("a target too many", "record.json", "not of the same targets",
            record=lambda c: c["inverses"].update({"mini-swin": c["inverses"][TARGET]})),
    Forgery("normalized transfer", "record.json", "normalized.0.1", record=put(f"{STAGE}/normalized/0/1", 0.2)),
    Forgery("normalized transfer left out", "record.json", "normalized.0.1",
            record=put(f"{STAGE}/normalized/0/1", None)),
    Forgery("the diagonal of transfer", "record.json", "transfer.0.0", record=put(f"{STAGE}/transfer/0/0", 0.2)),
    Forgery("the images of transfer", "record.json", "images", record=put(f"{STAGE}/images", 4)),
    Forgery("the score", "record.json", "'score.value'", record=put("score/value", 0.99)),
    Forgery("the score of a target", "record.json", f"{TARGET}.score.low",
            record=put(f"targets/{TARGET}/score/low", 0.9)),
    Forgery("what transfer sums up to", "record.json", "neighbors", record=put(f"{STAGE}/neighbors", 0.1)),
    Forgery("asymmetry", "record.json", "asymmetry", record=put(f"{STAGE}/asymmetry", None)),
    Forgery("alignment above 1", "record.json", "cka': holds a value out of", record=put(f"{STAGE}/cka/0/1", 1.4)),
    Forgery("alignment that is not symmetric", "record.json", "not symmetric", record=put(f"{STAGE}/cka/0/1", 0.5)),
    Forgery("a tap unlike itself", "record.json", "1 on its diagonal", record=put(f"{STAGE}/cka/0/0", 0.5)),
    Forgery("alignment left out", "record.json", "not symmetric",
            record=put(f"{STAGE}/cka", [[1.0, None], [None, 1.0]])),
    Forgery("a stage twice", "record.json", "a tap twice", record=put(f"layers/{TARGET}", lambda stages: stages * 2)),
    Forgery("taps of another stage", "record.json", "not taps of that stage", record=put(f"{STAGE}/stage", "decoder")),
)  # fmt: skip


def test_the_honest_record_passes_and_is_rescored_as_it_says(world: World, place: Path, cpu: torch.device) -> None:
    reseal(place)
    differences = rescore(Content(world.suite, world.lock), world.check(place), cpu)
    assert all(item.beyond == item.unmatched == 0 for item in differences.values())
    assert sum(item.compared for item in differences.values()) > 90


def test_at_least_fifteen_kinds_are_tried() -> None:
    assert len({forgery.kind for forgery in FORGERIES}) == len(FORGERIES) >= 45


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f.kind)
def test_tampering_is_found_although_all_hashes_were_stated_anew(world: World, place: Path, forgery: Forgery) -> None:
    forgery.apply(place, sealed=True)
    with pytest.raises(UserError, match=forgery.found) as caught:
        world.check(place)
    assert caught.value.where == str(place / forgery.where)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f.kind)
def test_a_mere_edit_is_found_by_its_hash(world: World, place: Path, forgery: Forgery) -> None:
    forgery.apply(place, sealed=False)
    name = "record.json" if forgery.record else "scores.parquet" if forgery.scores else "audit.parquet"
    with pytest.raises(UserError) as caught:
        world.check(place)
    assert caught.value.where == str(place / name)
    if "rows, not" not in caught.value.message and "no PNG" not in caught.value.message:
        assert isinstance(caught.value, IntegrityError)
        assert "digest does not match" in str(caught.value) or "differs from what record.json" in str(caught.value)


@pytest.mark.parametrize("name", ["transfer", "normalized", "cka"])
def test_a_comparison_of_layers_is_square(place: Path, name: str) -> None:
    edit_json(place / "record.json", lambda content: at(content, f"{STAGE}/{name}/0")[0].pop())
    with pytest.raises(SpecError, match=f"'{name}' is no matrix of 2 taps"):
        load_record(place)


@pytest.mark.parametrize("field", ["digest", "scores_sha256", "audit_sha256"])
def test_the_digests_themselves_cannot_be_edited(world: World, place: Path, field: str) -> None:
    edit_json(place / "record.json", put(field, "0" * 64))
    with pytest.raises(IntegrityError, match="digest does not match"):
        world.check(place)


def test_the_circumstances_of_a_run_cannot_be_edited_alone(world: World, place: Path) -> None:
    edit_json(place / "record.json", put("run/device_name", "A very small computer"))
    with pytest.raises(IntegrityError, match="section 'run' was changed"):
        world.check(place)


def test_a_run_has_not_started_on_a_day_to_come(world: World, place: Path) -> None:
    reseal(place, put("run/started", "9999-12-31T00:00:00Z"))
    with pytest.raises(SpecError, match=r"field 'run\.started': 9999-12-31 is in the future"):
        world.check(place)


def test_the_board_does_not_rank_some_images_called_all(world: World, place: Path) -> None:
    reseal(place, put("status", "complete"))
    with pytest.raises(IntegrityError, match=r"scores\.parquet: image 'scene-0003' of mini@1 was not scored"):
        load_entries(world.suite, world.lock, [place.parents[2]])


def original_instead_of_recon(rows: Rows) -> None:
    seen = {(row["image"], row["perturbation"]): row["png"] for row in rows if row["tap"] == INPUT}
    for row in rows:
        row["png"] = seen[row["image"], row["perturbation"]]


FORGED_IMAGES = {
    "the original for a recon": original_instead_of_recon,
    "recons of two images exchanged": swap_pngs("image", *IMAGES[:2], inputs=False),
    "recons of two taps exchanged": swap_pngs("tap", "encoder.0", "encoder.1", inputs=True),
    "recons of two perturbations exchanged": swap_pngs("perturbation", "identity", "hue_set_0", inputs=False),
}


def raised(world: World, image: str) -> Any:
    """Return the scores with those of one image raised where they can be."""
    scores = replace(world.scores[0], values=world.scores[0].values.copy())
    ssim, row = world.suite.metrics.index("ssim"), scores.images.index(image)
    scores.values[row, :, 0, ssim] = 0.99
    return [scores]


def renamed(world: World, first: str, second: str) -> Any:
    """Return the scores with the names of two images exchanged."""
    names = {first: second, second: first}
    return [replace(world.scores[0], images=tuple(names.get(name, name) for name in world.scores[0].images))]


def forge_scores(world: World, folder: Path, scores: Any) -> None:
    """Write other scores, and state everything that follows from them."""
    write_tables(folder, scores=scores_to_table(world.suite, scores))
    record = load_record(folder).model_copy(update={**world.summarized(scores), "layers": {}})
    (folder / "record.json").write_text(record.model_dump_json())
    reseal(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORGED_IMAGES)
def test_rescoring_finds_images_that_do_not_give_the_scores(
    world: World, place: Path, cpu: torch.device, kind: str
) -> None:
    Forgery(kind, "", "", audit=FORGED_IMAGES[kind]).apply(place, sealed=True)
    differences = rescore(Content(world.suite, world.lock), world.check(place), cpu)
    assert differences["ssim"].beyond > 0


@pytest.mark.slow
def test_rescoring_finds_a_raised_score_from_which_everything_was_recomputed(
    world: World, place: Path, cpu: torch.device
) -> None:
    forge_scores(world, place, raised(world, IMAGES[0]))
    differences = rescore(Content(world.suite, world.lock), world.check(place), cpu)
    assert differences["ssim"].beyond == 2
    assert differences["psnr"].beyond == 0


# What suites store less of, or nothing.


def part_stored(world: World) -> Suite:
    """The suite, of which records store one tap of one image under all perturbations, and that of another as it is."""
    cells = {"targets": (TARGET,), "taps": ("encoder.0",)}
    color = AuditCells(**cells, images=1, perturbations=world.suite.perturbations)
    return world.suite.model_copy(
        update={"audit_cells": (color, AuditCells(**cells, images=2, perturbations=("identity",)))}
    )


@pytest.mark.slow
def test_what_is_stored_is_rescored_and_nothing_else(world: World, place: Path, cpu: torch.device) -> None:
    suite, (target,) = part_stored(world), world.suite.targets
    _, (whole,) = world.check(place)
    stored = read_audit(suite, audit_to_table(suite, target, IMAGES[:2], whole), [target], IMAGES[:2])
    content = Content(suite, world.lock)
    differences = rescore(content, (world.scores, stored), cpu)
    assert all(difference.agrees for difference in differences.values())
    assert differences["frc"].compared == len(suite.perturbations) + 1
    assert differences["color_transfer"].compared == 1, "that of which all hue kinds are stored"
    elsewhere, here = (world.scores[0].values.copy() for _ in range(2))
    m = suite.metrics.index("frc")
    elsewhere[1, 1, 0, m] = here[1, 0, 0, m] = 0.123
    for values, beyond in ((elsewhere, 0), (here, 1)):
        found = rescore(content, ([replace(world.scores[0], values=values)], stored), cpu)
        assert found["frc"].beyond == beyond


def unpublished(world: World) -> tuple[Suite, Lock]:
    """The suite and its lock as if it were of photographs whose pictures may not be published."""
    data = ImagenetData(
        source="imagenet",
        images=world.suite.dataset.images,
        description="x",
        resize="pillow-bilinear",
        salt="x",
        pool=9,
    )
    suite = world.suite.model_copy(update={"dataset": data})
    return suite, world.lock.model_copy(update={"suite_digest": suite.digest, "images": {}, "perturbed": {}})


def test_a_record_of_what_may_not_be_published_holds_no_picture(
    world: World, place: Path, tmp_path: Path, cpu: torch.device
) -> None:
    suite, lock = unpublished(world)
    made = {"suite_digest": suite.digest, "lock_digest": lock.digest, "submission": load_record(place).submission}
    record = write_record(tmp_path / "none", world.record.model_copy(update=made), world.table, world.audit.slice(0, 0))
    checked = check_record(suite, lock, SMALL, tmp_path / "none", record)
    assert not any(pixels.size for pixels in checked[1])
    with pytest.raises(SpecError, match=r"records on mini@1 store no pictures \(run all of it again: invbench verify"):
        rescore(Content(suite, lock), checked, cpu)
    record = write_record(tmp_path / "all", world.record.model_copy(update=made), world.table, world.audit)
    with pytest.raises(SpecError, match=f"holds {world.audit.num_rows} rows, not 0"):
        check_record(suite, lock, SMALL, tmp_path / "all", record)


def test_a_rerun_finds_what_the_audit_images_cannot(world: World, place: Path) -> None:
    forge_scores(world, place, raised(world, IMAGES[-1]))
    stated, _ = world.check(place)
    differences = compare_reruns(world.suite, stated, world.scores)
    assert differences["ssim"].beyond == 2
    assert all(item.beyond == 0 for name, item in differences.items() if name != "ssim")


def test_a_rerun_finds_names_of_images_exchanged(world: World, place: Path) -> None:
    forge_scores(world, place, renamed(world, *IMAGES[2:4]))
    stated, _ = world.check(place)
    assert stated[0].images != world.scores[0].images
    assert compare_reruns(world.suite, stated, world.scores)["ssim"].beyond > 0


# What only a whole submission among others shows.


def test_small_world_is_of_the_real_suite(world: World) -> None:
    assert world.record.submission.id != SMALL
    assert world.suite.targets[0].id == TARGET
    assert world.record.status == "partial"
