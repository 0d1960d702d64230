"""What a Hub may answer: whatever it sends, the client writes nothing outside of its cache, and comes to an end.

The client of the Hub names files by what the server says (ETag), believes sizes, unpacks what is compressed, waits as
long as it is told to, and reads as slowly as it is sent to. So its HTTP session gets hooks that look at every answer.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

__all__ = ["guarded", "http_library"]

SAFE_NAME = re.compile(r'(W/)?"?([0-9A-Za-z_-]{1,200})"?')
"""An ETag that can be the name of a file, as those of the Hub are: 40 or 64 hex digits."""
MAX_UNANNOUNCED_BYTES = 100_000_000
MIN_BYTES_PER_S = 1_000
LONGEST_WAIT_S = 60
HEADERS_PER_TIMEOUT, BODY_PER_TIMEOUT = 6, 3
"""How many timeouts of the client headers may take, and a body to reach the lowest speed (HF_HUB_DOWNLOAD_TIMEOUT)."""


@dataclass
class _Watch:
    """What is known of the calls inside one context: limits of bytes, and the timer of the request under way."""

    largest: int | None
    announced: int | None = None
    timer: threading.Timer | None = None
    late: bool = False

    def end_session(self) -> None:
        """Close the connections of the client, which reads until then; the next call opens others."""
        from huggingface_hub import close_session

        self.late = True
        close_session()

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


_watch: ContextVar[_Watch | None] = ContextVar("watch", default=None)
_lock = threading.Lock()
_installed = False


def http_library() -> Any:
    """Return httpx or httpx2, whichever this version of the client uses."""
    import huggingface_hub.errors

    return sys.modules[huggingface_hub.errors.HfHubHTTPError.__mro__[1].__module__.partition(".")[0]]


@contextmanager
def guarded(max_bytes: int | None = None) -> Iterator[None]:
    """Watch the answers to the client inside the context; the first use installs the hooks.

    Args:
        max_bytes: the most that the body of an answer may hold; None: as many bytes as were announced.
    """
    global _installed
    with _lock:
        if not _installed:
            _install()
            _installed = True
    watch = _Watch(max_bytes)
    token = _watch.set(watch)
    try:
        yield
    except (http_library().HTTPError, OSError, ValueError, RuntimeError) as error:
        if watch.late:
            raise http_library().DecodingError("the headers of its answer did not come in time") from error
        raise
    finally:
        watch.stop()
        _watch.reset(token)


def _install() -> None:
    from huggingface_hub import get_session, set_client_factory
    from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT

    http = http_library()
    before = list(get_session().event_hooks["request"])
    guard = _Guard(http, HF_HUB_DOWNLOAD_TIMEOUT)

    def make() -> Any:
        hooks = {"request": [*before, guard.begin], "response": [guard.check]}
        return http.Client(follow_redirects=True, timeout=None, event_hooks=hooks)

    set_client_factory(make)


class _Guard:
    """The hooks of a session."""

    def __init__(self, http: Any, timeout_s: float) -> None:
        self.http, self.headers_s, self.body_s = http, HEADERS_PER_TIMEOUT * timeout_s, BODY_PER_TIMEOUT * timeout_s
        guard = self

        class Watched(http.SyncByteStream):  # type: ignore[misc]
            """A body with an end: in bytes, and in time."""

            def __init__(self, stream: Any, most: int) -> None:
                self.stream, self.most = stream, most

            def __iter__(self) -> Iterator[bytes]:
                start, count = time.monotonic(), 0
                for part in self.stream:
                    count += len(part)
                    seconds = time.monotonic() - start
                    if count > self.most:
                        raise guard.refusal(f"it sends more than the {self.most:,} bytes that it announced")
                    if seconds > guard.body_s and count < MIN_BYTES_PER_S * seconds:
                        raise guard.refusal(f"it sends less than {MIN_BYTES_PER_S:,} bytes a second")
                    yield part

            def close(self) -> None:
                self.stream.close()

        self.watched = Watched

    def refusal(self, message: str) -> Exception:
        """The error of an answer that is not taken; the client does not try again."""
        error: Exception = self.http.DecodingError(message)
        return error

    def begin(self, request: Any) -> None:
        """Ask for nothing compressed, and for headers in time."""
        if (watch := _watch.get()) is None or request.method not in ("GET", "HEAD"):
            return
        request.headers["Accept-Encoding"] = "identity"
        watch.stop()
        if watch.late:
            raise self.refusal("the headers of its answer did not come in time")
        watch.timer = threading.Timer(self.headers_s, watch.end_session)
        watch.timer.daemon = True
        watch.timer.start()

    def check(self, response: Any) -> None:
        """Refuse an answer by its headers, and watch its body."""
        if (watch := _watch.get()) is None or response.request.method not in ("GET", "HEAD"):
            return
        watch.stop()
        headers, is_head = response.headers, response.request.method == "HEAD"
        if headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise self.refusal("it sends compressed what was asked for plain")
        for name in ("ETag", "X-Linked-ETag"):
            if is_head and name in headers and not SAFE_NAME.fullmatch(headers[name]):
                raise self.refusal(f"its {name} cannot be the name of a file")
        for name in ("Retry-After", "RateLimit"):
            waits = re.findall(r"(?:^\s*|t=)(\d+)", headers.get(name, ""))
            if any(len(wait) > 4 or int(wait) > LONGEST_WAIT_S for wait in waits):
                del headers[name]
        if is_head:
            size = headers.get("X-Linked-Size") or (headers.get("Content-Length") if response.is_success else "") or ""
            watch.announced = int(size) if size.isdecimal() and len(size) < 16 else watch.announced
            return
        limits = [limit for limit in (watch.announced, watch.largest) if limit is not None and response.is_success]
        response.stream = self.watched(response.stream, min(limits, default=MAX_UNANNOUNCED_BYTES))
