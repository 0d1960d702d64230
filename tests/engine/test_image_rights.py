"""From photographs with licenses to a record: what may be published of them is stored, rescored, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.content.content import Content, empty_lock
from benchmark.content.pins import find_audit_rights
from benchmark.datasets.annotations import annotation_file, read_annotations
from benchmark.engine.contract import find_breaches
from benchmark.engine.evaluation import evaluate
from benchmark.engine.jobs import Options
from benchmark.engine.rescore import rescore
from benchmark.errors import IntegrityError
from benchmark.files.paths import submissions_root
from benchmark.records.consistency import check_record
from benchmark.records.record import load_audit
from benchmark.submissions.candidates import open_submission
from benchmark.suites.catalog import load_suite
from benchmark.suites.spec import AuditCells, Suite

IMAGES = 12
SWIN = "mini-swin"


@pytest.fixture
def sample(assets: Path) -> Path:
    folder = assets / "coco_val2017_sample"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


def photographs_on_swin() -> Suite:
    """Photographs of coco@1 on the small Swin: of three pictures are stored, of one of them all hue kinds at a tap."""
    coco, mini = load_suite("coco@1"), load_suite("mini@1")
    cells = {"targets": (SWIN,), "taps": ("input", "stage.1")}
    changes = {
        "dataset": coco.dataset.model_copy(update={"images": IMAGES, "share": (0.0, 1.0)}),
        "targets": (mini.target(SWIN),), "judge": None, "report": ("psnr",), "audit_images": 3, "layer_images": 2,
        "audit_cells": (
            AuditCells(**cells, images=3, perturbations=("identity",)),
            AuditCells(**cells, images=1, perturbations=coco.perturbations[1:-1]),
        ),
    }  # fmt: skip
    return coco.model_copy(update=changes)


@pytest.mark.slow
def test_a_record_of_photographs_stores_what_their_licenses_allow(
    sample: Path, tmp_path: Path, cpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    suite = photographs_on_swin()
    unlocked = empty_lock(suite)
    rights = find_audit_rights(suite, Content(suite, unlocked, sample).images)
    listed = {image.id: image.license for image in read_annotations(sample / annotation_file("val2017")).images}
    content = Content(suite, unlocked.model_copy(update={"rights": rights}), sample)
    candidate = open_submission(submissions_root() / "mean", suite.targets, trust_code=False)
    evaluation = evaluate(content, candidate, Options(cpu))
    ids = content.images.ids
    assert [ids.index(item.image) for item in rights] != [0, 1, 2], "a forbidden photograph lies among the first"
    folder = tmp_path / "record"
    record = evaluation.write(folder)
    rows = load_audit(folder, record).to_pylist()
    assert {row["image"] for row in rows} == {item.image for item in rights}
    assert all(listed[int(row["image"])] not in (3, 6) for row in rows)
    assert len(rows) == 2 * (3 + 5)
    checked = check_record(suite, content.lock, "mean", folder, record)
    differences = rescore(content, checked, cpu)
    assert all(difference.agrees for difference in differences.values())
    assert differences["frc"].compared == 3 + 5 and differences["color_transfer"].compared <= 1
    # verify looks at all taps and perturbations, stored or not.
    audited, pixels = evaluation.audited[SWIN]
    assert (
        pixels.shape[:3] == (3, 1 + len(suite.targets[0].taps), len(suite.perturbations))
        and pixels.any((3, 4, 5)).all()
    )
    assert set(audited) == {item.image for item in rights}
    one = {SWIN: (audited[:1], pixels[:1])}
    assert find_breaches(content, candidate, one, cpu) == []
    pixels[0, 4, 6] = 255 - pixels[0, 4, 6]
    assert [(b.tap, b.perturbation) for b in find_breaches(content, candidate, one, cpu)] == [("stage.2", "gray")]


def test_the_check_of_a_lock_names_rights_that_are_not_those_of_the_annotation_file(sample: Path) -> None:
    suite = photographs_on_swin()
    lock = empty_lock(suite)
    rights = find_audit_rights(suite, Content(suite, lock, sample).images)
    Content(suite, lock.model_copy(update={"rights": rights}), sample).check()
    changed = rights[0].model_copy(update={"license": "us-government"})
    for wrong in ((changed, *rights[1:]), rights[::-1]):
        with pytest.raises(IntegrityError, match=r"rights to image '\d{12}' is different"):
            Content(suite, lock.model_copy(update={"rights": wrong}), sample).check()
