"""Declarations of every metric: what it is called, means and may be off by. Import-light.

The functions that compute them are named by import path and loaded only when an evaluation needs them.
"""

from __future__ import annotations

from typing import Literal

from benchmark.errors import did_you_mean
from benchmark.spec import Axis, Frozen

__all__ = ["METRICS", "Metric", "get_metric"]


class Metric(Frozen):
    """One metric.

    Attributes:
        function: `module:name` of a function `Case -> (N,)` float32; NaN means *not scored*.
        perturbations: under which perturbations it is computed: `identity` alone, `all` (the recon against
            what the target saw), the five `hue` kinds, or `gray`.
        unscored: why an image can be left without a score.
        identity: its value for a perfect recon.
        tolerance: largest difference allowed between two machines in float32.
    """

    id: str
    version: int = 1
    title: str
    axis: Axis
    higher_is_better: bool
    range: tuple[float, float | None]
    unit: str = ""
    perturbations: Literal["identity", "all", "hue", "gray"]
    unscored: str
    identity: float
    tolerance: float
    source: str
    function: str


METRICS: dict[str, Metric] = {
    metric.id: metric
    for metric in (
        Metric(
            id="psnr",
            title="Peak signal-to-noise ratio",
            axis="detail",
            higher_is_better=True,
            range=(0, 60),
            unit="dB",
            perturbations="all",
            unscored="never",
            identity=60,
            tolerance=0.01,
            source="10 log10(1/MSE) over RGB, capped at 60 dB",
            function="benchmark.metrics.detail:psnr",
        ),
        Metric(
            id="ssim",
            title="Structural similarity of luma",
            axis="detail",
            higher_is_better=True,
            range=(-1, 1),
            perturbations="all",
            unscored="the shorter side is under 11 pixels",
            identity=1,
            tolerance=5e-4,
            source="Wang et al. 2004: 11x11 Gaussian window of sigma 1.5, population covariance, valid region",
            function="benchmark.metrics.detail:ssim",
        ),
        Metric(
            id="spectral_ev",
            title="Explained variance over octave bands of luma",
            axis="detail",
            higher_is_better=True,
            range=(0, 1),
            perturbations="all",
            unscored="the original is flat (band energy per pixel under 1e-8)",
            identity=1,
            tolerance=5e-4,
            source="mean over octave bands of clip(1 - sum|X-Y|^2 / sum|X|^2, 0, 1), Hann window",
            function="benchmark.metrics.detail:spectral_ev",
        ),
        Metric(
            id="contour_f",
            title="Boundary F-score of the focal object",
            axis="shape",
            higher_is_better=True,
            range=(0, 1),
            perturbations="identity",
            unscored="too few visible contour pixels",
            identity=1,
            tolerance=0.02,
            source="oriented edge matching along the visible mask contour within the DAVIS tolerance, three scales",
            function="benchmark.metrics.shape:contour_f",
        ),
        Metric(
            id="fg_transfer",
            title="Transfer of the figure/ground rule",
            axis="shape",
            higher_is_better=True,
            range=(-1, 1),
            perturbations="identity",
            unscored="mask under 1 % or over 99 %, or not separable in the original (AUC under .6)",
            identity=1,
            tolerance=0.02,
            source="ridge LDA on lightness features fitted on the original, applied unchanged to the recon",
            function="benchmark.metrics.shape:fg_transfer",
        ),
        Metric(
            id="recognition",
            title="Agreement of a held-out judge",
            axis="shape",
            higher_is_better=True,
            range=(0, 1),
            perturbations="identity",
            unscored="the suite has no judge",
            identity=1,
            tolerance=0.002,
            source="1 - Jensen-Shannon divergence / ln 2 of the judge's label probabilities on luma",
            function="benchmark.metrics.shape:recognition",
        ),
        Metric(
            id="color_retention",
            title="Retention of the perturbed color",
            axis="color",
            higher_is_better=True,
            range=(0, 1),
            perturbations="hue",
            unscored="the perturbation moves no cell of enough chroma",
            identity=1,
            tolerance=0.005,
            source="clip(1 - SSE(a_y, a_p) / min(SSE(a_0, a_p), SSE(0, a_p)), 0, 1) of CIELAB chroma cells",
            function="benchmark.metrics.color:color_retention",
        ),
        Metric(
            id="color_ev",
            title="Explained color of the perturbed object",
            axis="color",
            higher_is_better=True,
            range=(0, 1),
            perturbations="hue",
            unscored="the trivial answers are already within 2 dE00",
            identity=1,
            tolerance=0.005,
            source="clip(1 - dE00(y_p, x_p) / min(dE00(mean of x_p, x_p), dE00(x, x_p)), 0, 1) over cells",
            function="benchmark.metrics.color:color_ev",
        ),
        Metric(
            id="gain_perturbed",
            title="Gain of the perturbed color",
            axis="color",
            higher_is_better=True,
            range=(0, None),
            perturbations="hue",
            unscored="the perturbation moves no cell of enough chroma",
            identity=1,
            tolerance=0.01,
            source="g_p of the non-negative least squares a_y ~ g_p a_p + g_o a_0",
            function="benchmark.metrics.color:gain_perturbed",
        ),
        Metric(
            id="gain_original",
            title="Gain of the original color",
            axis="color",
            higher_is_better=False,
            range=(0, None),
            perturbations="hue",
            unscored="the perturbation moves no cell of enough chroma",
            identity=0,
            tolerance=0.01,
            source="g_o of the same fit; near 1 the recon reverts to the original color",
            function="benchmark.metrics.color:gain_original",
        ),
        Metric(
            id="hue_error_deg",
            title="Hue error",
            axis="color",
            higher_is_better=False,
            range=(0, 180),
            unit="degrees",
            perturbations="hue",
            unscored="the perturbation moves no cell of enough chroma",
            identity=0,
            tolerance=0.5,
            source="chroma-weighted circular hue difference; a cell with chroma under 5 counts as 90",
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
            unscored="never",
            identity=0,
            tolerance=0.02,
            source="mean CIEDE2000 over all cells of the frame, unperturbed",
            function="benchmark.metrics.color:delta_e_2000",
        ),
        Metric(
            id="gray_residual",
            title="Absence of invented color",
            axis="color",
            higher_is_better=True,
            range=(0, 1),
            perturbations="gray",
            unscored="the original is nearly achromatic",
            identity=1,
            tolerance=0.005,
            source="clip(1 - RMS chroma of y_p / RMS chroma of x, 0, 1) under gray",
            function="benchmark.metrics.color:gray_residual",
        ),
    )
}


def get_metric(metric_id: str) -> Metric:
    """Return the declaration of a metric; raises NotFoundError with the nearest name."""
    if metric_id not in METRICS:
        raise did_you_mean("metric", metric_id, METRICS)
    return METRICS[metric_id]
