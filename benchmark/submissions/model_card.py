"""What the Hub shows of an inverse: its model card, and its scores as evaluation results. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmark.inverses.spec import InverseConfig, get_method
from benchmark.records.record import AxisScore
from benchmark.submissions.markdown import plain
from benchmark.submissions.matching import Match
from benchmark.suites.spec import AXES

__all__ = ["BENCHMARKS", "find_datasets", "find_license", "find_papers", "render_card", "render_results"]

BENCHMARKS = "invbench"
"""The owner, on the Hub, of the datasets that stand for the suites: the one for mini@1 is its `mini-1`."""
PAPER = "2412.06534"
"""The arXiv id of the work that the benchmark follows."""
TASK = "image-to-image"
"""The nearest of the Hub's tasks: none is called feature inversion."""

LICENSES = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bigcode-openrail-m", "bigscience-bloom-rail-1.0",
    "bigscience-openrail-m", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc",
    "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0",
    "creativeml-openrail-m", "deepfloyd-if-license", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "gemma",
    "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "lgpl-lr", "llama2", "lppl-1.3c", "mit",
    "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "openrail", "openrail++", "osl-3.0", "pddl", "postgresql",
    "unknown", "unlicense", "wtfpl", "zlib",
})  # fmt: skip
"""The ids of licenses that the Hub knows."""

DATASETS = {
    "detection-datasets/coco": r"coco|coco-?2017|train2017",
    "ILSVRC/imagenet-1k": r"imagenet|imagenet-?1k|ilsvrc(-?2012)?",
}
"""By id on the Hub, the names that a dataset goes by."""


def find_license(stated: str) -> dict[str, str]:
    """Fields of the card for a license, by SPDX id or the Hub's own: `other` with its name where the Hub has no id."""
    known = re.sub(r"-(only|or-later)$", "", stated.strip().lower())
    if known in LICENSES:
        return {"license": known}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", stated.lower()).strip("-.") or "other"}


def find_datasets(training: str) -> list[str]:
    """Ids on the Hub of the datasets that a training names: whole words only, `tiny-imagenet` is another."""
    found = (repo for repo, names in DATASETS.items() if re.search(rf"(?<![\w.-])({names})(?![\w.-])", training, re.I))
    return sorted(found)


def find_papers(source: str) -> list[str]:
    """The arXiv ids that the source of a method names, and that of the work that the benchmark follows."""
    return list(dict.fromkeys([*re.findall(r"arXiv (\d{4}\.\d{4,5})", source), PAPER]))


def _ranked(config: InverseConfig, matches: Iterable[Match]) -> Iterator[tuple[Match, str, AxisScore]]:
    """The scores that take a place on a board: record, axis and score."""
    for match in matches:
        axes = match.record.targets[config.target].axes
        for axis in AXES:
            if match.unranked is None and axis in axes and axes[axis].value is not None:
                yield match, axis, axes[axis]


def render_results(config: InverseConfig, matches: Iterable[Match]) -> dict[str, str]:
    """The files of `.eval_results` by path: one per suite, one entry per axis that is ranked on the target."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files: dict[str, list[Any]] = {}
    for match, axis, score in _ranked(config, matches):
        record = match.record
        suite = record.suite.replace("@", "-")
        notes = f"{record.suite}, {record.images} images, 0 the best trivial answer, 1 the image itself"
        if score.low is not None and score.high is not None:
            notes += f"; 95 % interval {score.low:.4f} to {score.high:.4f}"
        entry = EvalResultEntry(
            dataset_id=f"{BENCHMARKS}/{suite}",
            task_id=f"{config.target}_{axis}",
            value=score.value,
            date=record.run.started,
            notes=f"{notes}; record {record.digest}",
        )
        files.setdefault(f".eval_results/{BENCHMARKS}-{suite}.yaml", []).append(entry)
    return {
        path: yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
        for path, entries in files.items()
    }


def _render_metadata(repo_id: str, config: InverseConfig, matches: Sequence[Match], stated: str | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=TASK,
            task_name=f"feature inversion of {config.target}",
            dataset_type=f"{BENCHMARKS}/{match.record.suite.replace('@', '-')}",
            dataset_name=f"invbench {match.record.suite}",
            metric_type=axis,
            metric_name=f"{axis} (0 the best trivial answer, 1 the image itself)",
            metric_value=score.value,
        )
        for match, axis, score in _ranked(config, matches)
    ]
    suites = dict.fromkeys(f"suite:{match.record.suite}" for match, _, _ in _ranked(config, matches))
    known: dict[str, Any] = find_license(stated) if stated else {}
    metadata = ModelCardData(
        model_name=repo_id.rpartition("/")[2],
        base_model=config.target_repo_id,
        base_model_relation="adapter" if config.target_repo_id else None,
        datasets=find_datasets(str(config.training.get("data", ""))) or None,
        library_name="invbench",
        pipeline_tag=TASK,
        tags=["feature-inversion", f"method:{config.method}", f"target:{config.target}", *suites],
        eval_results=results or None,
        **known,
    )
    return metadata.to_yaml()


def _render_table(rows: Iterable[Sequence[str]], headers: Sequence[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=headers, tablefmt="pipe", stralign=None, disable_numparse=True)


def _render_scores(config: InverseConfig, matches: Sequence[Match]) -> str:
    rows = []
    for match in matches:
        record, cells = match.record, [match.record.suite]
        for axis in AXES:
            score = record.targets[config.target].axes.get(axis)
            if score is None or score.value is None:
                cells.append("-")
            elif score.low is None or score.high is None:
                cells.append(f"{score.value:.3f}")
            else:
                cells.append(f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})")
        state = f"not ranked: {match.unranked}, " if match.unranked else ""
        rows.append([*cells, str(record.images), f"{state}digest {record.digest[:16]}"])
    return _render_table(rows, ["suite", *AXES, "images", "record"])


def _render_papers(config: InverseConfig, matches: Sequence[Match]) -> list[str]:
    links = [match.submission.links.paper for match in matches if match.submission]
    urls = [f"https://arxiv.org/abs/{number}" for number in find_papers(get_method(config.method).source)]
    return [f"- <{url}>" for url in dict.fromkeys([*filter(None, links), *urls])]


def render_card(repo_id: str, config: InverseConfig, matches: Sequence[Match], stated: str | None) -> str:
    """The model card of an inverse (Markdown after YAML), with the scores of its records.

    Args:
        repo_id: `owner/name` on the Hub.
        stated: the license of the weights, by SPDX id or the Hub's own.
    """
    target = f"`{config.target}`"
    if config.target_repo_id:
        target += f" (`{config.target_repo_id}` at `{config.target_revision or 'an unknown commit'}`)"
    method = get_method(config.method)
    scores = ["Not evaluated yet."]
    if matches:
        scores = [
            "0 is the best trivial answer, 1 the image itself; 95 % intervals.",
            "",
            _render_scores(config, matches),
        ]
    training = ((plain(name), plain(value)) for name, value in config.training.items())
    layers = ((tap, " x ".join(map(str, shape))) for tap, shape in config.taps.items())
    lines = [
        f"# {plain(repo_id)}",
        "",
        f"An inverse of {target}: rebuilds the image from the features at {len(config.taps)} of its layers.",
        f"Method `{config.method}`: {plain(method.title)} ({plain(method.source)}).",
        "",
        "```sh",
        f"invbench eval --inverse {repo_id}@REVISION --suite {matches[0].record.suite if matches else 'SUITE'}",
        "```",
        "",
        "REVISION is the full commit. Only `config.json` and `model.safetensors` are read, and nothing is executed.",
        *["", "## Scores", "", *scores],
        *["", "## Training", "", _render_table(training, ["", ""])],
        *["", "## Layers", "", _render_table(layers, ["tap", "features"])],
        *["", "## Papers", "", *_render_papers(config, matches)],
    ]
    metadata = _render_metadata(repo_id, config, matches, stated)
    return f"---\n{metadata}\n---\n\n" + "\n".join(lines) + "\n"
