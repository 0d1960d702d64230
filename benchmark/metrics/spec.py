"""Declarations of every metric: what it is called, means and may be off by. Import-light.

The functions that compute them are named by import path and loaded only when an evaluation needs them. The module is
long because it is one table: a line for each field of each metric.
"""

from __future__ import annotations

from typing import Literal

from benchmark.errors import did_you_mean
from benchmark.files.declarations import Frozen
from benchmark.suites.spec import Axis

__all__ = ["AXIS_WORDS", "METRICS", "UNDER", "Metric", "Need", "get_metric", "range_in_words", "role_in_words"]

Need = Literal["mask", "seen", "baseline", "judge", "perceptual", "prototypes"]


class Metric(Frozen):
    """One metric.

    Attributes:
        range: smallest and largest value; None: without a limit.
        perturbations: under which perturbations it is computed: `identity` alone, `all` (the recon against
            what the target saw), the five `hue` kinds, each apart; the three `hue_set` ones; all `hues` pooled into one
            score; or `gray`.
        needs: what it looks at beside original and recon: the focal `mask`, the perturbed image that was `seen`,
            the recon of the unperturbed image (`baseline`), or a network.
        aggregate: what stands for all images.
        rankable: whether a suite may put it into an axis.
        formula: what is computed.
        unscored: why an image can be left without a score; stored in records.
        fits: `module:name` of a function `(height, width) -> bool`: whether an image is large enough to be scored.
        too_small: why not, if it is not. Suites have no such images.
        identity: its value for a perfect recon; None where that depends on the image.
        tolerance: largest difference of an image's score allowed between two machines in float32.
        mean_tolerance: largest signed mean difference allowed over the images.
        source: where it comes from.
        reference: the independent implementation that it is tested against, and how closely.
        function: `module:name` of a function `Case -> (N,)` float32; NaN means *not scored*. For pooled metrics
            `Case -> (N, P)`: parts that are summed over the hue kinds.
        finish: for pooled metrics, `module:name` of a function of these sums, `(N, P) -> (N,)`.
    """

    id: str
    version: int = 1
    title: str
    axis: Axis
    higher_is_better: bool
    range: tuple[float, float | None]
    unit: str = ""
    perturbations: Literal["identity", "all", "hue", "hue_set", "hues", "gray"]
    needs: tuple[Need, ...] = ()
    aggregate: Literal["mean", "median"] = "mean"
    rankable: bool = True
    formula: str
    unscored: str
    identity: float | None
    tolerance: float
    mean_tolerance: float
    source: str
    reference: str
    function: str
    finish: str | None = None
    fits: str | None = None
    too_small: str = ""

    @property
    def recolored(self) -> bool:
        """Whether it is computed under hue kinds: some, each of them, or all together."""
        return self.perturbations in ("hue", "hue_set", "hues")


_HUE_UNSCORED = "the perturbation moves no cell of enough chroma"
_CELLS = "over the CIELAB cells of the focal object that the perturbation moved"

METRICS: dict[str, Metric] = {
    metric.id: metric
    for metric in (
        Metric(
            id="frc",
            title="Fourier ring correlation of luma",
            axis="detail",
            higher_is_better=True,
            range=(-1, 1),
            perturbations="all",
            formula="mean over octave rings (1.75 to 112 cycles per height, cut at H/2) of Re sum X conj Y / "
            "sqrt(sum|X|^2 max(sum|Y|^2, .01 sum|X|^2)), X and Y under a Tukey window",
            unscored="the original is flat in every ring (energy per pixel under 1e-8)",
            identity=1,
            tolerance=5e-4,
            mean_tolerance=5e-05,
            source="Saxton and Baumeister 1982; van Heel and Schatz 2005",
            reference="numpy FFT, 1e-5",
            function="benchmark.metrics.spectrum:frc",
        ),
        Metric(
            id="resolution_px",
            title="Resolved pixels per image height",
            axis="detail",
            higher_is_better=True,
            range=(0, None),
            unit="px",
            perturbations="identity",
            aggregate="median",
            rankable=False,
            formula="twice the frequency at which the correlation in rings half an octave wide, scanned from coarse to "
            "fine, first falls below .5, log2-interpolated between ring centers; H where it never does",
            unscored="the original is flat in every ring (energy per pixel under 1e-8)",
            identity=None,
            tolerance=0.5,
            mean_tolerance=0.05,
            source="defined by this benchmark, after van Heel and Schatz 2005",
            reference="numpy FFT, 1e-2 px",
            function="benchmark.metrics.spectrum:resolution_px",
        ),
        Metric(
            id="ring_contrast",
            title="Contrast of detail",
            axis="detail",
            higher_is_better=True,
            range=(0, None),
            perturbations="identity",
            rankable=False,
            formula="mean over octave rings of sqrt(sum|Y|^2 / sum|X|^2), X and Y as for frc; 1 is best",
            unscored="the original is flat in every ring (energy per pixel under 1e-8)",
            identity=1,
            tolerance=5e-4,
            mean_tolerance=5e-05,
            source="defined by this benchmark",
            reference="numpy FFT, 1e-5 of its value",
            function="benchmark.metrics.spectrum:ring_contrast",
        ),
        Metric(
            id="psnr",
            title="Peak signal-to-noise ratio",
            axis="detail",
            higher_is_better=True,
            range=(0, 60),
            unit="dB",
            perturbations="all",
            rankable=False,
            formula="10 log10(1 / MSE) over RGB, capped at 60 dB",
            unscored="never",
            identity=60,
            tolerance=0.01,
            mean_tolerance=0.001,
            source="definition",
            reference="scikit-image peak_signal_noise_ratio, 1e-4 dB",
            function="benchmark.metrics.detail:psnr",
        ),
        Metric(
            id="mse_norm",
            title="Squared error of normalized pixels",
            axis="detail",
            higher_is_better=False,
            range=(0, None),
            perturbations="identity",
            rankable=False,
            formula="mean of ((y - x) / s)^2 over RGB, s the ImageNet deviations (.229, .224, .225)",
            unscored="never",
            identity=0,
            tolerance=1e-4,
            mean_tolerance=1e-05,
            source="what the code of arXiv 2412.06534 logs",
            reference="numpy, 1e-6",
            function="benchmark.metrics.detail:mse_norm",
        ),
        Metric(
            id="ssim",
            title="Structural similarity of luma",
            axis="detail",
            higher_is_better=True,
            range=(-1, 1),
            perturbations="all",
            rankable=False,
            formula="11x11 Gaussian window of sigma 1.5, K = (.01, .03), population covariance, valid region only",
            unscored="the shorter side is under 11 pixels",
            identity=1,
            tolerance=5e-4,
            mean_tolerance=5e-05,
            source="Wang, Bovik, Sheikh and Simoncelli 2004",
            reference="scikit-image structural_similarity cropped to the valid region, 2e-5",
            function="benchmark.metrics.detail:ssim",
        ),
        Metric(
            id="spectral_ev",
            title="Explained variance over octave bands of luma",
            axis="detail",
            higher_is_better=True,
            range=(0, 1),
            perturbations="all",
            rankable=False,
            formula="mean over octave bands (3.5 to 112 cycles per height) of clip(1 - sum|X-Y|^2 / sum|X|^2, 0, 1), "
            "X and Y under a Hann window",
            unscored="the original is flat (band energy per pixel under 1e-8)",
            identity=1,
            tolerance=5e-4,
            mean_tolerance=5e-05,
            source="defined by this benchmark",
            reference="numpy FFT, 1e-5",
            function="benchmark.metrics.detail:spectral_ev",
            fits="benchmark.metrics.detail:holds_bands",
            too_small="the image is too small to hold a band of 8 frequencies",
        ),
        Metric(
            id="lpips_alex",
            title="LPIPS (AlexNet) of luma",
            axis="detail",
            higher_is_better=False,
            range=(0, None),
            perturbations="identity",
            needs=("perceptual",),
            rankable=False,
            formula="LPIPS v0.1 with AlexNet on luma replicated to 3 channels, scaled to [-1, 1]",
            unscored="the perceptual network is not installed, or the shorter side is under 31 pixels",
            identity=0,
            tolerance=5e-4,
            mean_tolerance=5e-05,
            source="Zhang, Isola, Efros, Shechtman and Wang 2018",
            reference="the lpips package, 1e-5",
            function="benchmark.metrics.perceptual:lpips_alex",
        ),
        Metric(
            id="contour_f",
            title="Boundary F-score of the focal object",
            axis="shape",
            higher_is_better=True,
            range=(-2, 2),
            perturbations="all",
            needs=("mask",),
            formula="v = mean over scales 1, 1/2, 1/4 of F = 2PR / (P + R). R: share of the visible mask contour "
            "matched by an edge of y; P: share of the edges of y near the contour matched by an edge of x; oriented "
            "edges of luma, within the DAVIS tolerance. Score (v - c) / (1 - c_x): c the mean v of the edge maps of y "
            "mirrored left-right, top-bottom and both, c_x the same of x",
            unscored="too few visible contour pixels, or the original resembles its mirror image (c_x over .5)",
            identity=1,
            tolerance=0.03,
            mean_tolerance=0.003,
            source="Martin, Fowlkes and Malik 2004; Perazzi et al. 2016 (DAVIS)",
            reference="numpy and scipy, .02 an image and .002 in the mean; DAVIS boundary maps, exact",
            function="benchmark.metrics.shape:contour_f",
        ),
        Metric(
            id="edge_f",
            title="Edge F-score of the frame",
            axis="shape",
            higher_is_better=True,
            range=(-2, 2),
            perturbations="all",
            formula="as contour_f with the edges of x over the whole frame in place of the mask contour",
            unscored="fewer than 20 edge pixels in the original, or it resembles its mirror image",
            identity=1,
            tolerance=0.03,
            mean_tolerance=0.003,
            source="Martin, Fowlkes and Malik 2004",
            reference="numpy and scipy, .02 an image and .002 in the mean",
            function="benchmark.metrics.shape:edge_f",
        ),
        Metric(
            id="fg_transfer",
            title="Transfer of the figure/ground rule",
            axis="shape",
            higher_is_better=True,
            range=(-4, 4),
            perturbations="all",
            needs=("mask",),
            formula="v = (2 AUC_y - 1) / (2 AUC_x - 1), in [-1, 1], of a ridge linear discriminant on lightness "
            "features, fitted on x and applied unchanged to y. Score (v - c) / (1 - c_x): c the mean v of the feature "
            "maps of y mirrored left-right, top-bottom and both, c_x the same of x",
            unscored="mask under 1 % or over 99 %, not separable in the original (AUC under .6), or the original "
            "resembles its mirror image (c_x over .5)",
            identity=1,
            tolerance=0.03,
            mean_tolerance=0.003,
            source="defined by this benchmark, after Fisher 1936",
            reference="numpy and scikit-learn roc_auc_score, 2e-4",
            function="benchmark.metrics.figure_ground:fg_transfer",
        ),
        Metric(
            id="recognition",
            title="Agreement of a held-out judge",
            axis="shape",
            higher_is_better=True,
            range=(0, 1),
            perturbations="identity",
            needs=("judge",),
            rankable=False,
            formula="1 - JS(p(x), p(y)) / ln 2 of the judge's class probabilities on luma (multi-label judge: mean "
            "over labels of the Bernoulli JS)",
            unscored="the suite has no judge",
            identity=1,
            tolerance=0.002,
            mean_tolerance=0.0002,
            source="Jensen-Shannon divergence, Lin 1991",
            reference="scipy jensenshannon, 1e-5",
            function="benchmark.metrics.recognition:recognition",
        ),
        Metric(
            id="color_transfer",
            title="Transfer of a color change",
            axis="color",
            higher_is_better=True,
            range=(-1.633, 1.633),
            perturbations="hues",
            needs=("seen", "baseline"),
            formula="(v - c) / (1 - c_x); v = sum 2<d', e'> / sum (|d'|^2 + |e'|^2 + n |D - E|^2) over the hue kinds "
            "that are scored, d and e the changes from x to x_p and from y to y_p of the mean (a*, b*) of the n "
            "cells of the frame, D and E their means, d' and e' what remains; c the mean of v with e mirrored "
            "left-right, top-bottom and both, c_x the same for e = d",
            unscored="under no hue kind does a cell change by more than 10 beyond the mean, or the change resembles "
            "its mirror images (c_x > .5)",
            identity=1,
            tolerance=0.005,
            mean_tolerance=5e-4,
            source="defined by this benchmark; concordance, Lin 1989",
            reference="numpy and scikit-image rgb2lab, 1e-4",
            function="benchmark.metrics.transfer:color_transfer_parts",
            finish="benchmark.metrics.transfer:color_transfer",
        ),
        Metric(
            id="color_retention",
            title="Retention of the perturbed color",
            axis="color",
            higher_is_better=True,
            range=(0, 1),
            perturbations="hue",
            needs=("seen",),
            rankable=False,
            formula=f"clip(1 - SSE(a_y, a_p) / min(SSE(a_0, a_p), SSE(0, a_p)), 0, 1) of chroma vectors {_CELLS}",
            unscored=_HUE_UNSCORED,
            identity=1,
            tolerance=0.005,
            mean_tolerance=5e-4,
            source="defined by this benchmark",
            reference="numpy and scikit-image rgb2lab, 1e-3",
            function="benchmark.metrics.color:color_retention",
        ),
        Metric(
            id="color_ev",
            title="Explained color of the perturbed object",
            axis="color",
            higher_is_better=True,
            range=(0, 1),
            perturbations="hue",
            needs=("seen",),
            rankable=False,
            formula=f"clip(1 - dE00(y_p, x_p) / min(dE00(mean of x_p, x_p), dE00(x, x_p)), 0, 1) {_CELLS}",
            unscored="the trivial answers are already within 2 dE00",
            identity=1,
            tolerance=0.005,
            mean_tolerance=5e-4,
            source="defined by this benchmark; CIEDE2000, Sharma, Wu and Dalal 2005",
            reference="numpy and scikit-image deltaE_ciede2000, 1e-3",
            function="benchmark.metrics.color:color_ev",
        ),
        Metric(
            id="gain_perturbed",
            title="Gain of the perturbed color",
            axis="color",
            higher_is_better=True,
            range=(0, None),
            perturbations="hue",
            needs=("seen",),
            rankable=False,
            formula="g_p of the non-negative least squares a_y ~ g_p a_p + g_o a_0",
            unscored=_HUE_UNSCORED,
            identity=1,
            tolerance=0.01,
            mean_tolerance=0.001,
            source="defined by this benchmark",
            reference="scipy nnls, 1e-3",
            function="benchmark.metrics.color:gain_perturbed",
        ),
        Metric(
            id="gain_original",
            title="Gain of the original color",
            axis="color",
            higher_is_better=False,
            range=(0, None),
            perturbations="hue",
            needs=("seen",),
            rankable=False,
            formula="g_o of the same fit; near 1 the recon reverts to the original color",
            unscored=_HUE_UNSCORED,
            identity=0,
            tolerance=0.01,
            mean_tolerance=0.001,
            source="defined by this benchmark",
            reference="scipy nnls, 1e-3",
            function="benchmark.metrics.color:gain_original",
        ),
        Metric(
            id="prototype_pull",
            title="Pull towards the prototype color",
            axis="color",
            higher_is_better=False,
            range=(-27, 27),
            perturbations="hue_set",
            needs=("mask", "seen", "prototypes"),
            rankable=False,
            formula="pull towards the category's canonical hue minus the mean pull towards all canonical hues; pull = "
            "<a_y, t> / |a_p|^2, a_y and a_p the mean chroma vectors of the object, t = a_p turned by 90 degrees "
            "towards the canonical hue",
            unscored="no canonical hue, |sin| of the angle from a_p to it under .3, or the chroma of a_p under 10",
            identity=0,
            tolerance=0.005,
            mean_tolerance=5e-4,
            source="defined by this benchmark",
            reference="numpy and scikit-image rgb2lab, 1e-4",
            function="benchmark.metrics.prototype:prototype_pull",
        ),
        Metric(
            id="hue_error_deg",
            title="Hue error",
            axis="color",
            higher_is_better=False,
            range=(0, 180),
            unit="degrees",
            perturbations="hue",
            needs=("seen",),
            rankable=False,
            formula="chroma-weighted circular hue difference of a_y and a_p over the focal cells of chroma at least 5 "
            "in x_p; a cell with chroma under 5 in y counts as 90",
            unscored="no focal cell of chroma at least 5 in x_p",
            identity=0,
            tolerance=0.5,
            mean_tolerance=0.05,
            source="defined by this benchmark",
            reference="numpy, .05",
            function="benchmark.metrics.color:hue_error_deg",
        ),
        Metric(
            id="delta_e_2000",
            title="CIEDE2000 over the frame",
            axis="color",
            higher_is_better=False,
            range=(0, None),
            unit="dE00",
            perturbations="identity",
            rankable=False,
            formula="mean CIEDE2000 over all cells of the frame, unperturbed",
            unscored="never",
            identity=0,
            tolerance=0.02,
            mean_tolerance=0.002,
            source="Sharma, Wu and Dalal 2005",
            reference="scikit-image deltaE_ciede2000, 2e-3; the 34 published pairs, 1e-4 in float64",
            function="benchmark.metrics.color:delta_e_2000",
        ),
        Metric(
            id="gray_residual",
            title="Absence of invented color",
            axis="color",
            higher_is_better=True,
            range=(0, 1),
            perturbations="gray",
            needs=("seen",),
            rankable=False,
            formula="clip(1 - RMS chroma of y_p / RMS chroma of x, 0, 1) under gray",
            unscored="the original is nearly achromatic",
            identity=1,
            tolerance=0.005,
            mean_tolerance=5e-4,
            source="defined by this benchmark",
            reference="numpy and scikit-image rgb2lab, 1e-3",
            function="benchmark.metrics.color:gray_residual",
        ),
        Metric(
            id="luma_invariance",
            title="Invariance of luma to a hue change",
            axis="color",
            higher_is_better=True,
            range=(-20, 20),
            perturbations="hue",
            needs=("mask", "seen", "baseline"),
            rankable=False,
            formula="SSIM(y_p, x_p) / SSIM(y, x) of luma inside the mask",
            unscored="no mask inside the frame, or the recon of the unperturbed image has an SSIM under .05 there",
            identity=1,
            tolerance=0.02,
            mean_tolerance=0.002,
            source="defined by this benchmark",
            reference="scikit-image structural_similarity, 1e-3",
            function="benchmark.metrics.invariance:luma_invariance",
        ),
        Metric(
            id="spill",
            title="Spill of a hue change outside the object",
            axis="color",
            higher_is_better=False,
            range=(0, None),
            unit="dE00",
            perturbations="hue",
            needs=("mask", "seen", "baseline"),
            rankable=False,
            formula="mean CIEDE2000 between y and y_p over the cells outside the mask dilated by 2 tol",
            unscored="the dilated mask leaves no cell",
            identity=0,
            tolerance=0.02,
            mean_tolerance=0.002,
            source="defined by this benchmark",
            reference="numpy and scikit-image deltaE_ciede2000, 2e-3",
            function="benchmark.metrics.invariance:spill",
        ),
    )
}


def get_metric(metric_id: str) -> Metric:
    """Return the declaration of a metric; raises NotFoundError with the nearest name."""
    if metric_id not in METRICS:
        raise did_you_mean("metric", metric_id, METRICS)
    return METRICS[metric_id]


AXIS_WORDS: dict[Axis, str] = {
    "detail": "How much fine structure survives in the recon: texture and edges, in lightness.",
    "shape": "Whether the object keeps its outline and stands out from its ground, judged on lightness alone.",
    "color": "Whether the recon shows the color that the target was shown, after the object was recolored.",
}
UNDER = {
    "identity": "the unperturbed image",
    "all": "every perturbation, against what the target saw",
    "hue": "the five hue kinds",
    "hue_set": "the three kinds that set the hue",
    "hues": "the five hue kinds together: one score for all",
    "gray": "gray",
}


def range_in_words(metric: Metric) -> str:
    """Return the range, unit and direction of a metric in words."""
    low, high = metric.range
    span = f"{low:g} to {high:g}" if high is not None else f"{low:g} and up"
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{span}{unit}, {'higher' if metric.higher_is_better else 'lower'} is better"


def role_in_words(metric: Metric) -> str:
    """Return whether a suite may rank a metric, and what stands for all images."""
    role = "may be ranked" if metric.rankable else "reported, never ranked"
    return f"{role}; {metric.aggregate} over images"
