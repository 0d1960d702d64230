"""The one reader of photographs and masks, whether they are files of your own or lie in a data set.

The format is told from the content. Grayscale, palette and CMYK become RGB without color management. What would have
to be guessed at is refused: transparent pixels, samples of more than 8 bits, several frames (but for the previews in a
camera's JPEG), masks in an encoding that blurs zeros, and files that were cut. Several threads may read at once.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from benchmark.datasets.containers import drops_detail, padded_jpeg
from benchmark.errors import IntegrityError, SpecError, UserError, first_line
from benchmark.files.pointers import refuse_pointer

__all__ = ["EXTENSIONS", "orientation_of", "read_image", "read_mask"]

EXTENSIONS = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LA", "La", "PA", "RGBA", "RGBa")
DEEP_GRAY = ("I", "I;16", "I;16L", "I;16B", "I;16N")
ORIENTATION, UPRIGHT = 0x0112, 1
JPEG_BLOCK_PX = 8
OPAQUE_MASK = "save the mask without an alpha channel: 0 outside of the object"
SAVE_AGAIN = "the file may be damaged; write it again"
_WARNINGS = Lock()  # Python keeps one list of warning filters for all threads


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what decoders say of damaged metadata."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _refusing(where: str, cure: str | None) -> Iterator[None]:
    """Turn whatever a decoder raises into one user error."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise SpecError("no such file", where=where, cure=cure) from None
    except Image.DecompressionBombError:
        message = f"has more than {Image.MAX_IMAGE_PIXELS} pixels, the limit against decompression bombs"
        raise SpecError(message, where=where, cure="scale it down") from None
    except UnidentifiedImageError:
        known = f"give {', '.join(EXTENSIONS)}"
        raise SpecError("not an image of a known format", where=where, cure=cure or known) from None
    except Exception as error:  # Decoders fail in many ways on damaged files.
        message = f"cannot be read as an image: {first_line(error)}"
        raise SpecError(message, where=where, cure=cure or SAVE_AGAIN) from None


@contextmanager
def _open(source: Path | bytes, where: str, cure: str | None) -> Iterator[tuple[ImageFile, bytes]]:
    """Open an image and give its content, too; nothing is decoded yet."""
    with _refusing(where, cure):
        content = source if isinstance(source, bytes) else source.read_bytes()
        refuse_pointer(content, where)
        with _quiet():
            image: Any = Image.open(io.BytesIO(content), formats=FORMATS)
        with image:
            yield image, content


def _orientation(image: ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8; asked before pixels are decoded, which may use it up."""
    with _quiet():
        found = image.getexif().get(ORIENTATION)
    return found if isinstance(found, int) and 1 <= found <= 8 else UPRIGHT


def _refuse_other_size(image: ImageFile, where: str, shape: tuple[int, int] | None, cure: str | None) -> None:
    height, width = image.height, image.width
    if shape is not None and (height, width) != shape:
        raise IntegrityError(f"is {height}x{width} pixels, must be {shape[0]}x{shape[1]}", where=where, cure=cure)


def _refuse_unusual(image: ImageFile, where: str, modes: tuple[str, ...]) -> None:
    width, height = image.size
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
        raise SpecError(f"holds {frames} frames", where=where, cure="save one of them as an image")
    # Pillow opens 16-bit RGB as RGB and drops the low bytes; only the raw mode tells. "BGR;16" of BMP is 5-6-5 bits.
    deep = image.format != "BMP" and any(";16" in str(tile[3]) for tile in image.tile)
    if image.mode not in modes or (deep and image.mode not in DEEP_GRAY):
        what = "has 16 bits a channel" if deep else f"has samples of type '{image.mode}'"
        raise SpecError(f"{what}, not 8", where=where, cure="save it as 8-bit RGB")


def _refuse_turned_tiff(image: ImageFile, where: str, *, upright: bool) -> None:
    """Refuse a TIFF whose stored pixels are wanted: Pillow turns it by its orientation as it decodes."""
    if not upright and image.format == "TIFF" and _orientation(image) != UPRIGHT:
        message = f"is a TIFF with orientation {_orientation(image)}, whose pixels cannot be read as they are stored"
        raise SpecError(message, where=where, cure="save it upright, without the tag")


def _refuse_cut_jpeg(image: ImageFile, content: bytes, where: str, cure: str | None) -> None:
    """Refuse a JPEG that was cut and given an end marker: decoders fill it up with gray and say nothing.

    One with a single scan is looked at closely only if it ends in a flat block, as the gray is.
    """
    if image.format not in ("JPEG", "MPO"):
        return
    padded, scans = padded_jpeg(content)
    width, height = image.size
    corner = ((width - 1) // JPEG_BLOCK_PX * JPEG_BLOCK_PX, (height - 1) // JPEG_BLOCK_PX * JPEG_BLOCK_PX)
    low, high = image.crop((*corner, width, height)).convert("L").getextrema()
    if scans == 1 and float(str(high)) - float(str(low)) > 2:
        return
    with _quiet():
        again = Image.open(io.BytesIO(padded), formats=["JPEG"])
    with again:
        if again.tobytes() != image.tobytes():
            message = "is a JPEG that was cut short; what is missing would be read as gray"
            raise SpecError(message, where=where, cure=cure or SAVE_AGAIN)


def _opaque(image: Image.Image, where: str, cure: str = "flatten it onto a background") -> Image.Image:
    """Return the image as RGB; refused if a pixel is transparent."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] != 255:
            raise SpecError("has transparent pixels", where=where, cure=cure)
    return image.convert("RGB")


def _decode(image: ImageFile) -> None:
    with _quiet() if image.format == "TIFF" else nullcontext():  # decoding a TIFF reads its metadata
        image.load()


def _turn(image: ImageFile) -> Image.Image:
    """Return the image upright."""
    with _quiet():
        return ImageOps.exif_transpose(image)


def read_image(
    source: Path | bytes,
    where: str | None = None,
    *,
    upright: bool = False,
    shape: tuple[int, int] | None = None,
    cure: str | None = None,
) -> npt.NDArray[np.uint8]:
    """Read a photograph as uint8 RGB (H, W, 3).

    Args:
        source: the file, or its content.
        where: what messages call it, if not by its path.
        upright: whether EXIF orientation is applied; otherwise pixels are where they are stored.
        shape: the height and width that it must have; compared before anything is decoded.
        cure: what to do if it is absent or damaged.

    Raises:
        SpecError: absent, damaged, cut short, of an unknown format, with transparent pixels, more than 8 bits a
            channel, several frames, or more pixels than Pillow's limit against decompression bombs; or a TIFF with an
            orientation, unless it is read `upright`.
        IntegrityError: not of `shape`.
    """
    where = where or str(source)
    with _open(source, where, cure) as (image, content):
        _refuse_other_size(image, where, shape, cure)
        _refuse_unusual(image, where, MODES)
        _refuse_turned_tiff(image, where, upright=upright)
        _decode(image)
        _refuse_cut_jpeg(image, content, where, cure)
        return np.array(_opaque(_turn(image) if upright else image, where))


def read_mask(
    source: Path | bytes,
    where: str | None = None,
    *,
    upright: bool = False,
    shape: tuple[int, int] | None = None,
    cure: str | None = None,
) -> npt.NDArray[np.bool_]:
    """Read a mask as bool (H, W): true where a channel is not zero (of a palette: where its color is not).

    Args:
        source, where, upright, shape, cure: see `read_image`.

    Raises:
        SpecError, IntegrityError: as `read_image`, but grayscale may have 16 bits; an encoding that does not keep
            zeros is refused: JPEG, lossy WebP, TIFF compressed by one of them.
    """
    where = where or str(source)
    with _open(source, where, cure) as (image, content):
        if lossy := drops_detail(image.format, content, image.info.get("compression")):
            raise SpecError(f"{lossy} does not keep the zeros of a mask", where=where, cure="save the mask as PNG")
        _refuse_other_size(image, where, shape, cure)
        _refuse_unusual(image, where, MODES + DEEP_GRAY)
        _refuse_turned_tiff(image, where, upright=upright)
        _decode(image)
        shown = _turn(image) if upright else image
        pixels: npt.NDArray[Any] = np.array(shown if shown.mode in DEEP_GRAY else _opaque(shown, where, OPAQUE_MASK))
        return pixels.reshape(*pixels.shape[:2], -1).max(axis=2) > 0


def orientation_of(path: Path) -> int:
    """Return the EXIF orientation of an image file, 1 (upright) to 8.

    Raises:
        SpecError: as `read_image`.
    """
    with _open(path, str(path), None) as (image, _):
        return _orientation(image)
