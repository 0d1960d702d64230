"""Batch norms as part of the convolutions before them."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_batch_norms"]


def fold_batch_norms(network: nn.Module) -> None:
    """Have the convolutions of a frozen network do what the batch norms right behind them in a `Sequential` do.

    What it computes stays the same but for rounding, and takes several hundredths less time on a CPU.
    """
    for layers in network.modules():
        if not isinstance(layers, nn.Sequential):
            continue
        for place in range(1, len(layers)):
            before, norm = layers[place - 1], layers[place]
            if isinstance(norm, nn.BatchNorm2d) and isinstance(before, nn.Conv2d | nn.ConvTranspose2d):
                transposed = isinstance(before, nn.ConvTranspose2d)
                layers[place - 1] = fuse_conv_bn_eval(before, norm, transpose=transposed)
                layers[place] = nn.Identity()
