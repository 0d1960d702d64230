"""`board.json`: the index of a leaderboard site that other programs read. Torch-free.

All paths are relative to the folder of `board.json`. Null stands for what is not known; there is no NaN.
"""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from benchmark.files.declarations import Frozen
from benchmark.files.fields import Id, Line, Sha256, SuiteId
from benchmark.records.history import Event
from benchmark.records.receipts import Trust
from benchmark.records.record import AxisScore
from benchmark.submissions.schemas import render_schema
from benchmark.suites.spec import Axis, TapSpec

__all__ = [
    "BoardDownload",
    "BoardEntry",
    "BoardFile",
    "BoardIndex",
    "BoardReceipt",
    "BoardRow",
    "BoardScore",
    "BoardStage",
    "BoardSubmission",
    "BoardSuite",
    "BoardTarget",
    "SuitePages",
    "SupersededRecord",
    "render_board_schema",
]  # fmt: skip


class _BoardPart(Frozen):
    """A part of the index; its numbers are finite, as JSON asks for."""

    model_config = ConfigDict(allow_inf_nan=False)


class BoardScore(AxisScore):
    """An axis score with its 95 % interval, and its rank.

    Attributes:
        value: the score, 0 for the best trivial answer and 1 for identity; null: no score.
        low, high: ends of the 95 % interval.
        parts: by metric of the axis, its anchored score.
        rank: place on this axis; entries that the data cannot separate share one; null: not ranked.
        reason: why there is no score.
    """

    low: float | None
    high: float | None
    rank: int | None
    reason: str | None


class BoardRow(_BoardPart):
    """One entry in one table: of a target, or of all targets together.

    Attributes:
        place: by the mean of the ranks; null: not ranked.
        axes: the scores by axis.
        parameters: of the inverse; over all targets their sum.
        training_device_hours: hours of one device that the training took; over all targets their sum. Null: not
            stated, or not for every target.
        ms_per_recon: milliseconds per recon in the entry's own run; over all targets their mean.
    """

    place: int | None
    axes: dict[Axis, BoardScore]
    parameters: int | None
    training_device_hours: float | None
    ms_per_recon: float | None


class BoardSubmission(_BoardPart):
    """Who entered what."""

    id: Id
    method: Id
    title: Line
    authors: tuple[Line, ...]


class BoardReceipt(_BoardPart):
    """What a check of the record found; the download `receipts` has the differences by metric.

    Attributes:
        kind: `rescored`: its audit images scored again; `reproduced`: the whole evaluation run again.
        by: who checked.
        images: how many images were compared.
        agrees: whether nothing is farther apart than allowed.
        digest: SHA-256 of the receipt.
    """

    kind: Literal["rescored", "reproduced"]
    by: Line
    date: datetime.date
    images: int
    agrees: bool
    digest: Sha256


class SupersededRecord(_BoardPart):
    """A record that the present one replaced.

    Attributes:
        event: which record replaced which, when and why.
        overall: the scores that it had over all targets.
    """

    event: Event
    overall: dict[Axis, AxisScore]


class BoardStage(_BoardPart):
    """The taps of one stage compared; the download `layers` has the matrices.

    Attributes:
        stage: name of the stage.
        neighbors, half_distance, asymmetry: the normalized transfer matrix summed up, as in a record.
    """

    stage: Id
    neighbors: float | None
    half_distance: float | None
    asymmetry: float | None


class BoardEntry(_BoardPart):
    """A submission with its record on a suite.

    Attributes:
        page: the page of the submission.
        record_digest: SHA-256 of what the same evaluation reproduces anywhere.
        rankable: whether the record may be ranked.
        reference: `ceiling` or `floor` for what only bounds the board.
        badges: why it is not ranked: withdrawn, partial, draft, bf16.
        trust: what the receipts give it.
        withdrawal: the event that withdrew the record.
        superseded: the records that this one replaced, the oldest first.
        device_name: where the record was made.
        training_device: what the training ran on, as the inverses state it; null: not stated.
        overall: over all targets, each weighing the same.
        targets: by target.
        layers: by target, the comparison of the taps of every stage.
    """

    submission: BoardSubmission
    page: str
    record_digest: Sha256
    rankable: bool
    reference: Literal["ceiling", "floor"] | None
    badges: tuple[str, ...]
    trust: Trust
    receipts: tuple[BoardReceipt, ...]
    withdrawal: Event | None
    superseded: tuple[SupersededRecord, ...]
    device_name: str
    training_device: str | None
    overall: BoardRow
    targets: dict[Id, BoardRow]
    layers: dict[Id, tuple[BoardStage, ...]]


class BoardFile(_BoardPart):
    """A file to download.

    Attributes:
        path: relative to the folder of `board.json`.
        format: what it is.
        bytes: its size.
        sha256: of its content.
    """

    path: str
    format: Literal["csv", "json", "parquet"]
    bytes: int = Field(ge=0)
    sha256: Sha256


class BoardDownload(_BoardPart):
    """One table to download, in every format that it comes in.

    Attributes:
        name: the same in every suite.
        title: for readers.
        description: what a row is, and the columns.
        rows: how many there are, in all files of one format together.
        files: those that hold it.
    """

    name: Id
    title: str
    description: str
    rows: int = Field(ge=0)
    files: tuple[BoardFile, ...]


class BoardTarget(_BoardPart):
    """A frozen network that is inverted.

    Attributes:
        taps: from shallow to deep.
        page: its ranking and curves.
        gallery: its recons.
    """

    id: Id
    title: str
    taps: tuple[TapSpec, ...]
    page: str
    gallery: str


class SuitePages(_BoardPart):
    """The pages of a suite.

    Attributes:
        index: the ranking over all targets.
        compare: two entries side by side.
        suite: what the suite fixes.
        downloads: everything to download.
    """

    index: str
    compare: str
    suite: str
    downloads: str


class BoardSuite(_BoardPart):
    """One suite: a frozen protocol, and every entry to it.

    Attributes:
        digest: SHA-256 of the suite's text.
        images: how many images are inverted.
        draft: whether the suite is one, so that nothing is ranked.
        axes: by axis, its metrics.
        entries: by submission id.
    """

    id: SuiteId
    digest: Sha256
    title: str
    images: int
    draft: bool
    axes: dict[Axis, tuple[Id, ...]]
    targets: tuple[BoardTarget, ...]
    pages: SuitePages
    downloads: tuple[BoardDownload, ...]
    entries: tuple[BoardEntry, ...]


class BoardIndex(_BoardPart):
    """Everything that a leaderboard site holds, for programs; paths are relative to its folder.

    Attributes:
        schema_version: raised when a field changes its meaning or goes.
        rank_rule: how ranks are made, in words.
        page: the front page.
        feed: the changes, as Atom.
        citation: how to cite, as BibTeX.
    """

    schema_version: Literal[2]
    rank_rule: str
    page: str
    feed: str
    citation: str
    suites: tuple[BoardSuite, ...]


def render_board_schema() -> str:
    """JSON Schema of `board.json`, which `invbench board build` writes for other programs to read."""
    return render_schema("board.json", BoardIndex, owner="leaderboard")
