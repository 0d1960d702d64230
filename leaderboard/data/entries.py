"""The entries of a board: submissions with their records, and their scores image by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.errors import IntegrityError, SpecError, UserError, first_line, located
from benchmark.files.clock import check_date, day_of
from benchmark.files.paths import is_bundled
from benchmark.inverses.spec import METHODS
from benchmark.records.aggregate import image_axes
from benchmark.records.audit import check_sizes
from benchmark.records.bootstrap import groups_of
from benchmark.records.consistency import check_complete, check_summary
from benchmark.records.history import Event, History, find_withdrawal, load_history, superseded_folders
from benchmark.records.receipts import Receipt, Trust, load_receipts, trust_of
from benchmark.records.record import Record, check_origin, load_audit, load_record, load_scores
from benchmark.records.scored import ScoredImages, check_alike, find_scored
from benchmark.records.scores import ScoreArrays, is_complete, scores_from_table
from benchmark.records.store import record_folder
from benchmark.submissions.submission import Submission, list_submissions, load_submission_folder
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Axis, Suite
from leaderboard.data.views import Views, measure_views, shown_of
from leaderboard.data.workers import iter_results

__all__ = ["Entry", "load_entries"]

_ALONE = 8
"""Up to so many records are read faster than other processes start."""


@dataclass(frozen=True)
class Entry:
    """A submission with its record on a suite; `folder` holds the files of the record.

    `image_axes` gives, for every target that the record is complete on, by axis the score of every image (images,);
    it is empty for records that may not be ranked. `superseded` holds the records that this one replaced, the oldest
    first. `images` are the ids of its images, sorted, as in `image_axes` and `views`, and `groups` their groups.
    `shown` holds the scores of all its parts, by target and under None for all targets; see `views.shown_of`.
    `scored` says which images have scores, where `image_axes` is not empty.
    """

    submission: Submission
    record: Record
    folder: Path
    receipts: tuple[Receipt, ...] = ()
    withdrawal: Event | None = None
    superseded: tuple[tuple[Event, Record], ...] = ()
    image_axes: Mapping[str, Mapping[Axis, npt.NDArray[np.float64]]] = field(default_factory=dict, compare=False)
    images: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    views: Views | None = field(default=None, compare=False)
    shown: Mapping[str | None, npt.NDArray[np.float64]] = field(default_factory=dict, compare=False)
    scored: ScoredImages | None = field(default=None, compare=False)

    @property
    def rankable(self) -> bool:
        """Whether the record may be ranked: as `Record.rankable`, and it was not withdrawn."""
        return self.record.rankable and self.withdrawal is None

    @property
    def trust(self) -> Trust:
        """What the receipts say of the record."""
        return trust_of(self.record, self.receipts, self.submission.authors)

    @property
    def audit(self) -> Path | None:
        """The file of its pictures; None for a record that came with a wheel, which leaves them out."""
        path = self.folder / "audit.parquet"
        return None if is_bundled(path) and not path.is_file() else path

    def complete_on(self, target: str | None) -> bool:
        """Whether the record may be ranked on a target: every image has a recon there; None: on all targets."""
        return self.rankable and bool(self.image_axes) if target is None else target in self.image_axes


_found_right: set[tuple[str, str, str]] = set()
"""Suites, locks and records, by their digests, that were compared in this process: a digest covers all of it."""


def _recheck(suite: Suite, lock: Lock, folder: Path, record: Record) -> list[ScoreArrays]:
    """Compare what a record says of its scores with what follows from them, and return them."""
    where, table = str(folder / "record.json"), load_scores(folder, record)
    check_date(day_of(record.run.started), "run.started", where)
    with located(folder / "scores.parquet"):
        scores = scores_from_table(suite, table, record.targets.keys(), record.images)
    key = suite.digest, lock.digest, record.digest
    if key not in _found_right:
        check_summary(suite, lock, record, scores, where)
        _found_right.add(key)
    return scores


def _superseded(suite: Suite, lock: Lock, folder: Path, history: History) -> tuple[tuple[Event, Record], ...]:
    records = {}
    for path in superseded_folders(folder):
        record = load_record(path)
        if (record.suite_digest, record.lock_digest) == (suite.digest, lock.digest):
            _recheck(suite, lock, path, record)
        records[record.digest] = record
    events = (event for event in history.events if event.kind == "superseded")
    return tuple((event, records[event.record]) for event in events if event.record in records)


def _load_entry(suite: Suite, lock: Lock, root: Path, name: str) -> Entry:
    folder = record_folder(root, name, suite.id)
    submission, record, history = load_submission_folder(root / name), load_record(folder), load_history(root / name)
    check_origin(suite, lock, name, record, str(folder / "record.json"))
    entry = Entry(
        submission,
        record,
        folder,
        receipts=tuple(load_receipts(folder, record)),
        withdrawal=find_withdrawal(history, record.digest),
        superseded=_superseded(suite, lock, folder, history),
        shown=shown_of(suite, record, None),
    )
    scores = _recheck(suite, lock, folder, record)
    if entry.audit is not None:
        with located(entry.audit):
            check_sizes(load_audit(folder, record), {target.id: target.input_size for target in suite.targets})
    if not _official(suite, entry):
        return entry
    with located(folder / "scores.parquet"):
        scored = find_scored(suite, scores)
    check_complete(suite, lock, scores, str(folder / "scores.parquet"))
    axes = {
        s.target.id: {axis: v.mean(1) for axis, v in image_axes(suite, s.values[np.argsort(s.images)]).items()}
        for s in scores
        if is_complete(suite, s)
    }
    images = tuple(sorted(scores[0].images))
    entry = replace(entry, image_axes=axes, images=images, groups=groups_of(images, lock.groups), scored=scored)
    if not entry.rankable:
        return entry
    views = measure_views(suite, lock, scores)
    return replace(entry, views=views, shown=shown_of(suite, record, views))


def _official(suite: Suite, entry: Entry) -> bool:
    """Whether a record may be ranked on the targets that it is complete on."""
    record = entry.record
    all_images = record.status == "complete" or record.images == suite.dataset.images
    return all_images and not record.draft and not record.exploratory and entry.withdrawal is None


_shared: tuple[Suite, Lock]
"""What all records of one reading need."""


def _share(suite: Suite, lock: Lock) -> None:
    """Keep what all records need."""
    global _shared
    _shared = suite, lock


def _work(source: tuple[Path, str]) -> Entry | UserError:
    try:
        return _load_entry(*_shared, *source)
    except UserError as error:
        return error
    except Exception as error:  # whatever a record may bring about, the others are shown
        where, kind = str(record_folder(*source, _shared[0].id) / "record.json"), type(error).__name__
        return SpecError(f"cannot be used: {kind}: {first_line(error)}", where=where, cure="report this as a bug")


def _usual(entries: Sequence[Entry]) -> Entry | None:
    """Return an entry that scores the images that are to be scored: a reference point, or else as most others do."""
    looks = {
        entry.submission.id: [s.tobytes() for _, s in sorted(e.states.items())]
        for entry in entries
        if (e := entry.scored)
    }

    def rank(entry: Entry) -> tuple[bool, int, str]:
        name, method = entry.submission.id, METHODS.get(entry.submission.method)
        votes = sum(look == looks[name] for look in looks.values())
        return method is None or method.role == "entry", -votes, name

    return min(entries, key=rank, default=None)


def load_entries(
    suite: Suite, lock: Lock, roots: Sequence[Path], on_unusable: Callable[[UserError], None] | None = None
) -> list[Entry]:
    """Read every record of `suite` below the submission folders `roots`; later roots replace equal ids.

    A record that cannot be used stops the reading, or is handed to `on_unusable` and left out. So is one that does not
    score the images that the others score.

    Raises:
        SpecError: a file is not a record, or the record is of another submission or suite; names the file.
        IntegrityError: the record was made for another text or lock of the suite, or was changed, or scores other
            images.
    """
    sources = [
        (root, name)
        for root in roots
        for name in list_submissions(root)
        if (record_folder(root, name, suite.id) / "record.json").exists()
    ]
    entries: dict[str, Entry] = {}

    def leave_out(error: UserError) -> None:
        if on_unusable is None:
            raise error
        on_unusable(error)

    with closing(iter_results(_work, sources, _ALONE, _share, (suite, lock))) as every:
        for (_, name), result in zip(sources, every, strict=True):
            if isinstance(result, Entry):
                entries[name] = result
            else:
                leave_out(result)
    usual, alike = _usual([entry for entry in entries.values() if entry.scored]), []
    for _, entry in sorted(entries.items()):
        try:
            if usual and usual.scored and entry.scored:
                where = str(entry.folder / "scores.parquet")
                check_alike(suite, entry.scored, usual.scored, usual.submission.id, where)
            alike.append(entry)
        except IntegrityError as error:
            leave_out(error)
    return alike
