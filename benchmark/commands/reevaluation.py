"""`eval --all`: every committed record once more, where anything changed that could change it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.commands.common import print_json, quiet

if TYPE_CHECKING:
    import torch

    from benchmark.content.content import Content
    from benchmark.engine.jobs import Options

__all__ = ["evaluate_all", "reevaluate"]


def _stated(folder: Path) -> tuple[str, dict[str, str]]:
    """Digest and keys of the record in a folder; none of a record that cannot be read, which is replaced."""
    from benchmark.errors import UserError
    from benchmark.records.record import load_record

    try:
        record = load_record(folder)
    except UserError:
        return "", {}
    return record.digest, record.run.keys


def _renew(
    root: Path, name: str, content: Content, options: Options, count: int, *, reason: str | None, trust_code: bool
) -> dict[str, Any]:
    from benchmark.engine.evaluation import find_keys
    from benchmark.engine.processes import evaluate_by_processes
    from benchmark.records.store import RecordStore, record_folder
    from benchmark.submissions.candidates import open_submission

    suite, store = content.suite, RecordStore(root)
    before, keys = _stated(record_folder(root, name, suite.id))
    candidate = open_submission(root / name, suite.targets, trust_code=trust_code)
    if keys and keys == find_keys(content, candidate, options):
        return {"submission": name, "outcome": "unchanged", "before": before, "digest": before}
    evaluation = evaluate_by_processes(content, candidate, options, count)
    record = store.put(name, suite.id, evaluation.write, reason)
    evaluation.clear()
    outcome = "same digest" if record.digest == before else "new digest"
    return {"submission": name, "outcome": outcome, "before": before, "digest": record.digest}


def reevaluate(
    content: Content, options: Options, count: int = 1, *, reason: str | None, trust_code: bool
) -> list[dict[str, Any]]:
    """Evaluate every committed submission with a record on a suite again, but where the record's keys still hold.

    One that fails does not keep the others from being evaluated.

    Args:
        count: of processes.
        reason: why records are superseded; None: they were never published and are replaced.

    Returns:
        By submission: `outcome` ("unchanged", "same digest", "new digest" or "failed"), the digest `before` and the
        `digest` now, and the `error` of one that failed.
    """
    from benchmark.errors import UserError
    from benchmark.files.paths import submissions_root
    from benchmark.records.store import RecordStore, record_folder
    from benchmark.submissions.submission import list_submissions

    root, suite_id = submissions_root(), content.suite.id
    names = [name for name in list_submissions(root) if record_folder(root, name, suite_id).is_dir()]
    rows = []
    for name in names:
        try:
            RecordStore(root).check_free(name, suite_id, reason=reason, overwriting=reason is None)
            row = _renew(root, name, content, options, count, reason=reason, trust_code=trust_code)
        except UserError as error:
            row = {"submission": name, "outcome": "failed", "before": "", "digest": "", "error": str(error)}
            click.echo(f"{name}: {error}", err=True)
        rows.append(row)
    return rows


def evaluate_all(
    suite_id: str,
    data_folder: Path | None,
    device: torch.device,
    threads: int | None,
    batch_size: int,
    *,
    reason: str | None,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Run `reevaluate` and print what came of it.

    Raises:
        UserError: a submission could not be evaluated.
    """
    from tabulate import tabulate

    from benchmark.content.content import Content
    from benchmark.engine.jobs import Options
    from benchmark.engine.processes import share_cores
    from benchmark.errors import UserError
    from benchmark.files.cache import cache_root
    from benchmark.files.storing import check_writable
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)
    check_writable(cache_root(), "INVBENCH_CACHE")
    quiet()
    content = Content(suite, load_lock(suite), data_folder)
    count = share_cores(suite, device, threads, isolated=trust_code)
    rows = reevaluate(content, Options(device, batch_size), count, reason=reason, trust_code=trust_code)
    if as_json:
        print_json(rows)
    else:
        shown = [[row["submission"], row["outcome"], row["before"][:16], row["digest"][:16]] for row in rows]
        click.echo(tabulate(shown, headers=["submission", "outcome", "digest before", "digest now"]))
    if failed := [row["submission"] for row in rows if row["outcome"] == "failed"]:
        raise UserError(f"{len(failed)} of {len(rows)} could not be evaluated: {', '.join(failed)}")
