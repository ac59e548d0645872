"""A LoadBalancer Service has address, name and traffic, follows its replicas, leaves nothing."""

import json
import re

import pytest

from lab_commands import eventually, kubectl, kubectl_json
from service_lab import (
    Kuard,
    answering,
    client,
    curl_exit,
    dig,
    held,
    programmed,
    router,
    trace,
    url,
)

CANNOT_CONNECT, TIMED_OUT = 7, 28
"""How curl ends."""

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab")]


@pytest.fixture(scope="module")
def kuard(lab):
    """A dual-stack kuard with two pods."""
    made = Kuard("walk")
    made.create(2)
    yield made
    made.delete()


def test_both_addresses_are_of_the_pools_and_shown_where_people_look(kuard):
    v4, v6 = kuard.addresses()
    assert v4.startswith("198.18.")
    assert v6.startswith("2001:2::")
    shown = kubectl("get", "lbvs", kuard.key)
    assert f"{v4},{v6}" in shown
    assert kuard.host in shown
    conditions = {c["type"]: c["status"] for c in kuard.service()["status"]["conditions"]}
    assert set(conditions.values()) == {"True"}
    assert len(conditions) == 4


def test_dig_answers_both_families_with_the_short_ttl(kuard):
    v4, v6 = kuard.addresses()
    said = dig("+noall", "+answer", kuard.host, "A", kuard.host, "AAAA")
    assert re.search(rf"^{kuard.host}\.\s+5\s+IN\s+A\s+{v4}$", said, re.M)
    assert re.search(rf"^{kuard.host}\.\s+5\s+IN\s+AAAA\s+{v6}$", said, re.M)


def test_dig_finds_names_asked_for_ports_and_addresses(kuard):
    v4, v6 = kuard.addresses()
    hosts = "lbctl.io/hostname=www.lb.lab.test,*.walk.lb.lab.test"
    kuard.kubectl("annotate", "service", "kuard", hosts)
    try:
        eventually(lambda: v4 in dig("+short", "www.lb.lab.test"), 5, "the name is there")
        assert dig("+short", "any.walk.lb.lab.test", "AAAA").split() == [v6]
        found = dig(f"_http._tcp.{kuard.host}", "SRV")
        assert f"0 0 8080 {kuard.host}." in found
        assert re.search(rf"^{kuard.host}\.\s+5\s+IN\s+A\s+{v4}$", found, re.M)
        for address in (v4, v6):
            assert dig("+short", "-x", address).split() == ["www.lb.lab.test."]
    finally:
        kuard.kubectl("annotate", "service", "kuard", "lbctl.io/hostname-")
    eventually(lambda: "NXDOMAIN" in dig("www.lb.lab.test"), 5, "the name is gone")
    assert dig("+short", "-x", v4).split() == [f"{kuard.host}."]


@pytest.mark.parametrize(("flag", "own"), [("-4", "172.30.242.10"), ("-6", "2001:db8:c::10")])
def test_a_pod_sees_the_clients_own_address(kuard, flag, own):
    said = client("curl", "-sS", "-m", "5", flag, url(kuard.host))
    assert said.split()[0].removeprefix("pod=") in kuard.pods()
    assert f"client={own}" in said


@pytest.mark.parametrize(("family", "own"), [(0, "172.30.242.10"), (1, "2001:db8:c::10")])
def test_a_trace_tells_what_real_packets_meet(kuard, family, own):
    vip = kuard.addresses()[family]
    place = f"[{vip}]" if family else vip
    found = trace(own, f"{place}:8080")
    assert found["verdict"] == "Delivered"
    traced = {member["address"] for way in found["ways"] for member in way["members"]}
    answered = answering(url(vip), 60)
    assert {kuard.pod_addresses()[pod][family] for pod in answered} == traced

    assert trace(own, f"{place}:8081")["verdict"] == "Refused"
    assert curl_exit(url(vip, 8081)) == CANNOT_CONNECT

    elsewhere = "198.51.100.0/24" if family == 0 else "2001:db8:ffff::/48"
    kuard.patch({"loadBalancerSourceRanges": [elsewhere]})
    try:
        eventually(lambda: trace(own, f"{place}:8080")["verdict"] == "Dropped", 10, "it is dropped")
        eventually(lambda: curl_exit(url(vip)) == TIMED_OUT, 20, "nobody answers")
    finally:
        kuard.patch({"loadBalancerSourceRanges": None})
    eventually(lambda: curl_exit(url(vip)) == 0, 20, "it is served again")


def test_members_state_and_name_follow_the_replicas(kuard):
    before = kuard.addresses()
    kuard.scale(5)
    reached = answering(url(kuard.host), 80)
    assert reached == kuard.pods()
    assert len(reached) == 5
    kuard.kubectl("scale", "deployment/kuard", "--replicas=0")
    kuard.wait("Down", "0/0")
    assert kuard.status()["reason"] == "NoEndpoints"
    assert kuard.addresses() == before
    eventually(lambda: "NXDOMAIN" in dig(kuard.host), 5, "the name is gone")
    absent = dig(kuard.host)
    assert re.search(r"flags: qr aa rd;", absent)
    assert re.search(r"^lb\.lab\.test\.\s+30\s+IN\s+SOA\s.* 10800 3600 86400 30$", absent, re.M)
    kuard.scale(2)
    eventually(lambda: before[0] in dig("+short", kuard.host), 5, "the name is back")
    assert client("curl", "-sS", "-m", "5", url(kuard.host)).startswith("pod=kuard-")


def test_open_connections_outlive_every_change_but_the_end_of_their_pod(kuard):
    with held(kuard.addresses()[0], 9090, 200) as connections:
        eventually(lambda: len(connections.seen()) == 200, 30, "all are open")
        first = connections.seen()
        assert set(first.values()) == kuard.pods()
        kuard.scale(5)
        assert connections.seen() == first
        survivors_before = kuard.pods()
        kuard.scale(3)
        remaining = kuard.pods()
        after = connections.seen()
    lost = {number for number, pod in after.items() if pod != first[number]}
    assert all(first[number] not in remaining for number in lost)
    assert survivors_before > remaining
    kuard.scale(2)


def test_cluster_clients_are_still_served(kuard):
    pod = sorted(kuard.pods())[0]

    def served() -> bool:
        # The cluster's DNS notices only after some 45 s that a restarted switch cut its watch
        # (the pings of its HTTP/2 client); until then it does not know this namespace.
        try:
            said = kuard.kubectl("exec", pod, "--", "/echo", "fetch", "http://kuard:8080/")
        except AssertionError:
            return False
        return said.startswith("pod=kuard-")

    eventually(served, 90, "a pod reaches the Service by its cluster name")


BAD = {
    "out-of-range": ({"loadBalancerIP": "192.0.2.99"}, "AddressNotInPool", "192.0.2.99"),
    "wrong-family": ({"loadBalancerIP": "2001:2::9"}, "AddressWrongFamily", "spec.loadBalancerIP"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_request_is_told_and_costs_nobody_else_anything(kuard, name):
    spec, reason, named = BAD[name]
    kuard.wait("Up", "2/2")
    before = kuard.status()
    kuard.kubectl("expose", "deployment", "kuard", f"--name={name}", "--type=LoadBalancer",
                  "--port=8080", "--overrides", json.dumps({"spec": spec}))  # fmt: skip
    try:
        eventually(lambda: told(kuard, name) is not None, 10, "a condition")
        condition = told(kuard, name)
        assert (condition["reason"], condition["status"]) == (reason, "False")
        assert named in condition["message"]
        events = kuard.kubectl("get", "events", "--field-selector", f"reason={reason}")
        assert name in events
        assert client("curl", "-sS", "-m", "5", url(kuard.host)).startswith("pod=kuard-")
        assert kuard.status() == before
    finally:
        kuard.kubectl("delete", "service", name)


def test_an_address_that_is_taken_is_refused_by_name(kuard):
    taken = kuard.addresses()[0]
    overrides = json.dumps({"spec": {"loadBalancerIP": taken}})
    kuard.kubectl("expose", "deployment", "kuard", "--name=second", "--type=LoadBalancer",
                  "--port=8080", "--overrides", overrides)  # fmt: skip
    try:
        eventually(lambda: told(kuard, "second") is not None, 10, "a condition")
        assert told(kuard, "second")["reason"] == "AddressTaken"
        assert client("curl", "-sS", "-m", "5", url(kuard.host)).startswith("pod=kuard-")
    finally:
        kuard.kubectl("delete", "service", "second")


def test_a_service_whose_port_no_pod_has_says_so(kuard):
    kuard.kubectl("expose", "deployment", "kuard", "--name=portless", "--type=LoadBalancer",
                  "--port=80", "--target-port=nosuch")  # fmt: skip
    try:
        eventually(
            lambda: condition_of(kuard, "portless", "lbctl.io/DataplaneReady") is not None,
            10,
            "a condition",
        )
        found = condition_of(kuard, "portless", "lbctl.io/DataplaneReady")
        assert found["reason"] in ("NoBackendPort", "NoEndpoints")
        assert found["status"] == "False"
    finally:
        kuard.kubectl("delete", "service", "portless")


def test_delete_leaves_nothing_and_the_address_can_be_given_again(lab):
    made = Kuard("gone")
    made.create(2)
    addresses = made.addresses()
    made.kubectl("delete", "service", "kuard")
    assert made.status() == {}
    left = [obj["spec"]["address"] for obj in kubectl_json("get", "ipallocations")["items"]]
    assert not set(addresses) & set(left)
    for address in addresses:
        for node in ("node-1", "node-2"):
            assert address not in programmed(node)
        assert address not in router()
    assert "NXDOMAIN" in dig(made.host)
    made.kubectl("expose", "deployment", "kuard", "--type=LoadBalancer", "--port=8080")
    eventually(lambda: made.status().get("state") == "Up", 30, "exposed again")
    assert made.addresses() == addresses[:1]
    made.delete()


def told(kuard: Kuard, name: str):
    """Return the condition about the address of a Service."""
    return condition_of(kuard, name, "lbctl.io/AddressAllocated")


def condition_of(kuard: Kuard, name: str, kind: str):
    obj = kubectl_json("-n", kuard.namespace, "get", "service", name)
    found = [c for c in obj["status"].get("conditions", ()) if c["type"] == kind]
    return found[0] if found else None
