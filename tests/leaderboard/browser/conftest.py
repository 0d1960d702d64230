"""Debian's Chromium, driven by Playwright; axe-core; and the sites, from a disk and from a server."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from browsing import Reader

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AXE = "axe-core@4.14.1"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
Open = Callable[..., Reader]
Site = Any


def lack(reason: str) -> NoReturn:
    """Skip; where changes are judged, fail instead."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser from $CHROMIUM or the system, never one that Playwright downloads; one a module, as its loop is."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lack("playwright is not installed")
    found = filter(None, (os.environ.get("CHROMIUM"), *map(shutil.which, PROGRAMS)))
    program = next(found, None) or lack("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-quic"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Open]:
    """Return a function that opens a window on a site or an address; no window may have noted trouble at the end."""
    readers: list[Reader] = []

    def _visit(site: Site | str, **options: Any) -> Reader:
        base = site if isinstance(site, str) else site.out.as_uri()
        readers.append(Reader(chromium, base, **options))
        return readers[-1]

    yield _visit
    for reader in readers:
        reader.note()
        reader.context.close()
    assert [trouble for reader in readers for trouble in reader.trouble] == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a reader who goes on to another page hangs up."""


@pytest.fixture(scope="module")
def served(real: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real site on a server that holds it below its root."""
    root = tmp_path_factory.mktemp("served")
    (root / "some" / "sub").mkdir(parents=True)
    (root / "some" / "sub" / "path").symlink_to(real.out)
    server = _Server(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/some/sub/path"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core, from the package in the folder $AXE_NPM or from the npm registry."""
    if own := os.environ.get("AXE_NPM"):
        return (Path(own) / "axe.min.js").read_text(encoding="utf-8")
    if not shutil.which("npm"):
        lack("npm is not installed")
    folder = tmp_path_factory.mktemp("axe")
    try:
        done = subprocess.run(
            ["npm", "pack", "--silent", "--fetch-retries=0", "--fetch-timeout=60000", AXE],
            capture_output=True, text=True, cwd=folder, timeout=180,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        lack("npm does not answer")
    if done.returncode:
        lack(f"npm cannot fetch {AXE}: {done.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()  # type: ignore[union-attr]
