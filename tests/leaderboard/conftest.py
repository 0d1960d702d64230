"""A small suite and submissions with made-up but well-formed records."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmark.aggregate import NOT_APPLICABLE, TargetScores, applies, scores_to_table
from benchmark.metrics.spec import get_metric
from benchmark.records import (
    AUDIT_SCHEMA,
    INPUT,
    AxisScore,
    Cell,
    InverseInfo,
    Record,
    Run,
    SubmissionInfo,
    TapScore,
    TargetScore,
    write_record,
)
from benchmark.spec import HUE_PERTURBATIONS, Anchor, Lock, Suite, TargetSpec, load_suite
from benchmark.submissions import record_folder

REASON = "too few visible contour pixels"
GAINS = ("gain_perturbed", "gain_original", "hue_error_deg")


def png(color: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    """Return a PNG of one color; `size` is (height, width)."""
    height, width = size
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress((b"\0" + bytes(color) * width) * height)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def axis_score(suite: Suite, axis: str, value: float | None) -> AxisScore:
    """Return a score whose interval is 0.02 to each side and whose parts all have its value."""
    parts = dict.fromkeys(suite.axes[axis], value)  # type: ignore[index]
    if value is None:
        return AxisScore(value=None, parts=parts)
    return AxisScore(value=value, low=max(value - 0.02, 0.0), high=min(value + 0.02, 1.0), parts=parts)


def cells(target: TargetSpec, level: float) -> list[Cell]:
    """Return the cells that the color tables read, and one metric with unscored images."""
    found = []
    for tap in target.taps:
        values = (level, 1 - level, 90 * (1 - level))
        for metric, mean in zip(GAINS, values, strict=True):
            for kind in HUE_PERTURBATIONS:
                found.append(
                    Cell(target=target.id, tap=tap.name, perturbation=kind, metric=metric, value=mean,
                         low=mean, high=mean, scored=128)
                )  # fmt: skip
        found.append(
            Cell(target=target.id, tap=tap.name, perturbation="identity", metric="contour_f", value=0.5,
                 low=0.4, high=0.6, scored=120, unscored={REASON: 8})
        )  # fmt: skip
    return found


def audit_table(suite: Suite, level: float) -> pa.Table:
    """Return audit images of one color each."""
    rows: list[dict[str, Any]] = []
    for number, image in enumerate(suite.audit_images):
        for target in suite.targets:
            for kind in suite.perturbations:
                for place, tap in enumerate([INPUT, *(t.name for t in target.taps)]):
                    shade = 255 if tap == INPUT else int(200 * level) - 5 * place
                    picture = png((shade % 256, 40 * number % 256, 90), target.input_size)
                    row = {"image": image, "target": target.id, "tap": tap, "perturbation": kind, "png": picture}
                    rows.append(row)
    return pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA)


def score_table(suite: Suite, level: float, targets: Collection[str], images: int = 16) -> pa.Table:
    """Return scores around `level`, with noise that all entries share and a little of their own."""
    results = []
    for target in (target for target in suite.targets if target.id in targets):
        shape = (images, len(target.taps), len(suite.perturbations), len(suite.metrics))
        shared = np.random.default_rng(1).normal(0, 0.05, shape)
        own = np.random.default_rng(int(level * 1000)).normal(0, 0.01, shape)
        fits = [[applies(metric, kind) for metric in suite.metrics] for kind in suite.perturbations]
        reasons = np.broadcast_to(np.where(fits, 0, NOT_APPLICABLE).astype(np.uint8), shape)
        limits = np.array([get_metric(metric).range for metric in suite.metrics], np.float32)
        values = np.fmin(np.fmax((level + shared + own).astype(np.float32), limits[:, 0]), limits[:, 1])
        ids = tuple(f"scene-{i:04d}" for i in range(images))
        results.append(TargetScores(target, ids, values, reasons, np.zeros(shape[:3], np.float32), ()))
    return scores_to_table(suite, results)


RUN = Run(
    device="cpu", device_name="Some CPU", threads=2, batch_size=16, started="2025-01-01T00:00:00Z", wall_s=75.0,
    peak_memory_mib=512.0, ms_per_recon={"mini-vit": 1.5}, python="3.11.2", packages={"torch": "2.0"},
    git_commit="0" * 40, git_dirty=False,
)  # fmt: skip

Enter = Callable[..., Path]


@pytest.fixture
def suite() -> Suite:
    """The embedded suite with its first two targets and two audit images, so that pages stay small."""
    full = load_suite("mini@1")
    return full.model_copy(update={"targets": full.targets[:2], "audit_images": full.audit_images[:2]})


@pytest.fixture
def lock(suite: Suite) -> Lock:
    """A lock whose anchors leave scores as they are."""
    anchor = Anchor(answer="white_noise", floor=0, ceiling=1)
    anchors = {metric: anchor for metrics in suite.axes.values() for metric in metrics}
    return Lock(
        suite=suite.id,
        suite_digest=suite.digest,
        files={},
        images={},
        perturbed={},
        anchors={target.id: anchors for target in suite.targets},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder of submissions."""
    folder = tmp_path / "submissions"
    folder.mkdir()
    return folder


@pytest.fixture
def enter(suite: Suite, lock: Lock, root: Path) -> Enter:
    """Return a function that writes a submission with its record and returns the record's folder."""

    def _enter(
        name: str,
        level: float,
        *,
        into: Path = root,
        title: str = "A title",
        images: Callable[[Suite, float], pa.Table] = audit_table,
        **changes: Any,
    ) -> Path:
        folder = into / name
        folder.mkdir()
        text = f"id = '{name}'\nmethod = '{name}'\ntitle = '''{title}'''\ndescription = '''{title}'''\n"
        text += "authors = ['A. Author']\nlicense = 'MIT'\ncontact = 'https://example.org'\n"
        (folder / "submission.toml").write_text(text + "trained_on = 'scenes'\nsuites = ['mini@1']\n")
        targets = {}
        for target in suite.targets:
            taps = {
                tap.name: TapScore(
                    axes={axis: axis_score(suite, axis, level * (1 - 0.6 * tap.depth)) for axis in suite.axes},
                    clamped=0.0,
                )
                for tap in target.taps
            }
            targets[target.id] = TargetScore(
                axes={axis: axis_score(suite, axis, level * 0.7) for axis in suite.axes}, taps=taps
            )
        record = Record(
            suite=suite.id,
            suite_digest=suite.digest,
            lock_digest=lock.digest,
            submission=SubmissionInfo(id=name, method=name, title=title),
            inverses={
                t.id: InverseInfo(files={"model.safetensors": "a" * 64}, parameters=12345) for t in suite.targets
            },
            code_version="1.0.0",
            precision="float32",
            status="complete",
            draft=False,
            images=16,
            targets=targets,
            overall={axis: axis_score(suite, axis, level * 0.7) for axis in suite.axes},
            cells=tuple(cell for target in suite.targets for cell in cells(target, level)),
            scores_sha256="0" * 64,
            audit_sha256="0" * 64,
            run=RUN,
        ).model_copy(update=changes)
        place = record_folder(into, name, suite.id)
        write_record(place, record, score_table(suite, level, record.targets), images(suite, level))
        return place

    return _enter


@pytest.fixture
def four(enter: Enter, root: Path) -> Path:
    """The folder with the four submissions copy, mean, ridge and modular."""
    for name, level in (("copy", 1.0), ("mean", 0.0), ("ridge", 0.5), ("modular", 0.8)):
        enter(name, level)
    return root
