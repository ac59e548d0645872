"""The serial of each zone: the leader's where there is one, and what happens where it fails."""

import pytest

import nameserver_builders as nb
from lbctl.model.zones import Digests
from lbctl_dns import names, zone
from lbctl_dns.numbering import Release, Serials, Word
from lbctl_dns.zone import Change

ORIGIN = nb.ORIGIN
OTHER = names.to_wire("lb.example.net")
NAME = "lb.example"
NOW = 1_800_000_000


class Bed:
    """Two zones, their decisions, and their serials."""

    def __init__(self, serial: int = NOW) -> None:
        zones = [zone.Zone(origin, nb.SOA, ()) for origin in (ORIGIN, OTHER)]
        self.authority = zone.Authority(zones, dict.fromkeys((ORIGIN, OTHER), serial))
        self.digests = Digests([NAME, "lb.example.net"])
        self.serials = Serials(self.authority, self.digests)

    def publish(self, last: int, host: str = "kuard.lb.example") -> Release:
        """Publish one name with an address; 0 for none."""
        sets = nb.sets(host, f"192.0.2.{last}")
        claim = zone.Claim(("", ""), sets) if last else None
        change = self.authority.publish(host, claim)
        made = nb.decision("x", f"192.0.2.{last}", hosts=(host,)) if last else None
        moved = self.digests.put(host, made)
        return self.serials.published(change, moved, NOW)

    def word(self, serial: int, floor: int | None = None) -> Release:
        """Have the leader give the present content a serial."""
        word = Word(NAME, serial, self.digests.of(NAME))
        return self.serials.told(word, floor, NOW)

    @property
    def serial(self) -> int:
        return self.authority.serials[ORIGIN]


def serials_in(change: Change) -> dict[bytes, int]:
    soas = (one for one in change.upserts if one.rtype == zone.SOA)
    return {one.name: int.from_bytes(one.rdatas[0][-20:-16]) for one in soas}


def test_a_zone_without_an_object_counts_by_itself() -> None:
    bed = Bed()
    release = bed.publish(1)
    assert serials_in(release.shown) == serials_in(release.given[ORIGIN]) == {ORIGIN: NOW + 1}
    assert (release.waits, release.whole, bed.serial) == ([], {ORIGIN}, NOW + 1)
    assert bed.serials.takeable == bed.serials.own == {ORIGIN, OTHER}


def test_answers_show_a_change_at_once_and_secondaries_get_it_with_the_leaders_serial() -> None:
    bed = Bed()
    bed.word(7)
    shown = bed.publish(1)
    assert (serials_in(shown.shown), shown.given, len(shown.waits)) == ({}, {}, 1)
    assert shown.shown.upserts == nb.sets("kuard.lb.example", "192.0.2.1")
    assert (bed.serials.takeable, bed.serials.ahead) == ({OTHER}, {ORIGIN})
    given = bed.word(8)
    assert serials_in(given.shown) == {ORIGIN: 8}
    assert given.given[ORIGIN].upserts[:1] == shown.shown.upserts
    assert (given.whole, given.fresh, given.faults) == ({ORIGIN}, set(), [])


def test_what_came_after_the_word_waits_for_the_next_one() -> None:
    bed = Bed()
    bed.word(7)
    bed.publish(1)
    late = Word(NAME, 8, bed.digests.of(NAME))
    bed.publish(2)
    found = bed.serials.told(late, None, NOW)
    assert found.given[ORIGIN].upserts[:1] == nb.sets("kuard.lb.example", "192.0.2.1")
    assert (found.whole, len(found.waits)) == (set(), 1)


def test_a_word_that_comes_first_is_kept_for_its_content() -> None:
    bed, future = Bed(), Bed()
    bed.word(7)
    future.publish(1)
    early = bed.serials.told(Word(NAME, 8, future.digests.of(NAME)), None, NOW)
    assert not early.shown
    assert serials_in(bed.publish(1).shown) == {ORIGIN: 8}


def test_a_digest_that_moves_alone_needs_a_word_as_well() -> None:
    bed = Bed()
    bed.word(7)
    moved = bed.digests.put("other", nb.decision("y", hosts=("y.lb.example",)))
    assert len(bed.serials.published(Change(), moved, NOW).waits) == 1
    assert serials_in(bed.word(8).shown) == {ORIGIN: 8}


def test_the_leaders_serial_is_taken_though_our_own_count_was_ahead() -> None:
    bed = Bed()
    found = bed.word(NOW - 5000)
    assert bed.serial == NOW - 5000
    assert (found.fresh, found.whole) == ({ORIGIN}, {ORIGIN})


@pytest.mark.parametrize(("serial", "taken"), [(8, NOW + 1), (NOW, NOW + 1), (NOW + 5, NOW + 5)])
def test_a_serial_that_secondaries_may_know_is_never_undercut(serial: int, taken: int) -> None:
    bed = Bed()
    found = bed.word(serial, floor=NOW)
    assert bed.serial == taken
    assert bool(found.faults) == (serial != taken)
    assert found.fresh == {ORIGIN}


def test_where_the_leader_stays_silent_we_count_on_alone_and_no_step_leads_there_or_away() -> None:
    bed = Bed()
    bed.word(7)
    (wait,) = bed.publish(1).waits
    alone = bed.serials.overdue(wait, NOW)
    assert serials_in(alone.shown) == {ORIGIN: NOW}
    assert (alone.fresh, alone.whole, len(alone.faults)) == ({ORIGIN}, {ORIGIN}, 1)
    bed.publish(2)
    again = bed.word(NOW + 9)
    assert (bed.serial, again.fresh) == (NOW + 9, {ORIGIN})
    bed.publish(3)
    assert bed.word(NOW + 10).fresh == set()


def test_a_wait_that_has_ended_is_not_overdue() -> None:
    bed = Bed()
    bed.word(7)
    (wait,) = bed.publish(1).waits
    bed.word(8)
    bed.publish(2)
    assert bed.serials.overdue(wait, NOW) == Release()


def test_a_change_that_is_taken_back_needs_no_word() -> None:
    bed = Bed()
    bed.word(7)
    (wait,) = bed.publish(1).waits
    bed.publish(0)
    assert bed.serials.takeable == {ORIGIN, OTHER}
    assert bed.serials.overdue(wait, NOW) == Release()


def test_a_late_word_for_what_has_a_serial_of_ours_changes_nothing() -> None:
    bed = Bed()
    bed.word(7)
    (wait,) = bed.publish(1).waits
    bed.serials.overdue(wait, NOW)
    assert bed.word(8) == Release()
    assert bed.serial == NOW


def test_a_zone_whose_object_goes_counts_by_itself_again() -> None:
    bed = Bed()
    bed.word(7)
    assert bed.serials.left(NAME, NOW) == Release()
    assert bed.serial == 7
    bed.word(8)
    bed.publish(1)
    found = bed.serials.left(NAME, NOW)
    assert serials_in(found.shown) == {ORIGIN: NOW}
    assert bed.serials.own == {ORIGIN, OTHER}
    assert serials_in(bed.publish(2).shown) == {ORIGIN: NOW + 1}


def test_words_about_zones_that_are_not_ours_are_no_concern() -> None:
    bed = Bed()
    assert bed.serials.told(Word("elsewhere.example", 7, "0" * 32), None, NOW) == Release()
    assert bed.serials.left("elsewhere.example", NOW) == Release()


def test_other_settings_make_a_zone_wait_for_a_new_word_and_others_do_not() -> None:
    bed = Bed()
    bed.word(7)
    bed.publish(1)
    same = bed.serials.moved(bed.authority, bed.digests.moved(bed.digests.origins, ""))
    assert same.ahead == {ORIGIN}
    bed.digests = bed.digests.moved(bed.digests.origins, "other settings")
    bed.serials = bed.serials.moved(bed.authority, bed.digests)
    assert (bed.serials.ahead, bed.serials.takeable) == (set(), {OTHER})
    assert bed.word(8).fresh == {ORIGIN}
    assert bed.serial == 8


def test_a_zone_that_waits_is_saved_with_a_serial_that_the_leaders_comes_after() -> None:
    bed = Bed()
    bed.serials.told(Word(NAME, 7, "0" * 32), 5, NOW)
    bed.serials.told(Word("lb.example.net", 7, "0" * 32), None, NOW)
    assert serials_in(Change(tuple(bed.serials.saved_soas()))) == {ORIGIN: 6, OTHER: 0}
    bed.word(8)
    assert serials_in(Change(tuple(bed.serials.saved_soas())))[ORIGIN] == 8
