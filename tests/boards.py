"""Submissions with records as wished, boards of them, and sites as their pages."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmark.metrics.spec import get_metric
from benchmark.records.columns import AUDIT_SCHEMA
from benchmark.records.history import supersede, withdraw
from benchmark.records.receipts import Difference, Environment, Receipt, write_receipt
from benchmark.records.record import (
    AxisScore,
    Cell,
    InverseInfo,
    Record,
    Run,
    StageLayers,
    SubmissionInfo,
    TapScore,
    TargetScore,
    load_record,
    write_record,
)
from benchmark.records.scores import NOT_APPLICABLE, ScoreArrays, applies, scores_to_table
from benchmark.records.store import record_folder
from benchmark.suites.lock import Anchor, Lock
from benchmark.suites.spec import HUE_PERTURBATIONS, INPUT, Suite, TargetSpec
from leaderboard.data.board import Board
from leaderboard.data.entries import load_entries
from leaderboard.site.build import build_site

REASON = "too few visible contour pixels"
GAINS = ("gain_perturbed", "gain_original", "hue_error_deg")


def png(color: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    """Return a PNG of one color; `size` is (height, width)."""
    buffer = io.BytesIO()
    Image.new("RGB", size[::-1], color).save(buffer, "PNG")
    return buffer.getvalue()


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


def audit_names(suite: Suite) -> tuple[str, ...]:
    """Return the audit images that a suite names."""
    assert isinstance(suite.audit_images, tuple)
    return suite.audit_images


def audit_table(suite: Suite, level: float) -> pa.Table:
    """Return audit images of one color each."""
    rows: list[dict[str, Any]] = []
    for number, image in enumerate(audit_names(suite)):
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
        audit = audit_names(suite)
        ids = (*audit, *(f"scene-{i:04d}" for i in range(images - len(audit))))
        results.append(ScoreArrays(target, ids, values, reasons, np.zeros(shape[:3], np.float32), ()))
    return scores_to_table(suite, results)


RUN = Run(
    device="cpu", device_name="Some CPU", threads=2, batch_size=16, started="2025-01-01T00:00:00Z", wall_s=75.0,
    peak_memory_mib=512.0, ms_per_recon={"mini-vit": 1.5}, python="3.11.2", packages={"torch": "2.0"},
    git_commit="0" * 40, git_dirty=False,
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

    `more` is further text of `submission.toml`, `changes` are fields of the record.
    """
    folder = into / name
    folder.mkdir(exist_ok=True)
    text = f"id = '{name}'\nmethod = '{name}'\ntitle = {quoted(title)}\ndescription = {quoted(title)}\n"
    text += f"authors = [{quoted(author)}]\nlicense = 'MIT'\ncontact = 'https://example.org'\n"
    text += f"trained_on = {quoted(title)}\nsuites = ['{suite.id}']\n{more}"
    (folder / "submission.toml").write_text(text, encoding="utf-8")
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
        inverses={t.id: InverseInfo(files={"model.safetensors": "a" * 64}, parameters=12345) for t in suite.targets},
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


def lock_of(suite: Suite) -> Lock:
    """Return a lock whose anchors leave scores as they are."""
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


def _write_receipt(folder: Path) -> None:
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
        by=HOSTILE,
        date=TODAY,
        environment=Environment(device="cpu", device_name=HOSTILE, python="3.11", packages={}),
        images=record.images,
        differences={m: Difference(compared=9, equal=9, largest=0, beyond=0, unmatched=0) for m in metrics},
    )
    write_receipt(folder, receipt)


def rich_board(suite: Suite, lock: Lock, folder: Path) -> Board:
    """Return a board with everything that a board can hold: ties, badges, layers, receipts, history, hostile text."""
    usual, odd = folder / "usual", folder / "odd"
    usual.mkdir()
    odd.mkdir()
    for name, level in (*FOUR[:3], ("twin", 0.8001)):
        write_entry(suite, lock, usual, name, level)
    stage = StageLayers(
        stage="encoder", taps=("encoder.0", "encoder.1"), floor=0.1, transfer=((0.5, 0.3), (0.4, 0.05)),
        normalized=((1.0, None), (0.75, None)), neighbors=0.75, half_distance=None, asymmetry=None,
        cka=((1.0, 0.91), (0.91, 1.0)),
    )  # fmt: skip
    write_entry(suite, lock, usual, "modular", 0.8, layers={suite.targets[0].id: (stage,)})
    inverse = InverseInfo(
        files={HOSTILE: "b" * 64}, parameters=7, training={"device_hours": 1.5, "device": HOSTILE, HOSTILE: HOSTILE}
    )
    links = "links.paper = 'https://example.org/paper?a=1&b=2'\nlinks.code = 'https://example.org/code'\n"
    tampered = [cell.model_copy(update={"unscored": {HOSTILE: 8}}) for cell in cells(suite.targets[0], 0.6)]
    run = RUN.model_copy(update={"device_name": HOSTILE, "started": HOSTILE, "git_commit": HOSTILE})
    changes: dict[str, Any] = {"inverses": {t.id: inverse for t in suite.targets}, "cells": tuple(tampered), "run": run}
    changes |= {"title": HOSTILE, "author": HOSTILE}
    write_entry(suite, lock, odd, "hostile", 0.6, more=links, **changes)
    supersede(odd / "hostile", suite.id, HOSTILE, "3" * 64, TODAY)
    _write_receipt(write_entry(suite, lock, odd, "hostile", 0.61, more=links, **changes))
    write_entry(suite, lock, odd, "withdrawn", 0.9)
    withdraw(odd / "withdrawn", suite.id, HOSTILE, TODAY)
    write_entry(suite, lock, odd, "draft", 0.95, draft=True)
    write_entry(suite, lock, odd, "half-precision", 0.95, precision="bfloat16")
    whole = load_entries(suite, lock, [usual])
    first = suite.targets[0].id
    changes = {"targets": {first: whole[0].record.targets[first]}, "overall": {}, "inverses": {}, "cells": ()}
    write_entry(suite, lock, odd, "partial", 0.9, status="partial", **changes)
    return Board(suite, lock, [*whole, *load_entries(suite, lock, [odd])])
