"""Attacks that were tried on the axes: answers that know something of the image, and edits of a perfect recon.

Each maps what the target was shown, float32 RGB (N, 3, H, W), and the focal masks, bool (N, H, W), to recons.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmark.diagnostics.batteries_answers import dominant_color, radius, scale_chroma, to_luma
from benchmark.diagnostics.batteries_filters import even_octaves, less_mirrored, less_symmetric_chroma, vignette
from benchmark.metrics.blur import blur

__all__ = ["IDEAS", "Idea"]

Idea = Callable[[Tensor, Tensor], Tensor]


def _ghost(seen: Tensor, masks: Tensor, contrast: float) -> Tensor:
    return 0.5 + contrast * (seen - 0.5)


def _sign(seen: Tensor, masks: Tensor) -> Tensor:
    """Whether luma is above its blur of 4 px, in two grays."""
    gray = to_luma(seen)
    return (0.5 + 0.1 * torch.sign(gray - blur(gray[:, 0], 4)[:, None])).expand_as(seen)


def _posterized(seen: Tensor, masks: Tensor, levels: int) -> Tensor:
    return torch.round(seen * (levels - 1)) / (levels - 1)


def _phase(seen: Tensor, masks: Tensor) -> Tensor:
    """Phases of the image, amplitudes that fall as 1 / frequency."""
    height, width = seen.shape[-2:]
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)).to(seen)
    spectrum = torch.fft.rfft2(seen - 0.5)
    shaped = spectrum / spectrum.abs().clamp(min=1e-9) / frequency.clamp(min=1 / height)
    image = torch.fft.irfft2(shaped, s=(height, width))
    return 0.5 + 0.2 * image / image.std((1, 2, 3), keepdim=True)


def _amplitude(seen: Tensor, masks: Tensor) -> Tensor:
    """Amplitudes of the image, phases of noise."""
    noise = torch.randn(seen.shape[-2:], generator=torch.Generator().manual_seed(3)).to(seen)
    phase = torch.fft.rfft2(noise)
    phase = phase / phase.abs()
    mean = seen.mean((2, 3), keepdim=True)
    return mean + torch.fft.irfft2(torch.fft.rfft2(seen - mean).abs() * phase, s=seen.shape[-2:])


def _strongest_waves(seen: Tensor, masks: Tensor, count: int) -> Tensor:
    """The waves of largest amplitude of each channel."""
    mean = seen.mean((2, 3), keepdim=True)
    spectrum = torch.fft.rfft2(seen - mean)
    limit = spectrum.abs().flatten(2).topk(count).values[..., -1:, None]
    return mean + torch.fft.irfft2(spectrum * (spectrum.abs() >= limit), s=seen.shape[-2:])


def _low_rank(seen: Tensor, masks: Tensor, rank: int) -> Tensor:
    left, strength, right = torch.linalg.svd(seen, full_matrices=False)
    return (left[..., :rank] * strength[..., None, :rank]) @ right[..., :rank, :]


def _half(seen: Tensor, masks: Tensor) -> Tensor:
    """The left half, the right one gray."""
    shown = torch.full_like(seen, 0.5)
    middle = seen.shape[-1] // 2
    shown[..., :middle] = seen[..., :middle]
    return shown


def _mirrored(seen: Tensor, masks: Tensor) -> Tensor:
    return seen.flip(3)


def _shifted(seen: Tensor, masks: Tensor, shift: int) -> Tensor:
    return seen.roll(shift, 3)


def _symmetrized(seen: Tensor, masks: Tensor) -> Tensor:
    return (seen + seen.flip(3)) / 2


def _quadrant(seen: Tensor, masks: Tensor) -> Tensor:
    """Two bits and a color: the dominant color in the quadrant of most chroma, before gray."""
    chroma = (seen - to_luma(seen)).square().sum(1, keepdim=True)
    parts = torch.nn.functional.adaptive_avg_pool2d(chroma, 2)
    best = (parts == parts.amax((2, 3), keepdim=True)).to(seen)
    where = torch.nn.functional.interpolate(best, size=seen.shape[-2:], mode="nearest")
    return torch.lerp(torch.full_like(seen, 0.5), dominant_color(seen, 4).expand_as(seen), where.expand_as(seen))


def _spot(seen: Tensor, masks: Tensor, sigma: float) -> Tensor:
    """A place and a color: the dominant color in a blob at the centroid of squared chroma, before gray."""
    weight = (seen - to_luma(seen)).square().sum(1).square()
    total = weight.sum((1, 2)).clamp(min=1e-9)[:, None, None]
    height, width = seen.shape[-2:]
    down = torch.linspace(-1, 1, height, device=seen.device)[:, None].expand(height, width)
    right = torch.linspace(-1, 1, width, device=seen.device).expand(height, width)
    y, x = ((weight * place).sum((1, 2), keepdim=True) / total for place in (down, right))
    where = torch.exp(-((down - y).square() + (right - x).square()) / (2 * sigma**2))[:, None]
    return torch.lerp(torch.full_like(seen, 0.5), dominant_color(seen, 4).expand_as(seen), where.expand_as(seen))


def _cut_out(seen: Tensor, masks: Tensor) -> Tensor:
    """The object as it is, before the mean color of the rest."""
    outside = (~masks)[:, None].to(seen)
    rest = (seen * outside).sum((2, 3), keepdim=True) / outside.sum((2, 3), keepdim=True).clamp(min=1)
    return torch.where(masks[:, None], seen, rest)


def _soft_background(seen: Tensor, masks: Tensor) -> Tensor:
    """The object as it is, before the rest at a third of its contrast."""
    rest = _cut_out(seen, masks)
    return torch.where(masks[:, None], seen, rest + (seen - rest) / 3)


def _silhouette(seen: Tensor, masks: Tensor) -> Tensor:
    """Light where the object is, dark elsewhere."""
    return (0.3 + 0.4 * masks[:, None].to(seen)).expand_as(seen)


def _shuffled(seen: Tensor, masks: Tensor, patches: int) -> Tensor:
    """Cut into patches, which change places, alike in all images."""
    cut = seen.unflatten(3, (patches, -1)).unflatten(2, (patches, -1)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = torch.randperm(patches**2, generator=torch.Generator().manual_seed(11))
    mixed = cut[:, order.to(seen.device)].unflatten(1, (patches, patches))
    return mixed.permute(0, 3, 1, 4, 2, 5).reshape(seen.shape)


def _sorted(seen: Tensor, masks: Tensor) -> Tensor:
    """The pixels of the image, those of most chroma in the middle."""
    chroma = (seen - to_luma(seen)).square().sum(1).flatten(1)
    order = chroma.argsort(stable=True, dim=1, descending=True)[:, None].expand(-1, 3, -1)
    place = radius(seen).flatten().argsort(stable=True).argsort()
    return seen.flatten(2).gather(2, order)[:, :, place].view_as(seen)


def _luma_only(seen: Tensor, masks: Tensor) -> Tensor:
    """Luma alone."""
    return to_luma(seen).expand_as(seen)


IDEAS: dict[str, Idea] = {
    **{f"ghost of contrast {contrast}": partial(_ghost, contrast=contrast) for contrast in (0.01, 0.05)},
    "sign of the detail, two grays": _sign,
    **{f"posterized to {levels} levels": partial(_posterized, levels=levels) for levels in (2, 3)},
    "phases only": _phase,
    "amplitudes only": _amplitude,
    "octaves equally strong": lambda seen, masks: even_octaves(seen),
    **{f"{count} strongest waves": partial(_strongest_waves, count=count) for count in (8, 64)},
    **{f"rank {rank} matrix": partial(_low_rank, rank=rank) for rank in (1, 4)},
    "left half, rest gray": _half,
    "mirror image": _mirrored,
    "mean with the mirror image": _symmetrized,
    "transposed": lambda seen, masks: seen.transpose(2, 3),
    **{f"shifted by {shift} px": partial(_shifted, shift=shift) for shift in (8, 24)},
    **{f"{patches}x{patches} patches shuffled": partial(_shuffled, patches=patches) for patches in (4, 12)},
    "pixels sorted by chroma": _sorted,
    "luma only": _luma_only,
    "dominant color in its quadrant": _quadrant,
    **{f"dominant color in a spot of {sigma}": partial(_spot, sigma=sigma) for sigma in (0.15, 0.3)},
    "vignette": lambda seen, masks: vignette(seen),
    "chroma without its symmetric part": lambda seen, masks: less_symmetric_chroma(seen, 1),
    "the same, chroma x1.15": lambda seen, masks: less_symmetric_chroma(seen, 1.15),
    "image less a third of its mirror images": lambda seen, masks: less_mirrored(seen, 1 / 3),
    "object before a flat background (knows the mask)": _cut_out,
    "object before a faint background (knows the mask)": _soft_background,
    "silhouette (knows the mask)": _silhouette,
    "chroma x1.5": lambda seen, masks: scale_chroma(seen, 1.5),
}
"""What was tried, by name."""
