"""The program of a launcher, and of its workers: they confine themselves, import an inverse, and answer features.

Run as a file by an interpreter that looks for modules in no folder of the caller's; see `benchmark.engine.launcher`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from benchmark.engine.wire import Wire
    from benchmark.inverses.base import Inverse
    from benchmark.targets.taps import Features

__all__ = ["main"]


def _warm_up(threads: int) -> None:
    """Have PyTorch look at the machine while it may: later it would take the processor for a lesser one."""
    import torch

    torch.set_num_threads(threads)
    torch.backends.cpu.get_cpu_capability()
    image = torch.zeros(1, 3, 16, 16)
    torch.conv2d(image, torch.zeros(4, 3, 3, 3))
    torch.mm(image[0, 0], image[0, 0])


def _confine(task: Mapping[str, Any]) -> tuple[str, ...]:
    from benchmark.engine.confinement import confine

    if not task["confined"]:
        return ()
    readable, listable, writable = (map(Path, task[name]) for name in ("readable", "listable", "writable"))
    return confine([*readable], [*listable], [*writable])


def _load(task: Mapping[str, Any], device: torch.device) -> Inverse:
    """Return the inverse that a task describes; its code, if it brings some, is imported first."""
    from benchmark.errors import SpecError
    from benchmark.inverses.base import load_inverse, rebuild_inverse
    from benchmark.inverses.code import load_code
    from benchmark.inverses.folding import fold_batch_norms
    from benchmark.inverses.spec import InverseConfig
    from benchmark.suites.spec import TargetSpec
    from benchmark.targets import load_target

    if task["code"]:
        method = load_code(Path(task["code"]), trained=task["weights"] is not None)
        if method.id != task["method"]:
            message = f"field 'method': '{method.id}' is not the '{task['method']}' of submission.toml"
            raise SpecError(message, where=task["code"], cure="give both one id")
    if task["weights"]:
        inverse = load_inverse(Path(task["weights"]), device)
        if not task["code"]:
            fold_batch_norms(inverse)
    else:
        inverse = rebuild_inverse(InverseConfig.model_validate_json(task["config"])).eval().to(device)
    if inverse.needs_target:
        spec = TargetSpec.model_validate_json(task["target"])
        inverse.target = load_target(spec, Path(task["network"]), device)
    return inverse


def _receive(line: Wire, items: Sequence[Mapping[str, Any]], device: torch.device) -> dict[str, Features]:
    import torch

    from benchmark.targets.taps import Features

    def receive(stated: Sequence[Any] | None) -> Tensor | None:
        if stated is None:
            return None
        shape, name = stated
        tensor = torch.empty(shape, dtype=getattr(torch, name))
        line.receive_into(tensor.view(torch.uint8).numpy().data)
        return tensor.to(device)

    found = {}
    for item in items:
        tensor, position, valid = (receive(item[part]) for part in ("tensor", "position", "valid"))
        assert tensor is not None
        grid = tuple(item["grid"]) if item["grid"] else None
        found[item["tap"]] = Features(tensor, grid, position, valid, tuple(item["seeds"]))
    return found


def _checked(recons: Any, taps: Sequence[str], shape: Sequence[int]) -> list[Tensor]:
    """Return the recons in the order of the taps, float32 on the CPU.

    Raises:
        UserError: the inverse did not return what it is to return.
    """
    import torch

    from benchmark.errors import UserError

    if not isinstance(recons, Mapping):
        raise UserError(f"returned a {type(recons).__name__}, not a dict of recons by tap")
    found = []
    for tap in taps:
        recon = recons.get(tap)
        if not isinstance(recon, torch.Tensor):
            what = f"a {type(recon).__name__}" if tap in recons else "nothing"
            raise UserError(f"returned {what} at tap '{tap}', not a tensor")
        if recon.device.type == "meta" or not recon.is_floating_point():
            what = "the meta device" if recon.device.type == "meta" else str(recon.dtype)
            raise UserError(f"returned a tensor of {what} at tap '{tap}', not of floating-point numbers")
        if tuple(recon.shape) != tuple(shape):
            raise UserError(f"returned {tuple(recon.shape)} at tap '{tap}', not {tuple(shape)}")
        found.append(recon.detach().to("cpu", torch.float32).contiguous())
    return found


def _reset(threads: int) -> None:
    """Undo what an earlier call may have left behind, so that no call depends on those before it."""
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.manual_seed(0)


def _describe(error: BaseException) -> dict[str, Any]:
    from benchmark.errors import UserError, first_line

    if isinstance(error, UserError):
        return {"message": error.message, "where": error.where, "cure": error.cure, "integrity": error.exit_code == 3}
    said = first_line(error)
    return {"message": said if said == type(error).__name__ else f"{type(error).__name__}: {said}"}


class _Worker:
    """Answers the questions that come over a line, one after the other."""

    def __init__(self, line: Wire, task: Mapping[str, Any]) -> None:
        import torch

        self._line, self._task, self._device = line, task, torch.device(task["device"])
        self._code = Path(task["code"]) if task["code"] else None
        self._inverse: Inverse | None = None

    def _open(self, said: Mapping[str, Any]) -> tuple[dict[str, Any], list[Tensor]]:
        self._inverse = _load(self._task, self._device)
        return {"routes": {tap: self._inverse.route(tap) for tap in said["taps"]}}, []

    def _invert(self, said: Mapping[str, Any]) -> tuple[dict[str, Any], list[Tensor]]:
        import torch

        from benchmark.engine.precision import Arithmetic, float32
        from benchmark.suites.spec import INPUT

        assert self._inverse is not None
        features = _receive(self._line, said["items"], self._device)
        _reset(self._task["threads"])
        with float32(), Arithmetic(self._task["precision"]).autocast(self._device), torch.no_grad():
            recons = self._inverse.invert(features)
        return {}, _checked(recons, [tap for tap in features if tap != INPUT], said["shape"])

    def answer(self) -> None:
        """Message one question; whatever goes wrong in the inverse is the answer, `sys.exit` included."""
        from benchmark.engine.wire import DONE, FAULT, NO_MEMORY, Message, WireError
        from benchmark.inverses.faults import blame, lacks_memory

        question = self._line.receive()
        status: int = DONE
        numbers: list[Tensor] = []
        try:
            with blame(self._code):
                said, numbers = (self._invert if "items" in question.said else self._open)(question.said)
        except WireError:
            raise
        except BaseException as error:
            status, said = NO_MEMORY if lacks_memory(error) else FAULT, _describe(error)
        self._line.send(Message(status, question.call, said), [recon.numpy().data for recon in numbers])


def _work(task: Mapping[str, Any], end: socket.socket) -> None:
    """Be a worker until the other end of the line is closed."""
    from benchmark.engine.confinement import die_with_parent
    from benchmark.engine.wire import DONE, Message, Wire, WireError

    die_with_parent()
    os.environ.update(HOME=task["scratch"], TMPDIR=task["scratch"])
    os.chdir(task["scratch"])
    tempfile.tempdir = None
    _warm_up(task["threads"])
    line = Wire(end)
    with suppress(WireError):
        line.send(Message(DONE, 0, {"held": _confine(task)}))
        worker = _Worker(line, task)
        while True:
            worker.answer()


def _start(task: Mapping[str, Any], control: socket.socket) -> int:
    """Fork a worker, whose end of its line comes over `control`; return its process."""
    _, (fd,), _, _ = socket.recv_fds(control, 1, 1)
    if pid := os.fork():
        os.close(fd)
        return pid
    code = 1
    try:
        control.close()
        _work(task, socket.socket(fileno=fd))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _end(pid: int, grace: float) -> int | None:
    """End a worker; return its exit code, minus the signal that killed it, or None if it did not end by itself."""
    until = time.monotonic() + grace
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.01)


def main(package: str, number: str) -> None:
    """Start workers, as asked over the socket of that number, until its other end is closed.

    Args:
        package: the folder that this package lies in.
    """
    sys.path.insert(0, package)
    from benchmark.engine import precision
    from benchmark.engine.confinement import die_with_parent
    from benchmark.engine.wire import DONE, Message, Wire, WireError
    from benchmark.inverses.spec import METHODS

    die_with_parent()
    # PyTorch imports _dynamo when a module is first built on the meta device: seconds that every worker would spend.
    libraries = ("invbench", "torch", "torch._dynamo")
    for name in (*libraries, "benchmark.inverses.folding", "benchmark.targets", precision.__name__):
        import_module(name)
    for method in METHODS.values():
        import_module(method.implementation.split(":")[0])
    control = socket.socket(fileno=int(number))
    line = Wire(control)
    with suppress(WireError):
        line.send(Message(DONE, 0, {"search": sys.path[1:]}))
        while True:
            said = line.receive().said
            answer = {"pid": _start(said["task"], control)} if "task" in said else {"code": _end(**said)}
            line.send(Message(DONE, 0, answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
