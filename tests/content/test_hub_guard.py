"""A Hub that lies, drips and swells: one line within a deadline, and nothing written outside of the cache.

Threats: T16.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hubclient import FILES, WEIGHTS, Step, ask_commit, ask_file, ask_size, ask_weights, run
from hubserver import HubServer

CANARY = "canary"
BOMB = gzip.compress(bytes(50 << 20))
ZIPPED = {"Content-Encoding": "gzip"}
SIZES = {"Content-Length": None}
LIES: dict[str, tuple[Callable[..., Step], str, dict[str, Any], str]] = {
    **{
        f"tag {tag!r}": (ask_file, "HEAD", {"headers": {"ETag": tag}}, "its ETag cannot be the name of a file")
        for tag in ('"../../../../evil"', '"{outside}/evil"', '""', "", '".."', '"."', '"a/b"', 'W/"../evil"', '"a\\b"',
                    '"..%2fevil"', f'"{"a" * 300}"')
    },
    "linked tag": (ask_weights, "HEAD", {"headers": {"X-Linked-ETag": '"../../evil"'}}, "its X-Linked-ETag cannot"),
    "no tag": (ask_file, "HEAD", {"headers": {"ETag": None}}, ""),
    "bomb": (ask_file, "GET", {"body": BOMB, "headers": ZIPPED}, "compressed what was asked for plain"),
    "bomb of a commit": (ask_commit, "GET", {"body": BOMB, "headers": ZIPPED}, "compressed what was asked for plain"),
    "zipped size": (ask_size, "HEAD", {"headers": ZIPPED}, "compressed what was asked for plain"),
    "announced too little": (ask_weights, "HEAD", {"headers": {"X-Linked-Size": "7"}}, ""),
    "announced too much": (ask_weights, "HEAD", {"headers": {"X-Linked-Size": "999999"}}, "999999"),
    "negative": (ask_weights, "HEAD", {"headers": {"X-Linked-Size": "-5"}}, ""),
    "endless": (ask_file, "GET", {"endless": True, "headers": SIZES}, "more than the 18 bytes that it announced"),
    "endless commit": (ask_commit, "GET", {"endless": True, "headers": SIZES}, "more than the 100,000,000 bytes"),
    "much later": (ask_commit, "GET", {"status": 429, "headers": {"Retry-After": "9" * 12}}, "asked too often"),
}  # fmt: skip
SLOW: dict[str, tuple[Callable[..., Step], str, dict[str, Any], str]] = {
    "drip": (ask_weights, "GET", {"drip": 0.2}, "less than 1,000 bytes a second"),
    "drip of a commit": (ask_commit, "GET", {"drip": 0.2}, "less than 1,000 bytes a second"),
    "wait for long": (ask_file, "HEAD", {"status": 503, "headers": {"Retry-After": "9" * 9}}, "error 503"),
    "wait for a window": (ask_file, "HEAD", {"status": 429, "headers": {"RateLimit": '"api";r=0;t=99999'}}, "429"),
}
# In a process of its own, as all its connections are closed.
CRAWL = {"slow headers": (ask_file, "HEAD", {"slow_headers": 0.5}, "headers of its answer did not come in time")}
DEADLINE_S = 120
SOON = {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1"}


def tell(home: Path, cases: dict[str, Any], **environment: str) -> dict[str, Any]:
    """What each case ends in, in threads of one process; the repositories share a cache."""
    with HubServer() as hub:
        steps = []
        for number, (ask, method, fault, *_) in enumerate(cases.values()):
            repo = f"me/lie-{number}-of-many"
            steps.append(ask(repo, hub.add_repo(repo, FILES)))
            headers = {
                name: value and value.replace("{outside}", str(home.parent))
                for name, value in fault.get("headers", {}).items()
            }
            hub.fail(repo, method, times=99, **fault | {"headers": headers})
            hub.fail("/lfs/", method, times=2, **fault) if "drip" in fault else None
        return dict(zip(cases, run(hub, home, *steps, threads=len(steps), **environment), strict=True))


def check(outcome: dict[str, Any], told: str) -> None:
    assert "UserError" in outcome.get("kinds", ()), outcome
    assert told in outcome["text"] and "\n" not in outcome["text"] and outcome["cure"], outcome


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("lies")
    (folder / CANARY).write_text("sings")
    found = tell(folder / "home", LIES)
    assert sorted(path.name for path in folder.iterdir()) == [CANARY, "home"]
    assert sorted(path.name for path in (folder / "home").iterdir()) == ["hub"], "outside of the cache"
    inside = [path for path in (folder / "home").rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in inside) < 1_000_000
    return found


@pytest.mark.parametrize("case", LIES)
def test_a_lie_is_one_line_and_nothing_is_written_outside(case: str, outcomes: dict[str, Any]) -> None:
    """T16."""
    check(outcomes[case], LIES[case][3])


@pytest.mark.slow
def test_what_is_slow_ends_within_a_deadline(tmp_path: Path) -> None:
    """T16: in bodies and in headers, and where it is the server that says how long to wait."""
    start = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(tell, tmp_path / str(n), cases, **SOON) for n, cases in enumerate((SLOW, CRAWL))]
        found = waiting[0].result() | waiting[1].result()
    assert time.monotonic() - start < DEADLINE_S
    for case, outcome in found.items():
        check(outcome, (SLOW | CRAWL)[case][3])


def test_an_honest_hub_is_believed(tmp_path: Path) -> None:
    with HubServer() as hub:
        commit = hub.add_repo("me/net", FILES)
        (outcome,) = run(hub, tmp_path, ask_weights("me/net", commit))
        assert Path(outcome["value"]).read_bytes() == WEIGHTS
