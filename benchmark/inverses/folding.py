"""Batch norms as part of the convolutions before them."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_batch_norms"]


def _has_hooks(layer: nn.Module) -> bool:
    return any((layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks))


def _can_fold(before: nn.Module, norm: nn.BatchNorm2d) -> bool:
    """Whether both are just what their classes say, and nothing looks at what passes between them."""
    if type(norm) is not nn.BatchNorm2d or norm.running_mean is None or _has_hooks(before) or _has_hooks(norm):
        return False
    return type(before) is nn.Conv2d or (type(before) is nn.ConvTranspose2d and before.groups == 1)


def fold_batch_norms(network: nn.Module) -> None:
    """Have the convolutions of a frozen network do what the batch norms right behind them in a `Sequential` do.

    What it computes stays the same but for rounding, and takes several hundredths less time on a CPU. It must not use a
    layer of a `Sequential` by itself.
    """
    for layers in network.modules():
        if type(layers) is not nn.Sequential:
            continue
        for place in range(1, len(layers)):
            before, norm = layers[place - 1], layers[place]
            if not isinstance(norm, nn.BatchNorm2d) or not _can_fold(before, norm):
                continue
            if isinstance(before, nn.ConvTranspose2d):
                layers[place - 1] = fuse_conv_bn_eval(before, norm, transpose=True)
            elif isinstance(before, nn.Conv2d):
                layers[place - 1] = fuse_conv_bn_eval(before, norm)
            layers[place] = nn.Identity()
