"""Recipes: those of the package, files of one's own, and what is to be otherwise than they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from networks import FULL

from benchmark.errors import NotFoundError, SpecError, UserError
from benchmark.inverses.recipes import RECIPES, Shape, choose_recipe, load_recipe, load_recipe_file
from benchmark.inverses.spec import METHODS
from benchmark.suites.catalog import load_suite
from benchmark.suites.spec import Suite


def test_recipes_load_and_have_the_sizes_that_are_published() -> None:
    assert all(load_recipe_file(path).steps for path in RECIPES.glob("*.toml"))
    coco = load_suite("coco@1")
    detr, vit = (load_recipe("modular", coco.target(name)) for name in ("detr-resnet-50", "vit-base-16"))
    assert detr.shape("detr").sequences["image"] == (2048, 1024, 512, 256, 128, 64)
    assert vit.shape("vit").architecture == {"layers": 12, "heads": 12, "ratio": 4}
    with pytest.raises(NotFoundError, match="no shape for targets of family 'convnext'"):
        detr.shape("convnext")
    with pytest.raises(
        NotFoundError, match=r"no recipe 'mine-full\.toml' for method 'mine' \(give one: --recipe FILE\)"
    ):
        load_recipe("mine", coco.target("vit-base-16"))


def test_every_recipe_is_of_a_method_and_fits_every_family_of_its_scale(mini: Suite) -> None:
    suites = {"mini": mini, "full": load_suite("coco@1")}
    for path in RECIPES.glob("*.toml"):
        method, scale = path.stem.rsplit("-", 1)
        assert method in METHODS
        recipe = load_recipe_file(path)
        if scale == "full":
            assert recipe.shapes.keys() >= {case.family for case in FULL}
        assert recipe.shapes.keys() >= {target.family for target in suites[scale].targets}
        # The committed inverses of the embedded targets were trained without validation.
        assert recipe.validate_every == (5000 if scale == "full" else 0)
        # Published inverses were trained by Adam.
        assert recipe.weight_decay == (0 if scale == "full" else 1e-4)


def test_validation_is_chosen_beside_a_recipe_too(mini: Suite) -> None:
    spec = mini.target("mini-vit")
    chosen, plain = choose_recipe("modular", spec, validate_every=50), choose_recipe("modular", spec)
    assert chosen and plain and (chosen.validate_every, plain.validate_every) == (50, 0)
    with pytest.raises(UserError, match="it has no use for --validate-every"):
        choose_recipe("ridge", spec, validate_every=50)


def test_what_is_given_beside_a_recipe_wins(mini: Suite, tmp_path: Path) -> None:
    spec = mini.target("mini-vit")
    path = tmp_path / "mine.toml"
    path.write_text("steps = 7\nbatch_size = 3\nlearning_rate = 0.5\n")
    recipe = choose_recipe("modular", spec, path, steps=9)
    assert recipe is not None
    assert (recipe.steps, recipe.batch_size, recipe.learning_rate) == (9, 3, 0.5)
    assert recipe.for_epochs(2.5, 10).steps == 9
    assert recipe.shape("vit") == Shape()
    assert choose_recipe("ridge", spec) is None
    with pytest.raises(UserError, match="it has no use for --epochs"):
        choose_recipe("mean", spec, epochs=5)
    with pytest.raises(SpecError, match="field 'learning_rate'"):
        choose_recipe("modular", spec, learning_rate=float("nan"))
    with pytest.raises(UserError, match="nan is no number of epochs"):
        recipe.for_epochs(float("nan"), 10)
    with pytest.raises(UserError, match="it has no use for --recipe"):
        choose_recipe("mean", spec, path)
    with pytest.raises(UserError, match="'ridge' is not trained by steps: it has no use for --steps, --batch-size"):
        choose_recipe("ridge", spec, steps=5, batch_size=2)
    with pytest.raises(UserError, match=r"scenes have no end, and so no epochs \(give --steps\)"):
        recipe.for_epochs(1, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = 0\nbatch_size = 3\nlearning_rate = 0.5", r"mine.toml: field 'steps'"),
        ("steps = 7\nlearning_rate = 0.5", r"field 'batch_size'.*Images a step"),
        ("steps = 7\nbatch_size = 3\nlearning_rate = nan", "field 'learning_rate'"),
        ("step = 7\nsteps = 7\nbatch_size = 3\nlearning_rate = 0.5", "did you mean 'steps'"),
    ],
)
def test_a_bad_recipe_is_told_by_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        load_recipe_file(path)
