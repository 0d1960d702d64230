"""A folder of submissions as a store of records: where each lies, and what becomes of one that is there already.

Torch-free.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmark.errors import SpecError
from benchmark.files.storing import check_writable, storing
from benchmark.records.history import RECORD_FILES, check_supersedable, supersede
from benchmark.records.receipts import list_receipts
from benchmark.records.record import Record, load_record

__all__ = ["RecordStore", "record_folder"]


def record_folder(root: Path, submission_id: str, suite_id: str) -> Path:
    """Folder of the record of a submission on a suite below `root`."""
    return root / submission_id / "records" / suite_id


@dataclass(frozen=True)
class RecordStore:
    """The records below one folder of submissions."""

    root: Path

    def check_free(self, submission_id: str, suite_id: str, *, reason: str | None, overwriting: bool) -> None:
        """Refuse to touch a record that may have been published, unless it is said what becomes of it.

        Args:
            reason: why the existing record is to be superseded.

        Raises:
            SpecError: there is one, and it is neither to be overwritten nor can it be superseded for that reason.
            UserError: the folder of the record cannot be written to.
        """
        folder = record_folder(self.root, submission_id, suite_id)
        check_writable(folder)
        if not (folder / "record.json").is_file():
            return
        if reason is not None:
            check_supersedable(self.root / submission_id, suite_id, reason)
        elif not overwriting:
            cure = "keep it in the history: --supersede REASON; or, if nobody has seen it yet: --overwrite"
            raise SpecError(f"holds record {load_record(folder).digest[:16]} already", where=str(folder), cure=cure)

    def put(
        self, submission_id: str, suite_id: str, write: Callable[[Path], Record], reason: str | None = None
    ) -> Record:
        """Write a record; the existing one is archived unchanged, unless it is the same or no reason is given.

        Args:
            write: writes the files of the record to a folder, and returns the record.
            reason: why the existing record is superseded; None: it was never published and is replaced.

        Returns:
            The record in the store: the existing one where the new one is the same.
        """
        folder = record_folder(self.root, submission_id, suite_id)
        if reason is None or not (folder / "record.json").is_file():
            with storing(folder):
                for receipt in list_receipts(folder):
                    receipt.unlink()
            return write(folder)
        with storing(folder), tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as temporary:
            record = write(Path(temporary))
            existing = load_record(folder)
            if record.digest == existing.digest:
                return existing
            supersede(self.root / submission_id, suite_id, reason, record.digest, date.today())
            for name in RECORD_FILES:
                (Path(temporary) / name).replace(folder / name)
        return record
