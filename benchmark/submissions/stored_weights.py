"""The weights of small methods, which lie in the submission's own folder. Torch-free; nothing of them is executed."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, deserialize

from benchmark.errors import IntegrityError, SpecError, first_line
from benchmark.files.declarations import read_json
from benchmark.files.pointers import refuse_pointer
from benchmark.inverses.spec import InverseConfig
from benchmark.submissions.submission import Submission

__all__ = ["MAX_CONFIG_BYTES", "MAX_STORED_BYTES", "MAX_STORED_TOTAL", "STORED", "check_stored_weights"]

STORED = "weights"
"""The folder beside `submission.toml` that holds a folder for each target."""
MAX_CONFIG_BYTES = 1_000_000
MAX_STORED_BYTES = 16_000_000
"""Largest `model.safetensors` in a submission's folder: every clone of the repository carries it forever."""
MAX_STORED_TOTAL = 32_000_000
"""What all weights in a submission's folder may take together."""


def _check_tensors(path: Path) -> None:
    """Check that a file holds tensors and nothing else, as safetensors lays them out."""
    try:
        tensors = deserialize(path.read_bytes())
    except (SafetensorError, ValueError) as error:
        raise IntegrityError(f"not a safetensors file: {first_line(error)}", where=str(path)) from None
    if not tensors:
        raise IntegrityError("holds no tensors", where=str(path))


def _check_folder(submission: Submission, target: str, folder: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            cure = "train it: invbench train inverse --help"
            raise SpecError("no such file", where=str(folder / name), cure=cure)
        refuse_pointer(folder / name)
    where = str(folder / "config.json")
    config = read_json(folder / "config.json", InverseConfig, MAX_CONFIG_BYTES)
    if (config.method, config.target) != (submission.method, target):
        message = f"is for method '{config.method}' on '{config.target}', not '{submission.method}' on '{target}'"
        raise SpecError(message, where=where, cure="put the weights of this target there")
    _check_tensors(folder / "model.safetensors")


def check_stored_weights(submission: Submission, folder: Path) -> None:
    """Check the weights in a submission's folder: named, whole, of the right method and target, and small enough.

    That the files are no links, and each is small enough, is known already.

    Raises:
        SpecError: one is missing, not named or of something else, or they are too large together.
        IntegrityError: one is no safetensors file.
    """
    where, named = str(folder / "submission.toml"), set()
    for target, weights in submission.weights.items():
        if weights.beside:
            wanted = f"./{STORED}/{target}"
            if weights.path != wanted:
                message = f"field 'weights.{target}.path': is '{weights.path}', not '{wanted}'"
                raise SpecError(message, where=where, cure=f"put the files into {STORED}/{target}")
            named.add(target)
    there = sorted(path for path in (folder / STORED).glob("*/*"))
    for path in there:
        if path.parent.name not in named:
            name = path.parent.name
            cure = f"add {name} = {{ path = './{STORED}/{name}' }} under [weights], or delete the folder"
            raise SpecError("is not named in submission.toml", where=str(path), cure=cure)
    if (total := sum(path.stat().st_size for path in there)) > MAX_STORED_TOTAL:
        message = f"take {total:,} bytes together, more than the {MAX_STORED_TOTAL:,} allowed"
        raise SpecError(message, where=str(folder / STORED), cure="put the larger ones on the Hub: invbench publish")
    for target in sorted(named):
        _check_folder(submission, target, folder / STORED / target)
