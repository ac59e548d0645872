import pytest

import nameserver_builders as nb
from lbctl_dns import frames, table


def stream(change: frames.Transaction, epoch: int = 1, first: int = 1) -> list[bytes]:
    return [
        frames.render(epoch, first + index, body)
        for index, body in enumerate(frames.bodies(change))
    ]


MANY = tuple(
    table.encode(nb.sets(f"svc-{n}.default.lb.example", "192.0.2.1")[0]) for n in range(3000)
)


def test_a_large_table_travels_in_bounded_frames_and_shows_at_the_end() -> None:
    replica = frames.Replica()
    parts = stream(frames.Transaction(MANY, reset=True))
    assert len(parts) > 2
    assert max(len(part) for part in parts) < frames.MAX_BODY + 100
    empty = replica.table
    for part in parts[:-1]:
        assert replica.take(part) is None
        assert replica.table is empty
    assert replica.take(parts[-1]) == frames.POSITION.pack(1, len(parts))
    assert len(replica.table.exists) == 3000 + 4
    assert replica.table.loaded


def test_a_change_in_several_frames_shows_at_once() -> None:
    replica = frames.Replica()
    replica.take(stream(frames.Transaction(reset=True))[0])
    parts = stream(frames.Transaction(MANY), first=2)
    for part in parts[:-1]:
        replica.take(part)
        assert not replica.table.exists
    replica.take(parts[-1])
    assert replica.table.exists


def test_deletes_and_upserts_are_one_change() -> None:
    replica = frames.Replica()
    replica.take(stream(frames.Transaction(MANY[:1], reset=True))[0])
    change = frames.Transaction(MANY[1:2], ((MANY[0].name, MANY[0].rtype),))
    replica.take(stream(change, first=2)[0])
    assert MANY[0].name not in replica.table.exists
    assert MANY[1].name in replica.table.exists


@pytest.mark.parametrize(("epoch", "number"), [(1, 3), (1, 1), (2, 2)])
def test_a_lost_or_repeated_frame_is_noticed(epoch: int, number: int) -> None:
    replica = frames.Replica()
    replica.take(stream(frames.Transaction(reset=True))[0])
    with pytest.raises(frames.OutOfStep):
        replica.take(frames.render(epoch, number, (frames.LAST, b"")))


@pytest.mark.parametrize("cut", [1, 5, 12, 20])
def test_a_damaged_frame_is_noticed(cut: int) -> None:
    (whole,) = stream(frames.Transaction(MANY[:1], reset=True))
    with pytest.raises(frames.OutOfStep):
        frames.Replica().take(whole[:-cut])


def test_the_secret_comes_ahead_of_the_table() -> None:
    replica = frames.Replica()
    assert replica.take(frames.render(0, 0, (frames.SECRET, b"key"))) is None
    assert replica.secret == b"key"


def test_a_table_not_yet_complete_says_so() -> None:
    replica = frames.Replica()
    replica.take(stream(frames.Transaction(reset=True, loaded=False))[0])
    assert not replica.table.loaded
