"""Signatures: what is signed proves right, and nothing else does."""

import dataclasses

import pytest

from lbctl_dns import message, tsig
from transfer_builders import KEY, NOW, OTHER, request, signed

KEYS = {KEY.name: KEY}
PACKET, MAC = signed(request())


def judged(packet: bytes, now_s: int = NOW, asked: bytes = b"") -> int:
    signature = tsig.find(message.parse(packet))
    assert signature is not None
    return tsig.verify(packet, signature, KEYS, now_s, asked).error


def test_a_signed_message_proves_right_and_is_what_it_was() -> None:
    signature = tsig.find(message.parse(PACKET))
    assert signature is not None
    assert tsig.stripped(PACKET, signature) == request()
    assert judged(PACKET) == tsig.NOERROR
    assert len(PACKET) - len(request()) <= KEY.record_size


def test_a_message_without_signature_has_none() -> None:
    assert tsig.find(message.parse(request())) is None


@pytest.mark.parametrize("at", range(len(PACKET)))
def test_no_byte_can_be_changed(at: int) -> None:
    changed = PACKET[:at] + bytes((PACKET[at] ^ 1,)) + PACKET[at + 1 :]
    try:
        signature = tsig.find(message.parse(changed))
    except message.Malformed:
        return
    if signature is None:
        return
    verdict = tsig.verify(changed, signature, KEYS, NOW)
    # The id is not signed but its copy in the record is; TTL and class of a TSIG are fixed.
    unsigned = (
        at < 2 or signature.start + len(KEY.name) + 2 <= at < signature.start + len(KEY.name) + 8
    )
    assert (verdict.error == tsig.NOERROR) == unsigned


@pytest.mark.parametrize(("off_s", "error"), [(300, 0), (-300, 0), (301, 18), (-301, 18)])
def test_clocks_may_differ_by_the_fudge(off_s: int, error: int) -> None:
    assert judged(PACKET, NOW + off_s) == error


def test_keys_are_known_by_name_and_algorithm() -> None:
    assert judged(signed(request(), OTHER)[0]) == tsig.BADKEY
    weaker = dataclasses.replace(KEY, algorithm="hmac-sha512")
    assert judged(signed(request(), weaker)[0]) == tsig.BADKEY
    stranger = dataclasses.replace(KEY, secret=b"t" * 32)
    assert judged(signed(request(), stranger)[0]) == tsig.BADSIG


@pytest.mark.parametrize(("size", "error"), [(31, tsig.BADTRUNC), (16, tsig.BADTRUNC), (15, 16)])
def test_a_cut_mac_is_not_enough(size: int, error: int) -> None:
    signature = tsig.find(message.parse(PACKET))
    assert signature is not None
    cut = dataclasses.replace(signature, mac=signature.mac[:size])
    assert tsig.verify(PACKET, cut, KEYS, NOW).error == error


def test_each_message_of_a_reply_covers_the_one_before() -> None:
    signer = tsig.Signer(KEY, MAC)
    replies = [signer.sign(request(), NOW) for _ in range(3)]
    assert judged(replies[0], asked=MAC) == tsig.NOERROR
    assert judged(replies[0]) == tsig.BADSIG
    assert len({packet[-48:-16] for packet in replies}) == 3


def twice_signed() -> bytes:
    return signed(PACKET)[0]


def not_last() -> bytes:
    opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    return PACKET[:11] + bytes((PACKET[11] + 1,)) + PACKET[12:] + opt


def cut_inside() -> bytes:
    """The record is as long as it says, but its MAC would be longer."""
    at = PACKET.index(b"\0\x20" + MAC)
    return PACKET[:at] + b"\x40\0" + PACKET[at + 2 :]


@pytest.mark.parametrize("packet", [twice_signed(), not_last(), cut_inside(), PACKET[:-1]])
def test_a_signature_in_the_wrong_place_or_shape_is_malformed(packet: bytes) -> None:
    with pytest.raises(message.Malformed):
        tsig.find(message.parse(packet))
