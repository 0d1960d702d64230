"""What a metric sees: views of images whose derived quantities are computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, TypeVar
from weakref import WeakValueDictionary, ref

import torch
from torch import Tensor

from benchmark.files.pixels import quantize

__all__ = ["Case", "Classifier", "FocalMask", "Networks", "Perceiver", "Prototypes", "View", "of_both", "repeat"]

T = TypeVar("T")


class Classifier(Protocol):
    """A classifier: RGB in [0, 1] (N, 3, H, W) -> label probabilities (N, L).

    `exclusive_labels`: whether they are one distribution over the labels, or one Bernoulli a label.
    """

    exclusive_labels: bool

    def __call__(self, images: Tensor, /) -> Tensor: ...

    def __hash__(self) -> int: ...


class Perceiver(Protocol):
    """A network whose features tell how alike two images look.

    `features`: RGB in [0, 1] (N, 3, H, W) -> maps (N, C, h, w), one per layer; `distance`: two such lists -> (N,) >= 0.
    """

    def features(self, images: Tensor, /) -> list[Tensor]: ...

    def distance(self, first: list[Tensor], second: list[Tensor], /) -> Tensor: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Networks:
    """The networks that metrics may ask; None: there is no such network.

    Attributes:
        judge: the held-out judge of the suite.
        perceptual: the network of LPIPS.
    """

    judge: Classifier | None = None
    perceptual: Perceiver | None = None


def _by_tensor(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a value with its tensors changed, also those inside tuples and lists."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        items = [_by_tensor(item, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _largest(value: Any) -> int:
    """Return how many numbers the largest tensor of a value has, also inside tuples and lists."""
    if isinstance(value, tuple | list):
        return max(map(_largest, value), default=0)
    return value.numel() if isinstance(value, Tensor) else 0


def repeat(value: Any, times: int) -> Any:
    """Return what was derived from N images as if it were derived from them `times` over.

    Tensors, also inside tuples and lists, have the images along their first dimension; all else is the same for all.
    """
    return _by_tensor(value, lambda tensor: tensor.expand(times, *tensor.shape).flatten(0, 1))


class _Memo:
    """Keeps what was derived from a batch, so that it is derived once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Hashable, ...], Any] = {}
        self._many: WeakValueDictionary[int, Self] = WeakValueDictionary()
        self._single: Self | None = None
        self._times = 1

    def get(self, compute: Callable[..., T], *more: Hashable) -> T:
        """Return `compute(self, *more)`, computed at the first call only; a tensor in it has the images first."""
        # With itself as a key it would stay in memory until the collector comes.
        key = (compute, *("itself" if item is self else item for item in more))
        if key not in self._known:
            self._known[key] = self._derive(compute, *more)
        value: T = self._known[key]
        return value

    def _derive(self, compute: Callable[..., Any], *more: Hashable) -> Any:
        batches = [item for item in more if isinstance(item, _Memo)]
        if self._single and all(batch._single for batch in batches):
            given = [item._single if isinstance(item, _Memo) else item for item in more]
            return repeat(self._single.get(compute, *given), self._times)
        return compute(self, *more)

    def repeated(self, times: int) -> Self:
        """Return the batch as if its images stood there `times` over: what is derived is computed once, and repeated.

        So recons of several taps, one tap after the other, are compared with their originals in one call.
        """
        if times == 1:
            return self
        if (known := self._many.get(times)) is not None:
            return known
        many = self._many[times] = copy(self)
        many._known, many._many, many._single, many._times = {}, WeakValueDictionary(), self, times
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(many, name, repeat(value, times))
        return many


def of_both(compute: Callable[..., T]) -> Callable[..., T]:
    """Mark a function that derives something from a recon and from what was seen alike: see `View.of_recons`."""
    _OF_BOTH.add(compute)
    return compute


_OF_BOTH: set[Callable[..., Any]] = set()


class View(_Memo):
    """A batch of images rounded to 8 bits: `rgb` is float32 (N, 3, H, W) in [0, 1].

    The view of an original lives as long as its batch, so that whatever metrics derive from it (moments,
    edges, color cells) is shared by all taps and methods.
    """

    def __init__(self, rgb: Tensor) -> None:
        super().__init__()
        # Sums run in the order of the memory: equal pixels must give equal scores whatever made them.
        self.rgb = quantize(rgb).contiguous()
        # Recons keep what they share with what was seen, and that refers to it: the other way it is a weak reference,
        # so that all is freed at once when the recons are.
        self._beside: View | ref[View] | None = None
        self._part, self._images = slice(None), len(rgb)

    @classmethod
    def of_recons(cls, recons: Tensor, seen: View) -> View:
        """Return a view of recons that are compared with the N images of `seen`, repeated.

        `recons` is float32 (taps x N, 3, H, W), RGB in [0, 1].

        The first recons stand beside the images: what is marked by `of_both` is derived from all of them in one go.
        """
        if seen._beside is not None:
            return cls(recons)
        joint, count = cls(torch.cat((seen.rgb, recons))), len(seen.rgb)
        view = copy(joint)
        view.rgb, view._known, view._many = joint.rgb[count:], {}, WeakValueDictionary()
        view._beside, view._part, view._images = joint, slice(count, None), count
        seen._beside, seen._part, seen._images = ref(joint), slice(0, count), count
        return view

    def _derive(self, compute: Callable[..., Any], *more: Hashable) -> Any:
        joint = self._beside() if isinstance(self._beside, ref) else self._beside
        if joint is None or self._single or compute not in _OF_BOTH:
            return super()._derive(compute, *more)
        batches = (item if isinstance(item, _Memo) else None for item in more)
        singles = [batch and (batch._single or batch) for batch in batches]
        copies = len(joint.rgb) // self._images
        given = [one.repeated(copies) if one else item for one, item in zip(singles, more, strict=True)]
        value = joint.get(compute, *given)
        # What was seen may outlive the recons: it must not hold what was derived of them.
        own = isinstance(self._beside, ref)
        return _by_tensor(value, lambda tensor: tensor[self._part].clone() if own else tensor[self._part])

    def forget(self) -> None:
        """Free what was derived and is not much smaller than the images; whoever asks for it has it derived again."""
        self._beside = None
        small = self.rgb.numel() // 8
        self._known = {key: value for key, value in self._known.items() if _largest(value) <= small}


class FocalMask(_Memo):
    """The focal masks of a batch: `pixels` is bool (N, H, W)."""

    def __init__(self, pixels: Tensor) -> None:
        super().__init__()
        self.pixels = pixels


class Prototypes(NamedTuple):
    """The colors that are usual for the categories of a suite.

    Attributes:
        hues_deg: CIELAB hue angle of every category's canonical hue, float32 (N, K); NaN where it has none.
        own: index of the focal category, int64 (N,); -1 where it is unknown.
    """

    hues_deg: Tensor
    own: Tensor


@dataclass(frozen=True, eq=False)
class Case:
    """One comparison.

    Attributes:
        original: the unperturbed image (x in the metric specification).
        seen: what the target saw (x_p; equal to `original` under the identity perturbation).
        recon: the reconstruction of `seen` (y_p; y under the identity perturbation).
        mask: the focal mask of the original.
        networks: what metrics may ask.
        baseline: the recon of the unperturbed image (y); None where there is none.
        prototypes: what is usual, where the suite knows it.
    """

    original: View
    seen: View
    recon: View
    mask: FocalMask
    networks: Networks = Networks()
    baseline: View | None = None
    prototypes: Prototypes | None = None

    def not_scored(self) -> Tensor:
        """Return the scores (N,) of a metric that lacks what it needs: NaN."""
        return self.recon.rgb.new_full((self.recon.rgb.shape[0],), torch.nan)
