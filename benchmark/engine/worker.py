"""An inverse in a process of its own: features go in, recons come out, and nothing else of the evaluation is in reach.

The process comes from a launcher, which knows nothing of the evaluation either. It has no original image, no record and
no output folder; where the machine offers it (see `confinement`) it can open nothing but libraries, its own code and
weights and the target's network, reach no network, start no process, and read no other process's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.engine.confinement import available
from benchmark.engine.launcher import Launcher, printable, scratch_folder
from benchmark.engine.precision import OFFICIAL, Arithmetic
from benchmark.engine.wire import DONE, ENDED, FAULT, MISUNDERSTOOD, NO_MEMORY, Message, Wire, WireError
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.files.paths import PACKAGE, checkout
from benchmark.inverses.base import Inverter
from benchmark.inverses.spec import InverseConfig
from benchmark.submissions.candidates import Candidate, load_candidate
from benchmark.suites.spec import INPUT, TargetSpec
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

__all__ = ["CALL_SECONDS", "Task", "WorkerInverse", "launching", "open_inverse", "opened"]

CALL_SECONDS = 1800.0
"""How long one call may take: a perturbation of at most eight images at all taps."""
SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/dev/urandom", "/dev/zero", "/proc/cpuinfo",
    "/proc/meminfo", "/sys/devices/system/cpu",
)  # fmt: skip
GRACE_SECONDS = 5.0
GPU_DEVICES = ("/dev/nvidia*", "/dev/nvidia-caps/*")


@dataclass(frozen=True)
class Task:
    """What a worker is to do.

    Attributes:
        config: of the inverse; one of a method without weights is built from it alone.
        code: the file that the method's architecture is imported from, if it is not the package's own.
        weights: the folder of the inverse; None: the method has none.
        target: for inverses that need its network.
        network: the folder of that network.
    """

    config: InverseConfig
    code: Path | None
    weights: Path | None
    target: TargetSpec
    network: Path
    device: torch.device
    arithmetic: Arithmetic = OFFICIAL
    call_seconds: float = CALL_SECONDS
    confined: bool = True


class _Reach(NamedTuple):
    """What a worker may open: `readable` beneath these, and `listable` folders of which some files are hidden."""

    readable: list[Path]
    listable: list[Path]

    def add(self, folder: Path, hidden: Sequence[Path]) -> None:
        """Add what lies beneath a folder, but for `hidden`: rules can only allow."""
        if folder in hidden:
            return
        if not any(path.is_relative_to(folder) for path in hidden):
            self.readable.append(folder)
            return
        self.listable.append(folder)
        with suppress(OSError):
            for path in sorted(folder.iterdir()):
                self.add(path, hidden)


def _files_of(folder: Path) -> list[Path]:
    """The JSON and safetensors files of a folder, where their links lead: caches of the Hub are made of links."""
    return [path.resolve() for path in folder.glob("*") if path.suffix in {".json", ".safetensors"}]


def _find_reach(task: Task, search: Sequence[Path]) -> _Reach:
    """What a worker may read: libraries, the code of this package, its own code and weights, the target's network.

    Args:
        search: folders that a launcher looks for modules in; those of this process may hold anything.
    """
    reach, root = _Reach([], []), PACKAGE.parent.resolve()
    libraries = {path.resolve() for path in search} - ({root} if checkout() else set())
    hidden = (PACKAGE.resolve() / "assets",)
    for folder in sorted(libraries | {PACKAGE.resolve(), root / "invbench"}):
        reach.add(folder, hidden)
    reach.readable.extend(Path(path) for path in SYSTEM)
    reach.readable.extend(_files_of(task.network))
    reach.readable.extend(_files_of(task.weights) if task.weights else ())
    reach.readable.extend([task.code.resolve()] if task.code else ())
    reach.listable.append(root)
    return reach


def _outline(tensor: Tensor | None) -> tuple[tuple[int, ...], str] | None:
    return None if tensor is None else (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


class WorkerInverse:
    """An inverse that answers from a worker; it has what an evaluation asks of an inverse.

    The worker is started when it is first asked, in the process that asks: after a fork, each has its own. `close`
    ends it.

    Attributes:
        config: of the inverse.
        needs_target: never: a worker has a network of its own.
        launcher: that the worker is to be started by; None: by one of its own.
        held: the protections that the worker has, once it has been asked.
    """

    needs_target = False
    target: Target | None = None

    def __init__(self, task: Task, launcher: Launcher | None = None) -> None:
        self.config, self._task, self.launcher = task.config, task, launcher
        self.held: tuple[str, ...] = ()
        self._stack: ExitStack | None = None
        self._launcher: Launcher
        self._line: Wire
        self._pid = self._calls = 0
        self._routes: dict[str, str] = {}

    def __enter__(self) -> WorkerInverse:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _name(self) -> str:
        return str(self._task.code) if self._task.code else f"inverse '{self.config.method}'"

    def _describe(self, scratch: str) -> dict[str, Any]:
        task, reach = self._task, _find_reach(self._task, self._launcher.search)
        writable = [Path(scratch), Path("/dev/null")]
        if task.device.type == "cuda":
            writable += [path for pattern in GPU_DEVICES for path in Path("/").glob(pattern[1:])]
        return {
            "method": self.config.method, "config": self.config.model_dump_json(),
            "code": str(task.code.resolve()) if task.code else None,
            "weights": str(task.weights.resolve()) if task.weights else None,
            "target": task.target.model_dump_json(), "network": str(task.network.resolve()),
            "device": str(task.device), "threads": torch.get_num_threads(), "precision": task.arithmetic.precision,
            "confined": task.confined, "scratch": scratch, "readable": list(map(str, reach.readable)),
            "listable": list(map(str, reach.listable)), "writable": list(map(str, writable)),
        }  # fmt: skip

    def start(self) -> None:
        """Start the worker, if it does not run: its inverse is loaded.

        Raises:
            UserError: the worker cannot be started, or its inverse not be loaded; says why.
        """
        if self._stack is not None:
            return
        with ExitStack() as stack:
            self._launcher = self.launcher or stack.enter_context(Launcher())
            scratch = str(stack.enter_context(scratch_folder(self._launcher.scratch)))
            try:
                self._pid, self._line = self._launcher.start(self._describe(scratch), self._task.call_seconds)
            except WireError as error:
                raise SpecError(f"its worker {error}", where=self._name) from None
            stack.callback(self._line.close)
            stack.callback(self._end)
            self._stack, self._calls = stack.pop_all(), 0
        try:
            self.held = tuple(map(str, self._hear(self._line.receive(), 0)["held"]))
            if self._task.confined and self.held != available():
                raise WireError("was not confined")
            self._line.restart()
            self._routes = dict(self._ask({"taps": list(self.config.taps)})["routes"])
        except WireError as error:
            raise self._broken(error) from None
        except (KeyError, TypeError, ValueError):
            raise self._broken(WireError(MISUNDERSTOOD)) from None
        except BaseException:
            self.close()
            raise

    def _end(self, grace: float = 0.0) -> int | None:
        pid, self._pid = self._pid, 0
        return self._launcher.end(pid, grace) if pid else None

    def _broken(self, error: WireError) -> UserError:
        """What a worker that broke off is told as; it is ended."""
        said = str(error)
        if said == ENDED and (code := self._end(GRACE_SECONDS)) is not None:
            said = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self.close()
        return SpecError(f"its worker {said}", where=self._name)

    def _hear(self, answer: Message, call: int) -> dict[str, Any]:
        """Return what an answer says.

        Raises:
            UserError: it tells of a fault.
            MemoryError: it tells that memory ran out.
            WireError: it is no answer to this call.
        """
        if answer.call != call or answer.status not in (DONE, FAULT, NO_MEMORY):
            raise WireError(MISUNDERSTOOD)
        if answer.status == NO_MEMORY:
            raise MemoryError
        if answer.status == FAULT:
            said = {name: printable(str(text)) for name, text in answer.said.items() if text}
            kind = IntegrityError if answer.said.get("integrity") is True else SpecError
            raise kind(said.get("message", "failed"), where=said.get("where", self._name), cure=said.get("cure"))
        return answer.said

    def _ask(self, said: dict[str, Any], numbers: Sequence[memoryview] = ()) -> dict[str, Any]:
        self._calls += 1
        self._line.send(Message(DONE, self._calls, said), numbers)
        return self._hear(self._line.receive(), self._calls)

    def route(self, tap: str) -> str:
        """See Inverse."""
        self.start()
        return str(self._routes.get(tap, tap))

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse; recons are float32 (N, 3, H, W) on the device of the features.

        Raises:
            UserError: the inverse fails, returns something else, or its process ends; says what it was.
            MemoryError: the worker lacks memory.
        """
        self.start()
        self._line.restart()
        items, sent = [], []
        for tap, item in features.items():
            parts = {"tensor": item.tensor, "position": item.position, "valid": item.valid}
            items.append(
                {"tap": tap, "grid": item.grid, "seeds": item.seeds} | {k: _outline(part) for k, part in parts.items()}
            )
            sent += [part.cpu().contiguous().view(torch.uint8).numpy() for part in parts.values() if part is not None]
        count = len(next(iter(features.values())).tensor)
        shape = (count, 3, *self._task.target.input_size)
        try:
            self._ask({"items": items, "shape": shape}, [part.data for part in sent])
            taps = [tap for tap in features if tap != INPUT]
            recons = torch.empty(len(taps), *shape)
            self._line.receive_into(recons.numpy().data)
        except WireError as error:
            raise self._broken(error) from None
        device = next(iter(features.values())).tensor.device
        return dict(zip(taps, recons.to(device), strict=True))

    def close(self) -> None:
        """End the worker, if there is one."""
        if self._stack is not None:
            stack, self._stack = self._stack, None
            stack.close()


def open_inverse(
    content: Content,
    candidate: Candidate,
    config: InverseConfig,
    device: torch.device,
    arithmetic: Arithmetic = OFFICIAL,
    launcher: Launcher | None = None,
) -> Inverter:
    """Return a candidate's inverse with a configuration of its own: in a worker where the candidate is isolated.

    Args:
        launcher: of the worker; None: it has one of its own.

    Raises:
        SpecError: it would have to be compiled in a worker.
        UserError: its target's network or its own weights cannot be read; those of a worker it reads itself, later.
    """
    if not candidate.isolated:
        return load_candidate(candidate, config, device)
    if arithmetic.compiled:
        raise SpecError("--compile does not go with a worker", where=candidate.id, cure="leave one of them out")
    spec, stored = content.suite.target(config.target), candidate.inverses.get(config.target)
    weights = stored.folder if stored else None
    task = Task(config, candidate.code, weights, spec, content.target(spec), device, arithmetic)
    return WorkerInverse(task, launcher)


def opened(inverse: Inverter) -> AbstractContextManager[Inverter]:
    """Return a context in which an inverse has a worker, if it is to have one, and at whose end it has none."""
    return inverse if isinstance(inverse, WorkerInverse) else nullcontext(inverse)


@contextmanager
def launching(inverses: Iterable[Inverter]) -> Iterator[None]:
    """A context in which one launcher starts the workers of inverses, those that are to have one.

    The first of them is started at once: what is wrong with its code is told now.
    """
    isolated = [inverse for inverse in inverses if isinstance(inverse, WorkerInverse)]
    with Launcher() if isolated else nullcontext() as launcher:
        for inverse in isolated:
            inverse.launcher = launcher
        for inverse in isolated[:1]:
            inverse.start()
        yield
