"""What AddressPool objects add to the zones."""

import asyncio
from typing import Any

from lbctl.settings import Settings
from lbctl_dns import configured, declared_pools, feed, names


def pool(name: str, version: int, *addresses: str, **further: Any) -> dict[str, Any]:
    meta = {"name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"addresses": list(addresses)}, **further}


def tree(*pools: dict[str, Any], **nameservice: Any) -> Settings:
    zones = {"subdomains": ["lb.example"], **nameservice}
    return Settings.model_validate({"addressPools": list(pools), "nameservice": zones})


def zones(settings: Settings) -> list[str]:
    return [names.to_text(one.origin) for one in configured.zones(settings)]


def test_pools_of_the_settings_have_zones_whose_servers_are_those_of_the_first_zone() -> None:
    settings = tree({"addresses": ["192.0.2.0/26"]}, nsAddresses=["192.0.2.53", "192.0.2.54"])
    forward, reverse = configured.zones(settings)
    assert names.to_text(reverse.origin) == "2.0.192.in-addr.arpa."
    assert reverse.soa == forward.soa
    assert [names.to_text(one) for one in reverse.fixed[0].rdatas] == [
        "ns1.lb.example.",
        "ns2.lb.example.",
    ]


def test_a_zone_that_the_operator_names_is_there_once() -> None:
    settings = tree(
        {"addresses": ["192.0.2.0/24"]}, subdomains=["lb.example", "2.0.192.in-addr.arpa"]
    )
    assert zones(settings) == ["lb.example.", "2.0.192.in-addr.arpa."]


def test_reverse_zones_can_be_left_to_others() -> None:
    assert zones(tree({"addresses": ["192.0.2.0/24"]}, reverse=False)) == ["lb.example."]


def test_a_malformed_edit_leaves_what_was_there() -> None:
    moves: list[int] = []
    known = declared_pools.DeclaredPools(lambda: moves.append(1))

    def shown() -> list[str]:
        found = configured.zones(tree(), known.all)
        return [names.to_text(one.origin) for one in found]

    known.store.apply("ADDED", pool("a", 1, "192.0.2.0/24"))
    before = shown()
    assert before == ["lb.example.", "2.0.192.in-addr.arpa."]
    counted = {"status": {"assigned": {"ipv4": 1}}}
    known.store.apply("MODIFIED", pool("a", 2, "192.0.2.0/24", **counted))
    assert len(moves) == 1
    # What the leader found to be good before stands in the status.
    kept = {"status": {"accepted": {"addresses": ["192.0.2.0/24"]}}}
    known.store.apply("MODIFIED", pool("a", 3, "nonsense", **kept))
    assert (shown(), len(moves)) == (before, 2)
    known.store.apply("DELETED", pool("a", 4, "192.0.2.0/24"))
    assert (shown(), len(moves)) == (["lb.example."], 3)


def test_a_mirror_of_the_settings_is_no_pool_of_its_own() -> None:
    moves: list[int] = []
    known = declared_pools.DeclaredPools(lambda: moves.append(1))
    obj = pool("a", 1, "192.0.2.0/24")
    obj["metadata"]["labels"] = {"lbctl.io/from": "settings"}
    known.store.apply("ADDED", obj)
    assert (known.all, moves) == ((), [])


def test_zones_follow_the_pools_and_keep_their_serials() -> None:
    async def scenario() -> None:
        settings = tree()
        found = feed.ClusterFeed(configured.zones(settings), None)
        found.apply(settings)
        forward = names.to_wire("lb.example")
        serial = found.serials[forward]
        found.pools.store.replace([pool("a", 1, "192.0.2.0/24")], 1)
        await asyncio.sleep(0)
        assert found.serials.keys() == {forward, names.to_wire("2.0.192.in-addr.arpa")}
        assert found.serials[forward] == serial

    asyncio.run(scenario())
