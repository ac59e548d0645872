"""Whatever bytes arrive: no exception, no answer to what is no query, no amplification."""

from hypothesis import given
from hypothesis import strategies as st

import dns_corpus
import dns_messages
import nameserver_compiled
from lbctl_dns import careful, frames, wire

RESPONDERS = [dns_corpus.responder(zone) for zone in (dns_corpus.ZONE, dns_corpus.PLAIN_ZONE)]
PACKETS_OF_SEEDS = [seed.packet for seed in dns_corpus.SEEDS]
CHANGES = st.tuples(
    st.integers(0, 1500),
    st.binary(min_size=1, max_size=4),
    st.sampled_from(["set", "add", "cut", "drop"]),
)


def mutated(packet: bytes, changes: list[tuple[int, bytes, str]]) -> bytes:
    for anywhere, change, kind in changes:
        at = anywhere % (len(packet) + 1)
        packet = {
            "set": packet[:at] + change + packet[at + len(change) :],
            "add": packet[:at] + change + packet[at:],
            "cut": packet[:at],
            "drop": packet[:at] + packet[at + len(change) :],
        }[kind]
    return packet


PACKETS = st.one_of(
    st.binary(max_size=600),
    st.builds(
        mutated, st.sampled_from(PACKETS_OF_SEEDS), st.lists(CHANGES, min_size=1, max_size=3)
    ),
)


@given(packet=PACKETS, responder=st.sampled_from(RESPONDERS))
def test_any_bytes_get_silence_or_a_bounded_reply_of_their_own_number(
    packet: bytes, responder: wire.Responder
) -> None:
    reply = responder.answer(packet, wire.UDP, "192.0.2.1")
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
    whole = careful.answer(responder.table, packet, wire.UDP, responder.clerk, "192.0.2.1")
    assert reply == whole
    message = dns_messages.read(reply)
    assert not {"ra", "ad", "cd", "z"} & set(message.flags.split())
    for question in message.questions:
        assert packet[12:].startswith(question)


@given(frame=st.binary(max_size=200))
def test_a_replica_takes_a_frame_whole_or_says_that_it_is_out_of_step(frame: bytes) -> None:
    replica = frames.Replica()
    try:
        replica.take(frame)
    except frames.OutOfStep:
        assert not replica.table.exists


@given(packet=PACKETS, responder=st.sampled_from(RESPONDERS))
def test_compiled_code_gives_any_bytes_the_same_or_leaves_them_to_python(
    packet: bytes, responder: wire.Responder
) -> None:
    for _ in range(2):  # the second time Python has found out which zone denies the name
        reply = nameserver_compiled.answer(responder, packet, "192.0.2.1")
        assert reply in {None, responder.answer(packet, wire.UDP, "192.0.2.1")}
