"""The page on metrics, rendered from their declarations. Import-light."""

from __future__ import annotations

from tabulate import tabulate

from benchmark.metrics.spec import AXIS_WORDS, METRICS, UNDER, Metric, range_in_words, role_in_words
from benchmark.suites.spec import AXES

__all__ = ["render_metrics_page"]

HEAD = """# Metrics

<!-- Written by `invbench docs metrics --out docs/metrics.md` from benchmark/metrics/spec.py; a test compares them. -->

`x` is the original image, `x_p` the perturbed one that the target saw, `y` the recon of `x` and `y_p` that of `x_p`;
all are RGB in [0, 1], **rounded to 8 bits before anything else**, so that a stored PNG scores exactly like the
tensor. Luma is BT.601. `tol` is ceil(0.008 diagonal) pixels, the tolerance of DAVIS. `a_y`, `a_p`, `a_0` are the
chroma vectors (a*, b*) of the color cells of `y_p`, `x_p` and `x`: means over squares of round(H / 28) pixels.

A metric gives one number an image, or none: what cannot be scored is recorded as absent, with its reason, and
counted; it is never a zero. Whether an image is scored depends on the original alone. *Tolerance* is the largest
difference allowed when another machine computes the same score in float32: of one image, and of the signed mean over
images. *Tested against* names an independent implementation and how closely ours follows it.

Five principles, each of them a test:

1. **Zero by construction.** A ranked metric is 1 for the image itself and 0 for every answer that ignores the image,
   also for one that knows where objects usually are and which color they have.
2. **No network in a ranked metric.** What a public network judges can be optimized against. Networks report.
3. **No free lunch.** Filters put on a recon afterwards gain next to nothing ([batteries](batteries.md)).
4. **One estimator.** Scores are plain means over images, then taps, then targets; nothing is clipped afterwards, and
   a score may be slightly negative. The difference of two scores is the mean paired difference.
5. **Independent units.** Intervals and tests resample *groups* of images that share a source, never images.

Which metrics make up an axis is fixed by the suite (`invbench list metrics`).

## Mirror decoys

An edge or a change of color that lies where objects usually lie scores by luck. For the metrics that say so, `v` is
the raw value, `c` the mean raw value of the recon mirrored left-right, top-bottom and both ways, and `c_x` the same
for the original as its own recon; the score is (v - c) / (1 - c_x). The image itself scores exactly 1, anything
symmetric exactly 0, anything unrelated 0 in the mean. An image with c_x over .5, which resembles its mirror image, is
not scored. What is mirrored are edge maps, feature maps and fields of change, found once.

## What to know of `frc`

It asks what can be *read* from the recon: sharpening, noiseless blur, dimming (down to a tenth of the contrast) and
changes of contrast alter it little, so that nothing is gained by tuning them. It is strict about position: shifts to
the side by 1, 2 and 4 pixels leave .70, .44 and .27 at 96 pixels, so mind offsets of half a pixel when you upsample.
It is no measure of looks: `psnr`, `ssim` and `lpips_alex` stand beside it (over 38 taps and methods, their rank
correlations with it were .94, .96 and -.97).

## Thumbnails as yardsticks

Beside a score stands the thumbnail of the image that scores the same: "as much detail as a 9x9 thumbnail". Thumbnails
of k rows are averaged over areas and enlarged bilinearly; their scores are in the suite's lock, and k is interpolated
between them. Outside of what was measured it says "< 2" or "> 48"; for color scores above .95, where thumbnails
hardly differ, it says nothing.
"""
TAIL = """## Layers

For taps of one stage whose features have one shape, `transfer[i, j]` is the `frc` of the recon that the inverse
trained for tap j makes of the features of tap i, on the first images of the suite (`layer_images`), unperturbed.
Normalized: transfer[i, j] / transfer[j, j]; a column whose own inverse is under .05 is not scored. Summed up by the
mean over neighboring taps, by the *half-distance* (number of taps apart at which the mean falls to one half,
interpolated; absent where it stays above), and by the *asymmetry* (mean of N[i, j] - N[j, i] over i < j: positive if
deep inverses read shallow features better than the other way round). Beside it linear CKA of the same taps (Kornblith
et al. 2019) in the minibatch form of Nguyen, Raghu and Kornblith 2021, over tiles of eight images.

## From images to places

1. Per image and tap: detail and shape of the unperturbed image, color over all hue kinds together; an axis is the
   mean of its metrics that score the image. Means over images, then taps, then targets (those of one
   [architecture](suites.md#the-mean-over-targets) first, where a suite states architectures). Detail and shape under
   the other perturbations are reported: does structure survive recoloring?
2. Intervals are 95 % percentile bootstraps over groups of images (the same resamples for every submission, axis and
   tap), both halves widened by t(.975, G - 1) / 1.96 * sqrt(G / (G - 1)) for G groups.
3. Two entries are compared by a sign-flip test on the group sums of their paired differences, stepped down over all
   pairs (Westfall and Young 1993); with fewer than 8 groups nothing is separated.
4. An entry is ranked on every target that it is complete on, and overall where it is complete on all.
5. The place is the position by `score`, the mean of the axis scores, so that no third entry changes the order of two.
   "=" marks neighbors that the test does not separate; the rank range of an entry is 1 + the number of entries
   significantly better, to n less those significantly worse.
6. Color describes the layer and the inverse together: compare methods at the same tap. A low value at a deep tap may
   be a finding about the network.

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
        "not scored": metric.unscored + (f"; or {metric.too_small}" if metric.too_small else ""),
        "perfect recon": "depends on the image" if metric.identity is None else f"{metric.identity:g}",
        "tolerance": f"{metric.tolerance:g} an image, {metric.mean_tolerance:g} in the mean",
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
