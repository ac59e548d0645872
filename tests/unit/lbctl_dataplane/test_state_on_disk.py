"""The last state on disk."""

import json
from pathlib import Path

import pytest

from lbctl_dataplane import state_file

THINGS = [{"metadata": {"name": name}, "n": [1, None, True]} for name in ("a", 'b"\n', "ü")]


@pytest.mark.parametrize(
    "objects",
    [{}, {"endpointslices": []}, {"endpointslices": THINGS[:1]}, {"one": THINGS, "two": THINGS}],
)
def test_what_is_saved_is_loaded(
    tmp_path: Path, objects: dict[str, list[dict[str, object]]]
) -> None:
    path = tmp_path / "new" / "agent.json"
    state_file.save(path, objects)
    assert state_file.load(path) == objects
    assert [entry.name for entry in path.parent.iterdir()] == ["agent.json"]


def test_a_state_from_before_a_reboot_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({"bootId": "another", "objects": {}}))
    assert state_file.load(path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"bootId": 1}'])
def test_a_damaged_state_is_not_read(tmp_path: Path, content: str) -> None:
    path = tmp_path / "agent.json"
    path.write_text(content)
    assert state_file.load(path) is None


def test_no_state_is_no_state(tmp_path: Path) -> None:
    assert state_file.load(tmp_path / "agent.json") is None


def test_a_place_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state_file.save(tmp_path / "file" / "agent.json", {})
    assert state_file.load(tmp_path / "file" / "agent.json") is None
