"""The data of a suite's board as files: CSV, JSON and Parquet, the same bytes from the same entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from benchmark.files.foreign import write_table
from benchmark.files.spreadsheets import FORMULA, GUARDED
from benchmark.records.record import load_scores
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.entries import Entry
from leaderboard.data.frames import (
    badges_of,
    cell_frame,
    history_frame,
    layer_frame,
    method_frame,
    pair_frame,
    pull_frame,
    ranking_frame,
    receipt_frame,
    tap_frame,
)
from leaderboard.data.pairs import Pair, pairs
from leaderboard.data.rankings import Tables, tables_of

__all__ = ["MAX_CSV_ROWS", "SCORES", "Download", "File", "write_downloads"]

MAX_CSV_ROWS = 50_000
"""A longer table of cells comes as Parquet only: no spreadsheet would be of help with it."""
SCORES = "scores"
"""The folder of the scores image by image, below that of the downloads."""

Format = Literal["csv", "json", "parquet"]

_WORDS = {
    "ranking": (
        "Ranking",
        "One row per target, or 'all' for all targets together, and submission. Its place by score; the best and the "
        "worst place that the data allow; whether a neighbor is not significantly different; the images that it was "
        "scored on, and how many groups they are. The score, the mean of the axis scores; for every axis its score (0 "
        "for every answer that ignores the image, 1 the image itself), the rank on it, the thumbnail that scores the "
        "same, and why there is no score; each score with both ends of its 95 % interval. Then what the inverse costs: "
        "over all targets sums, and the mean time per recon; hours, times and devices are stated by the authors.",
    ),
    "taps": (
        "Scores by tap",
        "One row per target, tap (with its stage, and its depth from 0 to 1), submission and axis: the score and both "
        "ends of its 95 % interval.",
    ),
    "cells": (
        "Every metric",
        "One row per submission, target, tap, perturbation and metric: the mean or median over images in the metric's "
        "own unit, both ends of its 95 % interval, how many images were scored, how many were not, and why.",
    ),
    "pairs": (
        "Paired differences",
        "One row per two ranked submissions and axis, and 'score' for the mean of the axes: how much higher the first "
        "one scores on the same images, over all targets as the scores are, and both ends of the 95 % interval; the "
        "p-value that the difference is zero (sign flips of groups of images), the same stepped down over all pairs, "
        "and whether the two are significantly different.",
    ),
    "layers": (
        "Layers compared",
        "One row per submission, target, stage and two of its taps: the detail of the inverse of one tap that is fed "
        "the features of another, the same as a share of what it makes of its own features, the linear CKA of the two; "
        "and on how many images, and the stage summed up, which is the same in all its rows.",
    ),
    "pull": (
        "Pull to the usual color",
        "One row per target, tap, submission and what the objects of an image wear (the usual hue of their category, "
        "or another): how far their color is drawn towards that hue ('prototype_pull'; 0: not at all), both ends of "
        "the 95 % interval, and how many images were scored.",
    ),
    "methods": (
        "Submissions",
        "One row per submission: who made it, what it is, its license and links, its trust and receipts, and the "
        "digests of its record. Several names are joined by '; '.",
    ),
    "receipts": (
        "Receipts",
        "One row per receipt and metric: who checked the record, when and where, how many values were compared, how "
        "many are equal bit by bit, the largest difference, and how many are farther apart than allowed. Challenges, "
        "which compare axes, are in board.json.",
    ),
    "history": (
        "History",
        "One row per record that was superseded (by which) or withdrawn: when, why, and the score and axis scores over "
        "all targets that it had.",
    ),
    SCORES: (
        "Scores image by image",
        "One Parquet file per submission, named by it; pyarrow.dataset, DuckDB and others read the folder as one "
        "table. One row per image, target, tap, perturbation and metric: 'value' (32-bit float, in the metric's own "
        "unit), or null and the 'reason' why there is none; all other columns are text, stored as dictionaries.",
    ),
}
_MUCH = " More than {:,} rows: Parquet only."


class File(NamedTuple):
    """A written file: its path relative to the folder of the downloads, its format and its size."""

    path: str
    format: Format
    bytes: int


@dataclass(frozen=True)
class Download:
    """One table in every format that it comes in; `sha256` gives the digest of every file by its path."""

    name: str
    title: str
    description: str
    rows: int
    files: tuple[File, ...]
    sha256: Mapping[str, str]


def _guarded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put ' before texts that a spreadsheet would run."""
    if not pa.types.is_string(column.type):
        return column
    return pc.replace_substring_regex(column, FORMULA, GUARDED)


def _write_csv(frame: pa.Table, path: Path) -> None:
    """Write RFC 4180 with \\n between lines: texts in quotes, null as nothing at all."""
    columns = [_guarded(column) for column in frame.columns]
    pyarrow.csv.write_csv(pa.Table.from_arrays(columns, names=frame.column_names), path)


def _write_json(frame: pa.Table, path: Path) -> None:
    """Write a list of objects, one a line."""
    lines = ",\n ".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in frame.to_pylist())
    path.write_text(f"[\n {lines}\n]\n" if lines else "[]\n", encoding="utf-8", newline="\n")


def _write_parquet(frame: pa.Table, path: Path) -> None:
    pq.write_table(frame, path, version="2.6", compression="zstd", compression_level=9, row_group_size=2**20)


_WRITERS = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}


def _make_download(name: str, rows: int, paths: Sequence[Path], out: Path, more: str = "") -> Download:
    files, digests = [], {}
    for path in paths:
        where, data = path.relative_to(out).as_posix(), path.read_bytes()
        files.append(File(where, path.suffix.removeprefix("."), len(data)))  # type: ignore[arg-type]
        digests[where] = hashlib.sha256(data).hexdigest()
    title, description = _WORDS[name]
    return Download(name, title, description + more, rows, tuple(files), digests)


def _rebuild(table: pa.Table) -> pa.Table:
    """Return a table whose dictionaries hold what its rows have, and nothing else."""
    columns = [
        column.cast(column.type.value_type).dictionary_encode() if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.Table.from_arrays(columns, schema=table.schema.remove_metadata())


def _write_scores(entries: Sequence[Entry], out: Path) -> Download:
    folder, rows, paths = out / SCORES, 0, []
    folder.mkdir(exist_ok=True)
    for entry in entries:
        path = folder / f"{entry.submission.id}.parquet"
        write_table(_rebuild(load_scores(entry.folder, entry.record)), path)
        rows += pq.read_metadata(path).num_rows
        paths.append(path)
    return _make_download(SCORES, rows, paths, out)


def write_downloads(
    suite: Suite,
    entries: Sequence[Entry],
    out: Path,
    *,
    lock: Lock,
    tables: Tables | None = None,
    paired: Sequence[Pair] | None = None,
) -> list[Download]:
    """Write everything of a suite's board that can be downloaded into the folder `out`.

    The same suite and entries give the same bytes. Downloads of an earlier build that are no more are removed.
    CSV and JSON have the same columns; in CSV, a `'` stands before each `=`, `+`, `-` or `@` at the beginning of a text
    or after a semicolon, so that no spreadsheet runs it, whatever divides its cells. `lock` holds the scores of
    thumbnails that others are likened to; `tables` and `paired` spare working them out again.

    Raises:
        SpecError, IntegrityError: the scores of a record that is not ranked are absent or were changed.
    """
    entries = sorted(entries, key=lambda entry: entry.submission.id)
    tables = tables_of(suite, entries) if tables is None else tables
    frames = {
        "ranking": ranking_frame(suite, tables, lock),
        "taps": tap_frame(suite, entries),
        "cells": cell_frame(entries),
        "pairs": pair_frame(pairs(suite, entries) if paired is None else paired),
        "layers": layer_frame(entries),
        "pull": pull_frame(suite, entries),
        "methods": method_frame(entries, badges_of(tables)),
        "receipts": receipt_frame(entries),
        "history": history_frame(suite, entries),
    }
    out.mkdir(parents=True, exist_ok=True)
    downloads = []
    for name, frame in frames.items():
        long = name == "cells" and frame.num_rows > MAX_CSV_ROWS
        formats: list[Format] = ["parquet"] if long else ["csv", "json"]
        if name == "cells" and not long:
            formats.append("parquet")
        for suffix in formats:
            _WRITERS[suffix](frame, out / f"{name}.{suffix}")
        paths = [out / f"{name}.{suffix}" for suffix in formats]
        downloads.append(_make_download(name, frame.num_rows, paths, out, _MUCH.format(MAX_CSV_ROWS) if long else ""))
    downloads.append(_write_scores(entries, out))
    written = {out / file.path for download in downloads for file in download.files}
    for old in {out / "cells.csv", out / "cells.json", *(out / SCORES).glob("*.parquet")} - written:
        old.unlink(missing_ok=True)
    return downloads
