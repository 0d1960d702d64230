"""The page on metrics, rendered from their declarations. Import-light."""

from __future__ import annotations

from tabulate import tabulate

from benchmark.metrics.spec import AXIS_WORDS, METRICS, UNDER, Metric, range_in_words, role_in_words
from benchmark.suites.spec import AXES

__all__ = ["render_metrics_page"]

HEAD = """# Metrics

<!-- Written by `invbench docs metrics --out docs/metrics.md` from benchmark/metrics/spec.py; a test compares them. -->

`x` is the original image, `x_p` the perturbed one that the target saw, `y` the recon of `x` and `y_p` that of `x_p`;
all are RGB in [0, 1], **rounded to 8 bits before anything else**, so that a stored PNG scores exactly like the tensor.
Luma is BT.601. `tol` is ceil(0.008 diagonal) pixels, the tolerance of DAVIS. `a_y`, `a_p`, `a_0` are the chroma vectors
(a*, b*) of the color cells of `y_p`, `x_p` and `x`: means over squares of round(H / 28) pixels inside the focal mask.

A metric gives one number an image, or none: what cannot be scored is recorded as absent, with its reason, and counted;
it is never a zero. *Tolerance* is the largest difference allowed when another machine computes the same score in
float32. *Tested against* names an independent implementation and how closely ours follows it.

Which metrics make up an axis is fixed by the suite (`invbench list metrics`). In an axis a score is anchored: 0 is what
the best trivial answer gets (own mean color, another image, the training mean image, white noise), 1 what the image
itself gets.
"""
TAIL = """## Layers

For taps of one stage whose features have one shape, `transfer[i, j]` is the detail of the recon that the inverse
trained for tap j makes of the features of tap i. Normalized: clip((transfer[i, j] - floor) / (transfer[j, j] -
floor), 0, 1), the floor being the training mean image; a column whose own inverse is not above it by .001 is not
scored. Summed up by the mean over neighboring taps, by the *half-distance* (number of taps apart at which the mean
falls to one half, interpolated; absent where it stays above), and by the *asymmetry* (mean of N[i, j] - N[j, i]
over i < j: positive if deep inverses read shallow features better than the other way round). Beside it linear CKA
of the same taps (Kornblith et al. 2019) in the minibatch form of Nguyen, Raghu and Kornblith 2021, over tiles of
eight images.

## Cost

Parameters of the inverse, training samples, device-hours of training (with the device), milliseconds a recon, peak
memory: shown with every record, never blended into quality, never compared across devices.
"""


def _section(metric: Metric) -> str:
    rows = {
        "formula": metric.formula,
        "range": range_in_words(metric),
        "role": role_in_words(metric),
        "computed under": UNDER[metric.perturbations],
        "not scored": metric.unscored,
        "perfect recon": "depends on the image" if metric.identity is None else f"{metric.identity:g}",
        "tolerance": f"{metric.tolerance:g}",
        "source": metric.source,
        "tested against": metric.reference,
        "version": str(metric.version),
    }
    lines = [(name, text.replace("|", "\\|")) for name, text in rows.items()]
    table = tabulate(lines, headers=("", ""), tablefmt="pipe", stralign=None, disable_numparse=True)
    return f"### `{metric.id}`: {metric.title}\n\n{table}\n"


def render_metrics_page() -> str:
    """Return the page as Markdown: every metric with formula, range, source and tolerance, by axis; layers and cost."""
    parts = [HEAD]
    for axis in AXES:
        parts.append(f"## {axis.capitalize()}\n\n{AXIS_WORDS[axis]}\n")
        parts += [_section(metric) for metric in METRICS.values() if metric.axis == axis]
    return "\n".join([*parts, TAIL])
