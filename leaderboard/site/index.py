"""`board.json`: from suites, entries and downloads to the index that `leaderboard.site.board_json` describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.records.record import AxisScore, Estimate
from benchmark.suites.lock import Lock
from benchmark.suites.spec import AXES, Suite
from leaderboard.data.board import suite_folder
from leaderboard.data.credits import credits_of
from leaderboard.data.entries import Entry
from leaderboard.data.equivalents import find_equivalents
from leaderboard.data.frames import rounded
from leaderboard.data.rankings import RANK_RULE, Row, Tables, cost_of, tables_of
from leaderboard.data.views import overall_of
from leaderboard.site.board_json import (
    BoardDownload,
    BoardEntry,
    BoardFile,
    BoardIndex,
    BoardPhotograph,
    BoardReceipt,
    BoardRow,
    BoardScore,
    BoardStage,
    BoardSubmission,
    BoardSuite,
    BoardTarget,
    SuitePages,
    SupersededRecord,
)
from leaderboard.site.downloads import Download

__all__ = ["make_board"]


def make_board(
    boards: Sequence[tuple[Suite, Lock, Sequence[Entry]]],
    downloads: Mapping[str, Sequence[Download]] | None = None,
    tables: Mapping[str, Tables] | None = None,
) -> BoardIndex:
    """Return the index of a site that holds these suites.

    `downloads` gives by suite id what was written for it; `tables`, likewise, spare working them out again.
    """
    written, known = downloads or {}, tables or {}
    return BoardIndex(
        schema_version=3,
        rank_rule=RANK_RULE,
        page="index.html",
        feed="feed.xml",
        citation="citation.bib",
        suites=tuple(_board_suite(s, lock, e, written.get(s.id, ()), known.get(s.id)) for s, lock, e in boards),
    )


def _board_suite(
    suite: Suite, lock: Lock, entries: Sequence[Entry], downloads: Sequence[Download], tables: Tables | None
) -> BoardSuite:
    folder, entries = suite_folder(suite), sorted(entries, key=lambda entry: entry.submission.id)
    tables = tables_of(suite, entries) if tables is None else tables
    rows = {target: {row.entry.submission.id: row for row in table.rows} for target, table in tables.items()}
    pages = {name: f"{folder}/{name}.html" for name in SuitePages.model_fields}
    return BoardSuite(
        id=suite.id,
        digest=suite.digest,
        title=suite.title,
        images=suite.dataset.images,
        groups=max(table.groups for table in tables.values()) or None,
        draft=suite.draft,
        axes={axis: suite.axes[axis] for axis in AXES if axis in suite.axes},
        targets=tuple(
            BoardTarget(
                id=target.id,
                title=target.title,
                architecture=target.architecture,
                taps=target.taps,
                page=f"{folder}/target-{target.id}.html",
                gallery=f"{folder}/gallery-{target.id}.html",
            )
            for target in suite.targets
        ),
        photographs=tuple(
            BoardPhotograph(
                image=credit.image,
                credit=credit.credit,
                page=credit.page,
                license=credit.license.name,
                license_url=credit.license.url,
                notice=credit.license.notice,
            )
            for credit in credits_of(suite, lock, {rights.image for rights in lock.rights})
        ),
        pages=SuitePages(**pages),
        downloads=tuple(_board_download(download, folder) for download in downloads),
        entries=tuple(
            _board_entry(
                suite, lock, entry, folder, {target: by_id[entry.submission.id] for target, by_id in rows.items()}
            )
            for entry in entries
        ),
    )


def _board_download(download: Download, folder: str) -> BoardDownload:
    files = [
        BoardFile(path=f"{folder}/data/{path}", format=kind, bytes=size, sha256=download.sha256[path])
        for path, kind, size in download.files
    ]
    return BoardDownload(
        name=download.name,
        title=download.title,
        description=download.description,
        rows=download.rows,
        files=tuple(files),
    )


def _board_entry(suite: Suite, lock: Lock, entry: Entry, folder: str, rows: dict[str | None, Row]) -> BoardEntry:
    submission, record = entry.submission, entry.record
    cost = cost_of(suite, record, None)
    return BoardEntry(
        submission=BoardSubmission.model_validate(submission, from_attributes=True),
        page=f"{folder}/method-{submission.id}.html",
        record_digest=record.digest,
        rankable=entry.rankable,
        reference=rows[None].reference,
        badges=rows[None].badges,
        trust=entry.trust,
        receipts=tuple(BoardReceipt.model_validate(receipt, from_attributes=True) for receipt in entry.receipts),
        withdrawal=entry.withdrawal,
        superseded=tuple(
            SupersededRecord(event=event, score=old.score if whole else None, overall=dict(whole))
            for event, old in entry.superseded
            for whole in (overall_of(suite, old),)
        ),
        device_name=record.run.device_name,
        training_device=cost.training_device,
        training_data=cost.training_data,
        overall=_board_row(suite, lock, None, rows[None]),
        targets={target: _board_row(suite, lock, target, row) for target, row in rows.items() if target is not None},
        layers={
            target: tuple(BoardStage.model_validate(stage, from_attributes=True) for stage in stages)
            for target, stages in record.layers.items()
        },
    )


def _board_row(suite: Suite, lock: Lock, target: str | None, row: Row) -> BoardRow:
    axes, standing, score = {}, row.standing, row.score
    alike = find_equivalents(suite, lock, target, {cell.axis: cell.score for cell in row.cells if cell.score})
    for cell in row.cells:
        stated = cell.score or AxisScore(value=None, parts={})
        equivalent = alike[cell.axis].value if cell.axis in alike else None
        axes[cell.axis] = BoardScore(
            **stated.model_dump(), rank=cell.rank, equivalent=equivalent, reason=cell.reason or None
        )
    return BoardRow(
        place=row.place,
        best=standing.best if standing else None,
        worst=standing.worst if standing else None,
        equal=standing.equal if standing else None,
        score=Estimate(value=score.value, low=score.low, high=score.high) if score else None,
        axes=axes,
        parameters=row.cost.parameters,
        training_device_hours=rounded(row.cost.device_hours),
        training_samples=row.cost.samples,
        ms_per_recon=rounded(row.cost.ms_per_recon),
    )
