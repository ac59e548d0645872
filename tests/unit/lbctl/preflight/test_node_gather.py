"""Facts of this machine: read, or told why not."""

from lbctl.preflight import node_gather
from lbctl.preflight.facts import Unread
from lbctl.settings_agent import AgentSettings


def test_the_loopback_has_an_mtu_and_an_rp_filter() -> None:
    found = node_gather.node(AgentSettings(service_interface="lo", bridge="no-such-bridge"))
    assert isinstance(found.mtu, int)
    assert found.mtu >= 1280
    assert found.rp_filter in (0, 1, 2)


def test_a_device_that_is_not_there_is_named() -> None:
    found = node_gather.node(AgentSettings(service_interface="no-such-port", bridge="no-such-br"))
    assert found.mtu == Unread("no-such-port: No such device")
    assert found.offloads["no-such-br"] == Unread("no-such-br: No such device")
    assert isinstance(found.rp_filter, Unread)
    assert isinstance(found.openflow, Unread)
