"""`board.json`: the index of a leaderboard site that other programs read. Torch-free.

All paths are relative to the folder of `board.json`. Null stands for what is not known; there is no NaN.
"""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from benchmark.files.declarations import Frozen
from benchmark.files.fields import Id, Line, Sha256, SuiteId
from benchmark.records.challenges import Challenge
from benchmark.records.history import Event
from benchmark.records.receipts import Trust
from benchmark.records.record import AxisScore, Estimate
from benchmark.submissions.schemas import render_schema
from benchmark.suites.rights import WebAddress
from benchmark.suites.spec import Axis, TapSpec

__all__ = [
    "BoardDownload",
    "BoardEntry",
    "BoardFile",
    "BoardIndex",
    "BoardPhotograph",
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
    """An axis score with its 95 % interval, and its rank."""

    value: float | None
    """the score, 0 for every answer that ignores the image and 1 for the image itself; null: no score."""
    parts: dict[Id, float | None]
    """by metric of the axis, its own mean."""
    low: float | None
    """ends of the 95 % interval."""
    high: float | None
    """ends of the 95 % interval."""
    rank: int | None
    """position on this axis by its score; null: not ranked."""
    equivalent: str | None
    """the thumbnail of the image that scores the same, in pixels, as `9x9`, `< 2` or `> 48`; null: none is known."""
    reason: str | None
    """why there is no score."""


class BoardRow(_BoardPart):
    """One entry in one table: of a target, or of all targets together."""

    place: int | None
    """by score; null: not ranked."""
    best: int | None
    """1 + the entries that are significantly better; null: not ranked."""
    worst: int | None
    """the last place minus the entries that are significantly worse; null: not ranked."""
    equal: bool | None
    """whether a neighbor by place is not significantly different; null: not ranked."""
    score: Estimate | None
    """the mean of the axis scores, with its 95 % interval; null: an axis has none."""
    axes: dict[Axis, BoardScore]
    """the scores by axis."""
    parameters: int | None
    """of the inverse; over all targets their sum."""
    training_device_hours: float | None
    """hours of one device that the training took; over all targets their sum.
    Null: not stated, or not for every target.
    """
    training_samples: int | None
    """images that the training saw, with repetition; over all targets their sum. Null: as for the hours."""
    ms_per_recon: float | None
    """milliseconds per recon in the entry's own run; over all targets their mean."""


class BoardSubmission(_BoardPart):
    """Who entered what."""

    id: Id
    method: Id
    title: Line
    authors: tuple[Line, ...]


class BoardReceipt(_BoardPart):
    """What a check of the record found; the download `receipts` has the differences by metric."""

    kind: Literal["rescored", "reproduced", "challenged"]
    """`rescored`: its audit images scored again; `reproduced`: the whole evaluation run again; `challenged`: run on
    images that were drawn after the record was made."""
    by: Line
    """who checked."""
    date: datetime.date
    images: int
    """how many images were compared."""
    agrees: bool
    """whether nothing is farther apart than allowed."""
    challenge: Challenge | None
    """what fresh images gave."""
    digest: Sha256
    """SHA-256 of the receipt."""


class SupersededRecord(_BoardPart):
    """A record that the present one replaced."""

    event: Event
    """which record replaced which, when and why."""
    score: Estimate | None
    """their mean; null: it lacked a target."""
    overall: dict[Axis, AxisScore]
    """the scores that it had over all targets."""


class BoardStage(_BoardPart):
    """The taps of one stage compared; the download `layers` has the matrices."""

    stage: Id
    """name of the stage."""
    neighbors: float | None
    """the normalized transfer matrix summed up, as in a record."""
    half_distance: float | None
    """the normalized transfer matrix summed up, as in a record."""
    asymmetry: float | None
    """the normalized transfer matrix summed up, as in a record."""


class BoardEntry(_BoardPart):
    """A submission with its record on a suite."""

    submission: BoardSubmission
    page: str
    """the page of the submission."""
    record_digest: Sha256
    """SHA-256 of what the same evaluation reproduces anywhere."""
    rankable: bool
    """whether the record may be ranked."""
    reference: Literal["ceiling", "floor"] | None
    """`ceiling` or `floor` for what only bounds the board."""
    badges: tuple[str, ...]
    """why it is not ranked: withdrawn, partial, draft, bf16, compiled."""
    trust: Trust
    """what the receipts give it."""
    receipts: tuple[BoardReceipt, ...]
    withdrawal: Event | None
    """the event that withdrew the record."""
    superseded: tuple[SupersededRecord, ...]
    """the records that this one replaced, the oldest first."""
    device_name: str
    """where the record was made."""
    training_device: str | None
    """what the training ran on, as the inverses state it; null: not stated."""
    training_data: str | None
    """the name of what the training saw, as the inverses state it; null: not stated."""
    overall: BoardRow
    """over all targets, those of one architecture averaged first."""
    targets: dict[Id, BoardRow]
    """by target."""
    layers: dict[Id, tuple[BoardStage, ...]]
    """by target, the comparison of the taps of every stage."""


class BoardFile(_BoardPart):
    """A file to download."""

    path: str
    """relative to the folder of `board.json`."""
    format: Literal["csv", "json", "parquet"]
    """what it is."""
    bytes: int = Field(ge=0)
    """its size."""
    sha256: Sha256
    """of its content."""


class BoardDownload(_BoardPart):
    """One table to download, in every format that it comes in."""

    name: Id
    """the same in every suite."""
    title: str
    """for readers."""
    description: str
    """what a row is, and the columns."""
    rows: int = Field(ge=0)
    """how many there are, in all files of one format together."""
    files: tuple[BoardFile, ...]
    """those that hold it."""


class BoardTarget(_BoardPart):
    """A frozen network that is inverted."""

    id: Id
    title: str
    architecture: Id | None
    """targets of one are averaged before all are; null: it stands for itself."""
    taps: tuple[TapSpec, ...]
    """from shallow to deep."""
    page: str
    """its ranking and curves."""
    gallery: str
    """its recons."""


class BoardPhotograph(_BoardPart):
    """A photograph of which pages show pictures, and what has to stand beside them."""

    image: Line
    """its id in the suite."""
    credit: Line
    """whom or what it is attributed to."""
    page: WebAddress
    """where it comes from."""
    license: Line
    """the name of its license."""
    license_url: WebAddress
    """the text of its license."""
    notice: str
    """what else has to be said; empty: nothing."""


class SuitePages(_BoardPart):
    """The pages of a suite."""

    index: str
    """the ranking over all targets."""
    compare: str
    """two entries side by side."""
    suite: str
    """what the suite fixes."""
    downloads: str
    """everything to download."""


class BoardSuite(_BoardPart):
    """One suite: a frozen protocol, and every entry to it."""

    id: SuiteId
    digest: Sha256
    """SHA-256 of the suite's text."""
    title: str
    images: int
    """how many images are inverted."""
    groups: int | None
    """how many groups of images that share a source the ranked entries were scored on; null: nothing is ranked."""
    draft: bool
    """whether the suite is one, so that nothing is ranked."""
    axes: dict[Axis, tuple[Id, ...]]
    """by axis, its metrics."""
    targets: tuple[BoardTarget, ...]
    photographs: tuple[BoardPhotograph, ...]
    """those of other people whose pictures the pages may show; empty where there are none, or all are the project's."""
    pages: SuitePages
    downloads: tuple[BoardDownload, ...]
    entries: tuple[BoardEntry, ...]
    """by submission id."""


class BoardIndex(_BoardPart):
    """Everything that a leaderboard site holds, for programs; paths are relative to its folder."""

    schema_version: Literal[3]
    """raised when a field changes its meaning or goes."""
    rank_rule: str
    """how places are made, in words."""
    page: str
    """the front page."""
    feed: str
    """the changes, as Atom."""
    citation: str
    """how to cite, as BibTeX."""
    suites: tuple[BoardSuite, ...]


def render_board_schema() -> str:
    """JSON Schema of `board.json`, which `invbench board build` writes for other programs to read."""
    return render_schema("board.json", BoardIndex, owner="leaderboard")
