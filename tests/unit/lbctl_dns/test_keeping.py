"""What is written to disk is what is shown, however it came about."""

from pathlib import Path

import nameserver_builders as nb
from lbctl_dns import frames, keeping, snapshot, table, zone

SOA = nb.SOA.record_set(nb.ORIGIN, 7)
ONE, OTHER = nb.sets("one.lb.example", "192.0.2.1"), nb.sets("other.lb.example", "192.0.2.2")


def shown(*records: zone.RecordSet, reset: bool = False) -> frames.Transaction:
    return frames.Transaction(tuple(map(table.encode, records)), reset=reset)


def saved(copy: keeping.Copy, folder: Path) -> tuple[zone.RecordSet, ...] | None:
    path = snapshot.path_in(folder)
    keeping.write(path, keeping.State(copy.body((SOA,)), {}))
    return snapshot.load(path)


def test_a_copy_follows_changes_and_takes_its_soas_from_who_asks(tmp_path: Path) -> None:
    copy = keeping.Copy()
    copy.take(shown(nb.SOA.record_set(nb.ORIGIN, 1), *ONE, reset=True))
    copy.take(shown(*OTHER))
    changed = nb.sets("one.lb.example", "192.0.2.9")
    copy.take(shown(*changed))
    assert saved(copy, tmp_path) == (SOA, *changed, *OTHER)
    copy.take(frames.Transaction(deletes=(changed[0].key,)))
    assert saved(copy, tmp_path) == (SOA, *OTHER)


def test_a_whole_table_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    copy = keeping.Copy()
    copy.take(shown(*ONE, reset=True))
    copy.take(shown(*OTHER, reset=True))
    assert saved(copy, tmp_path) == (SOA, *OTHER)
