"""Commands of the leaderboard: its site, its times, the comment on a pull request, and what follows an evaluation.

`cli` puts them beside the commands of `benchmark`, which knows nothing of them. Free of torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from benchmark.commands.common import (
    EXISTING_FOLDER,
    FILE,
    FILE_OR_FOLDER,
    OUTPUT_FILE,
    OUTPUT_FOLDER,
    Cli,
    json_option,
    print_json,
    printable,
    suite_option,
)

if TYPE_CHECKING:
    from benchmark.commands.evaluation import Evaluated
    from benchmark.errors import UserError

__all__ = ["bench_board", "board", "claims", "comment", "docs_schemas", "show_evaluated"]

_records_option = click.option(
    "--records",
    "roots",
    multiple=True,
    type=EXISTING_FOLDER,
    help="Folder of submissions; may be repeated, later ones win [default: the committed ones].",
)
_suites_option = click.option(
    "--suite",
    "suite_ids",
    multiple=True,
    help="Suite: name@version, or a .toml file; may be repeated [default: every suite with records].",
)


@click.group("board", cls=Cli)
def board() -> None:
    """Render the leaderboard."""


@board.command("build")
@_suites_option
@_records_option
@click.option("--out", required=True, type=OUTPUT_FOLDER, help="Folder to write.")
def board_build(suite_ids: tuple[str, ...], roots: tuple[Path, ...], out: Path) -> None:
    """Build the static site of the leaderboard from records. Needs no torch.

    The same records give the same bytes. Open index.html, or serve the folder from anywhere. A record that cannot be
    used is left out, with a line on standard error that says why.

    \b
    Examples:
      invbench board build --out board
      invbench board build --records submissions --records invbench-results --out board
    """
    from benchmark.files.paths import submissions_root
    from leaderboard.data.board import load_boards
    from leaderboard.site.build import build_site

    left_out: list[UserError] = []

    def leave_out(error: UserError) -> None:
        left_out.append(error)
        _leave_out(error)

    boards = load_boards(suite_ids, list(roots) or [submissions_root()], leave_out)
    click.echo(build_site(boards, out))
    if left_out:
        total = len(left_out) + sum(len(board.loaded) for board in boards)
        click.echo(f"{len(left_out)} of {total} records left out", err=True)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _leave_out(error: UserError) -> None:
    """Say of a record why it cannot be used."""
    click.echo(f"Left out: {printable(str(error))}", err=True)


@click.group("claims", cls=Cli, invoke_without_command=True)
@_suites_option
@_records_option
@click.option("--runs", type=FILE, help="Runs of several training seeds, of one suite [default: the committed ones].")
@json_option
@click.pass_context
def claims(
    ctx: click.Context, suite_ids: tuple[str, ...], roots: tuple[Path, ...], runs: Path | None, as_json: bool
) -> None:
    """Put the claims of arXiv 2412.06534 to the records: statistic, interval and verdict of each. Needs no torch.

    A claim holds, does not hold, or is undetermined, by rules fixed in advance (docs/claims.md); what cannot be
    computed has a reason. Whatever the verdicts, the exit code is 0.

    \b
    Examples:
      invbench claims
      invbench claims --suite mini@1 --json > claims.json
      invbench claims --records submissions --records invbench-results
    """
    from benchmark.errors import SpecError
    from benchmark.files.paths import submissions_root
    from leaderboard.data.board import Board, load_boards
    from leaderboard.data.claims.texts import claims_text

    if ctx.invoked_subcommand is not None:
        if suite_ids or roots or runs or as_json:
            raise click.UsageError(f"options of {ctx.invoked_subcommand!r} stand after it")
        return
    boards = load_boards(suite_ids, list(roots) or [submissions_root()], _leave_out)
    if runs is not None and len(boards) != 1:
        raise SpecError("holds runs on one suite", where="--runs", cure="name that suite with --suite")
    reports = [Board(one.suite, one.lock, one.loaded, runs).claims for one in boards]
    if as_json:
        print_json({"suites": [report.model_dump(mode="json") for report in reports]})
    else:
        click.echo(
            "\n\n\n".join(_printable_lines(claims_text(report)) for report in reports) or "No suite has records."
        )


@claims.command("add")
@click.argument("records", metavar="RECORD...", nargs=-1, required=True, type=FILE_OR_FOLDER)
@click.option(
    "--condition",
    type=click.Choice(["equal_samples", "equal_time"]),
    help="What the runs have in common with those that they are compared with.  [required]",
)
@suite_option
@click.option("--out", required=True, type=OUTPUT_FILE, help="File of runs to add to; created where it is absent.")
def claims_add(
    records: tuple[Path, ...], condition: Literal["equal_samples", "equal_time"] | None, suite_id: str, out: Path
) -> None:
    """Add runs of several training seeds to a file: what their records say of cost and scores, not the weights.

    RECORD is the folder of a record that `invbench eval` wrote for an inverse of yours, or its record.json. All are
    added or none. `invbench claims --runs FILE` compares the methods over the seeds.

    \b
    Example:
      invbench claims add --condition equal_samples --out runs.json \\
        invbench-results/modular-seed-1/records/mini@1 invbench-results/modular-seed-2/records/mini@1
    """
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock
    from leaderboard.data.claims.runs import add_runs

    if condition is None:
        raise click.UsageError("Missing option '--condition': equal_samples or equal_time")
    suite = load_suite(suite_id)
    runs = add_runs(out, suite, load_lock(suite), condition, records).runs
    methods = sorted({run.method for run in runs})
    click.echo(f"{out}: {len(runs)} run{'' if len(runs) == 1 else 's'} of {', '.join(methods)}")


@click.command("schemas")
@click.option("--out", required=True, type=OUTPUT_FOLDER, help="Folder to write.")
def docs_schemas(out: Path) -> None:
    """Write the JSON Schemas of a submission's files, of board.json and of what claims rest on: for editors and tools.

    \b
    Example:
      invbench docs schemas --out docs/schemas
    """
    from benchmark.files.storing import write_text
    from benchmark.submissions.schemas import render_schemas
    from leaderboard.data.claims.schemas import render_claim_schemas
    from leaderboard.site.board_json import render_board_schema

    for name, text in (render_schemas() | {"board": render_board_schema()} | render_claim_schemas()).items():
        path = out / f"{name}.schema.json"
        write_text(path, text)
        click.echo(path)


@click.command("comment")
@click.argument("review_file", metavar="REVIEW", type=FILE)
@click.option("--changed", type=FILE, required=True, help="What `ci changed` wrote: the paths that change.")
@click.option("--commit", required=True, help="The commit that was reviewed.")
def comment(review_file: Path, changed: Path, commit: str) -> None:
    """Print the comment for a pull request from a review, which may come from anywhere: its text stays text.

    Of a pull request that changes more than the folder of one submission it says that, and nothing of the review.

    \b
    Example:
      invbench ci comment review.json --changed changed --commit COMMIT > comment.md
    """
    from benchmark.files.declarations import read_json
    from benchmark.submissions.review import MAX_REVIEW_BYTES, Review
    from leaderboard.comment import limit_to, render_comment

    review = read_json(review_file, Review, MAX_REVIEW_BYTES)
    paths = changed.read_bytes().decode(errors="replace").split("\0")
    click.echo(render_comment(limit_to(review, filter(None, paths)), commit), nl=False)


@click.command("board")
@click.option("--entries", default=100, show_default=True, type=click.IntRange(1), help="Submissions.")
@click.option("--targets", default=6, show_default=True, type=click.IntRange(1), help="Targets of the suite.")
@click.option("--taps", default=14, show_default=True, type=click.IntRange(1), help="Taps of each target.")
@click.option("--images", default=128, show_default=True, type=click.IntRange(4), help="Scored images.")
@click.option("--keep", type=OUTPUT_FOLDER, help="Write submissions/ and board/ to this folder and leave them there.")
@json_option
def bench_board(entries: int, targets: int, taps: int, images: int, keep: Path | None, as_json: bool) -> None:
    """Measure how long the board of many submissions takes to build, and how large it is.

    The submissions are made up, as many as are asked for; writing them takes a while and is not measured.

    \b
    Examples:
      invbench bench board
      invbench bench board --entries 20 --targets 3 --keep load --json
    """
    import tempfile

    from tabulate import tabulate

    with tempfile.TemporaryDirectory() as temporary:
        row = _measure_board(keep or Path(temporary), (entries, targets, taps, images))
    print_json(row) if as_json else click.echo(tabulate([row], headers="keys", tablefmt="simple", floatfmt=".2f"))


def _measure_board(folder: Path, size: tuple[int, int, int, int]) -> dict[str, float]:
    """Return seconds and sizes of a board of made-up submissions (entries, targets, taps, images), built in `folder`.

    Raises:
        SpecError: the folder holds another load or board.
    """
    from time import perf_counter

    from benchmark.errors import SpecError
    from leaderboard.data.board import Board
    from leaderboard.data.entries import load_entries
    from leaderboard.data.synthetic import write_load
    from leaderboard.site.build import build_site

    root, out = folder / "submissions", folder / "board"
    if root.exists() or out.exists():
        raise SpecError("holds submissions or a board already", where=str(folder), cure="name another folder")
    suite, lock = write_load(root, *size, seed=0)
    start = perf_counter()
    board = Board(suite, lock, load_entries(suite, lock, [root]))
    loaded = perf_counter()
    tables = board.tables
    ranked = perf_counter()
    build_site([board], out)
    built = perf_counter()
    files = {path: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    pages = [count for path, count in files.items() if path.suffix == ".html"]
    return {
        "entries": len(tables[None].rows),
        "load_s": round(loaded - start, 2),
        "rank_s": round(ranked - loaded, 2),
        "build_s": round(built - ranked, 2),
        "pages": len(pages),
        "largest_page_bytes": max(pages),
        "files": len(files),
        "bytes": sum(files.values()),
    }


def show_evaluated(done: Evaluated) -> None:
    """Print the record of an evaluation beside the others of its suite, and build the site with it."""
    from leaderboard.data.board import Board, say_why_left_out
    from leaderboard.data.entries import load_entries
    from leaderboard.data.texts import text_table
    from leaderboard.site.build import build_site

    left_out: list[UserError] = []
    entries = load_entries(done.suite, done.lock, done.roots, on_unusable=left_out.append)
    for error in left_out:
        _leave_out(error)
    lines = tuple(say_why_left_out(error, done.roots) for error in left_out)
    board = Board(done.suite, done.lock, entries, left_out=lines)
    page = build_site([board], done.board) if done.board else None
    if done.as_json:
        print_json(done.record.model_dump(mode="json"))
        return
    record, path = done.record, done.folder / "record.json"
    state = f"{record.status}, draft" if record.draft else record.status
    click.echo(text_table(done.suite, done.lock, entries, highlight=record.submission.id))
    click.echo(f"\nRecord  {path}  ({state}, digest {record.digest[:16]}, {record.run.wall_s:.0f} s)")
    if page:
        click.echo(f"Board   {page}")
