from pathlib import Path

import pytest

import nameserver_builders as nb
from lbctl_dns import snapshot

SETS = (*nb.sets("x.lb.example", "192.0.2.1", "2001:db8::1"), nb.SOA.record_set(nb.ORIGIN, 77))


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = snapshot.path_in(tmp_path / "new" / "folder")
    snapshot.save(path, nb.snapshot_of(*SETS))
    snapshot.save(path, nb.snapshot_of(*SETS[:2]))
    assert snapshot.load(path) == SETS[:2]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert snapshot.load(snapshot.path_in(tmp_path)) is None


@pytest.mark.parametrize("damage", [lambda one: one[:-1], lambda one: b"", lambda one: one + b"x"])
def test_a_damaged_file_is_not_served(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = snapshot.path_in(tmp_path)
    path.write_bytes(damage(nb.snapshot_of(*SETS)))
    with pytest.raises(snapshot.Damaged):
        snapshot.load(path)
