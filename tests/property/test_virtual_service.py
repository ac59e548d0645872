"""A decision that is written is the decision that is read, also after a trip through JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

import monitor_builders
from lbctl.model.policy import ALGORITHMS, Limits, MemberWeight
from lbctl.model.virtual_service import (
    Listener,
    NamePublication,
    Phase,
    Policy,
    ServiceRef,
    Vip,
    VipRole,
    VirtualService,
    parse_virtual_service,
    render_virtual_service,
)

LABEL = st.sampled_from(["a", "b", "kuard", "a-b", "x" * 63])
MOMENT = st.sampled_from(["", "2026-11-21T12:00:00.000000Z"])
VIPS = st.builds(Vip, st.ip_addresses(), st.sampled_from(VipRole), LABEL, LABEL, MOMENT)
LISTENERS = st.builds(
    Listener,
    st.just("") | LABEL,
    st.sampled_from(["TCP", "UDP", "SCTP"]),
    st.integers(1, 65535),
    LABEL,
    st.integers(0, 65535),
)
POLICIES = st.builds(
    Policy,
    external_traffic_policy=st.sampled_from(["Cluster", "Local"]),
    health_check_node_port=st.integers(0, 65535),
    session_affinity=st.sampled_from(["None", "ClientIP"]),
    session_affinity_timeout_s=st.integers(0, 86400),
    source_ranges=st.lists(
        st.ip_addresses(v=4).map(lambda address: f"{address}/32"), max_size=2
    ).map(tuple),
    algorithm=st.sampled_from(ALGORITHMS),
    enabled=st.booleans(),
    limits=st.builds(Limits, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    drain_timeout_s=st.none() | st.integers(0, 86400),
    weights=st.lists(
        st.builds(
            MemberWeight,
            st.integers(0, 100),
            st.sampled_from(["", "node-1"]),
            st.sampled_from(["", "10.0.0.0/8"]),
        ),
        max_size=2,
    ).map(tuple),
    monitor=st.none() | monitor_builders.MONITORS,
)
NAMES = st.builds(
    NamePublication,
    LABEL,
    st.integers(0, 86400),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "default/other"]),
)
VIRTUAL_SERVICES = st.builds(
    VirtualService,
    service=st.builds(ServiceRef, LABEL, LABEL, LABEL),
    name=LABEL,
    phase=st.sampled_from(Phase),
    vips=st.lists(VIPS, max_size=2).map(tuple),
    listeners=st.lists(LISTENERS, max_size=2).map(tuple),
    policy=POLICIES,
    names=st.lists(NAMES, max_size=2).map(tuple),
    drain_start=MOMENT,
    empty_since=MOMENT,
)


@given(wanted=VIRTUAL_SERVICES)
def test_what_is_rendered_parses_to_the_same(wanted: VirtualService) -> None:
    sent = json.dumps({"spec": render_virtual_service(wanted)})
    assert parse_virtual_service(json.loads(sent)) == wanted


@given(one=VIRTUAL_SERVICES, other=VIRTUAL_SERVICES)
def test_different_decisions_never_look_the_same(
    one: VirtualService, other: VirtualService
) -> None:
    same = render_virtual_service(one) == render_virtual_service(other)
    assert same is (one == other)
