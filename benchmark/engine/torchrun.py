"""What torchrun says of the process that it started."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Rank", "find_rank"]


class Rank(NamedTuple):
    """This process among `world` others; `local` numbers those of one machine."""

    rank: int
    world: int
    local: int


def find_rank() -> Rank | None:
    """What torchrun says of this process; None where it did not start it, or started it alone."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if not all(os.environ.get(name, "").isdecimal() for name in names):
        return None
    found = Rank(*(int(os.environ[name]) for name in names))
    return found if found.world > 1 else None
