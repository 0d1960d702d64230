"""Recognition: does a held-out judge say the same of the recon? Lightness only, and reported, never ranked."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmark.metrics.case import Case, Classifier, View, of_both
from benchmark.metrics.detail import luma

__all__ = ["agreement", "recognition"]


def _divergence_terms(p: Tensor, q: Tensor) -> Tensor:
    """Contribution of each pair of probabilities to the Jensen-Shannon divergence, in nats."""
    middle = (p + q) / 2
    return (torch.xlogy(p, p) + torch.xlogy(q, q)) / 2 - torch.xlogy(middle, middle)


def agreement(p: Tensor, q: Tensor, exclusive_labels: bool) -> Tensor:
    """Return 1 - JS / ln 2 (Lin 1991) of label probabilities p and q, both (N, L): (N,) in [0, 1].

    Exclusive labels are one distribution; independent ones a Bernoulli each, whose divergences are averaged.
    """
    divergence = _divergence_terms(p, q)
    divergence = divergence.sum(1) if exclusive_labels else (divergence + _divergence_terms(1 - p, 1 - q)).mean(1)
    return (1 - divergence / math.log(2)).clamp(0, 1)


@of_both
def _judgement(view: View, judge: Classifier) -> Tensor:
    return judge(view.get(luma)[:, None].expand(-1, 3, -1, -1))


def recognition(case: Case) -> Tensor:
    """Return the agreement of the held-out judge on original and recon, (N,) in [0, 1].

    1 - JS / ln 2 of the judge's label probabilities (see `agreement`) on luma replicated to 3 channels. NaN where
    the suite has no judge.
    """
    judge = case.networks.judge
    if judge is None:
        return case.not_scored()
    p, q = (view.get(_judgement, judge) for view in (case.original, case.recon))
    return agreement(p, q, judge.exclusive_labels)
