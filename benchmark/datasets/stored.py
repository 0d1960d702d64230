"""Photographs as they are stored: the one decoder of the sources of evaluation images.

The format is told from the content, the first frame counts, grayscale and CMYK become RGB, and EXIF orientation is not
applied: masks are drawn on the stored pixels, and classifiers of the field are trained and tested on them.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from benchmark.datasets.files import FORMATS, MODES
from benchmark.errors import IntegrityError, SpecError, UserError, first_line

__all__ = ["read_stored"]

_WARNINGS = Lock()  # Python keeps one list of warning filters for all threads


def _open_image(source: Path | bytes) -> Image.Image:
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data, which are not used; the size is checked anyway
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def _check_header(image: Image.Image, where: str, shape: tuple[int, int] | None) -> None:
    width, height = image.size
    if shape is not None and (height, width) != shape:
        raise IntegrityError(f"is {height}x{width} pixels, must be {shape[0]}x{shape[1]}", where=where)
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    if image.mode not in MODES:
        raise SpecError(f"has samples of type '{image.mode}', not 8-bit ones", where=where)


def read_stored(
    source: Path | bytes, where: str, *, shape: tuple[int, int] | None = None, cure: str | None = None
) -> npt.NDArray[np.uint8]:
    """Read a photograph as uint8 RGB (H, W, 3), its pixels where they are stored: EXIF orientation is not applied.

    Several threads may read at once.

    Args:
        source: the file, or its content.
        where: what messages call it.
        shape: the height and width that it must have; compared before anything is decoded.
        cure: what to do if it is absent or damaged.

    Raises:
        SpecError: absent, damaged, cut short, of an unknown format, not of 8 bits, or of more pixels than Pillow's
            limit against decompression bombs.
        IntegrityError: not of `shape`.
    """
    try:
        with _open_image(source) as image:
            _check_header(image, where, shape)
            return np.array(image.convert("RGB"))
    except UserError:
        raise
    except FileNotFoundError:
        raise SpecError("no such file", where=where, cure=cure) from None
    except Image.DecompressionBombError:
        message = f"has more than {Image.MAX_IMAGE_PIXELS} pixels, the limit against decompression bombs"
        raise SpecError(message, where=where, cure=cure) from None
    except UnidentifiedImageError:
        raise SpecError("not an image of a known format", where=where, cure=cure) from None
    except Exception as error:  # Decoders fail in many ways on damaged files.
        raise SpecError(f"cannot be read as an image: {first_line(error)}", where=where, cure=cure) from None
