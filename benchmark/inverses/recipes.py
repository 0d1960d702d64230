"""How inverses are built and trained: a TOML file for each method and scale. Import-light."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from benchmark.errors import NotFoundError, UserError
from benchmark.files.declarations import Frozen, explain, read_toml
from benchmark.files.fields import Id
from benchmark.files.paths import PACKAGE
from benchmark.inverses.spec import METHODS, Number, Numbers, Storage
from benchmark.suites.spec import TargetSpec

__all__ = ["RECIPES", "InverseRecipe", "Shape", "choose_recipe", "load_recipe", "load_recipe_file"]

RECIPES = PACKAGE / "assets" / "recipes"


class Shape(Frozen):
    """The numbers of an inverse for targets of one family: `architecture` and `sequences` of its `config.json`."""

    architecture: dict[str, Number] = {}
    """The method's own numbers"""
    sequences: dict[str, Numbers] = {}
    """The method's own rows of numbers, such as the channels of successive layers"""


class InverseRecipe(Frozen):
    """How long and how fast an inverse is trained, and what it is made of."""

    steps: Annotated[int, Field(gt=0, le=10**8, examples=[1500])]
    """Number of optimization steps"""
    batch_size: Annotated[int, Field(gt=0, le=2**16, examples=[32])]
    """Images a step"""
    learning_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, examples=[1e-3])]
    """Highest learning rate, after the warm-up"""
    weight_decay: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, examples=[1e-4])] = 0.0
    """Of AdamW; 0: Adam"""
    storage: Storage = "float32"
    """Type of the numbers in the trained inverse's file"""
    validate_every: Annotated[int, Field(ge=0, le=10**8, examples=[5000])] = 0
    """Steps between two validations, of which the best decides the weights; 0: never, the last weights are kept"""
    shapes: dict[Id, Shape] = {}
    """A table for each family of targets"""

    def for_epochs(self, epochs: float, images: int | None) -> InverseRecipe:
        """Return the recipe for `epochs` times through so many images; raises UserError where they have no end."""
        if not math.isfinite(epochs):
            raise UserError(f"{epochs} is no number of epochs", cure="give one such as 2.5")
        if images is None:
            raise UserError("scenes have no end, and so no epochs", cure="give --steps")
        return self.model_copy(update={"steps": max(1, math.ceil(epochs * images / self.batch_size))})

    def shape(self, family: str) -> Shape:
        """Return the numbers for targets of a family: none at all where no family has any.

        Raises:
            NotFoundError: the recipe has shapes, but none for this family.
        """
        if self.shapes and family not in self.shapes:
            known = ", ".join(sorted(self.shapes))
            raise NotFoundError(f"the recipe has no shape for targets of family '{family}'", cure=f"it has: {known}")
        return self.shapes.get(family, Shape())


def load_recipe_file(path: Path) -> InverseRecipe:
    """Read a recipe; raises SpecError where the file is absent or no recipe, with the field."""
    return read_toml(path, InverseRecipe)


def load_recipe(method: str, target: TargetSpec) -> InverseRecipe:
    """Return the package's recipe of a method: `mini` for embedded targets, `full` for those of published size.

    Raises:
        NotFoundError: the method has none.
    """
    path = RECIPES / f"{method}-{'mini' if target.source.path else 'full'}.toml"
    if not path.is_file():
        raise NotFoundError(f"there is no recipe '{path.name}' for method '{method}'", cure="give one: --recipe FILE")
    return load_recipe_file(path)


def choose_recipe(
    method: str,
    target: TargetSpec,
    path: Path | None = None,
    *,
    steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    epochs: float | None = None,
    validate_every: int | None = None,
) -> InverseRecipe | None:
    """Return the recipe in a file, or the package's, with what is to be otherwise; None for methods without one.

    Args:
        epochs: whether they are given; see `InverseRecipe.for_epochs`.

    Raises:
        SpecError: the file is no recipe.
        UserError: something is given that a method without recipe has no use for.
    """
    given = {
        "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "validate_every": validate_every,
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    closed_form = method in METHODS and not (RECIPES / f"{method}-mini.toml").is_file()
    if closed_form and (path or changes or epochs):
        options = (
            ["--recipe"] * bool(path)
            + ["--epochs"] * bool(epochs)
            + ["--" + name.replace("_", "-") for name in changes]
        )
        raise UserError(f"method '{method}' is not trained by steps: it has no use for {', '.join(options)}")
    if closed_form:
        return None
    recipe = load_recipe_file(path) if path else load_recipe(method, target)
    try:
        return InverseRecipe.model_validate(recipe.model_dump() | changes)
    except ValidationError as error:
        raise explain(error, "what was given beside the recipe") from None
