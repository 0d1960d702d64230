"""Controlled degradations: edits of known effect, to be scored instead of a recon.

Every edit is a pure function of images, float32 RGB (N, 3, H, W) in [0, 1], and focal masks, bool (N, H, W); it
returns a tensor like the images. Whatever is random is seeded. What a metric says about them is tabulated by
`benchmark.diagnostics.degradation_table`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmark.files.pixels import to_pixels, to_tensor
from benchmark.perturbations import gray, identity, shift_hue

__all__ = [
    "EDITS", "Edit", "add_noise", "another_image", "blur", "constant_gray", "edges_only", "half_chroma",
    "half_contrast", "jpeg", "own_mean_color", "shift_hue_alone", "shuffle_patches", "white_noise",
]  # fmt: skip

Edit = Callable[[Tensor, Tensor], Tensor]
NOISE_SEED = 11
SHUFFLE_SEED = 11
WHITE_NOISE_SEED = 7  # that of the anchors


def blur(images: Tensor, masks: Tensor, sigma_px: float) -> Tensor:
    """Blur by a Gaussian of `sigma_px` pixels; the border is mirrored."""
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(images.cpu().numpy(), (0, 0, sigma_px, sigma_px))).to(images)


def jpeg(images: Tensor, masks: Tensor, quality: int) -> Tensor:
    """Write and read each image as a JPEG file, as Pillow does by default (chroma at half the resolution)."""
    from PIL import Image

    read = []
    for pixels in to_pixels(images.clamp(0, 1)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        read.append(np.array(Image.open(file)))
    return to_tensor(np.stack(read)).to(images)


def add_noise(images: Tensor, masks: Tensor, sigma: float) -> Tensor:
    """Add Gaussian noise of standard deviation `sigma` to every value."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(NOISE_SEED))
    return (images + sigma * noise.to(images)).clamp(0, 1)


def shuffle_patches(images: Tensor, masks: Tensor, patches: int) -> Tensor:
    """Cut into `patches` x `patches` and permute them, all images alike.

    Raises:
        ValueError: the sides are not multiples of `patches`.
    """
    height, width = images.shape[-2:]
    if height % patches or width % patches:
        raise ValueError(f"{height}x{width} pixels cannot be cut into {patches}x{patches} patches")
    cut = images.unflatten(3, (patches, -1)).unflatten(2, (patches, -1)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = torch.randperm(patches**2, generator=torch.Generator().manual_seed(SHUFFLE_SEED))
    mixed = cut[:, order.to(images.device)].unflatten(1, (patches, patches))
    return mixed.permute(0, 3, 1, 4, 2, 5).reshape(images.shape)


def shift_hue_alone(images: Tensor, masks: Tensor, hue_deg: float) -> Tensor:
    """Rotate the HSV hue inside the mask by `hue_deg` degrees and put the luma back, which HSV does not keep.

    Where the color then leaves [0, 1] it is clamped, so that some luma is still lost in saturated regions.
    """
    turned = shift_hue(images, masks, hue_deg)
    return (turned + gray(images, masks) - gray(turned, masks)).clamp(0, 1)


def half_chroma(images: Tensor, masks: Tensor) -> Tensor:
    """Halve a* and b* of CIELAB."""
    from skimage.color import lab2rgb, rgb2lab

    lab = rgb2lab(images.cpu().double().numpy(), channel_axis=1)
    lab[:, 1:] /= 2
    return torch.from_numpy(lab2rgb(lab, channel_axis=1)).to(images)


def half_contrast(images: Tensor, masks: Tensor) -> Tensor:
    """Move every value half the way to the mean luma of its image; chroma is halved with it."""
    return (images + gray(images, masks).mean((1, 2, 3), keepdim=True)) / 2


def edges_only(images: Tensor, masks: Tensor) -> Tensor:
    """Return the magnitude of the luma gradient as a gray image, the strongest edge of each image white."""
    luma = gray(images, masks)[:, :1]
    along_y, along_x = torch.gradient(luma, dim=(2, 3))
    magnitude = torch.hypot(along_x, along_y)
    return (magnitude / magnitude.amax((2, 3), keepdim=True).clamp(min=1e-6)).expand_as(images).contiguous()


def another_image(images: Tensor, masks: Tensor) -> Tensor:
    """Return the previous image of the batch; the first gets the last."""
    return images.roll(1, dims=0)


def own_mean_color(images: Tensor, masks: Tensor) -> Tensor:
    """Return the mean color of each image."""
    return images.mean((2, 3), keepdim=True).expand_as(images)


def constant_gray(images: Tensor, masks: Tensor) -> Tensor:
    """Return mid-gray."""
    return torch.full_like(images, 0.5)


def white_noise(images: Tensor, masks: Tensor) -> Tensor:
    """Return values drawn evenly from [0, 1]."""
    return torch.rand(images.shape, generator=torch.Generator().manual_seed(WHITE_NOISE_SEED)).to(images)


EDITS: dict[str, Edit] = {
    "identity": identity,
    "blur_1px": partial(blur, sigma_px=1),
    "blur_2px": partial(blur, sigma_px=2),
    "blur_4px": partial(blur, sigma_px=4),
    "jpeg_50": partial(jpeg, quality=50),
    "jpeg_10": partial(jpeg, quality=10),
    "noise_0.05": partial(add_noise, sigma=0.05),
    "noise_0.2": partial(add_noise, sigma=0.2),
    "half_contrast": half_contrast,
    "patch_shuffle_12": partial(shuffle_patches, patches=12),
    "edges_only": edges_only,
    "hue_shift_120": partial(shift_hue, hue_deg=120),
    "hue_shift_120_alone": partial(shift_hue_alone, hue_deg=120),
    "half_chroma": half_chroma,
    "desaturated": gray,
    "another_image": another_image,
    "own_mean_color": own_mean_color,
    "constant_gray": constant_gray,
    "white_noise": white_noise,
}
"""The edits by name, from mild to trivial: `blur_2px` has a sigma of 2 pixels, `noise_0.2` a deviation of .2,
`jpeg_10` quality 10, `patch_shuffle_12` 12x12 patches; hue shifts are by 120 degrees inside the focal mask."""
