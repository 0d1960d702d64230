"""Nearest neighbor: of some training images the one whose features are most alike, which shows memorization."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from benchmark.errors import IntegrityError, first_line
from benchmark.files.pixels import to_pixels, to_tensor
from benchmark.inverses.spec import InverseConfig
from benchmark.inverses.standardized import StandardizedInverse
from benchmark.targets.taps import Features

__all__ = ["BLOCK", "KnnInverse", "draw_signs", "encode"]

BLOCK = 1024
QUALITY = 80
MOST_IMAGES = 2**14


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def draw_signs(rows: int, columns: int, device: torch.device) -> Tensor:
    """Return a random projection with entries of -1 and 1, float32 (rows, columns): the same on every machine.

    Distances survive it up to a factor (Achlioptas 2003). Signs are bits of the raw stream of PCG64.
    """
    count = rows * columns
    raw = np.random.PCG64(0).random_raw(-(-count // 64)).astype("<u8")
    bits = np.unpackbits(raw.view(np.uint8), count=count)
    return torch.from_numpy(bits.astype(np.float32) * 2 - 1).view(rows, columns).to(device)


def encode(images: Tensor) -> list[bytes]:
    """Return images, float RGB in [0, 1], (N, 3, H, W), as WebP files."""
    files = []
    for pixels in to_pixels(images):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY)
        files.append(buffer.getvalue())
    return files


def _decode(file: bytes, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the pixels (H, W, 3) of a WebP file; raises ValueError unless it holds an image of that size."""
    try:
        with Image.open(io.BytesIO(file), formats=["WEBP"]) as image:
            if image.size != size[::-1]:
                raise ValueError(f"it is {image.height}x{image.width}, not {size[0]}x{size[1]}")
            return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError:
        raise ValueError("it is no WebP file") from None
    except OSError as error:
        raise ValueError(first_line(error)) from None


class KnnInverse(StandardizedInverse):
    """Returns the nearest of the images that it holds, by the distance of standardized, randomly projected features.

    `architecture` holds `images` (their number), `dimensions` (of the projections) and `blocks` (the KiB that the WebP
    files of the images take, one after the other).
    """

    method = "knn"
    lengths: Tensor
    files: Tensor

    def __init__(self, config: InverseConfig) -> None:
        super().__init__(config, tuple(config.taps))
        images, dimensions, blocks = (config.architecture[name] for name in ("images", "dimensions", "blocks"))
        if not 0 < images <= MOST_IMAGES:
            raise ValueError(f"{images} images are not between 1 and {MOST_IMAGES}")
        for tap in config.taps:
            self.register_buffer(f"keys_{self.key(tap)}", torch.zeros(images, dimensions))
        self.register_buffer("lengths", torch.zeros(images, dtype=torch.int32))
        self.register_buffer("files", torch.zeros(blocks, BLOCK, dtype=torch.uint8))
        self._images: Tensor | None = None

    def set_files(self, files: Sequence[bytes]) -> None:
        """Take up the images (WebP files), as many as the configuration says."""
        self.lengths.copy_(torch.tensor([len(file) for file in files]))
        joined = b"".join(files).ljust(self.files.numel(), b"\0")
        self.files.copy_(torch.frombuffer(bytearray(joined), dtype=torch.uint8).view_as(self.files))

    def set_keys(self, first: int, features: Mapping[str, Features]) -> None:
        """Take up the features of the images from number `first` on; moments are there already."""
        for tap, item in features.items():
            keys = self.get_buffer(f"keys_{self.key(tap)}")
            keys[first : first + len(item.tensor)] = self._project(tap, item.tensor)

    def images(self) -> Tensor:
        """Return the images, float RGB in [0, 1], (images, 3, H, W).

        Raises:
            IntegrityError: what the weights hold is no such image.
        """
        if self._images is None:
            joined, found, end = self.files.cpu().numpy().tobytes(), [], 0
            for place, length in enumerate(self.lengths.tolist()):
                try:
                    found.append(_decode(joined[end : end + max(length, 0)], self.config.input_size))
                except ValueError as error:
                    where = f"weights of 'knn' for {self.config.target}"
                    raise IntegrityError(f"image {place}: {error}", where=where, cure="train it again") from None
                end += length
            self._images = to_tensor(np.stack(found), self.files.device)
        return self._images

    def _project(self, tap: str, features: Tensor) -> Tensor:
        """Return features (N, ...) of a tap as (N, dimensions)."""
        flat = self.standardize(tap, features).flatten(1)
        signs = draw_signs(flat.shape[1], self.config.architecture["dimensions"], flat.device)
        return flat @ signs / flat.shape[1] ** 0.5

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse."""
        recons = {}
        for tap, item in features.items():
            keys = self.get_buffer(f"keys_{self.key(tap)}")
            found = self._project(tap, item.tensor)
            distances = torch.cdist(found, keys, compute_mode="donot_use_mm_for_euclid_dist")
            known = distances.isfinite().all(1).view(-1, 1, 1, 1)  # features that are not finite are near nothing
            recons[tap] = self.images()[distances.argmin(1)].where(known, torch.nan)
        return recons
