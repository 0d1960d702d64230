"""The command that evaluates: a submission, or inverses of one's own, on a suite."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.commands.common import (
    EXISTING_FOLDER,
    device_option,
    json_option,
    open_device,
    quiet,
)
from benchmark.commands.evaluation_options import parse_shard, watch_options, what_options
from benchmark.commands.isolation import isolate
from benchmark.commands.reevaluation import evaluate_all

if TYPE_CHECKING:
    from benchmark.engine.evaluation import Evaluation
    from benchmark.records.record import Record
    from benchmark.records.store import RecordStore
    from benchmark.submissions.candidates import Candidate
    from benchmark.suites.lock import Lock
    from benchmark.suites.spec import Suite, TargetSpec

__all__ = ["Evaluated", "evaluate_command", "merge_command"]

OUT = Path("invbench-results")


@dataclass(frozen=True)
class _Request:
    """What was asked for: the options of the command, by the names of its parameters."""

    reference: str | None
    references: tuple[str, ...]
    suite_id: str
    targets: tuple[str, ...]
    data_folder: Path | None
    batch_size: int
    limit: int | None
    out: Path | None
    trust_code: bool
    isolate: bool
    require_isolation: bool
    supersede: str | None
    overwrite: bool
    as_json: bool
    device: str = "cpu"
    threads: int | None = None
    with_audit: bool = False
    fetch_only: bool = False
    every: bool = False
    shard: tuple[int, int] | None = None
    merging: bool = False
    caches: tuple[Path, ...] = ()
    log: Path | None = None
    trace: Path | None = None
    micro_batch: int | None = None
    precision: str = "float32"
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.every:
            others = {"--submission": self.reference, "--inverse": self.references, "--target": self.targets,
                      "--limit": self.limit, "--out": self.out, "--fetch-only": self.fetch_only,
                      "--shard": self.shard, "--log-json": self.log, "--profile": self.trace,
                      "--micro-batch": self.micro_batch, "--precision": self.precision != "float32",
                      "--compile": self.compiled}  # fmt: skip
            if given := [name for name, value in others.items() if value]:
                raise click.UsageError(f"--all goes without {', '.join(given)}")
            if not self.supersede and not self.overwrite:
                raise click.UsageError("--all goes with --supersede REASON or --overwrite")
        if self.reference and self.references:
            raise click.UsageError("give --submission or --inverse, not both")
        if self.with_audit and self.limit is None:
            raise click.UsageError("--with-audit goes with --limit; without, all images are evaluated")
        if self.supersede and self.overwrite:
            raise click.UsageError("give --supersede or --overwrite, not both")
        if self.fetch_only and self.references:
            raise click.UsageError("--fetch-only goes with --submission")
        if self.fetch_only and (self.log or self.trace):
            raise click.UsageError("--fetch-only evaluates nothing: leave --log-json and --profile out")
        if self.log and self.trace and self.log.resolve() == self.trace.resolve():
            raise click.UsageError("--log-json and --profile need files of their own")


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation.

    Attributes:
        folder: that of the record.
        roots: folders of submissions to compare with, the record's own the last.
        board: where a site with the record belongs; None: nowhere, the record lies in its own submission.
        as_json: whether the record alone is to be printed, as JSON.
    """

    suite: Suite
    lock: Lock
    record: Record
    folder: Path
    roots: Sequence[Path]
    board: Path | None
    as_json: bool


def _find_destination(request: _Request) -> tuple[Path | None, RecordStore, bool]:
    """Folder of the submission (None: inverses of one's own), where its record goes, and whether that is beside it."""
    from benchmark.records.store import RecordStore
    from benchmark.submissions.submission import find_submission

    if request.references:
        return None, RecordStore(request.out or OUT), False
    source, by_path = find_submission(request.reference or "modular")
    out = request.out or (source.parent if by_path else OUT)
    return source, RecordStore(out), out.resolve() == source.resolve().parent


def _compute(
    request: _Request, suite: Suite, lock: Lock, source: Path | None, wanted: Sequence[TargetSpec]
) -> tuple[Candidate, Evaluation | None]:
    """The candidate, and its evaluation; None where other processes compute a part of it, or put it together."""
    from benchmark.content.content import Content
    from benchmark.engine.evaluation import evaluate_share
    from benchmark.engine.jobs import WHOLE, Options, Share
    from benchmark.engine.merging import merge_shards
    from benchmark.engine.precision import MICRO_BATCHES, Arithmetic
    from benchmark.engine.processes import evaluate_by_processes, share_cores
    from benchmark.engine.ranks import evaluate_rank
    from benchmark.engine.torchrun import find_rank
    from benchmark.files.cache import cache_root
    from benchmark.submissions.candidates import from_references, open_submission

    rank = None if request.merging or request.shard else find_rank()
    device = open_device(request.device, request.threads, rank.local if rank else None)
    if source is None:
        candidate = from_references(request.references, suite)
    else:
        candidate = open_submission(source, wanted, trust_code=request.trust_code)
    candidate = isolate(candidate, wanted=request.isolate, required=request.require_isolation)
    arithmetic = Arithmetic(
        "float32" if request.precision == "float32" else "bfloat16",
        request.compiled,
        request.micro_batch or MICRO_BATCHES[0],
    )
    options = Options(
        device, request.batch_size, request.limit, request.targets or None,
        Share(*request.shard) if request.shard else WHOLE, arithmetic, request.log, request.trace, request.with_audit,
    )  # fmt: skip
    content = Content(suite, lock, request.data_folder)
    if request.merging:
        return candidate, merge_shards(content, candidate, options, request.caches or (cache_root(),))
    if rank is not None:
        return candidate, evaluate_rank(content, candidate, options, rank)
    if request.shard is None:
        count = share_cores(suite, device, request.threads, isolated=candidate.isolated)
        return candidate, evaluate_by_processes(content, candidate, options, count)
    computed, total = evaluate_share(content, candidate, options)
    click.echo(
        f"Shard {options.share} of {candidate.id} on {suite.id} is done: {computed} of its {total} chunks computed now."
    )
    click.echo("When all shards are, invbench merge, with the same options, makes the record.")
    return candidate, None


def _state_submission(source: Path | None, candidate: Candidate, suite: Suite, root: Path) -> None:
    """Put a `submission.toml` beside a record that lies outside its submission."""
    from benchmark.files.storing import storing, write_text
    from benchmark.submissions.submission import render_candidate

    path = root / candidate.id / "submission.toml"
    if source is None:
        write_text(path, render_candidate(candidate.id, candidate.method, candidate.title, suite.id))
    else:
        with storing(path):
            shutil.copy(source / "submission.toml", path)


def _evaluate(request: _Request) -> Evaluated | None:
    """Evaluate, and store the record; None where this process makes none."""
    from benchmark.errors import SpecError
    from benchmark.files.cache import cache_root
    from benchmark.files.paths import submissions_root
    from benchmark.files.storing import check_writable
    from benchmark.records.store import record_folder
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(request.suite_id)
    lock, wanted = load_lock(suite), [suite.target(name) for name in request.targets] or list(suite.targets)
    source, store, beside = _find_destination(request)
    if source is not None and request.fetch_only:
        _fetch_weights(source, wanted)
        return None
    if source is not None and beside:
        store.check_free(source.name, suite.id, reason=request.supersede, overwriting=request.overwrite)
    elif request.supersede is not None:
        raise click.UsageError("--supersede goes with a submission whose record lies in it")
    if (store.root / "submission.toml").exists():
        cure = "name the folder that submissions lie in"
        raise SpecError("is itself a submission", where=str(store.root), cure=cure)
    check_writable(store.root, "--out")
    check_writable(cache_root(), "INVBENCH_CACHE")
    quiet()
    candidate, evaluation = _compute(request, suite, lock, source, wanted)
    if evaluation is None:
        return None
    record = store.put(candidate.id, suite.id, evaluation.write, request.supersede)
    evaluation.clear()
    if record.run != evaluation.record.run:
        click.echo("This is the existing record once more; nothing is superseded.", err=True)
    if not beside:
        _state_submission(source, candidate, suite, store.root)
    root = submissions_root()
    return Evaluated(
        suite,
        lock,
        record,
        folder=record_folder(store.root, candidate.id, suite.id),
        roots=[root] if store.root.resolve() == root.resolve() else [root, store.root],
        board=None if beside else store.root / "board",
        as_json=request.as_json,
    )


def _fetch_weights(source: Path, wanted: Sequence[TargetSpec]) -> None:
    from benchmark.submissions.candidates import fetch_weights
    from benchmark.submissions.submission import load_submission_folder

    quiet()
    fetch_weights(load_submission_folder(source), wanted)
    click.echo(f"The weights of {source.name} are here.")


def evaluate_command(show: Callable[[Evaluated], None]) -> click.Command:
    """The command `eval`; `show` presents what came of it."""

    @click.command("eval")
    @what_options
    @device_option
    @click.option(
        "--threads", type=click.IntRange(1), help="One process of N CPU threads [default: one a core, N = 1]."
    )
    @click.option("--fetch-only", is_flag=True, help="Download the submission's weights, run nothing of it, and stop.")
    @click.option(
        "--all", "every", is_flag=True, help="Every committed record, but those that nothing could have changed."
    )
    @click.option(
        "--shard",
        metavar="I/N",
        callback=parse_shard,
        help="Compute the I-th of N parts and leave it in the cache; invbench merge makes the record.",
    )
    @watch_options
    @json_option
    def evaluate(**given: Any) -> None:
        """Score a submission, or inverses of your own, on a suite; write the record and a board.

        Interrupt it whenever you like; rerun the command to resume.

        \b
        Examples:
          invbench eval
          invbench eval --submission ridge --limit 16
          invbench eval --submission submissions/my-method
          invbench eval --inverse ORG/NAME@REVISION --suite mini@1
          invbench eval --device cuda --json > record.json
          invbench eval --all --supersede "metrics were corrected"
          torchrun --nproc-per-node 8 -m invbench eval --suite coco@1
        """
        request = _Request(**given)
        if request.every:
            evaluate_all(
                request.suite_id,
                request.data_folder,
                open_device(request.device, request.threads),
                request.threads,
                request.batch_size,
                reason=request.supersede,
                trust_code=request.trust_code,
                as_json=request.as_json,
            )
        elif (done := _evaluate(request)) is not None:
            show(done)

    return evaluate


def merge_command(show: Callable[[Evaluated], None]) -> click.Command:
    """The command `merge`; `show` presents what came of it."""

    @click.command("merge")
    @what_options
    @click.option(
        "--from",
        "caches",
        multiple=True,
        type=EXISTING_FOLDER,
        metavar="CACHE",
        help="Cache folder that shards were computed with; may be repeated [default: this machine's].",
    )
    @json_option
    def merge(**given: Any) -> None:
        """Make the record of an evaluation whose shards are done; give the options that the shards were given.

        It is the record of a single process on such a machine.

        \b
        Examples:
          invbench merge --submission ridge
          invbench merge --suite coco@1 --submission ridge --from node1/cache --from node2/cache
        """
        if (done := _evaluate(_Request(**given, merging=True))) is not None:
            show(done)

    return merge
