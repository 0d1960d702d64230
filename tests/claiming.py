"""Records in which the claims hold, fail or stay open, as wished; evidence of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from boards import RUN, audit_table, quoted

from benchmark.records.aggregate import PULL, summarize
from benchmark.records.record import InverseInfo, Record, StageLayers, SubmissionInfo, write_record
from benchmark.records.scores import (
    NOT_APPLICABLE,
    ScoreArrays,
    applies,
    find_status,
    get_reason_names,
    scores_to_table,
)
from benchmark.records.store import record_folder
from benchmark.suites.lock import Answer, Lock
from benchmark.suites.spec import AXES, Suite
from leaderboard.data.claims.catalog import make_evidence
from leaderboard.data.claims.reading import Evidence
from leaderboard.data.entries import load_entries

IMAGES, GROUPS = 48, 24
HOURS: dict[str, str | int | float] = {
    "samples": 1000, "device_hours": 1.0, "device": "Some GPU", "seed": 1, "steps": 10,
}  # fmt: skip
Edit = Callable[[list[ScoreArrays]], None]
Level = Callable[[str, str, float, str], float]
"""Mean score from target, axis (or prototype_pull), depth and perturbation."""


def image_ids(suite: Suite) -> tuple[str, ...]:
    assert isinstance(suite.audit_images, tuple)
    return (*suite.audit_images, *(f"image-{i:04d}" for i in range(IMAGES - len(suite.audit_images))))


def lock_for(suite: Suite, groups: int = GROUPS) -> Lock:
    """Return a lock whose images form so many groups, every second pair of images in an unusual color."""
    names = image_ids(suite)
    sizes = {"x".join(map(str, target.input_size)) for target in suite.targets}
    return Lock(
        suite=suite.id, suite_digest=suite.digest, files={}, images={}, perturbed={},
        groups={name: f"source-{index % groups:02d}" for index, name in enumerate(names)},
        wear={name: "recolored" if index // groups % 2 else "canonical" for index, name in enumerate(names)},
        answers={size: {"training_mean": Answer(pull={"recolored": 0.004})} for size in sizes},
    )  # fmt: skip


def plain(target: str, axis: str, depth: float, kind: str) -> float:
    """Scores for which every claim about one method holds; targets differ in color."""
    if axis == PULL:
        return 0.1 * depth
    if axis == "color":
        return (0.9 if "vit" in target else 0.7) - 0.3 * depth
    return {"detail": 0.8 - 0.5 * depth, "shape": 0.8 - 0.3 * depth}[axis]


def noise_of(seed: int, size: float, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Noise by group, so that images of one group are alike: standard deviation `size`."""
    by_group = np.random.default_rng(seed).normal(0, size, (GROUPS, *shape[1:]))
    return by_group[np.arange(shape[0]) % GROUPS]


def scores_of(suite: Suite, level: Level, noise: float, seed: int) -> list[ScoreArrays]:
    """Scores around `level`, with noise that the images of a group share; reports are left at 0."""
    result, names = [], image_ids(suite)
    axis_of: dict[str, str] = {metric: axis for axis in AXES for metric in suite.axes.get(axis, ())}
    fits = np.array([[applies(metric, kind) for metric in suite.metrics] for kind in suite.conditions])
    for number, target in enumerate(suite.targets):
        shape = (len(names), len(target.taps), len(suite.conditions), len(suite.metrics))
        values = np.zeros(shape)
        for m, metric in enumerate(suite.metrics):
            what = PULL if metric == PULL else axis_of.get(metric)
            if what is None:
                continue
            for c, kind in enumerate(suite.conditions):
                for t, tap in enumerate(target.taps):
                    values[:, t, c, m] = level(target.id, what, tap.depth, kind)
            values[..., m] += noise_of(seed + 100 * number + m, noise, shape[:3])
        values = np.where(fits, np.clip(values, -1, 1), np.nan).astype(np.float32)
        reasons = np.broadcast_to(np.where(fits, 0, NOT_APPLICABLE).astype(np.uint8), shape).copy()
        clamped = np.zeros((*shape[:2], len(suite.perturbations)), np.float32)
        result.append(ScoreArrays(target, names, values, reasons, clamped, get_reason_names(suite)))
    return result


def layers_of(suite: Suite, fall: float) -> dict[str, tuple[StageLayers, ...]]:
    """Layer comparisons in which what is shared falls by `fall` with every step; negative: it rises."""
    result = {}
    for target in suite.targets:
        stages = []
        for stage in dict.fromkeys(tap.stage for tap in target.taps):
            taps = tuple(tap.name for tap in target.taps if tap.stage == stage)
            if len(taps) < 2:
                continue
            steps = range(len(taps))
            rows = tuple(
                tuple(1.0 if i == j else round(0.5 - fall * abs(i - j) + 0.001 * (i + j), 6) for j in steps)
                for i in steps
            )
            stages.append(StageLayers(stage=stage, taps=taps, images=8, transfer=rows, normalized=rows, neighbors=None,
                                      half_distance=None, asymmetry=None, cka=rows))  # fmt: skip
        result[target.id] = tuple(stages)
    return result


def enter_claim(
    suite: Suite, lock: Lock, root: Path, name: str, level: Level = plain, *, noise: float = 0.01, seed: int = 1,
    training: Mapping[str, Any] = HOURS, method: str | None = None, edit: Edit | None = None, **changes: Any,
) -> Path:  # fmt: skip
    """Write a submission with a record of such scores below `root`; return the folder of the record."""
    folder = root / name
    folder.mkdir(parents=True)
    method = method or name
    text = f"id = '{name}'\nmethod = '{method}'\ntitle = 'A title'\ndescription = 'What it is.'\n"
    text += f"authors = [{quoted('A. Author')}]\naccounts = ['a-author']\nlicense = 'MIT'\ncontact = 'https://example.org'\n"
    text += f"trained_on = 'nothing'\nsuites = ['{suite.id}']\n"
    (folder / "submission.toml").write_text(text, encoding="utf-8")
    kept = changes.pop("only", None)
    named = changes.pop("of_suite", suite.id)
    scores = [s for s in scores_of(suite, level, noise, seed) if kept is None or s.target.id in kept]
    if edit:
        edit(scores)
    summary = summarize(suite, lock, scores)
    sha = f"{seed:02x}" * 32
    inverse = InverseInfo(files={"model.safetensors": sha}, parameters=12345, training=dict(training))
    layers = {key: value for key, value in layers_of(suite, 0.05).items() if key in summary.targets}
    record = Record(
        suite=named, suite_digest=suite.digest, lock_digest=lock.digest,
        submission=SubmissionInfo(id=name, method=method, title="A title"),
        inverses=dict.fromkeys(summary.targets, inverse), precision="float32", status=find_status(suite, scores),
        draft=False, images=IMAGES, targets=summary.targets, score=summary.score, overall=summary.overall,
        cells=tuple(summary.cells), layers=layers, scores_sha256="0" * 64, audit_sha256="0" * 64, run=RUN,
    ).model_copy(update=changes)  # fmt: skip
    place = record_folder(root, name, suite.id)
    audit = audit_table(suite, 0.5)
    if kept is not None:
        import pyarrow.compute as pc

        audit = audit.filter(pc.is_in(audit["target"].cast("string"), pc.cast(list(kept), "string")))
    write_record(place, record, scores_to_table(suite, scores), audit)
    return place


def evidence_of(suite: Suite, lock: Lock, root: Path) -> Evidence:
    """The evidence of the records below `root`."""
    return make_evidence(suite, lock, load_entries(suite, lock, [root]), None)


def small_suite(full: Suite, resamples: int = 1000) -> Suite:
    """mini@1 with few images and few resamples."""
    dataset = full.dataset.model_copy(update={"images": IMAGES})
    assert isinstance(full.audit_images, tuple)
    changes: dict[str, Any] = {"audit_images": full.audit_images[:1], "dataset": dataset}
    return full.model_copy(update=changes | {"bootstrap_resamples": resamples})


__all__ = [
    "GROUPS", "HOURS", "IMAGES", "enter_claim", "evidence_of", "image_ids", "layers_of", "lock_for", "plain", "replace",
    "scores_of", "small_suite",
]  # fmt: skip
