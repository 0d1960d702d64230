"""The seeded, resumable optimization loop that every training in the tree shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from tqdm import tqdm

from benchmark.engine.devices import get_device_name
from benchmark.errors import UserError
from benchmark.files.import_graph import library_versions
from benchmark.train.checkpoints import Checkpoint
from benchmark.train.choosing import Best, Validation
from benchmark.train.journal import Journal, JournalEntry, ValidationEntry
from benchmark.train.processes import ALONE, Minimization, Processes

__all__ = ["Outcome", "Schedule", "fit"]

CHECKPOINT_EVERY = 100
SHOW_EVERY = 10
T = TypeVar("T")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: AdamW with a linear warm-up and a cosine decay to zero.

    Without weight decay AdamW is Adam.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    clip_norm: float = 1.0


def _make_optimizer(parameters: list[nn.Parameter], schedule: Schedule) -> tuple[AdamW, SequentialLR]:
    """AdamW, and its learning rate: a linear warm-up, then half a cosine down to 0."""
    optimizer = AdamW(parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    warmup = LinearLR(optimizer, 0.02, total_iters=schedule.warmup_steps)
    decay = CosineAnnealingLR(optimizer, schedule.steps - schedule.warmup_steps)
    return optimizer, SequentialLR(optimizer, [warmup, decay], [schedule.warmup_steps])


def _circumstances(
    schedule: Schedule, device: torch.device, processes: Processes, validation: Validation | None
) -> dict[str, Any]:
    """What may change the result of any training, as JSON values."""
    return {
        "processes": [processes.world, processes.precision],
        "validation": validation and {"every": validation.every, **validation.key},
        "schedule": asdict(schedule),
        "libraries": library_versions(),
        "device": [device.type, get_device_name(device)],
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
    }


class _RandomState:
    """What PyTorch will draw next, of numbers that have no generator of their own: those of dropout."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def state_dict(self) -> dict[str, Tensor]:
        own = {"gpu": torch.cuda.get_rng_state(self._device)} if self._device.type == "cuda" else {}
        return {"cpu": torch.get_rng_state()} | own

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"].cpu())
        if "gpu" in state:
            torch.cuda.set_rng_state(state["gpu"].cpu(), self._device)


class _Clock:
    """How long a training has taken, how fast it is and how much of it waits for data.

    A GPU goes on with what it was given: it waits only where it is done before data are there.
    """

    def __init__(self, start: int, schedule: Schedule, spent: float, device: torch.device) -> None:
        self._device = device
        self._start, self._schedule, self._spent = start, schedule, spent
        self._began, self._waited = time.perf_counter(), 0.0

    def seconds(self) -> float:
        """Return the seconds of training so far, those before an interruption included."""
        return self._spent + time.perf_counter() - self._began

    def waiting_for(self, data: Iterator[T]) -> Iterator[T]:
        """Yield the data, and remember how long each was waited for."""
        while True:
            is_idle, asked = self._watch(), time.perf_counter()
            try:
                item = next(data)
            except StopIteration:
                return
            if is_idle():
                self._waited += time.perf_counter() - asked
            yield item

    def _watch(self) -> Callable[[], bool]:
        """A call that tells whether the device is done with all that it was given until now."""
        if self._device.type != "cuda":
            return lambda: True
        given = torch.cuda.Event()
        given.record(torch.cuda.current_stream(self._device))
        return given.query

    def entry(self, step: int, loss: float, learning_rate: float) -> JournalEntry:
        """Return what a journal says of a step."""
        passed = time.perf_counter() - self._began
        pace = passed / (step - self._start)
        return JournalEntry(
            step=step,
            loss=loss,
            learning_rate=learning_rate,
            images_per_s=round(self._schedule.batch_size / pace, 2),
            waiting=round(self._waited / passed, 4),
            seconds=round(self.seconds(), 3),
            left_s=round(pace * (self._schedule.steps - step), 3),
        )


def _check(loss: Tensor, step: int, title: str) -> None:
    if not loss.isfinite():
        cure = "a smaller learning rate; the last checkpoint is kept"
        raise UserError(f"the loss is not finite at step {step}", where=title, cure=cure)


def _resume(checkpoint: Checkpoint, parts: Mapping[str, Any], device: torch.device) -> tuple[int, float]:
    """Load what a checkpoint holds, if there is one, into the parts; return the steps done and the seconds spent."""
    if not (state := checkpoint.load(device)):
        return 0, 0.0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"], state["seconds"]


@dataclass(frozen=True)
class Outcome:
    """What a training took, and what its weights scored.

    Attributes:
        seconds: interruptions left out.
        chosen: the validation whose weights were kept; None: the last ones were, unseen.
    """

    seconds: float
    chosen: ValidationEntry | None = None


def _due(step: int, every: int, schedule: Schedule) -> bool:
    return step % every == 0 or step == schedule.steps


def fit(
    model: nn.Module,
    loss: Callable[[T], Tensor],
    schedule: Schedule,
    *,
    batches: Callable[[range], Generator[T, None, None]],
    key: Mapping[str, Any],
    work: Path,
    device: torch.device,
    title: str,
    after_step: Callable[[int], object] = int,
    journal: Path | None = None,
    processes: Processes = ALONE,
    validation: Validation | None = None,
) -> Outcome:
    """Minimize `loss` over the parameters of `model` that require a gradient.

    A checkpoint is written every 100 steps (atomically) and picked up again by the same call, so that an
    interrupted run resumes. A call with another key, schedule, device, number of CPU threads or version of a library
    starts afresh. On a CPU the same call makes the same weights; on a GPU some sums have no fixed order. It is long
    because it is the one loop.

    Args:
        batches: yields the data of each of the steps that it is given, in their order, each from its step alone. Of
            several processes each is given the numbers of its shares: step S consists of the shares S * world + rank.
        key: everything else that could change the result, as JSON values: code, data, seeds, what was there before.
        work: where the checkpoints of all trainings lie.
        after_step: told the number of steps done after each.
        journal: folder of `train.jsonl` and `curve.svg`; None: there are none.
        processes: how steps are taken, and by how many processes together; `loss` is a module that holds `model` then.
        validation: at the end the model has the weights that were best by it; None: the last ones.

    Raises:
        IntegrityError: the checkpoint of another run was put in the place of this one's.
        UserError: the loss is not finite, or another process died.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer, rate = _make_optimizer(parameters, schedule)
    first, world, best = processes.first, processes.world, Best(model, device)
    with processes.together():
        steps = processes.open_steps(Minimization(loss, parameters, optimizer, rate, schedule.clip_norm))
        parts: dict[str, Any] = {
            "model": model,
            "optimizer": optimizer,
            "rate": rate,
            "best": best,
            "draws": _RandomState(device),
        }
        parts |= steps.parts
        circumstances = _circumstances(schedule, device, processes, validation)
        checkpoint = Checkpoint(work, title, {**key, **circumstances}, quiet=not first)
        start, spent = _resume(checkpoint, parts, device)
        processes.agree(start)
        clock = _Clock(start, schedule, spent, device)
        average = torch.zeros((), device=device)
        shares = range(start * world + processes.rank, schedule.steps * world, world)
        shown = {"initial": start, "total": schedule.steps, "desc": title, "mininterval": 1, "disable": not first}
        with (
            Journal(journal, title, start) if journal and first else nullcontext() as told,
            closing(batches(shares)) as data,
            tqdm(clock.waiting_for(data), **shown) as bar,
        ):
            for step, batch in enumerate(bar, start + 1):
                pace = float(rate.get_last_lr()[0])
                average += (steps.take(batch) - average) * (0.02 if step > start + 1 else 1.0)
                if _due(step, SHOW_EVERY, schedule):
                    mean = steps.mean(average)
                    _check(mean, step, title)
                    bar.set_postfix(loss=f"{float(mean):.4f}", refresh=False)
                    if told:
                        told.write(clock.entry(step, float(mean), pace))
                if validation and first and _due(step, validation.every, schedule):
                    scored = best.look(validation, step, round(clock.seconds(), 3))
                    if told and scored:
                        told.write(scored)
                if first and _due(step, CHECKPOINT_EVERY, schedule):
                    spent = clock.seconds()
                    checkpoint.save({"step": step, "seconds": spent} | {n: p.state_dict() for n, p in parts.items()})
                after_step(step)
    best.restore()
    return Outcome(spent, best.entry)
