"""Declarations of the reference methods, and the configuration that every stored inverse carries. Import-light."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from benchmark.errors import did_you_mean
from benchmark.files.declarations import Frozen
from benchmark.files.fields import Id, RepoId, Revision, Sha256, Size, Training

__all__ = ["METHODS", "TRUSTED", "InverseConfig", "Method", "Number", "Numbers", "Storage", "get_method"]


class Method(Frozen):
    """A way to build inverses; `implementation` is `module:class`, loaded only when it is used.

    `role` is `ceiling` or `floor` for the rows that bound the board, `entry` otherwise. A method with
    `needs_input` is an oracle: it is shown the input image beside the features. `start` is the method whose trained
    weights its training begins with.
    """

    id: Id
    title: str
    role: Literal["ceiling", "floor", "entry"]
    source: str
    implementation: str
    needs_input: bool = False
    trained: bool = True
    start: Id | None = None


Length = Annotated[int, Field(gt=0, le=2**17)]
Number = Annotated[int, Field(ge=0, le=2**17)]
Storage = Literal["float32", "float16"]
Numbers = Annotated[tuple[Number, ...], Field(max_length=64)]


class InverseConfig(Frozen):
    """`config.json` of a stored inverse.

    `taps` gives the feature shape (without the batch) at each tap; `architecture` the method's own numbers, `sequences`
    its own rows of numbers, such as the channels of successive layers; `storage` the type of the numbers in the file,
    whatever the type that they are computed with;
    `target_sha256` the hash of the weights that the features came from, and for a target on the Hub
    `target_repo_id` and `target_revision` where they lie.
    """

    method: Id
    target: Id
    target_sha256: Sha256
    target_repo_id: RepoId | None = None
    target_revision: Revision | None = None
    input_size: Size
    taps: dict[Id, Annotated[tuple[Length, ...], Field(min_length=1, max_length=4)]] = Field(max_length=256)
    grids: dict[Id, tuple[Length, Length]] = {}
    storage: Storage = "float32"
    architecture: dict[str, Number] = {}
    sequences: dict[str, Numbers] = {}
    training: Training = {}

    @model_validator(mode="after")
    def _grids_fit(self) -> InverseConfig:
        height, width = self.input_size
        for tap, (rows, columns) in self.grids.items():
            if tap not in self.taps or rows > height or columns > width:
                raise ValueError(f"grids.{tap}: of an unknown tap, or finer than the input")
            shape = self.taps[tap]
            if (rows, columns) != shape[1:] if len(shape) == 3 else rows * columns > shape[0]:
                raise ValueError(f"grids.{tap}: {rows}x{columns} does not fit features of shape {shape}")
        return self


METHODS: dict[str, Method] = {
    method.id: method
    for method in (
        Method(
            id="copy",
            title="the input itself",
            role="ceiling",
            source="the upper bound of every metric",
            implementation="benchmark.inverses.copy:CopyInverse",
            needs_input=True,
            trained=False,
        ),
        Method(
            id="mean",
            title="the mean training image",
            role="floor",
            source="what an inverse knows before it looks at features",
            implementation="benchmark.inverses.mean:MeanInverse",
        ),
        Method(
            id="ridge",
            title="linear decoder per tap, in closed form",
            role="entry",
            source="Hoerl & Kennard 1970, regression from tokens to pixels",
            implementation="benchmark.inverses.ridge:RidgeInverse",
        ),
        Method(
            id="knn",
            title="nearest training image in feature space",
            role="entry",
            source="Cover & Hart 1967; what an inverse by heart would give",
            implementation="benchmark.inverses.knn:KnnInverse",
        ),
        Method(
            id="optimize",
            title="descent on the image to match features, with total variation",
            role="entry",
            source="Mahendran & Vedaldi 2015, arXiv 1412.0035",
            implementation="benchmark.inverses.optimize:OptimizeInverse",
            trained=False,
        ),
        Method(
            id="deep_prior",
            title="untrained convolutional network fitted to the features",
            role="entry",
            source="Ulyanov, Vedaldi & Lempitsky 2018, arXiv 1711.10925",
            implementation="benchmark.inverses.deep_prior:DeepPriorInverse",
            trained=False,
        ),
        Method(
            id="end_to_end",
            title="one network per tap, trained to the image",
            role="entry",
            source="Dosovitskiy & Brox 2016, arXiv 1506.02753",
            implementation="benchmark.inverses.end_to_end:EndToEndInverse",
        ),
        Method(
            id="modular",
            title="one inverse network per component, chained back to the image",
            role="entry",
            source="Rathjens et al. 2024, arXiv 2412.06534",
            implementation="benchmark.inverses.modular:ModularInverse",
        ),
        Method(
            id="modular_per_tap",
            title="one inverse network per tap, chained back to the image",
            role="entry",
            source="Rathjens et al. 2024, arXiv 2412.06534",
            implementation="benchmark.inverses.modular_per_tap:ModularPerTapInverse",
        ),
        Method(
            id="modular_joint",
            title="one inverse network per tap, chained, finished by joint training on the image",
            role="entry",
            source="invbench, after Rathjens et al. 2024, arXiv 2412.06534",
            implementation="benchmark.inverses.modular_joint:ModularJointInverse",
            start="modular_per_tap",
        ),
    )
}


TRUSTED: dict[str, Method] = {}
"""Methods that this process imported from a submission, because its user said so; see `inverses.code`."""


def get_method(method_id: str) -> Method:
    """Return the declaration of a method; raises NotFoundError with the nearest name."""
    known = METHODS | TRUSTED
    if method_id not in known:
        raise did_you_mean("method", method_id, known)
    return known[method_id]
