"""A record states the title and the method of its submission."""

from __future__ import annotations

from pathlib import Path

import pytest
from forge import SMALL, World, edit_toml, make_world, title_of

from benchmark.errors import IntegrityError
from benchmark.records.record import load_record
from benchmark.submissions.origins import check_origins
from benchmark.submissions.submission import load_submission_folder


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.mark.parametrize("field", ["title", "method"])
def test_a_record_of_another_title_or_method_is_refused(world: World, tmp_path: Path, field: str) -> None:
    place, folder = world.write(tmp_path), tmp_path / SMALL
    record = load_record(place)
    check_origins(load_submission_folder(folder), folder, record, "record.json")
    edit_toml(folder, f'"{title_of(SMALL) if field == "title" else "modular_per_tap"}"', '"ridge"')
    with pytest.raises(IntegrityError, match=rf"field 'submission\.{field}': is .*, not 'ridge' as submission\.toml"):
        check_origins(load_submission_folder(folder), folder, record, "record.json")
