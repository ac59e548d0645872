"""Whatever bytes arrive: no exception, no answer to what is no query, no amplification."""

from hypothesis import example, given
from hypothesis import strategies as st

import nameserver_builders as nb
from lbctl_dns import frames, wire

RECORDS = (
    *nb.sets("kuard.default.lb.example", "192.0.2.10", "2001:db8::10"),
    *nb.sets("*.apps.lb.example", "192.0.2.12"),
    *nb.sets("big.lb.example", *(f"192.0.3.{n}" for n in range(60))),
)
RESPONDER = nb.responder(*RECORDS)
GOOD = [
    nb.query("kuard.default.lb.example"),
    nb.query("big.lb.example"),
    nb.query("x.apps.lb.example", opt=bytes.fromhex("00002904d0000000000000")),
    nb.query("x.lb.example", opt=bytes.fromhex("00002904d000008000000c000a00084142434445464748")),
]


def mutated(packet: bytes, at: int, change: bytes, kind: str) -> bytes:
    at %= len(packet)
    return {
        "set": packet[:at] + change + packet[at + len(change) :],
        "add": packet[:at] + change + packet[at:],
        "cut": packet[:at],
        "drop": packet[:at] + packet[at + len(change) :],
    }[kind]


PACKETS = st.one_of(
    st.binary(max_size=600),
    st.builds(
        mutated,
        st.sampled_from(GOOD),
        st.integers(0, 100),
        st.binary(min_size=1, max_size=4),
        st.sampled_from(["set", "add", "cut", "drop"]),
    ),
)


@given(packet=PACKETS)
@example(packet=b"\0" * 12 + b"\xc0\x0c" * 250)
@example(packet=GOOD[0][:12] + b"\1a" * 200)
def test_any_bytes_get_silence_or_a_bounded_reply_of_their_own_number(packet: bytes) -> None:
    reply = RESPONDER.answer(packet, wire.UDP, "192.0.2.1")
    if len(packet) < 12 or packet[2] & 0x80:
        assert reply is None
        return
    assert reply is not None
    assert reply[:2] == packet[:2]
    assert reply[2] & 0x80
    assert len(reply) <= (1232 if packet[11] else 512)
    rcode = reply[3] & 15
    if rcode in {1, 4}:
        assert reply[4:] == bytes(8)


@given(frame=st.binary(max_size=200))
def test_a_replica_takes_a_frame_whole_or_says_that_it_is_out_of_step(frame: bytes) -> None:
    replica = frames.Replica()
    try:
        replica.take(frame)
    except frames.OutOfStep:
        assert not replica.table.exists
