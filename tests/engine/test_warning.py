"""What is odd about recons is told at once, a line for each tap, and the evaluation goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.content.content import Content
from benchmark.engine.evaluation import evaluate
from benchmark.engine.jobs import Options
from benchmark.engine.warning import MOST_CLAMPED, Warner
from benchmark.files.paths import submissions_root
from benchmark.inverses.mean import MeanInverse
from benchmark.submissions.candidates import open_submission
from benchmark.targets.taps import Features


def test_a_run_goes_on_with_recons_that_are_not_finite_or_far_out_of_range(
    content: Content, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Among eight images the second is not finite at one tap; another tap answers in 0 to 255."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    invert = MeanInverse.invert

    def odd(self: MeanInverse, features: Mapping[str, Features]) -> dict[str, torch.Tensor]:
        recons = {tap: recon.clone() for tap, recon in invert(self, features).items()}
        for recon in [recons[tap] for tap in recons if tap == "stage.1"]:
            recon[1:2, 0, 3, 4] = float("nan")
        return {tap: 255 * recon if tap == "embeddings" else recon for tap, recon in recons.items()}

    monkeypatch.setattr(MeanInverse, "invert", odd)
    candidate = open_submission(submissions_root() / "mean", [content.suite.target("mini-swin")], trust_code=False)
    done = evaluate(content, candidate, Options(torch.device("cpu"), limit=8, targets=("mini-swin",)))
    told = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("warning")]
    first, second = content.images.ids[:2]
    assert told == [
        f"warning: mean, target 'mini-swin', tap 'embeddings', image {first}, identity: 100% of the recon's values lie "
        "outside 0 to 1 and were clamped",
        f"warning: mean, target 'mini-swin', tap 'stage.1', image {second}, identity: the recon is not finite: it has "
        "no score, the record no rank",
    ]
    assert done.record.status == "partial"
    taps = done.record.targets["mini-swin"].taps
    assert taps["embeddings"].clamped == 1 and taps["stage.1"].clamped == 0


def test_what_little_is_clamped_is_not_odd(content: Content, capsys: pytest.CaptureFixture[str]) -> None:
    suite, taps = content.suite, ("a", "b")
    reasons = np.zeros((8, 2, len(suite.conditions), len(suite.metrics)), np.uint8)
    clamped = np.full((8, 2, len(suite.perturbations)), MOST_CLAMPED, np.float32)
    warner = Warner(suite, "mine", "net", taps)
    warner.look({"reasons": reasons, "clamped": clamped}, list("12345678"))
    assert capsys.readouterr().err == ""
    clamped[4, 1, 2] = 0.5
    for _ in range(2):
        warner.look({"reasons": reasons, "clamped": clamped}, list("12345678"))
    assert capsys.readouterr().err == (
        f"warning: mine, target 'net', tap 'b', image 5, {suite.perturbations[2]}: 50% of the recon's values lie "
        "outside 0 to 1 and were clamped\n"
    )
