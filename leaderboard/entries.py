"""The entries of a board: submissions with their records, and their scores image by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.aggregate import image_axes, scores_from_table
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.records import Record, load_record, load_scores
from benchmark.spec import Axis, Lock, Suite
from benchmark.submissions import Submission, list_submissions, load_submission, record_folder

__all__ = ["Entry", "load_entries"]


@dataclass(frozen=True)
class Entry:
    """A submission with its record on a suite; `folder` holds the files of the record.

    `image_axes` gives, by target and axis, the anchored score of every image (images,); it is empty for
    records that may not be ranked.
    """

    submission: Submission
    record: Record
    folder: Path
    image_axes: Mapping[str, Mapping[Axis, npt.NDArray[np.float64]]] = field(default_factory=dict, compare=False)

    def image_axis(self, target: str | None, axis: Axis) -> npt.NDArray[np.float64] | None:
        """Return the score of every image on `target`, or its mean over all targets; None where there is none."""
        if target is not None:
            return self.image_axes.get(target, {}).get(axis)
        if not self.image_axes:
            return None
        return np.mean([axes[axis] for axes in self.image_axes.values()], axis=0)


def _check(suite: Suite, lock: Lock, name: str, record: Record, where: str) -> None:
    if record.submission.id != name:
        raise SpecError(f"is the record of '{record.submission.id}', not of '{name}'", where=where)
    if record.suite != suite.id:
        raise SpecError(f"is a record on {record.suite}, not on {suite.id}", where=where)
    cure = f"run: invbench eval --submission {name} --suite {suite.id}"
    if record.suite_digest != suite.digest:
        raise IntegrityError(f"made for another text of {suite.id}", where=where, cure=cure)
    if record.lock_digest != lock.digest:
        raise IntegrityError(f"made under another lock of {suite.id}", where=where, cure=cure)


def _load_entry(suite: Suite, lock: Lock, root: Path, name: str) -> Entry:
    folder = record_folder(root, name, suite.id)
    submission, record = load_submission(root, name), load_record(folder)
    _check(suite, lock, name, record, str(folder / "record.json"))
    axes = {}
    if record.rankable:
        values = scores_from_table(suite, load_scores(folder, record))
        axes = {target: image_axes(suite, lock.anchors[target], found) for target, found in values.items()}
    return Entry(submission, record, folder, axes)


def load_entries(
    suite: Suite, lock: Lock, roots: Sequence[Path], on_unusable: Callable[[UserError], None] | None = None
) -> list[Entry]:
    """Read every record of `suite` below the submission folders `roots`; later roots replace equal ids.

    A record that cannot be used stops the reading, or is handed to `on_unusable` and left out.

    Raises:
        SpecError: a file is not a record, or the record is of another submission or suite; names the file.
        IntegrityError: the record was made for another text or lock of the suite, or was changed.
    """
    entries: dict[str, Entry] = {}
    for root in roots:
        for name in list_submissions(root):
            if not (record_folder(root, name, suite.id) / "record.json").exists():
                continue
            try:
                entries[name] = _load_entry(suite, lock, root, name)
            except UserError as error:
                if on_unusable is None:
                    raise
                on_unusable(error)
    return [entries[name] for name in sorted(entries)]
