"""Every chart, drawn once."""

from __future__ import annotations

import pytest
from figures import charts

from leaderboard.figures import (
    Chart,
)


@pytest.fixture(scope="module")
def drawn() -> dict[str, Chart]:
    return charts()
