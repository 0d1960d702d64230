"""Commands that check records by computing again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.commands.challenge import Wanted, challenge_options, run_challenge
from benchmark.commands.common import (
    EXISTING_FOLDER,
    data_folder_option,
    device_option,
    json_option,
    open_device,
    print_json,
    quiet,
    suite_option,
    threads_option,
)
from benchmark.commands.isolation import isolate, require_option, trust_option

if TYPE_CHECKING:
    from benchmark.records.receipts import Receipt

__all__ = ["rescore_command", "verify"]


def _check_name(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Refuse, before any work, a name that a receipt cannot hold."""
    from pydantic import TypeAdapter, ValidationError

    from benchmark.errors import SpecError
    from benchmark.files.declarations import explain
    from benchmark.files.fields import Line

    try:
        return None if value is None else TypeAdapter[str](Line).validate_python(value)
    except ValidationError as error:
        message = explain(error, "--by").message.partition(": ")[2]
        raise SpecError(message, where="--by", cure="give a name on one line") from None


by_option = click.option(
    "--by", metavar="NAME", callback=_check_name, help="Who checks; with it a receipt is written beside the record."
)


def _report(receipt: Receipt, folder: Path, by: str | None, as_json: bool, allowed: Mapping[str, str]) -> None:
    """Print what a check found, and write its receipt if it agrees and somebody stands by it."""
    from tabulate import tabulate

    from benchmark.errors import IntegrityError
    from benchmark.records.receipts import write_receipt

    path = write_receipt(folder, receipt) if by and receipt.agrees else None
    if as_json:
        print_json(receipt.model_dump(mode="json") | {"agrees": receipt.agrees, "receipt": str(path) if path else None})
    else:
        head = ["metric", "compared", "equal", "largest", "allowed", "beyond", "unmatched"]
        rows = [
            [name, d.compared, d.equal, f"{d.largest:.3g}", allowed[name], d.beyond, d.unmatched]
            for name, d in receipt.differences.items()
        ]
        click.echo(tabulate(rows, headers=head, tablefmt="simple", disable_numparse=True))
        word = "agrees" if receipt.agrees else "differs"
        click.echo(f"\n{receipt.submission} on {receipt.suite}, {receipt.images} images, {receipt.kind}: {word}")
        if path:
            click.echo(f"Receipt {path}")
    if not receipt.agrees:
        worst = [name for name, d in receipt.differences.items() if not d.agrees]
        message = f"{', '.join(worst) or 'nothing'} is not what the record states" if worst else "nothing was compared"
        raise IntegrityError(message, where=str(folder / "record.json"), cure="evaluate again")


def _open_record(reference: str, suite_id: str, data_folder: Path | None) -> tuple[Path, Any, Any, Any]:
    """Return the record's folder, the suite's content, the record, and what its tables hold."""
    from benchmark.content.content import Content
    from benchmark.records.consistency import check_record
    from benchmark.records.record import load_record
    from benchmark.submissions.submission import find_submission
    from benchmark.suites.catalog import load_suite
    from benchmark.suites.lock import load_lock

    suite = load_suite(suite_id)
    lock = load_lock(suite)
    submission, _ = find_submission(reference)
    folder = submission / "records" / suite.id
    record = load_record(folder)
    return folder, Content(suite, lock, data_folder), record, check_record(suite, lock, submission.name, folder, record)


@click.command("rescore")
@click.argument("reference", metavar="ID|PATH")
@suite_option
@by_option
@data_folder_option
@device_option
@threads_option
@json_option
def rescore_command(
    reference: str,
    suite_id: str,
    by: str | None,
    data_folder: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score the audit images of a record again, from their pixels, and compare. Imports nothing of the submission.

    Before that, everything in the record that follows from its tables is recomputed and compared.

    \b
    Examples:
      invbench rescore ridge
      invbench rescore submissions/my-method --json
    """
    from benchmark.engine.rescore import make_receipt, rescore
    from benchmark.records.receipts import ROUNDING
    from benchmark.suites.audit import stored_images

    quiet()
    folder, content, record, checked = _open_record(reference, suite_id, data_folder)
    torch_device = open_device("cpu" if device == "auto" else device, threads)
    images = len(stored_images(content.suite, content.lock, checked[0][0].images))
    differences = rescore(content, checked, torch_device)
    receipt = make_receipt("rescored", record, differences, torch_device, by or "nobody", images)
    _report(receipt, folder, by, as_json, dict.fromkeys(differences, f"{ROUNDING:g} rel."))


def _open_candidate(folder: Path, suite: Any, record: Any, trust_code: bool, require_isolation: bool) -> Any:
    """Return the candidate behind a record, which lies in `folder`, on the record's targets and in workers."""
    from benchmark.submissions.candidates import open_submission

    specs = [suite.target(name) for name in record.targets]
    candidate = open_submission(folder.parent.parent, specs, trust_code=trust_code)
    return isolate(candidate, wanted=True, required=require_isolation)


def _run_again(
    candidate: Any, submission: Path, content: Any, record: Any, images: Sequence[str], device: Any, limit: int | None
) -> tuple[Any, Any]:
    """Return the record of a rerun and its scores, once its recons are known to depend on their own tap alone.

    Args:
        images: that the record has scores of: the first so many, and perhaps audit images beyond.
    """
    import tempfile
    from itertools import takewhile
    from operator import eq

    from benchmark.engine.contract import add_others, find_breaches, refuse_breaches
    from benchmark.engine.evaluation import evaluate
    from benchmark.engine.jobs import Options
    from benchmark.engine.rescore import check_inverses
    from benchmark.records.scores import scores_from_table

    suite, specs = content.suite, [content.suite.target(name) for name in record.targets]
    targets = None if len(specs) == len(suite.targets) else tuple(record.targets)
    first = len(list(takewhile(bool, map(eq, images, content.images.ids))))
    options = Options(device, limit=limit or first, targets=targets, audited=limit is None and first < len(images))
    with tempfile.TemporaryDirectory() as temporary:
        evaluation = evaluate(content, candidate, options)
        again = evaluation.write(Path(temporary))
        evaluation.clear()
        check_inverses(record, again, str(submission))
        scores = scores_from_table(suite, evaluation.scores, again.targets.keys(), again.images)
        audited = add_others(content, content.images, candidate, scores, evaluation.audited, device)
        refuse_breaches(find_breaches(content, candidate, audited, device), str(submission))
    return again, scores


@click.command("verify")
@click.argument("reference", metavar="ID|PATH")
@suite_option
@click.option("--rerun", type=EXISTING_FOLDER, help="Folder with the record of a rerun [default: run it now].")
@click.option("--limit", type=click.IntRange(1), help="Only the first N images; that reproduces nothing yet.")
@challenge_options
@trust_option
@require_option
@by_option
@data_folder_option
@device_option
@threads_option
@json_option
def verify(
    reference: str,
    suite_id: str,
    rerun: Path | None,
    limit: int | None,
    challenge: Wanted | None,
    trust_code: bool,
    require_isolation: bool,
    by: str | None,
    data_folder: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Run the evaluation behind a record again and compare scores, to the metrics' tolerances, and what goes with them.

    The inverse runs in a worker: it is given features, and has nothing else in reach, the record least of all. Then the
    audit images, and a few drawn anew, are inverted once more, a tap, an image and a perturbation at a time, in reverse
    order, by inverses just loaded: a recon that looks at other taps or remembers earlier calls is found.

    With --rerun, the record in that folder is compared instead; it is treated as data that anybody may have written,
    and its own audit images are scored again. It must hold some: suites that store no pictures are run again here.

    With --challenge nothing is rerun: record and beacon draw fresh images, and the axis scores on these may be lower
    than the record's by chance alone. Whoever knows the images of the suite by heart fails (exit code 3).

    \b
    Examples:
      invbench verify ridge --by "B. Reader"
      invbench verify ridge --challenge --beacon RANDOMNESS --by "B. Reader"
      invbench verify my-method --suite coco@1 --device cuda --by "B. Reader"
      invbench verify my-method --rerun invbench-results --by "B. Reader"
    """
    from benchmark.engine.rescore import compare_reruns, load_rerun, make_receipt
    from benchmark.errors import SpecError
    from benchmark.metrics.spec import get_metric
    from benchmark.records.field_checks import check_fields
    from benchmark.records.store import record_folder

    quiet()
    folder, content, record, checked = _open_record(reference, suite_id, data_folder)
    if record.exploratory:
        cure = "evaluate without --precision and --compile"
        raise SpecError("was made to explore, in another arithmetic than official scores", where=str(folder), cure=cure)
    suite, torch_device = content.suite, open_device(device, threads)
    if rerun is not None:
        own = record_folder(rerun, record.submission.id, suite.id)
        again, scores = load_rerun(content, record, own, torch_device)
    else:
        candidate = _open_candidate(folder, suite, record, trust_code, require_isolation)
        if challenge:
            return run_challenge(challenge, content, candidate, record, checked, torch_device, folder, by, as_json)
        own, images = folder.parent.parent, checked[0][0].images
        again, scores = _run_again(candidate, own, content, record, images, torch_device, limit)
    check_fields(record, again, str(folder / "record.json"))
    differences = compare_reruns(suite, checked[0], scores)
    receipt = make_receipt(
        "reproduced", record, differences, torch_device, by or "nobody", again.images, again.digest, again.run.isolation
    )
    _report(receipt, folder, by, as_json, {name: f"{get_metric(name).tolerance:g}" for name in differences})
