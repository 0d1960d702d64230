"""A server of two small archives in the layout of COCO's own, with faults as ordered."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.content.photographs import COCO, COCO_TRAIN, Release
from benchmark.suites.spec import CocoData

PHOTOGRAPHS = 12
SPEC = CocoData(
    source="coco", images=3, description="x", resize="pillow-bilinear", split="val2017", salt="coco@1:",
    share=(0.05, 0.6),
)  # fmt: skip


@dataclass
class Fault:
    """How the server answers the next `times` requests of a path."""

    times: int = 1
    status: int | None = None
    cut: int | None = None
    reset: bool = False
    body: bytes | None = None
    pause: bool = False
    no_range: bool = False
    no_length: bool = False


@dataclass
class Site:
    """Files by path, faults by path, and what was asked for: (path, range)."""

    files: dict[str, bytes]
    url: str = ""
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)


def make_handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append((self.path, wanted))
            fault = site.faults.get(self.path, Fault(times=0))
            fault = fault if fault.times > 0 else Fault()
            if self.path in site.faults:
                site.faults[self.path].times -= 1
            if fault.status or self.path not in site.files:
                self.send_error(fault.status or 404)
                return
            content = site.files[self.path] if fault.body is None else fault.body
            found = None if fault.no_range else re.fullmatch(r"bytes=(\d+)-", wanted or "")
            start = int(found[1]) if found else 0
            self.send_response(206 if found else 200)
            if found:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if not fault.no_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = len(content) if fault.cut is None else start + fault.cut
            self.wfile.write(content[start:end])
            if fault.pause:
                site.go_on.wait(300)
            if fault.reset:
                time.sleep(0.3)  # A reset swallows what has not been read yet.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())

    return Handler


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(value).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


ANNOTATIONS = json.dumps(
    {
        "images": [
            {"id": i, "file_name": f"{i:012d}.jpg", "height": 120, "width": 160} for i in range(1, PHOTOGRAPHS + 1)
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": [[5, 5, 65, 5, 65, 65, 5, 65]]}
            for i in range(1, PHOTOGRAPHS + 1)
        ],
    }
).encode()
MEMBERS = {f"val2017/{i:012d}.jpg": jpeg(i) for i in range(1, PHOTOGRAPHS + 1)}


def make_zip(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def make_release(
    archives: Mapping[str, bytes], url: str, official: Release = COCO, annotations: bytes = ANNOTATIONS
) -> Release:
    """A release in the layout of COCO's own, of these archives."""
    own = {archive.path: archive for archive in official.archives}
    described = tuple(
        replace(own[path], bytes=len(body), sha256=hashlib.sha256(body).hexdigest(), unpacked_bytes=1_000_000)
        for path, body in archives.items()
    )
    return Release(url, described, official.split, hashlib.sha256(annotations).hexdigest(), PHOTOGRAPHS)


VAL, LABELS = (archive.path for archive in COCO.archives)
OTHERS = {"val2017/": b"", "val2017/notes.txt": b"x", "annotations/captions_val2017.json": b"{}"}
TRAIN = COCO_TRAIN.archives[0].path
TRAIN_ANNOTATIONS = ANNOTATIONS + b"\n"
TRAIN_MEMBERS = {name.replace("val2017", "train2017"): content for name, content in MEMBERS.items()}
LISTS = {
    "annotations/instances_val2017.json": ANNOTATIONS,
    "annotations/instances_train2017.json": TRAIN_ANNOTATIONS,
}
ARCHIVES = {VAL: make_zip(MEMBERS | OTHERS), LABELS: make_zip(LISTS | OTHERS, zipfile.ZIP_DEFLATED)}
TRAIN_ARCHIVES = {TRAIN: make_zip(TRAIN_MEMBERS | {"train2017/": b""}), LABELS: ARCHIVES[LABELS]}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TRAIN_WHOLE = TRAIN_MEMBERS | {"annotations/instances_train2017.json": TRAIN_ANNOTATIONS}
WHOLE = MEMBERS | {"annotations/instances_val2017.json": ANNOTATIONS}
