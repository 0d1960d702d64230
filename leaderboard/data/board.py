"""A board: a suite with the records that were made on it, and the order in which everything shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmark.errors import UserError, first_line
from benchmark.records.store import record_folder
from benchmark.submissions.submission import list_submissions
from benchmark.suites.catalog import list_suites, load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite
from leaderboard.data.claims.catalog import ClaimReport, find_claims, make_evidence
from leaderboard.data.claims.reading import Evidence
from leaderboard.data.claims.runs import TrainingRuns, load_runs, runs_file
from leaderboard.data.entries import Entry, load_entries
from leaderboard.data.rankings import Tables, reference_of, tables_of

__all__ = ["OWN_CHARTS", "STYLES", "Board", "load_boards", "say_why_left_out", "suite_folder"]

STYLES = 8
"""How many colors the style sheet has, and how many submissions a chart draws."""

OWN_CHARTS = 4
"""So many submissions, from the first of a target's table, have charts of their own; all have the numbers as tables."""


def suite_folder(suite: Suite) -> str:
    """Return the folder of a suite's pages, relative to the site."""
    return f"{suite.name}-{suite.version}"


@dataclass(frozen=True, eq=False)
class Board:
    """One suite, its lock and its entries; tables are computed once, when they are first asked for.

    `runs` is a file of runs of several training seeds; None: the package's own, where there is one. `left_out` says in
    a line each which records could not be used, and why.
    """

    suite: Suite
    lock: Lock
    loaded: Sequence[Entry]
    runs: Path | None = None
    left_out: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder of its pages, relative to the site."""
        return suite_folder(self.suite)

    @cached_property
    def tables(self) -> Tables:
        """The ranked table of every target, and under None that of all targets together."""
        return tables_of(self.suite, sorted(self.loaded, key=lambda entry: entry.submission.id))

    @cached_property
    def evidence(self) -> Evidence:
        """What the claims about the suite rest on."""
        return make_evidence(self.suite, self.lock, self.loaded, self._load_runs())

    @cached_property
    def claims(self) -> ClaimReport:
        """What the records say of every claim."""
        return find_claims(self.evidence)

    def _load_runs(self) -> TrainingRuns | UserError | None:
        """The runs of several seeds; None where the package has none, the error where its file cannot be used.

        Raises:
            UserError: a file that was named cannot be used.
        """
        path = self.runs or runs_file(self.suite)
        if self.runs is None and not path.exists():
            return None
        try:
            return load_runs(path, self.suite, self.lock)
        except UserError as error:
            if self.runs is not None:
                raise
            return error

    @cached_property
    def entries(self) -> list[Entry]:
        """The entries in the order of the overall table."""
        return [row.entry for row in self.tables[None].rows]

    @cached_property
    def styles(self) -> dict[str, int | None]:
        """The color number of every submission, the same on every page; None for reference points."""
        names = [entry.submission.id for entry in self.entries if reference_of(entry) is None]
        return {entry.submission.id: None for entry in self.entries} | {name: i for i, name in enumerate(names)}

    def drawn(self, target: str | None) -> list[Entry]:
        """Return the entries that charts of a target show: the first so many of its table that were evaluated there.

        Those that are not ranked come after the others, and those that were withdrawn not at all.
        """
        there = [row.entry for row in self.tables[target].rows if target is None or target in row.entry.record.targets]
        return [entry for entry in there if reference_of(entry) is None and entry.withdrawal is None][:STYLES]

    def charted(self, target: str) -> list[Entry]:
        """Return the entries that have charts of their own on a target."""
        return self.drawn(target)[:OWN_CHARTS]

    def references(self, target: str | None) -> list[Entry]:
        """Return the floor and the ceiling of a target."""
        rows = self.tables[target].references
        return [row.entry for row in rows if target is None or target in row.entry.record.targets]


def _with_records(roots: Sequence[Path]) -> list[str]:
    """Return the suites of the package that a record below `roots` is of; all reading is left to `load_entries`."""
    return [
        suite_id
        for suite_id in list_suites()
        if any((record_folder(root, name, suite_id) / "record.json").exists()
               for root in roots for name in list_submissions(root))
    ]  # fmt: skip


def say_why_left_out(error: UserError, roots: Sequence[Path]) -> str:
    """Return a line for readers: file, as seen from the folder of submissions that it lies in, and what is wrong."""
    where = error.where or ""
    for root in roots:
        where = where.removeprefix(f"{root}/").removeprefix(f"{root.resolve()}/")
    return first_line(f"{where}: {error.message}", 300)


def _make_leave_out(
    roots: Sequence[Path], left_out: list[str], on_unusable: Callable[[UserError], None]
) -> Callable[[UserError], None]:
    def leave_out(error: UserError) -> None:
        left_out.append(say_why_left_out(error, roots))
        on_unusable(error)

    return leave_out


def load_boards(
    suite_ids: Sequence[str], roots: Sequence[Path], on_unusable: Callable[[UserError], None] | None = None
) -> list[Board]:
    """Return the boards of some suites, or of all that have records below the submission folders `roots`.

    Raises:
        UserError: a suite, or without `on_unusable` a record, cannot be used; see `load_suite` and `load_entries`.
    """
    boards = []
    for suite in map(load_suite, dict.fromkeys(suite_ids or _with_records(roots))):
        lock = load_lock(suite)
        left_out: list[str] = []
        leave_out = _make_leave_out(roots, left_out, on_unusable) if on_unusable else None
        entries = load_entries(suite, lock, roots, leave_out)
        boards.append(Board(suite, lock, entries, left_out=tuple(left_out)))
    return boards
