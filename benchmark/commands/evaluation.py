"""The command that evaluates: a submission, or inverses of one's own, on a suite."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.commands.common import (
    FOLDER,
    data_folder_option,
    device_option,
    json_option,
    open_device,
    print_json,
    quiet,
    suite_option,
    threads_option,
)

if TYPE_CHECKING:
    from benchmark.engine.evaluation import Evaluation
    from benchmark.records.record import Record

__all__ = ["evaluate"]

OUT = Path("invbench-results")


def _check_place(folder: Path, supersede: str | None, *, overwrite: bool) -> None:
    """Refuse to touch a record that may have been published, unless it is said what becomes of it."""
    from benchmark.errors import SpecError
    from benchmark.records.record import load_record

    if (folder / "record.json").is_file() and supersede is None and not overwrite:
        digest = load_record(folder).digest
        cure = "keep it in the history: --supersede REASON; or, if nobody has seen it yet: --overwrite"
        raise SpecError(f"holds record {digest[:16]} already", where=str(folder), cure=cure)


def _write(evaluation: Evaluation, folder: Path, supersede: str | None) -> Record:
    """Write a record; one that is there is put aside unchanged, unless it is the very same or never published."""
    from datetime import date

    from benchmark.records.history import RECORD_FILES
    from benchmark.records.history import supersede as put_aside
    from benchmark.records.receipts import list_receipts
    from benchmark.records.record import load_record

    if supersede is None or not (folder / "record.json").is_file():
        for receipt in list_receipts(folder):
            receipt.unlink()
        return evaluation.write(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as temporary:
        record = evaluation.write(Path(temporary))
        if record.digest == load_record(folder).digest:
            click.echo("The record is the one that is there already; nothing is superseded.", err=True)
            return load_record(folder)
        put_aside(folder.parent.parent, record.suite, supersede, record.digest, date.today())
        for name in RECORD_FILES:
            (Path(temporary) / name).replace(folder / name)
    return record


@click.command("eval")
@click.option("--submission", "reference", metavar="ID|PATH", help="Submission to evaluate [default: modular].")
@click.option(
    "--inverse",
    "references",
    multiple=True,
    metavar="ORG/NAME@REVISION|FOLDER",
    help="Evaluate an inverse from the Hub, at a full commit, or from a folder; may be repeated, one a target.",
)
@suite_option
@click.option("--target", "targets", multiple=True, help="Only this target; may be repeated. The record is partial.")
@data_folder_option
@device_option
@threads_option
@click.option(
    "--batch-size",
    default=16,
    show_default=True,
    type=click.IntRange(1),
    help="Images kept and checkpointed together, in steps of 8; scores do not depend on it.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first N images; the record is marked partial.")
@click.option(
    "--out", type=FOLDER, help="Where the record goes [default: invbench-results; for a PATH, the submission itself]."
)
@click.option("--trust-code", is_flag=True, help="Import and run the submission's inverse.py. Read it first.")
@click.option("--fetch-only", is_flag=True, help="Download the submission's weights, run nothing of it, and stop.")
@click.option("--supersede", metavar="REASON", help="Put the record that is there aside, unchanged, and say why.")
@click.option("--overwrite", is_flag=True, help="Replace a record that was never published.")
@json_option
def evaluate(
    reference: str | None,
    references: tuple[str, ...],
    suite_id: str,
    targets: tuple[str, ...],
    data_folder: Path | None,
    device: str,
    threads: int | None,
    batch_size: int,
    limit: int | None,
    out: Path | None,
    trust_code: bool,
    fetch_only: bool,
    supersede: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Score a submission, or inverses of your own, on a suite; write the record and a board.

    Interrupt it when you like: the same command goes on where it stood.

    \b
    Examples:
      invbench eval
      invbench eval --submission ridge --limit 16
      invbench eval --submission submissions/my-method
      invbench eval --inverse ORG/NAME@REVISION --suite mini@1
      invbench eval --device cuda --json > record.json
    """
    if reference and references:
        raise click.UsageError("give --submission or --inverse, not both")
    if supersede and overwrite:
        raise click.UsageError("give --supersede or --overwrite, not both")

    from benchmark.files.paths import submissions_root
    from benchmark.submissions.submission import describe_candidate, find_submission, record_folder
    from benchmark.suites.spec import load_lock, load_suite

    suite, root, source = load_suite(suite_id), submissions_root(), None
    lock, chosen = load_lock(suite), [suite.target(name) for name in targets]
    if not references:
        source, by_path = find_submission(reference or "modular")
        out = out or (source.parent if by_path else None)
    out = out or OUT
    own = source is not None and out.resolve() == source.resolve().parent
    if source is not None and own and not fetch_only:
        _check_place(record_folder(out, source.name, suite.id), supersede, overwrite=overwrite)

    from benchmark.content.content import Content
    from benchmark.engine.evaluation import Options, evaluate
    from benchmark.inverses.code import blame
    from benchmark.submissions.candidates import fetch_weights, from_references, open_submission
    from benchmark.submissions.submission import load_submission_folder

    quiet()
    wanted = chosen or list(suite.targets)
    if fetch_only:
        if source is None:
            raise click.UsageError("--fetch-only goes with --submission")
        fetch_weights(load_submission_folder(source), wanted)
        click.echo(f"The weights of {source.name} are here.")
        return
    place = open_device(device, threads)
    if source is None:
        candidate = from_references(references, suite)
    else:
        candidate = open_submission(source, wanted, trust_code=trust_code)
    with blame(candidate.code):
        evaluation = evaluate(
            Content(suite, lock, data_folder), candidate, Options(place, batch_size, limit, targets or None)
        )
    folder = record_folder(out, candidate.id, suite.id)
    record = _write(evaluation, folder, supersede if own else None)
    if source is None:
        (out / candidate.id / "submission.toml").write_text(
            describe_candidate(candidate.id, candidate.method, candidate.title, suite.id), encoding="utf-8"
        )
    elif not own:
        shutil.copy(source / "submission.toml", out / source.name / "submission.toml")

    from leaderboard.data.board import Board
    from leaderboard.data.entries import load_entries
    from leaderboard.data.rankings import text_table
    from leaderboard.site.build import build_site

    roots = [root] if own and out.resolve() == root.resolve() else [root, out]
    entries = load_entries(suite, lock, roots, on_unusable=lambda error: click.echo(f"Left out: {error}", err=True))
    page = None if own else build_site([Board(suite, lock, entries)], out / "board")
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    click.echo(text_table(suite, entries, highlight=candidate.id))
    state = f"{record.status}, draft" if record.draft else record.status
    click.echo(f"\nRecord  {folder / 'record.json'}  ({state}, digest {record.digest[:16]}, {record.run.wall_s:.0f} s)")
    if page:
        click.echo(f"Board   {page}")
