"""Submissions with records as wished, boards of them, and sites as their pages."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from benchmark.metrics.spec import get_metric
from benchmark.records.aggregate import PULL, Summary, summarize
from benchmark.records.challenges import Challenge, Contrast, challenge_seed
from benchmark.records.columns import AUDIT_SCHEMA
from benchmark.records.history import supersede, withdraw
from benchmark.records.receipts import Difference, Environment, Receipt, write_receipt
from benchmark.records.record import (
    InverseInfo,
    Record,
    Run,
    StageLayers,
    SubmissionInfo,
    load_audit,
    load_record,
    write_record,
)
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
from benchmark.suites.spec import AXES, INPUT, Axis, Suite
from leaderboard.data.board import Board
from leaderboard.data.entries import load_entries
from leaderboard.data.synthetic import make_yardstick
from leaderboard.site.build import build_site

UNSCORED = "contour_f"
"""The metric that the last image has no score of."""
IMAGES = 16
PHOTOGRAPHS = 10
"""So many groups the images are of."""


def png(color: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    """Return a PNG of one color; `size` is (height, width)."""
    buffer = io.BytesIO()
    Image.new("RGB", size[::-1], color).save(buffer, "PNG")
    return buffer.getvalue()


def audit_names(suite: Suite) -> tuple[str, ...]:
    """Return the audit images that a suite names."""
    assert isinstance(suite.audit_images, tuple)
    return suite.audit_images


def audit_table(suite: Suite, level: float) -> pa.Table:
    """Return audit images of one color each."""
    rows: list[dict[str, Any]] = []
    for target in suite.targets:
        for number, image in enumerate(audit_names(suite)):
            for place, tap in enumerate([INPUT, *(t.name for t in target.taps)]):
                for kind in suite.perturbations:
                    shade = 255 if tap == INPUT else int(200 * level) - 5 * place
                    picture = png((shade % 256, 40 * number % 256, 90), target.input_size)
                    row = {"image": image, "target": target.id, "tap": tap, "perturbation": kind, "png": picture}
                    rows.append(row)
    return pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA)


def image_names(suite: Suite) -> tuple[str, ...]:
    """Return the images that entries are scored on: the audit images, then others."""
    audit = audit_names(suite)
    return (*audit, *(f"image-{i:04d}" for i in range(IMAGES - len(audit))))


def _noise(seed: int, size: float, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return noise whose mean over images (axis 0) is exactly 0."""
    noise = np.random.default_rng(seed).normal(0, size, shape)
    return noise - noise.mean(0)


def make_scores(suite: Suite, level: float, targets: Collection[str]) -> list[ScoreArrays]:
    """Return scores that fall from `level` to 40 % of it with depth, and of which `level` x 0.7 is the mean.

    All entries share noise, and each has a little of its own; the metrics of an axis agree on it.
    """
    scores, names = [], image_names(suite)
    axis_of = [next((a for a, axis in enumerate(AXES) if m in suite.axes.get(axis, ())), 0) for m in suite.metrics]
    fits = np.array([[applies(metric, kind) for metric in suite.metrics] for kind in suite.conditions])
    limits = np.array([get_metric(metric).range for metric in suite.metrics], np.float32)
    for target in (target for target in suite.targets if target.id in targets):
        shape = (len(names), len(target.taps), len(suite.conditions), len(AXES))
        noise = (_noise(1, 0.05, shape) + _noise(round(abs(level) * 10_000), 0.01, shape))[..., axis_of]
        mean = level * (1 - 0.6 * np.array([tap.depth for tap in target.taps]))[:, None, None]
        values = mean + noise * np.clip(4 * mean * (1 - mean), 0, 1)
        for metric, own in (("gain_original", 1 - mean), ("hue_error_deg", 90 * (1 - mean)), (PULL, 0.1 * mean)):
            if metric in suite.metrics:
                values[..., suite.metrics.index(metric)] = own[..., 0]
        values = np.fmin(np.fmax(values.astype(np.float32), limits[:, 0]), limits[:, 1])
        reasons = np.broadcast_to(np.where(fits, 0, NOT_APPLICABLE).astype(np.uint8), values.shape).copy()
        if UNSCORED in suite.metrics:
            index = suite.metrics.index(UNSCORED)
            reasons[-1, :, fits[:, index], index] = 2 + index
        values[reasons != 0] = np.nan
        clamped = np.zeros((*shape[:2], len(suite.perturbations)), np.float32)
        scores.append(ScoreArrays(target, names, values, reasons, clamped, get_reason_names(suite)))
    return scores


_made: dict[tuple[str, str, float, tuple[str, ...]], Summary] = {}


def summary_of(suite: Suite, lock: Lock, level: float, targets: Collection[str] | None = None) -> Summary:
    """Return what a record states of the scores of a level, on some targets or on all."""
    chosen = tuple(target.id for target in suite.targets if targets is None or target.id in targets)
    key = suite.digest, lock.digest, level, chosen
    if key not in _made:
        _made[key] = summarize(suite, lock, make_scores(suite, level, chosen))
    return _made[key]


RUN = Run(
    code_version="1.0.0", device="cpu", device_name="Some CPU", threads=2, batch_size=16,
    started="2026-11-23T00:00:00Z", wall_s=75.0, peak_memory_mib=512.0, ms_per_recon={"mini-vit": 1.5},
    python="3.11.2", packages={"torch": "2.0"}, git_commit="0" * 40, git_dirty=False,
)  # fmt: skip

Enter = Callable[..., Path]
HOSTILE = """<script>alert(1)</script>"><img src=x onerror=y>{{ 7*7 }}{% block main %}' &amp;</td>"""


def quoted(text: str) -> str:
    """Return a text as TOML has it."""
    return json.dumps(text, ensure_ascii=False)


def write_entry(
    suite: Suite,
    lock: Lock,
    into: Path,
    name: str,
    level: float,
    *,
    title: str = "A title",
    author: str = "A. Author",
    more: str = "",
    images: Callable[[Suite, float], pa.Table] = audit_table,
    **changes: Any,
) -> Path:
    """Write a submission with its record into the folder `into`; return the record's folder.

    `more` is further text of `submission.toml`, `changes` are fields of the record; of `targets` the names alone count,
    since what a record says of its scores follows from them.
    """
    folder = into / name
    folder.mkdir(exist_ok=True)
    text = f"id = '{name}'\nmethod = '{name}'\ntitle = {quoted(title)}\ndescription = {quoted(title)}\n"
    text += f"authors = [{quoted(author)}]\naccounts = ['a-author']\nlicense = 'MIT'\ncontact = 'https://example.org'\n"
    text += f"trained_on = {quoted(title)}\nsuites = ['{suite.id}']\n{more}"
    (folder / "submission.toml").write_text(text, encoding="utf-8")
    evaluated = list(changes.get("targets", [target.id for target in suite.targets]))
    scores, summary = make_scores(suite, level, evaluated), summary_of(suite, lock, level, evaluated)
    changes |= {"targets": summary.targets}
    inverse = InverseInfo(files={"model.safetensors": "a" * 64}, parameters=12345)
    record = Record(
        suite=suite.id,
        suite_digest=suite.digest,
        lock_digest=lock.digest,
        submission=SubmissionInfo(id=name, method=name, title=title),
        inverses=dict.fromkeys(evaluated, inverse),
        precision="float32",
        status=find_status(suite, scores),
        draft=False,
        images=IMAGES,
        targets=summary.targets,
        score=summary.score,
        overall=summary.overall,
        cells=tuple(summary.cells),
        scores_sha256="0" * 64,
        audit_sha256="0" * 64,
        run=RUN,
    ).model_copy(update=changes)
    place = record_folder(into, name, suite.id)
    write_record(place, record, scores_to_table(suite, scores), images(suite, level))
    return place


def write_again(suite: Suite, lock: Lock, folder: Path, scores: Sequence[ScoreArrays], **changes: Any) -> None:
    """Write the record in `folder` again with other scores and all that follows from them; `changes` are fields."""
    record = load_record(folder)
    summary = summarize(suite, lock, [replace(item, clamped=np.zeros_like(item.clamped)) for item in scores])
    follows = {"targets": summary.targets, "score": summary.score, "overall": summary.overall}
    record = record.model_copy(update=follows | {"cells": tuple(summary.cells)} | changes)
    write_record(folder, record, scores_to_table(suite, scores), load_audit(folder, record))


def lock_of(suite: Suite) -> Lock:
    """Return a lock that pins no pixels, with images of a few photographs, and made-up yardsticks and answers."""
    names = image_names(suite)
    sizes = {"x".join(map(str, target.input_size)): target.input_size[0] for target in suite.targets}
    answers = {
        "training_mean": Answer(metrics={"gain_perturbed": 0.07, "recognition": 0.2}, pull={"recolored": 0.0}),
        "prototype_30": Answer(pull={"recolored": 0.3}),
    }
    return Lock(
        suite=suite.id,
        suite_digest=suite.digest,
        files={},
        images={},
        perturbed={},
        groups={name: f"photograph-{index % PHOTOGRAPHS}" for index, name in enumerate(names)},
        wear={name: "recolored" if index % 2 else "canonical" for index, name in enumerate(names)},
        yardsticks={size: dict.fromkeys(AXES, make_yardstick(height)) for size, height in sizes.items()},
        answers=dict.fromkeys(sizes, answers),
    )


FOUR = (("copy", 1.0), ("mean", 0.0), ("ridge", 0.5), ("modular", 0.8))


class Page(HTMLParser):
    """Collects what a page holds, and checks that tags nest.

    Attributes:
        tags: (tag, attributes, the tags that it lies in), in the order of the page.
        text: all text that readers see.
    """

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input", "wbr", "line", "circle", "rect", "path"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), "an attribute is there twice"
        self.tags.append((tag, dict(attrs), tuple(self.open)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every such tag."""
        return [attrs for name, attrs, _ in self.tags if name == tag]

    def values(self, *attributes: str) -> list[str]:
        """Return the values of these attributes of all tags."""
        return [value for _, attrs, _ in self.tags for name in attributes if (value := attrs.get(name))]

    @property
    def ids(self) -> list[str]:
        """The ids, in the order of the page."""
        return self.values("id")


@dataclass(frozen=True)
class Site:
    """A site with the boards that it was built from and its pages, by path relative to `out`."""

    boards: tuple[Board, ...]
    out: Path
    pages: dict[str, Page]


def make_site(boards: Sequence[Board], out: Path) -> Site:
    """Build a site and read its pages."""
    build_site(boards, out)
    found = {str(p.relative_to(out)): Page(p.read_text(encoding="utf-8")) for p in sorted(out.rglob("*.html"))}
    return Site(tuple(boards), out, found)


TODAY = datetime.date(2026, 1, 31)


def write_receipts(folder: Path, by: str, beacon: str) -> None:
    """Write the receipts of a rerun and of a challenge beside a record."""
    record = load_record(folder)
    metrics = {cell.metric for cell in record.cells}
    receipt = Receipt(
        kind="reproduced",
        submission=record.submission.id,
        suite=record.suite,
        suite_digest=record.suite_digest,
        lock_digest=record.lock_digest,
        record_digest=record.digest,
        rerun_digest="1" * 64,
        by=by,
        date=TODAY,
        environment=Environment(device="cpu", device_name=HOSTILE, python="3.11", packages={}),
        images=record.images,
        differences={m: Difference(compared=9, equal=9, largest=0, beyond=0, unmatched=0) for m in metrics},
    )
    write_receipt(folder, receipt)
    contrasts: dict[str, dict[Axis, Contrast]] = {}
    for name, target in record.targets.items():
        stated = {axis: score.value or 0.0 for axis, score in target.axes.items()}
        contrasts[name] = {
            axis: Contrast(frozen=value, fresh=value - 0.0125, difference=0.0125, critical=0.0625, p_value=0.25)
            for axis, value in stated.items()
        }
    seed = challenge_seed(record.digest, beacon)
    found = Challenge(beacon=beacon, seed=seed, images_sha256="2" * 64, contrasts=contrasts)
    fields = {"kind": "challenged", "rerun_digest": None, "images": 32, "differences": {}, "challenge": found}
    write_receipt(folder, receipt.model_copy(update=fields))


def rich_board(suite: Suite, lock: Lock, folder: Path) -> Board:
    """Return a board with everything that a board can hold: ties, badges, layers, receipts, history, hostile text."""
    usual, odd = folder / "usual", folder / "odd"
    usual.mkdir()
    odd.mkdir()
    for name, level in (*FOUR[:3], ("twin", 0.8001)):
        write_entry(suite, lock, usual, name, level)
    stage = StageLayers(
        stage="encoder", taps=("encoder.0", "encoder.1"), images=16, transfer=((0.5, 0.3), (0.4, 0.04)),
        normalized=((1.0, None), (0.8, None)), neighbors=0.8, half_distance=None, asymmetry=None,
        cka=((1.0, 0.91), (0.91, 1.0)),
    )  # fmt: skip
    write_entry(suite, lock, usual, "modular", 0.8, layers={suite.targets[0].id: (stage,)})
    inverse = InverseInfo(
        files={HOSTILE: "b" * 64}, parameters=7, training={"device_hours": 1.5, "device": HOSTILE, HOSTILE: HOSTILE}
    )
    links = "links.paper = 'https://example.org/paper?a=1&b=2'\nlinks.code = 'https://example.org/code'\n"
    cells = summary_of(suite, lock, 0.6).cells
    tampered = [cell.model_copy(update={"unscored": {HOSTILE: 8}}) for cell in cells if cell.unscored]
    run = RUN.model_copy(update={"device_name": HOSTILE, "device": HOSTILE, "python": HOSTILE})
    changes: dict[str, Any] = {"inverses": {t.id: inverse for t in suite.targets}, "run": run}
    changes |= {"title": HOSTILE, "author": HOSTILE}
    write_entry(suite, lock, odd, "hostile", 0.6, more=links, **changes)
    supersede(odd / "hostile", suite.id, HOSTILE, "3" * 64, TODAY)
    write_receipts(write_entry(suite, lock, odd, "hostile", 0.61, more=links, **changes), HOSTILE, HOSTILE)
    write_entry(suite, lock, odd, "withdrawn", 0.9)
    withdraw(odd / "withdrawn", suite.id, HOSTILE, TODAY)
    write_entry(suite, lock, odd, "draft", 0.95, draft=True)
    write_entry(suite, lock, odd, "half-precision", 0.95, precision="bfloat16")
    whole = load_entries(suite, lock, [usual])
    write_entry(suite, lock, odd, "partial", 0.9, targets=summary_of(suite, lock, 0.9, [suite.targets[0].id]).targets)
    loaded = load_entries(suite, lock, [odd])
    # Reasons that no metric gives are refused with the record: pages are tried with them all the same.
    loaded = [
        replace(entry, record=entry.record.model_copy(update={"cells": tuple(tampered)}))
        if entry.submission.id == "hostile"
        else entry
        for entry in loaded
    ]
    return Board(suite, lock, [*whole, *loaded])
