import ipaddress

import nameserver_builders as nb
from lbctl_dns import names, zone


def claim(*sets: zone.RecordSet, created: str = "2026") -> zone.Claim:
    return zone.Claim((created, ""), sets)


def test_both_families_of_a_name_are_sets_of_their_own() -> None:
    a, aaaa = nb.sets("x.lb.example", "192.0.2.1", "2001:db8::1", "192.0.2.1")
    assert (a.rtype, a.rdatas) == (zone.A, (bytes((192, 0, 2, 1)),))
    assert (aaaa.rtype, len(aaaa.rdatas)) == (zone.AAAA, 1)


def test_the_nth_addresses_of_both_families_are_one_name_server() -> None:
    own = [ipaddress.ip_address(one) for one in ("192.0.2.1", "192.0.2.2", "2001:db8::1")]
    ns, *glue = zone.name_servers(nb.ORIGIN, nb.SOA.mname, own)
    assert ns.rdatas == (names.to_wire("ns1.lb.example"), names.to_wire("ns2.lb.example"))
    shown = [(names.to_text(one.name), one.rtype) for one in glue]
    assert shown == [
        ("ns1.lb.example.", zone.A),
        ("ns1.lb.example.", zone.AAAA),
        ("ns2.lb.example.", zone.A),
    ]


def test_a_zone_without_own_addresses_names_its_primary() -> None:
    (ns,) = zone.name_servers(nb.ORIGIN, nb.SOA.mname, [])
    assert ns.rdatas == (nb.SOA.mname,)


def test_the_older_claim_has_the_name_and_the_other_waits() -> None:
    authority = zone.Authority([nb.own_zone()])
    old, new = nb.sets("x.lb.example", "192.0.2.1"), nb.sets("x.lb.example", "192.0.2.2")
    assert authority.publish("b", claim(*new, created="2026-02")).upserts == new
    assert authority.publish("a", claim(*old, created="2026-01")).upserts == old
    assert not authority.publish("b", claim(*new, created="2026-02"))
    assert authority.publish("a", None) == zone.Change(new)
    assert authority.publish("b", None) == zone.Change((), (new[0].key,))


def test_one_name_is_never_mixed_from_two_owners() -> None:
    authority = zone.Authority([nb.own_zone()])
    authority.publish("a", claim(*nb.sets("x.lb.example", "192.0.2.1"), created="1"))
    change = authority.publish("b", claim(*nb.sets("x.lb.example", "2001:db8::2"), created="2"))
    assert not change


def test_what_the_zone_itself_holds_cannot_be_claimed() -> None:
    own = nb.sets("ns1.lb.example", "192.0.2.53")
    authority = zone.Authority([nb.own_zone(*own)])
    assert not authority.publish("a", claim(*nb.sets("ns1.lb.example", "198.51.100.1")))
    assert own[0] in authority.contents()


def test_only_the_zone_that_changed_gets_a_new_serial() -> None:
    other = names.to_wire("other.example")
    zones = [nb.own_zone(), zone.Zone(other, nb.SOA, ())]
    authority = zone.Authority(zones, {nb.ORIGIN: 10, other: 20})
    change = authority.publish("a", claim(*nb.sets("x.lb.example", "192.0.2.1")))
    raised = authority.raise_serials(change, 5)
    assert authority.serials == {nb.ORIGIN: 11, other: 20}
    assert raised.upserts[-1] == nb.SOA.record_set(nb.ORIGIN, 11)


def test_merged_changes_do_what_they_do_in_turn() -> None:
    first, second = nb.sets("x.lb.example", "192.0.2.1"), nb.sets("x.lb.example", "192.0.2.2")
    gone = zone.Change((), (first[0].key,))
    assert zone.merged([zone.Change(first), gone]) == gone
    assert zone.merged([gone, zone.Change(second)]) == zone.Change(second)
    assert not zone.merged([])
