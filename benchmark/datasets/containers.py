"""What only the bytes of an image file say, and its decoder does not: whether it is whole, and whether it is exact."""

from __future__ import annotations

import re

__all__ = ["drops_detail", "padded_jpeg"]

MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # but for stuffed bytes and restarts, which are part of a scan
END, SCAN, WITHOUT_LENGTH = 0xD9, 0xDA, (0x01, 0xD8)
BITS = b"\x55" * 64
PADDING = BITS + b"".join(bytes((0xFF, restart)) + BITS for restart in range(0xD0, 0xD8))
EXACT_TIFF = {
    None, "raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "tiff_ccitt", "tiff_raw_16", "group3",
    "group4", "lzma", "zstd",
}  # fmt: skip


def padded_jpeg(content: bytes) -> tuple[bytes, int]:
    """Return a JPEG with more bits at the end of its last scan, and how many scans it has.

    A decoder passes over the bits if the scan is whole. If it was cut and given an end marker, which makes a decoder
    fill up with gray, the bits change what is decoded. A file without an end marker comes back as it is.
    """
    position, scans = 2, 0
    while match := MARKER.search(content, position):
        kind, position = match.group()[-1], match.end()
        if kind == END:
            return content[: match.start()] + PADDING + content[match.start() :], scans
        scans += kind == SCAN
        if kind not in WITHOUT_LENGTH:
            position += max(2, int.from_bytes(content[position : position + 2]))
    return content, scans


def _is_lossy_webp(content: bytes) -> bool:
    """Whether the image of a WebP file is a VP8 stream; lossless ones are VP8L."""
    position = 12
    while position + 8 <= len(content):
        kind, size = content[position : position + 4], int.from_bytes(content[position + 4 : position + 8], "little")
        if kind == b"VP8 ":
            return True
        position += 8 + size + size % 2
    return False


def drops_detail(kind: str | None, content: bytes, compression: str | None) -> str | None:
    """Return the name of the encoding if it does not keep every sample as it was; None if it does.

    Args:
        kind: Pillow's name of the format.
        content: the file.
        compression: Pillow's name of what a TIFF is compressed with.
    """
    if kind in ("JPEG", "MPO"):
        return "JPEG"
    if kind == "WEBP" and _is_lossy_webp(content):
        return "lossy WebP"
    if kind == "TIFF" and compression not in EXACT_TIFF:
        return f"TIFF with {str(compression).removeprefix('tiff_')} compression"
    return None
