"""Whatever happened to a zone, a secondary with any serial ends with what it holds now."""

from hypothesis import given
from hypothesis import strategies as st

import nameserver_builders as nb
from lbctl_dns import edns, gate, journal, message, transfers, wire, zone
from lbctl_dns.journal import Form
from transfer_builders import CLIENT, KNOWN, NOW, request, signed, soa

Content = dict[str, tuple[str, ...]]

ADDRESSES = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1"]), unique=True)
CONTENTS = st.dictionaries(st.sampled_from(["a", "b", "c", "*.w", "d.e"]), ADDRESSES.map(tuple))


def sets(content: Content) -> list[zone.RecordSet]:
    return [one for host, found in content.items() for one in nb.sets(f"{host}.lb.example", *found)]


def records(history: journal.History) -> set[bytes]:
    return set(history.full())


def patched(before: set[bytes], answer: list[bytes]) -> set[bytes]:
    """Apply an IXFR as RFC 1995 §4 says: the SOAs are the seams."""
    after = set(before)
    adding = True
    for record in answer[1:-1]:
        if record.startswith(nb.ORIGIN + b"\0\x06"):
            adding = not adding
        if adding:
            assert record not in after
            after.add(record)
        else:
            after.remove(record)
    return after


@given(contents=st.lists(CONTENTS, min_size=1, max_size=8), stepwise=st.booleans())
def test_every_serial_leads_to_the_present_content(contents: list[Content], stepwise: bool) -> None:
    library = journal.Library()
    # Enough that stands by for steps to be shorter than the zone.
    standing = [one for n in range(99) for one in nb.sets(f"s{n}.lb.example", "10.9.9.9")]
    seen: dict[int, set[bytes]] = {}
    before: dict[zone.SetKey, zone.RecordSet] = {}
    for serial, content in enumerate(contents, 1):
        now = {one.key: one for one in (*standing, *sets(content))}
        if stepwise and before:
            found = zone.difference(before, now)
            library.change(zone.Change((*found.upserts, soa(serial)), found.deletes))
        else:
            library.show([soa(serial), *now.values()])
        before = now
        seen[serial] = records(library.zones[nb.ORIGIN])
    history = library.zones[nb.ORIGIN]
    assert history.count == len(seen[len(contents)])
    for serial, then in seen.items():
        form, answer = history.since(serial)
        if form is Form.STEPS:
            assert patched(then, list(answer)) == seen[len(contents)]
        else:
            assert form is (Form.SOA if serial == len(contents) else Form.FULL)


SIGNED = signed(request(message.IXFR, 7, edns.render()))[0]
PIECES = st.sampled_from([SIGNED[at : at + 16] for at in range(0, len(SIGNED), 16)])


@given(
    start=st.integers(0, len(SIGNED)),
    end=st.integers(0, len(SIGNED)),
    between=st.one_of(st.binary(max_size=40), st.lists(PIECES, max_size=6).map(b"".join)),
    transport=st.sampled_from([wire.UDP, wire.TCP]),
)
def test_no_bytes_make_a_worker_or_the_feed_process_fail(
    start: int, end: int, between: bytes, transport: wire.Transport
) -> None:
    packet = SIGNED[:start] + between + SIGNED[end:]
    worker = nb.responder(*nb.sets("kuard.lb.example", "192.0.2.1"))
    worker.gate = gate.Gate(KNOWN)
    worker.clerk.tick(NOW)
    reply = worker.answer(packet, transport, CLIENT)
    library = journal.Library()
    library.show([soa(8)])
    asker = transfers.Asker(CLIENT, transport is wire.UDP, lambda: NOW)
    found = transfers.reply(packet, library, KNOWN, asker)
    if reply == gate.HANDED:
        assert found is not None
        assert found.outcome in {"ixfr", "axfr", "soa", "refused"}
    elif reply is not None:
        assert reply[2] & 0x80
        assert len(reply) <= transport.ceiling
