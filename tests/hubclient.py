"""Steps of the Hub's real client, each taken in a new process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONFIG, WEIGHTS = b'{"hidden_size": 4}', bytes(range(256)) * 64
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS}
NOWHERE = "0" * 40
CLIENT = """
import json, resource, sys
from concurrent.futures import ThreadPoolExecutor
from benchmark.content import hub, networks
from benchmark.errors import UserError

def take(step):
    name, arguments, options = step
    try:
        return {"value": getattr(hub if hasattr(hub, name) else networks, name)(*arguments, **options)}
    except UserError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"kinds": kinds, "text": str(error), "where": error.where, "cure": error.cure, "exit": error.exit_code}

job = json.load(sys.stdin)
if job["limit"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], job["limit"]))
with ThreadPoolExecutor(job["threads"]) as pool:
    json.dump(list(pool.map(take, job["steps"])), sys.stdout, default=str)
"""
Step = tuple[str, list[Any], dict[str, Any]]


def step(name: str, *arguments: Any, **options: Any) -> Step:
    return name, list(arguments), options


def run(hub: Any, home: Path, *steps: Step, threads: int = 1, limit: int = 0, **environment: Any) -> list[Any]:
    """Take the steps in a new process of the client; each gives its value, or what its one error says."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        input=json.dumps({"steps": steps, "threads": threads, "limit": limit}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | hub.environment(home, **environment),
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # the client may print before


def run_one(hub: Any, home: Path, name: str, *arguments: Any, **options: Any) -> Any:
    (outcome,) = run(hub, home, step(name, *arguments, **options))
    return outcome


def sent(hub: Any, method: str | None = None) -> list[str]:
    """The paths of the requests so far, less what the client asks of its own accord about itself."""
    paths = [request.path for request in hub.log if method in (None, request.method)]
    return [path for path in paths if path != "/api/agent-harnesses"]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


COMMIT = "1d5f47bd3bdd2c4bbfa585418ffe6da5028b4c0b"


def ask_file(repo: str, commit: str, name: str = "config.json") -> Step:
    return step("fetch_file", repo, commit, name)


def ask_size(repo: str, commit: str) -> Step:
    return step("get_size", repo, commit, "config.json")


def ask_commit(repo: str, commit: str) -> Step:
    return step("find_commit", repo)


def ask_nowhere(repo: str, commit: str) -> Step:
    return ask_file(repo, NOWHERE)


def ask_absent(repo: str, commit: str) -> Step:
    return ask_file(repo, commit, "absent.json")


def ask_absent_weights(repo: str, commit: str) -> Step:
    return ask_file(repo, commit, "absent.safetensors")


def ask_weights(repo: str, commit: str) -> Step:
    return ask_file(repo, commit, "model.safetensors")
