"""What the Hub shows of an inverse: the fields that its users filter by, and text that stays text."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from markdown_it import MarkdownIt

from benchmark.files.paths import PACKAGE, submissions_root
from benchmark.inverses.base import read_config
from benchmark.inverses.spec import METHODS, InverseConfig
from benchmark.submissions.markdown import plain
from benchmark.submissions.matching import find_matches
from benchmark.submissions.model_card import find_datasets, find_license, find_papers, render_card, render_results

RIDGE = read_config(PACKAGE / "assets/mini/inverses/ridge/mini-vit/config.json")
ON_THE_HUB = {"target_repo_id": "google/vit-base-patch16-224", "target_revision": "3f" * 20}


def changed(**update: object) -> InverseConfig:
    return InverseConfig.model_validate(RIDGE.model_dump() | update)


def test_an_inverse_of_a_target_on_the_hub_names_it_and_its_training_data() -> None:
    config = changed(**ON_THE_HUB, training={"data": "coco/train2017: 118,287 photographs"})
    data = ModelCard(render_card("owner/ridge", config, (), "MIT")).data
    assert (data.base_model, data.base_model_relation) == ("google/vit-base-patch16-224", "adapter")
    assert data.datasets == ["detection-datasets/coco"]
    assert (data.license, data.library_name, data.pipeline_tag) == ("mit", "invbench", "image-to-image")
    assert {"feature-inversion", "method:ridge", "target:mini-vit"} <= set(data.tags)
    assert data.eval_results is None


def test_an_embedded_target_has_no_base_model() -> None:
    data = ModelCard(render_card("owner/ridge", RIDGE, (), None)).data.to_dict()
    assert not data.keys() & {"base_model", "base_model_relation", "datasets", "license", "model-index"}


@pytest.mark.parametrize(
    ("training", "datasets"),
    [
        ("imagenet/train: 1,281,167 photographs", ["ILSVRC/imagenet-1k"]),
        ("ILSVRC2012/train: 100 photographs", ["ILSVRC/imagenet-1k"]),
        ("4,000 photographs that coco@1 does not evaluate", ["detection-datasets/coco"]),
        ("scenes, split train", []),
        ("tiny-imagenet/train: 5 photographs", []),
        ("coconut/train: 5 photographs", []),
        ("imagenet-21k: 5 photographs", []),
        ("me/cocoa.org: 5 photographs", []),
    ],
)
def test_data_sets_are_named_where_they_are_the_ones(training: str, datasets: list[str]) -> None:
    assert find_datasets(training) == datasets


@pytest.mark.parametrize(
    ("stated", "fields"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("GPL-3.0-or-later", {"license": "gpl-3.0"}),
        ("openrail++", {"license": "openrail++"}),
        ("MIT AND CC-BY-4.0", {"license": "other", "license_name": "mit-and-cc-by-4.0"}),
        ("LicenseRef-Mine", {"license": "other", "license_name": "licenseref-mine"}),
        ("no", {"license": "other", "license_name": "no"}),
        ("x: [y]\n---\ntags: z", {"license": "other", "license_name": "x-y-tags-z"}),
        ("\U0001f600", {"license": "other", "license_name": "other"}),
    ],
)
def test_a_license_is_one_that_the_hub_knows_or_named(stated: str, fields: dict[str, str]) -> None:
    assert find_license(stated) == fields
    data = ModelCard(render_card("owner/ridge", RIDGE, (), stated)).data.to_dict()
    assert {key: data[key] for key in fields} == fields


def test_papers_are_linked_once() -> None:
    assert find_papers(METHODS["end_to_end"].source) == ["1506.02753", "2412.06534"]
    assert find_papers(METHODS["modular"].source) == ["2412.06534"]
    assert render_card("owner/ridge", RIDGE, (), None).count("https://arxiv.org/abs/2412.06534") == 1


def test_results_are_those_of_the_record_axis_by_axis() -> None:
    matches = find_matches("mini-vit", {}, [submissions_root() / "ridge"]).found
    (record,) = (match.record for match in matches)
    ((path, text),) = render_results(RIDGE, matches).items()
    assert path == ".eval_results/invbench-mini-1.yaml"
    entries = parse_eval_result_entries(yaml.safe_load(text))
    axes = record.targets["mini-vit"].axes
    assert {entry.task_id: entry.value for entry in entries} == {f"mini-vit_{a}": s.value for a, s in axes.items()}
    assert {entry.dataset_id for entry in entries} == {"invbench/mini-1"}
    assert all(record.digest in entry.notes and entry.date == record.run.started for entry in entries)


def test_text_of_others_makes_no_markup() -> None:
    nasty = "a | b <script>alert(1)</script> [x](javascript:y) `c` $$d$$ @me --- &lt;b&gt; ![](https://e.org/f.png)"
    config = changed(training={"data": nasty, "<b>*k*</b> | [l](m)": "v"})
    html = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(ModelCard(render_card("owner/ridge", config, (), None)).text)
    )
    rest = html.replace("<code>", "").replace("</code>", "")
    assert not [tag for tag in ("<script", "<img", "<b>", "<em>", 'href="m"', 'javascript:y"') if tag in rest]
    assert html.count("<tr>") == 2 + 1 + len(RIDGE.taps) + 1
    assert plain("&lt;") == r"\&lt;"
