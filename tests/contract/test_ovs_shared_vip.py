"""One VIP of two Services, and a VIP that changes, on the real switch: nobody's flows break."""

import contextlib
import dataclasses
from collections.abc import Iterator

import pytest

import dataplane_bed
import dataplane_builders as build
import dataplane_whole as whole
from dataplane_worlds import TARGET, V4, V6, OvsWorld, Talk, bed_with_pods
from lbctl.model.virtual_service import Listener, Vip, VipRole, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.backends.port import Outcome
from lbctl_dataplane.rules.frontend import Place

pytestmark = pytest.mark.root

WEB, MAIL = 80, 25
PODS = {"web": 1, "mail": 2}
NEXT = {4: "198.18.0.2", 6: "2001:2::2"}
NOW = {4: V4, 6: V6}


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("shared") as made:
        yield made


class Talks(OvsWorld):
    """A world that ends all talks when it ends."""

    def __init__(self, bed: dataplane_bed.Bed) -> None:
        super().__init__(bed)
        self.stack = contextlib.ExitStack()

    def talk(self, place: Place) -> Talk:
        made = super().talk(place)
        self.stack.callback(made.close)
        return made


@pytest.fixture
def world(bed: dataplane_bed.Bed) -> Iterator[OvsWorld]:
    made = Talks(bed)
    with made.stack:
        yield made
    made.program()


def sharer(name: str, port: int, *vips: Vip) -> VirtualService:
    listeners = (Listener("", "TCP", port, name), Listener("", "UDP", port, name))
    plain = build.service(name, vips=(V4, V6), listeners=listeners)
    return dataclasses.replace(plain, vips=vips) if vips else plain


def serve(world: OvsWorld, *services: VirtualService) -> Outcome:
    """Program decisions as an agent would; each Service has one pod."""
    ports = (("", "TCP", TARGET), ("", "UDP", TARGET))
    ends = {
        service.key: tuple(
            Endpoint(
                build.ip(world.address(PODS[name], version)), "node-1", True, True, False, ports
            )
            for version in (4, 6)
        )
        for service in services
        for name in [service.service.name]
    }
    return world.program(*whole.frontends(services, ends, "node-1"))


def talk(world: OvsWorld, vip: str, protocol: str, port: int) -> Talk:
    return world.talk(Place(build.ip(vip), protocol, port))


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("version", [4, 6])
def test_two_share_a_vip_and_one_goes(world: OvsWorld, version: int, protocol: str) -> None:
    vip, web, mail = NOW[version], sharer("web", WEB), sharer("mail", MAIL)
    serve(world, web, mail)
    first, second = (talk(world, vip, protocol, port) for port in (WEB, MAIL))
    assert (first.name(), second.name()) == ("pod1", "pod2")
    serve(world, mail)
    assert second.name() == "pod2"
    assert talk(world, vip, protocol, MAIL).name() == "pod2"
    assert talk(world, vip, protocol, WEB).name() == ""
    serve(world, web, mail)
    assert second.name() == "pod2"
    assert talk(world, vip, protocol, WEB).name() == "pod1"


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("version", [4, 6])
def test_a_vip_changes_in_place(world: OvsWorld, version: int, protocol: str) -> None:
    old, new = NOW[version], NEXT[version]

    def stage(**roles: VipRole) -> Outcome:
        texts = {"old": old, "new": new}
        vips = (Vip(build.ip(texts[which]), role, which, which) for which, role in roles.items())
        return serve(world, sharer("web", WEB, *vips))

    stage(old=VipRole.CURRENT)
    known = talk(world, old, protocol, WEB)
    assert known.name() == "pod1"
    stage(old=VipRole.CURRENT, new=VipRole.INCOMING)
    fresh = talk(world, new, protocol, WEB)
    assert (known.name(), fresh.name()) == ("pod1", "pod1")
    # Roles are for names and people: the switch has nothing to do.
    assert stage(new=VipRole.CURRENT, old=VipRole.OUTGOING).changed == 0
    assert talk(world, old, protocol, WEB).name() == "pod1"
    assert (known.name(), fresh.name()) == ("pod1", "pod1")
    stage(new=VipRole.CURRENT)
    assert fresh.name() == "pod1"
    assert talk(world, old, protocol, WEB).name() == ""
