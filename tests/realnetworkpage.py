"""The page on a real network: its figures, from records and their lock, and the text that they give."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tabulate import tabulate

from benchmark.content.content import Content
from benchmark.records.equivalent import find_equivalent, yardstick_of
from benchmark.records.record import Record, TapScore, load_record
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.taps import Features

if TYPE_CHECKING:
    from realnetwork import Walk

__all__ = ["AXES", "EMBEDDED_SHARE", "EXTRAS", "collect_figures", "largest_share", "read_tables", "render_page"]

AXES = ("detail", "shape", "color")
EXTRAS = {"resolution_px": "resolved, px", "psnr": "PSNR, dB", "lpips_alex": "LPIPS", "hue_error_deg": "hue error, °"}
"""Reported metrics that the page shows, and their headings: on the photographs as they are, or over all hue kinds."""

DIGITS = {"psnr": 1, "lpips_alex": 3}
EMBEDDED_SHARE = 0.25
"""More than what the largest channel has of the variance at any tap of the embedded networks."""

RANKED = ("frc", "contour_f", "fg_transfer", "color_transfer")
Figures = dict[str, Any]


def _tap_figures(found: TapScore, yardsticks: dict[str, Any]) -> Figures:
    """Value and interval of every axis at a tap, and the thumbnail that is as good; null where there is none."""
    figures: Figures = {}
    for axis in AXES:
        score = found.axes[axis]
        same = find_equivalent(yardsticks[axis], axis, score)
        figures[axis] = {"value": score.value, "low": score.low, "high": score.high, "thumbnail": same and str(same)}
    return figures


def _extras(record: Record, tap: str) -> Figures:
    found: Figures = {}
    for name in EXTRAS:
        cells = {cell.perturbation: cell.value for cell in record.cells if (cell.tap, cell.metric) == (tap, name)}
        values = (
            [cells["identity"]] if "identity" in cells else [value for value in cells.values() if value is not None]
        )
        found[name] = round(fmean(values), 6) if None not in values and values else None
    return found


def _scored(record: Record) -> dict[str, int]:
    """How many photographs have a score, by ranked metric; it depends on the photograph alone."""
    cells = {cell.metric: cell.scored for cell in record.cells if cell.perturbation in ("identity", "hues")}
    return {name: cells[name] for name in RANKED}


def _method_figures(record: Record, target: Any, yardsticks: dict[str, Any]) -> Figures:
    inverse, taps = record.inverses[target.id], record.targets[target.id].taps
    kept = ("steps", "batch_size", "learning_rate", "photographs", "samples", "device_hours", "device")
    return {
        "parameters": inverse.parameters,
        "training": {name: inverse.training[name] for name in kept if name in inverse.training},
        "evaluation": {"wall_s": record.run.wall_s, "ms_per_recon": record.run.ms_per_recon[target.id]},
        "images": record.images,
        "taps": {tap: _tap_figures(taps[tap], yardsticks) | _extras(record, tap) for tap in target.tap_names},
    }


def largest_share(features: Features) -> float:
    """Share of the largest channel in the variance over images at the same place, of patches where there is a grid."""
    tensor = features.tensor.flatten(2).transpose(1, 2) if features.tensor.ndim == 4 else features.tensor
    variances = tensor[:, -math.prod(features.grid or tensor.shape[1:2]) :].double().var(0).sum(0)
    return float(variances.max() / variances.sum())


def _feature_figures(walk: Walk, suite: Suite, lock: Lock) -> Figures:
    """How unlike the channels of real features are, by tap: in variance and in size."""
    target, size = suite.targets[0], suite.targets[0].input_size
    network = load_target(target, walk.weights, torch.device("cpu"))
    images = Content(suite, lock, walk.data).images
    pixels = np.stack([images.load(index, size).image for index in range(suite.layer_images)])
    with torch.inference_mode():
        features = network.features(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    figures: Figures = {}
    for tap, item in features.items():
        sizes = item.tensor.abs()
        figures[tap] = {
            "largest_share": round(largest_share(item), 4),
            "largest": round(float(sizes.max()), 3),
            "median": round(float(sizes.median()), 3),
        }
    return figures


def collect_figures(walk: Walk, methods: Sequence[str]) -> Figures:
    """What the page says in numbers, as JSON values, of the records that a walk has left."""
    suite = load_suite(str(walk.suite))
    lock, target = load_lock(suite), suite.targets[0]
    yardsticks = {axis: yardstick_of(lock, target, axis) for axis in AXES}
    records = {method: load_record(walk.record_folder(method)) for method in methods}
    return {
        "suite": suite.id,
        "groups": len({lock.groups.get(name.partition("@")[0], name) for name in lock.images}),
        "split": walk.split(methods[-1]),
        "features": _feature_figures(walk, suite, lock),
        "layers": [stage.model_dump(mode="json") for stage in records["ridge"].layers[target.id]],
        "scored": _scored(records[methods[0]]),
        "methods": {name: _method_figures(record, target, yardsticks) for name, record in records.items()},
    }


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _with_interval(score: Figures) -> str:
    if score["low"] is None:
        return _number(score["value"])
    return f"{_number(score['value'])} [{_number(score['low'])}, {_number(score['high'])}]"


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _split_table(split: Figures) -> str:
    rows = [
        ["sample of COCO val2017, with masks", split["coco"]],
        ["sample of ImageNet, one of each of 100 classes", split["imagenet"]],
        ["evaluated: of COCO, chosen by the suite's rule", split["evaluated"]],
        ["left out of training, since the suite evaluates them", split["left_out"]],
        ["held out by the command to validate on; these trainings do not", split["held_out"]],
        ["**trained on**", split["training"]],
    ]
    return _table([[title, str(count)] for title, count in rows], ["photographs", "number"])


def _training_table(methods: Figures) -> str:
    rows = []
    for name, found in methods.items():
        training, evaluation = found["training"], found["evaluation"]
        steps = f"{training['steps']} of {training['batch_size']}" if "steps" in training else "closed form"
        minutes = training["device_hours"] * 60, evaluation["wall_s"] / 60
        numbers = f"{found['parameters'] / 1e6:.2f}", steps, f"{training['samples']:,}"
        rows.append([f"`{name}`", *numbers, *(f"{each:.1f}" for each in minutes), f"{evaluation['ms_per_recon']:.0f}"])
    headers = ("million numbers", "steps", "samples", "minutes of training", "minutes of evaluation", "ms per recon")
    return _table(rows, ["method", *headers])


def _score_table(taps: Figures) -> str:
    rows = []
    for tap, found in taps.items():
        cells = [f"`{tap}`"]
        for axis in AXES:
            cells += [_with_interval(found[axis]), found[axis]["thumbnail"] or "–"]
        rows.append(cells + [_number(found[name], DIGITS.get(name, 0)) for name in EXTRAS])
    headers = [title for axis in AXES for title in (axis.upper(), "thumbnail")]
    return _table(rows, ["tap", *headers, *EXTRAS.values()])


def read_tables(page: str) -> dict[str, dict[str, list[str]]]:
    """The cells of the score tables of a page, without the tap, by method and tap."""
    tables: dict[str, dict[str, list[str]]] = {}
    for part in page.partition("\n## Scores\n")[2].partition("\n## ")[0].split("\n### ")[1:]:
        heading, *lines = part.splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
        tables[heading.strip("`")] = {tap.strip("`"): cells for tap, *cells in rows}
    return tables


def _feature_table(features: Figures) -> str:
    rows = [
        [f"`{tap}`", f"{found['largest_share']:.0%}", f"{found['largest']:.0f}", f"{found['median']:.2f}"]
        for tap, found in features.items()
    ]
    return _table(rows, ["tap", "variance in the largest channel", "largest value", "median value"])


def _layer_pairs(stages: list[Figures]) -> Iterator[tuple[str, str, float | None, float | None, float | None]]:
    """Two taps, their CKA, and the transfer from the shallower to the inverse of the deeper and the other way round."""
    for stage in stages:
        for (i, first), (j, second) in combinations(enumerate(stage["taps"]), 2):
            yield first, second, stage["cka"][i][j], stage["normalized"][i][j], stage["normalized"][j][i]


def _layer_table(stages: list[Figures]) -> str:
    rows = [[f"`{one}` and `{two}`", *map(_number, numbers)] for one, two, *numbers in _layer_pairs(stages)]
    return _table(rows, ["taps", "linear CKA", "`ridge` of the deeper, fed the shallower", "the other way round"])


def _upwards(stages: list[Figures]) -> str:
    found = [up for *_, up, _ in _layer_pairs(stages) if up is not None]
    if not found or min(found) <= 1:
        return ""
    return (
        "What a linear map fitted at a deeper tap reads is there at shallower ones, too, and clearer: it gives more "
        "detail from their features than from its own (all above 1)."
    )


def _massive(features: Figures) -> str:
    found = {tap: item["largest_share"] for tap, item in features.items() if item["largest_share"] > EMBEDDED_SHARE}
    if not found:
        return f"No channel holds more than {EMBEDDED_SHARE:.0%} of the variance at any tap."
    said = " and ".join(f"{share:.0%} at `{tap}`" for tap, share in found.items())
    return (
        f"One channel holds {said}: *massive activations*, as large transformers are known for. At no tap of the "
        f"embedded networks has a channel more than {EMBEDDED_SHARE:.0%}. They sway whatever weighs channels as they "
        "are: linear CKA, and the distance that `optimize` and `deep_prior` descend on. `modular` and `end_to_end` see "
        "standardized channels. Read CKA between such taps with care, and transfer beside it."
    )


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted) or "none"


def _against_the_mean(methods: Figures) -> str:
    beaten = {}
    for name in methods.keys() - {"mean"}:
        cells = [
            (found[axis]["low"] > methods["mean"]["taps"][tap][axis]["high"])
            for tap, found in methods[name]["taps"].items()
            for axis in AXES
        ]
        beaten[name] = f"`{name}` at {sum(cells)} of {len(cells)}"
    said = ", ".join(beaten[name] for name in methods if name in beaten)
    return f"The whole interval lies above that of the mean image, of all pairs of tap and axis, for {said}."


def _first(scores: dict[str, Figures]) -> str:
    """The method with the highest score, and those whose intervals overlap with its own."""
    order = sorted(scores, key=lambda name: -scores[name]["value"])
    return " = ".join(f"`{name}`" for name in order if scores[name]["high"] >= scores[order[0]]["low"])


def _leader_table(methods: Figures) -> str:
    rows = []
    for tap in next(iter(methods.values()))["taps"]:
        cells = [_first({name: found["taps"][tap][axis] for name, found in methods.items()}) for axis in AXES]
        rows.append([f"`{tap}`", *cells])
    return _table(rows, ["tap", *map(str.upper, AXES)])


def _disagreement(methods: Figures) -> str:
    """Which methods are first by the metrics that are only reported, at the deepest tap."""
    taps = {name: list(found["taps"].values())[-1] for name, found in methods.items()}
    psnr, lpips = (sorted(taps, key=lambda name: taps[name][metric]) for metric in ("psnr", "lpips_alex"))
    if psnr[-1] == lpips[0]:
        return f"At the last tap `{lpips[0]}` is first by PSNR and by LPIPS."
    return f"At the last tap PSNR puts `{psnr[-1]}` first, and LPIPS `{lpips[0]}`. Both are only reported."


def _depth_table(methods: Figures) -> str:
    rows = []
    for name, found in methods.items():
        taps = list(found["taps"].values())
        shares = [taps[-1][axis]["value"] / taps[0][axis]["value"] for axis in AXES]
        rows.append([f"`{name}`", *(f"{share:.0%}" for share in shares)])
    return _table(rows, ["method", *map(str.upper, AXES)])


def _falling(methods: Figures) -> str:
    said = []
    for axis in AXES:
        values = {name: [tap[axis]["value"] for tap in found["taps"].values()] for name, found in methods.items()}
        falling = [name for name, found in values.items() if found == sorted(found, reverse=True)]
        said.append(f"{axis.upper()} for {_listed(falling)}")
    return f"Each tap has less than the one before: {'; '.join(said)}."


def _inner_taps(methods: Figures) -> str:
    taps = methods["modular"]["taps"]
    *inner, last = [tap for tap in taps if tap.startswith("encoder.")]
    said = ", ".join(f"{taps[tap]['detail']['value']:.3f} at `{tap}`" for tap in inner)
    return (
        f"`modular` has one network for the whole encoder, trained at `{last}` and used at the inner taps as it is: "
        f"its DETAIL is {said}, and {taps[last]['detail']['value']:.3f} at `{last}` itself."
    )


def _reading(methods: Figures) -> list[str]:
    trained = {name: found for name, found in methods.items() if name != "mean"}
    lines = [_against_the_mean(methods), _disagreement(trained), _falling(trained), _inner_taps(methods)]
    return [
        "First by each axis, with those whose intervals overlap (=):",
        _leader_table(trained),
        "What the last tap keeps of the score at the first:",
        _depth_table(trained),
        "\n".join(f"- {line}" for line in lines),
    ]


def render_page(figures: Figures) -> str:
    """The page as Markdown."""
    methods, split = figures["methods"], figures["split"]
    images, device = next(iter(methods.values()))["images"], next(iter(methods.values()))["training"]["device"]
    blocks = [
        "# A real network, at photograph size",
        "Written by `just real-network` (`tests/realnetwork.py`) from the records of its run; the figures alone are in "
        "[real-network.json](real-network.json).",
        "A ViT-Ti/16 (12 blocks, 192 channels, 5.7 million weights, trained on ImageNet-1k at 224x224 pixels) goes "
        "the way of the suites of the field: fetched from a Hub, locked, trained for, evaluated, put on a board. "
        "Network and photographs are those of the test assets, which are not part of the repository.",
        f"**This is no leaderboard.** {split['training']} photographs and trainings of minutes are far too few to "
        "train an inverse, so the scores say little about the methods and less about ViTs. The page shows that the "
        "way works with a real network, what it costs, and how its features behave. The suite is a draft, and its "
        "records are never ranked.",
        "## Photographs",
        _split_table(split),
        f"Intervals rest on {images} photographs in {figures['groups']} groups, and on one training of each method: "
        "what another seed would give is not in them. Scored are "
        + ", ".join(f"{count} by `{name}`" for name, count in figures["scored"].items())
        + ": some metrics ask for more contour, contrast or color than every photograph has. "
        "`train inverse` was given all photographs and left out those that the suite evaluates: it compares the "
        "SHA-256 of the files, that of the pixels, and a coarse pattern of lightness. The test compares the files "
        "once more.",
        "## Trainings",
        f"On one thread of an {device} that was shared with other work, so that times are upper bounds; evaluations, "
        "site included, in one process. Recipes: `tests/recipes/`.",
        _training_table(methods),
        "## Scores",
        f"`{figures['suite']}` has 4 of the 13 taps, to keep the trainings short. Means over {images} photographs with "
        "95 % intervals, each beside the thumbnail of the photograph that scores the same, with its interval in rows "
        "([metrics.md](metrics.md)).",
        *(f"### `{name}`\n\n{_score_table(found['taps'])}" for name, found in methods.items()),
        "## Features",
        f"Of the first {figures['layers'][0]['images']} photographs: the share of the largest of 192 channels in the "
        "variance between photographs at the same patch, and absolute values of all tokens.",
        _feature_table(figures["features"]),
        "The layer comparison of the record of `ridge`, on the same photographs; transfer is `frc` over what the "
        "inverse has at its own tap:",
        _layer_table(figures["layers"]),
        *filter(None, [_upwards(figures["layers"])]),
        _massive(figures["features"]),
        "## Reading",
        *_reading(methods),
        "## Again",
        "`INVBENCH_TEST_ASSETS=DIR just real-network` needs in DIR `coco_val2017_sample` (photographs of COCO val2017 "
        "in COCO's layout), `imagenet_sample` (any photographs), `hub/vit-tiny-patch16-224` (the network as the Hub "
        "holds it) and `lpips/alexnet_features.safetensors` (what `invbench data lpips` installs). Other "
        "photographs give other figures. `just real-network FOLDER` keeps everything in FOLDER and resumes there.",
    ]
    return "\n\n".join(blocks) + "\n"
