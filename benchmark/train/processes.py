"""How steps are taken: by this process alone in float32, or by `accelerate`, with others and in mixed precision.

`torchrun` starts several processes; each trains on its share of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from benchmark.engine.torchrun import find_rank
from benchmark.errors import UserError, first_line

__all__ = ["ALONE", "Minimization", "Precision", "Processes", "StepTaker", "join"]

Precision = Literal["float32", "bf16", "fp16"]
PATIENCE = timedelta(days=1)
"""How long processes wait for one that reads a million photographs or validates; torchrun ends them if one dies."""
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "Gloo", "gloo")


class Minimization(NamedTuple):
    """What is minimized: the loss of a batch, a scalar, over parameters, whose gradients are clipped to a norm."""

    loss: Callable[[Any], Tensor]
    parameters: list[nn.Parameter]
    optimizer: Optimizer
    rate: LRScheduler
    clip_norm: float


class StepTaker(Protocol):
    """Takes the steps of one training.

    Attributes:
        parts: what a checkpoint has to keep beside model, optimizer and learning rate; each with `state_dict`.
    """

    parts: dict[str, Any]

    def take(self, batch: Any) -> Tensor:
        """Take one step; the loss of this process's share of the batch, a scalar without gradient."""

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a scalar over all processes; all of them have to ask."""


class _SingleSteps:
    def __init__(self, what: Minimization) -> None:
        self.parts: dict[str, Any] = {}
        self._what = what

    def take(self, batch: Any) -> Tensor:
        value = self._what.loss(batch)
        self._what.optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self._what.parameters, self._what.clip_norm)
        self._what.optimizer.step()
        self._what.rate.step()
        return value.detach()

    def mean(self, value: Tensor) -> Tensor:
        return value


class _AcceleratedSteps:
    def __init__(self, accelerator: Any, what: Minimization) -> None:
        self._accelerator, self._what = accelerator, what
        self._loss, self._optimizer = accelerator.prepare(what.loss, what.optimizer)
        self.parts: dict[str, Any] = {"scaler": accelerator.scaler} if accelerator.scaler else {}

    def take(self, batch: Any) -> Tensor:
        value: Tensor = self._loss(batch)
        self._optimizer.zero_grad()
        self._accelerator.backward(value)
        self._accelerator.clip_grad_norm_(self._what.parameters, self._what.clip_norm)
        self._optimizer.step()
        if not self._accelerator.optimizer_step_was_skipped:  # where float16 overflowed
            self._what.rate.step()
        return value.detach()

    def mean(self, value: Tensor) -> Tensor:
        return self._accelerator.reduce(value.clone(), "mean")


class Processes:
    """This process alone, in float32.

    Attributes:
        rank: its number among all, from 0; 0 alone writes files and shows progress.
        world: how many processes train together.
        precision: of forward and backward passes; weights and sums are float32.
    """

    rank = 0
    world = 1
    precision: Precision = "float32"

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def first_goes_ahead(self) -> AbstractContextManager[object]:
        """A context that the first process leaves before the others enter it."""
        return nullcontext()

    def together(self) -> AbstractContextManager[object]:
        """A context in which the loss of another process ends in one line."""
        return nullcontext()

    def agree(self, step: int) -> None:
        """Raise UserError unless all processes begin at the same step."""

    def open_steps(self, what: Minimization) -> StepTaker:
        """What takes the steps; the loss is a module where there are other processes."""
        return _SingleSteps(what)


ALONE = Processes()


class _Joined(Processes):
    def __init__(self, accelerator: Any, precision: Precision, device: torch.device) -> None:
        self._accelerator, self._device, self.precision = accelerator, device, precision
        self.rank, self.world = accelerator.process_index, accelerator.num_processes

    def first_goes_ahead(self) -> AbstractContextManager[object]:
        return self._accelerator.main_process_first()

    @contextmanager
    def together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if "Expected to have finished reduction" in str(error):
                cure = "train it by one process, or leave out what the loss does not depend on"
                raise UserError("the loss does not depend on all parameters", cure=cure) from None
            if self.world == 1 or not any(word in str(error) for word in LOST):
                raise
            message = f"process {self.rank} stops: another process of the training ended"
            raise UserError(message, cure="see what that one said; rerun the command to resume") from None

    def agree(self, step: int) -> None:
        steps = self._accelerator.gather(torch.tensor([step], device=self._device)).tolist()
        if len(set(steps)) > 1:
            cure = "give a --work-dir that all machines see"
            raise UserError(f"processes would begin at different steps: {steps}", where="--work-dir", cure=cure)

    def open_steps(self, what: Minimization) -> StepTaker:
        return _AcceleratedSteps(self._accelerator, what)


def join(device: torch.device, precision: Precision = "float32") -> Processes:
    """Return this process among those that torchrun started with it; alone where it did not.

    Args:
        device: that this process computes on.

    Raises:
        UserError: the device does not compute in this precision, or the processes do not find each other.
    """
    if find_rank() is None and precision == "float32":
        return ALONE
    if precision == "fp16" and device.type != "cuda":
        raise UserError(f"a {device.type} does not train in it", where="--precision fp16", cure="give bf16 or float32")

    from accelerate import Accelerator, InitProcessGroupKwargs

    try:
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            device_placement=False,
            mixed_precision="no" if precision == "float32" else precision,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(f"cannot begin: {first_line(error)}", where=f"--precision {precision}") from None
    return _Joined(accelerator, precision, device)
