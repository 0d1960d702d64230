"""What an evaluation and its worker say to each other: a header of fixed size, a bounded text, then numbers.

No pickles. How many numbers follow an answer is known to the one who asked, and read from nothing that the other said.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

__all__ = ["DONE", "ENDED", "FAULT", "MAX_TEXT_BYTES", "MISUNDERSTOOD", "NO_MEMORY", "Message", "Wire", "WireError"]

DONE: Final = 0
FAULT: Final = 1
NO_MEMORY: Final = 2
ENDED: Final = "ended"
MISUNDERSTOOD: Final = "said something else than what was agreed"
MAX_TEXT_BYTES = 2**23
_HEADER = struct.Struct("<4sIQI")
_MAGIC = b"ivb1"


class WireError(Exception):
    """The other end is gone, took too long, or said something else than what was agreed."""


class Message(NamedTuple):
    """The head of a message: `status` is DONE, FAULT or NO_MEMORY in answers, DONE in questions."""

    status: int
    call: int
    said: dict[str, Any]


class Wire:
    """One end of a pair of connected sockets.

    Args:
        deadline: seconds that everything until the next `restart` may take together; None: as long as it takes.
    """

    def __init__(self, end: socket.socket, deadline: float | None = None) -> None:
        self._end, self._seconds = end, deadline
        self.restart()

    def restart(self) -> None:
        """Begin to count the seconds again."""
        self._until = None if self._seconds is None else time.monotonic() + self._seconds

    def _wait(self) -> None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise WireError(f"did not answer within {self._seconds:g} s")
            self._end.settimeout(left)

    def _send(self, data: memoryview) -> None:
        while data:
            self._wait()
            data = data[self._end.send(data) :]

    def _receive(self, data: memoryview) -> None:
        while data:
            self._wait()
            count = self._end.recv_into(data)
            if not count:
                raise WireError(ENDED)
            data = data[count:]

    def _failing(self, error: OSError) -> WireError:
        return WireError(f"did not answer within {self._seconds:g} s" if isinstance(error, TimeoutError) else ENDED)

    def send(self, answer: Message, numbers: Iterable[memoryview] = ()) -> None:
        """Send a message: its head, then numbers.

        Raises:
            WireError: the other end is gone, or takes too long to read.
        """
        text = json.dumps(answer.said).encode()
        try:
            self._send(memoryview(_HEADER.pack(_MAGIC, answer.status, answer.call, len(text)) + text))
            for part in numbers:
                self._send(part.cast("B"))
        except OSError as error:
            raise self._failing(error) from None

    def receive(self) -> Message:
        """Return the head of the next message; the numbers after it are read by `receive_into`.

        Raises:
            WireError: there is none in time, or what is there is no such head.
        """
        header = bytearray(_HEADER.size)
        try:
            self._receive(memoryview(header))
            magic, status, call, length = _HEADER.unpack(header)
            if magic != _MAGIC or length > MAX_TEXT_BYTES:
                raise WireError(MISUNDERSTOOD)
            text = bytearray(length)
            self._receive(memoryview(text))
            said = json.loads(text)
        except OSError as error:
            raise self._failing(error) from None
        except (ValueError, RecursionError):
            raise WireError(MISUNDERSTOOD) from None
        if not isinstance(said, dict):
            raise WireError(MISUNDERSTOOD)
        return Message(status, call, said)

    def receive_into(self, data: memoryview) -> None:
        """Fill a buffer with the numbers of the message.

        Raises:
            WireError: they do not all come in time.
        """
        try:
            self._receive(data.cast("B"))
        except OSError as error:
            raise self._failing(error) from None

    def close(self) -> None:
        """Close this end."""
        self._end.close()
