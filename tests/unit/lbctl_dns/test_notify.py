"""Telling secondaries: at once, together, and until they answer."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import nameserver_builders as nb
from lbctl_dns import access, journal, listening, message, notify, tsig, zone
from transfer_builders import KEY, soa

SAFETY_S = 20.0
KNOWN = access.checked([KEY], [])


class Secondary:
    """A socket that is told, and answers what the test says."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def hears(self) -> tuple[bytes, Any]:
        async with asyncio.timeout(SAFETY_S):
            return await self._loop.sock_recvfrom(self._sock, 4096)

    async def says(self, reply: bytes, peer: Any) -> None:
        await self._loop.sock_sendto(self._sock, reply, peer)

    async def agrees(self) -> int:
        """Answer one notification; return the serial in it."""
        packet, peer = await self.hears()
        await self.says(answer(packet), peer)
        return serial_in(packet)


def answer(packet: bytes, rcode: int = 0) -> bytes:
    return packet[:2] + bytes((0xA4, rcode)) + packet[4:6] + bytes(6) + question(packet)


def question(packet: bytes) -> bytes:
    return packet[12 : 12 + len(nb.ORIGIN) + 4]


def serial_in(packet: bytes) -> int:
    return journal.serial_of(zone.RecordSet(b"", zone.SOA, 0, (rdata_of_soa(packet),)))


def rdata_of_soa(packet: bytes) -> bytes:
    (one,) = (one for one in message.parse(packet).records if one.rtype == zone.SOA)
    return packet[one.rdata_at : one.end]


Scenario = Callable[[notify.Notifier, journal.Library, Secondary], Coroutine[Any, Any, None]]


def run(scenario: Scenario, key: bytes = b"") -> notify.Notifier:
    """Run a scenario with a notifier of one zone at serial 1 and one secondary."""

    async def body() -> notify.Notifier:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            place = listening.Place(*sock.getsockname())
            library = journal.Library()
            library.show([soa(1)])
            notifier = notify.Notifier(library)
            notifier.configure([notify.Target(place, key)], KNOWN)
            task = asyncio.create_task(notifier.run([listening.Place("127.0.0.1", 1)]))
            await scenario(notifier, library, Secondary(sock))
            task.cancel()
            await asyncio.wait([task])
        return notifier

    return asyncio.run(body())


def change(library: journal.Library, serial: int) -> frozenset[bytes]:
    return library.change(zone.Change((soa(serial),)))


async def outcome(notifier: notify.Notifier, name: str, count: int = 1) -> None:
    async with asyncio.timeout(SAFETY_S):
        while notifier.counts[name] < count:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.01)


def test_a_secondary_is_told_at_the_start_and_of_each_change() -> None:
    async def scenario(notifier: notify.Notifier, library: journal.Library, it: Secondary) -> None:
        packet, peer = await it.hears()
        assert packet[2:12] == b"\x24\0\0\x01\0\x01\0\0\0\0"
        assert question(packet) == nb.ORIGIN + b"\0\x06\0\x01"
        assert peer[0] == "127.0.0.1"
        await it.says(answer(packet), peer)
        await outcome(notifier, "heard")
        notifier.changed(change(library, 2))
        assert await it.agrees() == 2

    run(scenario)


def test_changes_that_come_together_are_told_once() -> None:
    async def scenario(notifier: notify.Notifier, library: journal.Library, it: Secondary) -> None:
        await it.agrees()
        await outcome(notifier, "heard")
        for serial in range(2, 50):
            notifier.changed(change(library, serial))
        assert await it.agrees() == 49
        await outcome(notifier, "heard", 2)

    assert run(scenario).counts["heard"] == 2


def test_it_is_told_again_until_it_answers_and_then_the_newest() -> None:
    async def scenario(notifier: notify.Notifier, library: journal.Library, it: Secondary) -> None:
        await it.hears()
        notifier.changed(change(library, 2))
        assert await it.agrees() == 2
        await outcome(notifier, "heard")

    assert run(scenario).counts == {"unanswered": 1, "heard": 1}


def test_only_an_answer_to_this_notification_counts() -> None:
    async def scenario(notifier: notify.Notifier, library: journal.Library, it: Secondary) -> None:
        packet, peer = await it.hears()
        for other in (b"", b"x" * 40, packet, answer(b"\xff\xff" + packet[2:])):
            await it.says(other, peer)
        assert await it.agrees() == 1
        await outcome(notifier, "heard")

    assert run(scenario).counts == {"unanswered": 1, "heard": 1}


def test_a_refusal_is_an_answer_and_told_to_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(notifier: notify.Notifier, library: journal.Library, it: Secondary) -> None:
        for serial in (1, 2, 3):
            packet, peer = await it.hears()
            await it.says(answer(packet, rcode=5), peer)
            await outcome(notifier, "refused", serial)
            notifier.changed(change(library, serial + 1))

    assert run(scenario).counts == {"refused": 3}
    assert caplog.text.count("refuses NOTIFY of lb.example.: rcode 5") == 1


@pytest.mark.parametrize("proves", [True, False])
def test_with_a_key_only_a_signed_answer_counts(*, proves: bool) -> None:
    async def scenario(notifier: notify.Notifier, library: journal.Library, it: Secondary) -> None:
        packet, peer = await it.hears()
        signature = tsig.find(message.parse(packet))
        assert signature is not None
        assert tsig.verify(packet, signature, KNOWN.keys, signature.time_s).error == 0
        reply = answer(packet)
        if proves:
            reply = tsig.Signer(KEY, signature.mac).sign(reply, signature.time_s)
        await it.says(reply, peer)
        await outcome(notifier, "heard" if proves else "unanswered")

    run(scenario, KEY.name)


def test_who_is_no_secondary_any_more_is_left_alone() -> None:
    async def scenario(notifier: notify.Notifier, library: journal.Library, it: Secondary) -> None:
        await it.agrees()
        await outcome(notifier, "heard")
        notifier.configure([], KNOWN)
        notifier.changed(change(library, 2))
        await asyncio.sleep(4 * notify.COALESCE_S)

    assert run(scenario).counts == {"heard": 1}


@pytest.mark.parametrize(
    ("text", "place", "key"),
    [
        ("192.0.2.1", "192.0.2.1:53", b""),
        ("k@192.0.2.1:5353", "192.0.2.1:5353", b"\x01k\0"),
        ("[2001:db8::1]:53", "[2001:db8::1]:53", b""),
    ],
)
def test_a_target_is_an_address_and_perhaps_a_key(text: str, place: str, key: bytes) -> None:
    found = notify.target(text)
    assert (str(found.place), found.key) == (place, key)
