"""Publishing an inverse on the Hub: what is uploaded, and its model card with the scores of records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark.content import hub
from benchmark.content.hub_errors import one_line
from benchmark.errors import SpecError, UserError
from benchmark.files.canonical import sha256_file
from benchmark.inverses.base import load_inverse
from benchmark.inverses.code import load_code
from benchmark.inverses.spec import InverseConfig, get_method
from benchmark.records.record import Record, load_record
from benchmark.submissions.markdown import plain
from benchmark.suites.spec import AXES

__all__ = ["Publication", "find_records", "prepare", "upload"]

FILES = ("config.json", "model.safetensors")
CARD = "README.md"


@dataclass(frozen=True)
class Publication:
    """What is uploaded: the checked files of an inverse, and the text of its model card."""

    repo_id: str
    folder: Path
    config: InverseConfig
    card: str
    records: tuple[Record, ...]

    def files(self) -> list[dict[str, Any]]:
        """Return name, size in bytes and SHA-256 of every file that is uploaded."""
        card = self.card.encode()
        rows = [
            {"file": name, "bytes": (self.folder / name).stat().st_size, "sha256": sha256_file(self.folder / name)}
            for name in FILES
        ]
        return [*rows, {"file": CARD, "bytes": len(card), "sha256": hashlib.sha256(card).hexdigest()}]


def find_records(folder: Path, target: str, roots: Sequence[Path]) -> list[Record]:
    """Return the records below `roots` that were made with the very weights in `folder`, by suite."""
    weights = sha256_file(folder / "model.safetensors")
    records: dict[str, Record] = {}
    for root in roots:
        for path in sorted(root.glob("*/records/*/record.json")):
            try:
                record = load_record(path.parent)
            except UserError:
                continue
            if target in record.inverses and record.inverses[target].files.get("model.safetensors") == weights:
                records[record.suite] = record
    return [records[suite] for suite in sorted(records)]


def _results(config: InverseConfig, record: Record) -> list[Any]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="image-to-image",
            task_name=f"feature inversion of {config.target}",
            dataset_type=record.suite,
            dataset_name=f"invbench {record.suite}",
            dataset_revision=record.suite_digest,
            metric_type=axis,
            metric_name=f"{axis} (0 the best trivial answer, 1 the image itself)",
            metric_value=score.value,
        )
        for axis in AXES
        if (score := record.targets[config.target].axes.get(axis)) is not None and score.value is not None
    ]


def _render_table(rows: Iterable[Sequence[str]], headers: Sequence[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=headers, tablefmt="pipe", stralign=None, disable_numparse=True)


def _render_scores(config: InverseConfig, records: Sequence[Record]) -> str:
    rows = []
    for record in records:
        axes = record.targets[config.target].axes
        cells = [record.suite]
        for axis in AXES:
            score = axes.get(axis)
            if score is None or score.value is None:
                cells.append("-")
            else:
                cells.append(f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})")
        state = [record.status, *(["draft"] if record.draft else [])]
        cells += [str(record.images), f"{', '.join(state)}, digest {record.digest[:16]}"]
        rows.append(cells)
    return _render_table(rows, ["suite", *AXES, "images", "record"])


def _render_card(repo_id: str, config: InverseConfig, records: Sequence[Record], license_id: str | None) -> str:
    from huggingface_hub import ModelCard, ModelCardData

    metadata = ModelCardData(
        model_name=repo_id.rpartition("/")[2],
        base_model=config.target_repo_id,
        library_name="invbench",
        license=license_id,
        tags=["feature-inversion", f"method:{config.method}"],
        eval_results=[result for record in records for result in _results(config, record)] or None,
    )
    target = f"`{config.target}`"
    if config.target_repo_id:
        target += f" (`{config.target_repo_id}` at `{config.target_revision or 'an unknown commit'}`)"
    lines = [
        f"# {repo_id}",
        "",
        f"An inverse of {target}: rebuilds the image from the features at {len(config.taps)} of its layers.",
        f"Method `{config.method}`: {get_method(config.method).title}.",
        "",
        "```sh",
        f"invbench eval --inverse {repo_id}@REVISION --suite {records[0].suite if records else 'SUITE'}",
        "```",
        "",
        "REVISION is the full commit. Only `config.json` and `model.safetensors` are read, and nothing is executed.",
        "",
        "## Scores",
        "",
    ]
    if records:
        scores = _render_scores(config, records)
        lines += ["0 is the best trivial answer, 1 the image itself; 95 % intervals.", "", scores]
    else:
        lines.append("Not evaluated yet.")
    training = ((plain(name), plain(value)) for name, value in config.training.items())
    layers = ((tap, " x ".join(map(str, shape))) for tap, shape in config.taps.items())
    lines += ["", "## Training", "", _render_table(training, ["", ""])]
    lines += ["", "## Layers", "", _render_table(layers, ["tap", "features"])]
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n" + "\n".join(lines) + "\n"))


def prepare(
    folder: Path, repo_id: str, roots: Sequence[Path], license_id: str | None = None, code: Path | None = None
) -> Publication:
    """Check an inverse and write its model card, without any network.

    Args:
        folder: holds `config.json` and `model.safetensors`; other files are left out.
        repo_id: `owner/name` on the Hub.
        roots: folders of submissions in which records of this very inverse are looked for.
        code: the file with the inverse's architecture, if it is not the package's own; it is imported.

    Raises:
        SpecError: a file is absent, a link or malformed, or the id is none.
        IntegrityError: the tensors are not what the configuration says.
    """
    hub.check_repo(repo_id, repo_id)
    for name in FILES:
        if (folder / name).is_symlink():
            raise SpecError("is a link; a file is uploaded as it lies", where=str(folder / name), cure="copy the file")
    if code is not None:
        load_code(code, trained=True)
    config = load_inverse(folder, torch.device("cpu")).config
    records = find_records(folder, config.target, roots)
    card = _render_card(repo_id, config, records, license_id)
    return Publication(repo_id, folder, config, card, tuple(records))


def upload(publication: Publication, *, private: bool) -> str:
    """Create the repository if there is none, upload the files as one commit, and return it (40 hex digits).

    Raises:
        UserError: the Hub cannot be reached, or does not allow it.
    """
    with one_line(f"{hub.endpoint()}/{publication.repo_id}"):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi()
        api.create_repo(publication.repo_id, private=private, exist_ok=True)
        operations = [CommitOperationAdd(name, str(publication.folder / name)) for name in FILES]
        operations.append(CommitOperationAdd(CARD, publication.card.encode()))
        info = api.create_commit(publication.repo_id, operations, commit_message="Upload inverse")
    return info.oid
