"""The small site of COCO's archives, a cache of one's own, and a folder that a user has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from cocosite import ANNOTATIONS, ARCHIVES, MEMBERS, TRAIN_ANNOTATIONS, TRAIN_ARCHIVES, Site, make_handler, make_release

from benchmark.content.photographs import COCO_TRAIN, Release


@pytest.fixture
def site() -> Iterator[Site]:
    """A server of the archives of both splits."""
    site = Site({f"/{path}": body for path, body in (ARCHIVES | TRAIN_ARCHIVES).items()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(site))
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield site
    site.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def release(site: Site) -> Release:
    return make_release(ARCHIVES, site.url)


@pytest.fixture
def training(site: Site) -> Release:
    return make_release(TRAIN_ARCHIVES, site.url, COCO_TRAIN, TRAIN_ANNOTATIONS)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the data that a user has."""
    folder = tmp_path / "own"
    for name, content in (MEMBERS | {"annotations/instances_val2017.json": ANNOTATIONS}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
