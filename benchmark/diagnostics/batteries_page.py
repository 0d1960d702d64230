"""The results of the batteries: which bounds they break, as a page and as rows for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmark.diagnostics.batteries import GAIN_BOUND, TRIVIAL_BOUND, Batteries, Gain, battery_keys
from benchmark.diagnostics.batteries_filters import CHROMA_FILTERS, FILTERS, MIRROR_FILTERS
from benchmark.diagnostics.batteries_scores import Scored
from benchmark.metrics.spec import get_metric
from benchmark.suites.spec import Suite

__all__ = [
    "find_failures",
    "gain_failures",
    "render_batteries",
    "render_trial",
    "scored_rows",
    "trivial_failures",
    "write_rows",
]


def _number(value: float, digits: int = 3) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if not float(text) else text


def _with_error(pair: tuple[float, float]) -> str:
    return f"{_number(pair[0])} ± {_number(pair[1])}"


def trivial_failures(suite: Suite, title: str, scored: Scored) -> list[str]:
    """Where answers that ignore the image score too much.

    Their mean may be .02 on every axis and ranked metric; a single one may be that and two of its standard errors on
    an axis.
    """
    failures = []
    for key in battery_keys(suite):
        means = scored.means(key)
        battery = float(np.mean([value for value, _ in means.values()]))
        if battery > TRIVIAL_BOUND:
            failures.append(f"{key} of {title} images: {battery:.3f} in the mean over all answers")
        failures += [
            f"{key} of {title} images: {_with_error((value, error))} for {name}"
            for name, (value, error) in means.items()
            if key in suite.axes and value > TRIVIAL_BOUND + 2 * error
        ]
    return failures


def _bounded(gain: Gain, suite: Suite, key: str) -> bool:
    color = ("color", *suite.axes.get("color", ()))
    return gain.filter in FILTERS and not (gain.filter in CHROMA_FILTERS and key in color)


def gain_failures(suite: Suite, gains: Sequence[Gain]) -> list[str]:
    """Where a filter gains too much.

    In the mean over methods and taps it may gain .03 on every axis and ranked metric; on an axis, at one tap of one
    method, that and two standard errors.
    """
    failures = []
    for key in battery_keys(suite):
        bounded = [gain for gain in gains if _bounded(gain, suite, key)]
        for name in dict.fromkeys(gain.filter for gain in bounded):
            own = [gain for gain in bounded if gain.filter == name]
            mean = float(np.mean([gain.gains[key][0] for gain in own]))
            if mean > GAIN_BOUND:
                failures.append(f"{key}: {name} gains {mean:.3f} in the mean over methods and taps")
            single = [gain for gain in own if gain.gains[key][0] > GAIN_BOUND + 2 * gain.gains[key][1]]
            if single and key in suite.axes:
                most = max(single, key=lambda gain: gain.gains[key][0])
                where = f"{most.method} at {most.target} {most.tap}"
                found = f"most {_with_error(most.gains[key])} for {where}"
                failures.append(f"{key}: {name} gains too much at {len(single)} of {len(own)} taps, {found}")
    return failures


def find_failures(batteries: Batteries) -> list[str]:
    """Every bound that does not hold, in words; empty where all do."""
    failures = [
        f"the image optimized for {item.metric} scores no better in training than {item.best}, from which it came"
        for item in batteries.optimized
        if (item.after[item.best] > item.before[item.best]) != get_metric(item.metric).higher_is_better
    ]
    for title, scored in batteries.trivial.items():
        failures += trivial_failures(batteries.suite, title, scored)
    return failures + gain_failures(batteries.suite, batteries.filters)


def _weakness(batteries: Batteries) -> str:
    """What the edits that exploit the mirror decoys gain, in words."""
    found = []
    for name in MIRROR_FILTERS:
        own = [gain for gain in batteries.filters if gain.filter == name]
        means = {axis: float(np.mean([gain.gains[axis][0] for gain in own])) for axis in batteries.suite.axes}
        found.append(f"{name} gains " + ", ".join(f"{_number(mean)} on {axis}" for axis, mean in means.items()))
    return (
        "**A known weakness, which no bound covers.** A score is (v - c) / (1 - c_x), and c, what the mirrored recon "
        "scores, may be negative: an edit that takes from a recon what it has in common with its mirror images gains. "
        f"In the mean over methods and taps, {'; '.join(found)}. A perfect recon so edited exceeds 1 (last table)."
    )


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=align)


def _trivial_summary(batteries: Batteries) -> str:
    rows = []
    for key in battery_keys(batteries.suite):
        cells = [key]
        for scored in batteries.trivial.values():
            means = scored.means(key)
            worst = max(means, key=lambda name: means[name][0] - 2 * means[name][1])
            cells += [_number(float(np.mean([v for v, _ in means.values()]))), f"{_with_error(means[worst])} ({worst})"]
        rows.append(cells)
    titles = [f"{what}, {title}" for title in batteries.trivial for what in ("mean", "answer nearest its bound")]
    return _table(rows, ["axis or metric", *titles])


def _trivial_table(batteries: Batteries) -> str:
    axes, found = tuple(batteries.suite.axes), []
    columns = [scored.means(axis) for scored in batteries.trivial.values() for axis in axes]
    for name in next(iter(batteries.trivial.values())).names:
        found.append([name, *(_with_error(column[name]) for column in columns)])
    return _table(found, ["answer", *(f"{axis}, {title}" for title in batteries.trivial for axis in axes)])


def _optimized_table(batteries: Batteries) -> str:
    rows = []
    for item in batteries.optimized:
        held_out = [scored.means(item.metric)[f"optimized for {item.metric}"] for scored in batteries.trivial.values()]
        starts = (_number(item.before[name]) + " → " + _number(item.after[name]) for name in item.before)
        rows.append([item.metric, *starts, *map(_with_error, held_out)])
    starts_of = batteries.optimized[0].before if batteries.optimized else ()
    headers = [*(f"training, from {name}" for name in starts_of), *(f"{title} images" for title in batteries.trivial)]
    return _table(rows, ["metric", *headers])


def _gain_table(batteries: Batteries) -> str:
    rows, axes = [], tuple(batteries.suite.axes)
    for name in dict.fromkeys(gain.filter for gain in batteries.filters):
        own, cells = [gain for gain in batteries.filters if gain.filter == name], [name]
        for axis in axes:
            worst = max(own, key=lambda gain: gain.gains[axis][0])
            where = f"{worst.method}, {worst.target} {worst.tap}"
            mean = _number(float(np.mean([gain.gains[axis][0] for gain in own])))
            cells += [mean, f"{_with_error(worst.gains[axis])} ({where})"]
        rows.append(cells)
    headers = [title for axis in axes for title in (f"{axis}, mean", f"{axis}, largest")]
    return _table(rows, ["filter", *headers])


def _scored_table(scored: Scored, keys: Sequence[str], title: str) -> str:
    columns = [scored.means(key) for key in keys]
    return _table([[n, *(_with_error(column[n]) for column in columns)] for n in scored.names], [title, *keys])


def render_trial(suite: Suite, scored: Scored) -> str:
    """Scores of a few answers by ranked metric, as a Markdown table."""
    metrics = [metric for names in suite.axes.values() for metric in names]
    return _scored_table(scored, metrics, "answer") + "\n"


def render_batteries(batteries: Batteries) -> str:
    """All results as Markdown, the broken bounds first."""
    suite, failures = batteries.suite, find_failures(batteries)
    fresh = len(batteries.trivial["fresh"].groups)
    axes, keys = tuple(suite.axes), battery_keys(suite)
    verdict = "All bounds hold." if not failures else "Broken bounds:\n\n" + "\n".join(f"- {line}" for line in failures)
    blocks = [
        "# Batteries: what must score nothing, and what must gain nothing",
        f"Written by `invbench bench batteries --suite {suite.id} --images {fresh} --out docs/batteries.md`.",
        "A score is worth as much as the tricks that fail to raise it. The *trivial battery* holds answers that ignore "
        "where things are in the image, though they may know its colors and what images of the suite are like; they "
        "must score 0 on every ranked axis. The *filter battery* edits recons of real methods; no edit may gain. "
        f"Scores are means over images ± one standard error; images that share a source count as one group. {verdict}",
        _weakness(batteries),
        "## Answers that ignore the image",
        f"On {fresh} fresh images of the suite's generator, which no network, inverse or constant was fitted to, and "
        f"on {len(batteries.trivial['frozen'].groups)} frozen images. Bounds: "
        f"{TRIVIAL_BOUND} in the mean over all answers, for every axis and ranked metric; for a single answer, on an "
        f"axis, {TRIVIAL_BOUND} plus two of its standard errors. Colors are those of the input (what the network was "
        "shown), so that such an answer knows a changed color, but not where it "
        "is. Noise is drawn anew for every image and perturbation.",
        _trivial_summary(batteries),
        "### Images optimized for a metric",
        "For each ranked metric, the fixed answer that scores best on training images, climbed from three starts: by "
        "gradients where the metric has them, otherwise by evolution strategies. A fixed image scores exactly 0 where "
        "a metric compares two recons; there the answer also shows the mean color of the input, with an optimized map "
        "of strengths. Columns show the training score before and after, then what the best of them scores on images "
        "that it was not optimized on.",
        _optimized_table(batteries),
        "### Every answer",
        _trivial_table(batteries),
        "## Filters",
        "Gain of a filter over the plain recon, for `ridge` and `modular_per_tap` at three taps of every target, "
        f"on {len(batteries.tried.groups)} fresh images: the mean over them, and the largest. "
        f"Bounds: {GAIN_BOUND} in the mean over methods and taps, for every axis and ranked metric; for an axis, "
        f"{GAIN_BOUND} plus two standard errors at one tap of one method. COLOR has no bound where "
        "chroma is raised, alone or with contrast, which may regain saturation that a method lost. "
        "Denoisers and averages of methods (here over the better of the two) are methods of their own: no bound.",
        _gain_table(batteries),
        "## An attack on the judge",
        f"Why no network ranks: recons of `ridge` at taps of {suite.targets[0].id} on {len(batteries.attack.groups)} "
        "images, and the same after a change of at most 2/255 or 4/255 per value, found by projected gradient ascent "
        "of `recognition` with the weights of the judge, which are public. `recognition` rises; no ranked axis does.",
        _scored_table(batteries.attack, (*axes, "recognition"), "recon"),
        "## What a few numbers buy",
        "Not trivial, but little: recons from the projection of the image on principal components of training images, "
        "and from its thumbnail of 2x2 pixels.",
        _scored_table(batteries.few, keys, "recon"),
        "## Tried and what it scored",
        f"Further attacks on the axes, on {len(batteries.tried.groups)} fresh images: codes that keep little of the "
        "image, edits that aim at a detail of a metric, and edits of a perfect recon that might raise it above 1. They "
        "know something of the image, so the bounds above do not apply to them.",
        _scored_table(batteries.tried, keys, "answer"),
    ]
    return "\n\n".join(blocks) + "\n"


def scored_rows(scored: Scored, keys: Sequence[str]) -> dict[str, Any]:
    """Mean and standard error by answer and axis or metric, for scripts; null where not scored."""
    columns = {key: scored.means(key) for key in keys}
    return {
        name: {key: [None if np.isnan(v) else v for v in column[name]] for key, column in columns.items()}
        for name in scored.names
    }


def write_rows(batteries: Batteries) -> dict[str, Any]:
    """All results for scripts."""
    rows, keys = scored_rows, battery_keys(batteries.suite)
    return {
        "suite": batteries.suite.id,
        "failures": find_failures(batteries),
        "trivial": {title: rows(scored, keys) for title, scored in batteries.trivial.items()},
        "optimized": {i.metric: {"best": i.best, "before": i.before, "after": i.after} for i in batteries.optimized},
        "filters": [gain._asdict() for gain in batteries.filters],
        "attack": rows(batteries.attack, (*keys, "recognition")),
        "few_numbers": rows(batteries.few, keys),
        "tried": rows(batteries.tried, keys),
    }
