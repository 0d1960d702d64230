"""Image files of your own: read as 8-bit RGB or as a mask, and paired by name.

Files are read upright (EXIF orientation is applied) and converted to RGB as they are, without color management:
grayscale, palette and CMYK are welcome. Whatever would have to be guessed at is refused: transparency, samples of
more than 8 bits, several frames.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from benchmark.errors import SpecError, UserError, first_line

__all__ = ["EXTENSIONS", "FORMATS", "MODES", "list_images", "pair_files", "read_image", "read_mask"]

EXTENSIONS = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LA", "La", "PA", "RGBA", "RGBa")
DEEP_GRAY = ("I", "I;16", "I;16L", "I;16B", "I;16N")
NAMED = 3


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises or warns about into one user error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UserError:
        raise
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        message = f"has more than {Image.MAX_IMAGE_PIXELS} pixels, the limit against decompression bombs"
        raise SpecError(message, where=str(path), cure="scale it down") from None
    except UnidentifiedImageError:
        raise SpecError("not an image of a known format", where=str(path), cure=f"give {_known()}") from None
    except Exception as error:  # Decoders fail in many ways on damaged files.
        message = f"cannot be read as an image: {first_line(error)}"
        raise SpecError(message, where=str(path), cure="the file may be damaged; write it again") from None


def _known() -> str:
    return ", ".join(EXTENSIONS)


def _refuse_unusual(image: ImageFile, path: Path, modes: tuple[str, ...]) -> None:
    if getattr(image, "n_frames", 1) > 1:
        raise SpecError(f"holds {image.n_frames} frames", where=str(path), cure="save one of them as an image")  # type: ignore[attr-defined]
    # Pillow opens 16-bit RGB as RGB and drops the low bytes; only the raw mode tells. "BGR;16" of BMP is 5-6-5 bits.
    deep = image.format != "BMP" and any(";16" in str(tile[3]) for tile in image.tile)
    if image.mode not in modes or (deep and image.mode not in DEEP_GRAY):
        what = "has 16 bits a channel" if deep else f"has samples of type '{image.mode}'"
        raise SpecError(f"{what}, not 8", where=str(path), cure="save it as 8-bit RGB")


def _opaque(image: Image.Image, path: Path) -> Image.Image:
    """Return the image as RGB; refused if a pixel is transparent."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] != 255:
            raise SpecError("has transparent pixels", where=str(path), cure="flatten it onto a background")
    return image.convert("RGB")


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image as uint8 RGB (H, W, 3), upright.

    Raises:
        SpecError: absent, damaged, of another format, with transparent pixels, more than 8 bits a channel, several
            frames, or more pixels than Pillow's limit against decompression bombs.
    """
    with _refusing(path), Image.open(path, formats=FORMATS) as image:
        _refuse_unusual(image, path, MODES)
        image.load()
        return np.array(_opaque(ImageOps.exif_transpose(image), path))


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Read a mask as bool (H, W), upright: true where a channel is not zero (of a palette: where its color is not).

    Raises:
        SpecError: as `read_image`, but grayscale may have 16 bits; JPEG is refused, since it blurs zeros.
    """
    with _refusing(path), Image.open(path, formats=FORMATS) as image:
        if image.format in ("JPEG", "MPO"):
            raise SpecError("JPEG does not keep the zeros of a mask", where=str(path), cure="save the mask as PNG")
        _refuse_unusual(image, path, MODES + DEEP_GRAY)
        image.load()
        upright = ImageOps.exif_transpose(image)
        pixels: npt.NDArray[Any] = np.array(upright if upright.mode in DEEP_GRAY else _opaque(upright, path))
        return pixels.reshape(*pixels.shape[:2], -1).max(axis=2) > 0


def list_images(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by name without extension, ascending; hidden files and subfolders do not count.

    Raises:
        SpecError: there are none, or two of one name.
    """
    images: dict[str, Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise SpecError(f"cannot be listed: {first_line(error)}", where=str(folder)) from None
    for path in paths:
        if path.name.startswith(".") or path.suffix[1:].lower() not in EXTENSIONS or not path.is_file():
            continue
        if path.stem in images:
            message = f"both {images[path.stem].name} and {path.name} are named '{path.stem}'"
            raise SpecError(message, where=str(folder), cure="keep one of them")
        images[path.stem] = path
    if not images:
        raise SpecError("holds no images", where=str(folder), cure=f"known extensions: {_known()}")
    return dict(sorted(images.items()))


def _refuse_unpaired(first: Path, second: Path, names: set[str], partners: set[str]) -> None:
    if missing := sorted(names - partners):
        shown = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
        message = f"no partner for {len(missing)} of the {len(names)} images of {first}: {shown}"
        raise SpecError(message, where=str(second), cure="files pair by their name without extension")


def pair_files(sources: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Return files by image name and role: of one file a role, or of one folder a role, paired by name.

    Args:
        sources: a file or a folder by role; the first one names the images.

    Raises:
        SpecError: one is absent, files and folders are mixed, a folder holds no images, or a file has no partner.
    """
    first, *others = sources
    for path in sources.values():
        if not path.exists():
            raise SpecError("no such file or folder", where=str(path))
        if path.is_dir() != sources[first].is_dir():
            kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
            message = f"is {kinds[0]}, but {sources[first]} is {kinds[1]}"
            raise SpecError(message, where=str(path), cure="give files, or give folders")
        if not path.is_dir() and not path.is_file():
            raise SpecError("neither a file nor a folder", where=str(path))
    if not sources[first].is_dir():
        return {sources[first].stem: dict(sources)}
    listed = {role: list_images(path) for role, path in sources.items()}
    for role in others:
        names, partners = set(listed[first]), set(listed[role])
        _refuse_unpaired(sources[first], sources[role], names, partners)
        _refuse_unpaired(sources[role], sources[first], partners, names)
    return {name: {role: listed[role][name] for role in sources} for name in listed[first]}
