"""Checkpoints of trainings: one folder per run, named by the digest of everything that could change its result."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmark.errors import IntegrityError, first_line
from benchmark.files.canonical import digest_of
from benchmark.files.storing import write_bytes, write_text

__all__ = ["Checkpoint"]


class Checkpoint:
    """The checkpoint of one run, in `WORK/TITLE/DIGEST`; those of other runs lie beside it and are left alone.

    Args:
        work: folder of all trainings.
        title: what is trained.
        key: everything that could change the result, as JSON values; its names are those that messages use.
        quiet: says nothing of what it finds.
    """

    def __init__(self, work: Path, title: str, key: Mapping[str, Any], *, quiet: bool = False) -> None:
        self._quiet = quiet
        self.title, self.key, self.digest = title, dict(key), digest_of(dict(key))
        self._runs = work / title.replace(" ", "-")
        self.folder = self._runs / self.digest[:16]
        self.path = self.folder / "checkpoint.pt"

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The run's last state, with its tensors on `device`; None if there is none. Says on stderr what it found.

        Raises:
            IntegrityError: the file is damaged, or of another run.
        """
        if not self.path.is_file():
            self._say(f"starts afresh{self._difference()}")
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
            key, _ = state["key"], state["step"]
        except Exception as error:  # PyTorch's reader fails in many ways on damaged files.
            message = f"is damaged: {first_line(error)}"
            raise IntegrityError(
                message, where=str(self.path), cure="delete it, and the training starts afresh"
            ) from None
        if key != self.digest:
            raise IntegrityError("belongs to another run", where=str(self.path), cure="delete it")
        self._say(f"resumes at step {state['step']} ({self.path})")
        return state

    def _say(self, what: str) -> None:
        if not self._quiet:
            tqdm.write(f"{self.title}: {what}", file=sys.stderr)

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state, with the key beside it in plain text. See `write_bytes`."""
        write_text(self.folder / "key.json", json.dumps(self.key, indent=1, sort_keys=True) + "\n")
        buffer = io.BytesIO()
        torch.save({"key": self.digest} | dict(state), buffer)
        write_bytes(self.path, buffer.getbuffer())

    def _difference(self) -> str:
        """What the run does not share with the nearest of those that have a checkpoint; empty if there are none."""
        differences = []
        for path in sorted(self._runs.glob("*/key.json")):
            try:
                other = json.loads(path.read_text(encoding="utf-8"))
                differing = [name for name in self.key if other.get(name) != self.key[name]]
            except (OSError, ValueError, AttributeError):
                continue
            differences.append((len(differing), differing, path.parent))
        if not differences:
            return ""
        _, names, folder = min(differences)
        return f": other {', '.join(names) or 'key'} than the run in {folder}, which is kept"
