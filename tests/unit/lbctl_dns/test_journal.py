"""The history of a zone: what secondaries with some serial get, and what is kept."""

import pytest

import nameserver_builders as nb
from lbctl_dns import journal, zone
from lbctl_dns.journal import Form
from transfer_builders import soa

HOST = nb.sets("kuard.lb.example", "192.0.2.1")
STANDING = [one for n in range(30) for one in nb.sets(f"s{n}.lb.example", f"10.0.0.{n}")]


def library() -> journal.Library:
    found = journal.Library()
    found.show([soa(1), *STANDING])
    return found


def history(of: journal.Library) -> journal.History:
    return of.zones[nb.ORIGIN]


def asked(of: journal.Library, serial: int) -> tuple[Form, list[bytes]]:
    form, records = history(of).since(serial)
    return form, list(records)


def rendered(*sets: zone.RecordSet) -> list[bytes]:
    return [record for one in sets for record in journal.records_of(one)]


def test_steps_lead_from_any_kept_serial_to_the_present_one() -> None:
    zones = library()
    assert zones.change(zone.Change((*HOST, soa(2)))) == {nb.ORIGIN}
    zones.change(zone.Change((soa(3),), (HOST[0].key,)))
    second = [soa(2), HOST[0], soa(3)]
    assert asked(zones, 2) == (Form.STEPS, rendered(soa(3), *second, soa(3)))
    first = [soa(1), soa(2), HOST[0]]
    assert asked(zones, 1) == (Form.STEPS, rendered(soa(3), *first, *second, soa(3)))


@pytest.mark.parametrize("serial", [2, 3, 2 + 2**31 - 1])
def test_who_has_this_serial_or_a_later_one_gets_the_soa(serial: int) -> None:
    zones = library()
    zones.change(zone.Change((*HOST, soa(2))))
    assert asked(zones, serial) == (Form.SOA, rendered(soa(2)))


def test_who_has_a_serial_that_is_not_kept_gets_all() -> None:
    zones = library()
    zones.change(zone.Change((*HOST, soa(5))))
    form, records = asked(zones, 4)
    assert form is Form.FULL
    assert records == rendered(soa(5), *STANDING, *HOST, soa(5))


def test_steps_that_are_longer_than_the_zone_are_not_sent() -> None:
    zones = library()
    for serial in range(2, 20):
        zones.change(zone.Change((*nb.sets("kuard.lb.example", f"10.1.0.{serial}"), soa(serial))))
    assert asked(zones, 18)[0] is Form.STEPS
    assert asked(zones, 1)[0] is Form.FULL


def test_of_a_set_only_the_records_that_differ_travel() -> None:
    zones = library()
    zones.show([soa(2), *STANDING, *nb.sets("kuard.lb.example", "192.0.2.1", "192.0.2.2")])
    both = nb.sets("kuard.lb.example", "192.0.2.2", "192.0.2.3")
    zones.show([soa(3), *STANDING, *both])
    gone, come = nb.sets("kuard.lb.example", "192.0.2.1"), nb.sets("kuard.lb.example", "192.0.2.3")
    assert asked(zones, 2)[1] == rendered(soa(3), soa(2), *gone, soa(3), *come, soa(3))


def test_what_did_not_change_makes_no_step() -> None:
    zones = library()
    assert zones.show([soa(1), *STANDING]) == frozenset()
    assert history(zones).steps == ()


def test_a_change_without_a_later_serial_forgets_the_steps() -> None:
    zones = library()
    zones.change(zone.Change((*HOST, soa(2))))
    assert zones.show([soa(2), *STANDING]) == {nb.ORIGIN}
    assert history(zones).steps == ()
    assert asked(zones, 1)[0] is Form.FULL


def test_the_oldest_steps_go_when_there_are_too_many_records() -> None:
    zones = library()
    for serial in range(2, 202):
        hosts = [f"10.{serial}.{n >> 8}.{n & 255}" for n in range(300)]
        zones.change(zone.Change((*nb.sets("big.lb.example", *hosts), soa(serial))))
    kept = history(zones).steps
    assert sum(len(one.records) for one in kept) <= journal.MAX_RECORDS
    assert 1 < len(kept) < 200
    assert kept[-1].after == 201


def test_zones_come_and_go_with_the_content() -> None:
    zones = library()
    inner = b"\x05inner" + nb.ORIGIN
    other = nb.SOA.record_set(inner, 9)
    below = nb.sets("www.inner.lb.example", "192.0.2.8")
    assert zones.show([soa(1), other, *STANDING, *below]) == {inner}
    assert zones.serials == {nb.ORIGIN: 1, inner: 9}
    assert list(zones.zones[inner].full()) == rendered(other, *below, other)
    zones.show([soa(2), *STANDING])
    assert list(zones.zones) == [nb.ORIGIN]


def test_the_journal_comes_back_from_disk() -> None:
    zones = library()
    zones.change(zone.Change((*HOST, soa(2))))
    kept = journal.parse(journal.render(zones.steps(zones.zones)))
    again = journal.Library()
    again.show([soa(2), *STANDING, *HOST])
    history(again).remember(kept[nb.ORIGIN])
    assert asked(again, 1) == asked(zones, 1)


def test_a_journal_that_leads_to_another_serial_is_dropped() -> None:
    zones = library()
    zones.change(zone.Change((*HOST, soa(2))))
    steps = history(zones).steps
    again = library()
    history(again).remember(steps)
    assert history(again).steps == ()


def test_steps_that_do_not_follow_each_other_are_dropped() -> None:
    zones = library()
    for serial in (2, 3, 4):
        change = nb.sets("kuard.lb.example", f"10.2.0.{serial}")
        zones.change(zone.Change((*change, soa(serial))))
    first, _, last = history(zones).steps
    history(zones).remember([first, last])
    assert history(zones).steps == (last,)


@pytest.mark.parametrize("cut", [0, 10, 40, -1])
def test_a_damaged_journal_is_refused(cut: int) -> None:
    known = library()
    content = journal.render(known.steps(known.zones))
    with pytest.raises(journal.Damaged):
        journal.parse(content[:cut] if cut >= 0 else content + b"x")
