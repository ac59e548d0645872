"""Every check of a cluster: what is fine, what is a warning, what is a problem, and why."""

import ipaddress
from typing import Any

import pytest

import preflight_builders as built
from lbctl.preflight import checks
from lbctl.preflight.facts import Definition, Delegation, Node, Proxy, Unread, Workload
from lbctl.preflight.findings import Level

ZONE = "lb.example.com"
NO_RIGHTS = Unread("403 forbidden")


def found(title: str, facts: Any, settings: Any = None) -> Any:
    every = checks.cluster(facts, settings or built.settings())
    (one,) = [finding for finding in every if finding.title == title]
    return one


def node(*addresses: str, pods: tuple[str, ...] = ("10.244.1.0/24",)) -> Node:
    return Node("n", tuple(map(ipaddress.ip_address, addresses)), pods)


def work(name: str, *arguments: str, namespace: str = "x", kind: str = "Deployment") -> Workload:
    return Workload(kind, namespace, name, arguments)


def test_a_ready_cluster_has_nothing_but_good_findings() -> None:
    every = checks.cluster(built.READY, built.settings())
    assert {finding.level for finding in every} == {Level.OK}
    assert len(every) == 10


CASES = [
    ("Kubernetes version", {"version": (1, 30)}, Level.OK, "1.30"),
    ("Kubernetes version", {"version": (1, 29)}, Level.PROBLEM, "before 1.30"),
    ("Kubernetes version", {"version": (2, 0)}, Level.OK, "2.0"),
    ("Definitions", {"definitions": ()}, Level.OK, "6 to be made"),
    ("Definitions", {"definitions": (), "may_define": False}, Level.PROBLEM, "may not create"),
    ("Definitions", {"definitions": (), "may_define": NO_RIGHTS}, Level.WARNING, "403"),
    (
        "Definitions",
        {"definitions": (Definition("fabrics.lbctl.io", ("v1",)),)},
        Level.PROBLEM,
        "fabrics.lbctl.io: no version v1alpha1",
    ),
    (
        "Pools and pod networks",
        {"nodes": (node(pods=("192.0.2.128/25",)),)},
        Level.PROBLEM,
        "pool vips (192.0.2.1-192.0.2.254) overlaps with 192.0.2.128/25 of node n",
    ),
    ("Pools and pod networks", {"nodes": (node(pods=("2001:db8::/32",)),)}, Level.PROBLEM, "::"),
    ("Pools and pod networks", {"nodes": (node(pods=("192.0.3.0/24",)),)}, Level.OK, "no overlap"),
    ("Pools and pod networks", {"nodes": (node(pods=()),)}, Level.WARNING, "not checked for n"),
    ("Pools and Service networks", {"service_cidrs": ("192.0.0.0/16",)}, Level.PROBLEM, "192.0"),
    (
        "Pools and Service networks",
        {"service_cidrs": Unread("before 1.33")},
        Level.WARNING,
        "only the ClusterIPs in use",
    ),
    (
        "Pools and Service networks",
        {"service_cidrs": NO_RIGHTS, "services": (built.service(cluster_ip="192.0.2.9"),)},
        Level.PROBLEM,
        "192.0.2.9 of default/web is in pool vips",
    ),
    ("Pools and node addresses", {"nodes": (node("192.0.2.7"),)}, Level.PROBLEM, "192.0.2.7"),
    ("Pools and node addresses", {"nodes": (node("192.0.2.0"),)}, Level.OK, "none of 1"),
    ("Addresses to be replaced", {"services": (built.service("192.0.2.9"),)}, Level.OK, "none"),
    ("Addresses to be replaced", {"services": (built.service("9.9.9.9"),)}, Level.PROBLEM, "9.9."),
    ("Addresses to be replaced", {"services": (built.service("a.b.c"),)}, Level.PROBLEM, "a.b.c"),
    (
        "Addresses to be replaced",
        {"services": (built.service("9.9.9.9", lb_class="other"),)},
        Level.OK,
        "none",
    ),
    (
        "Addresses to be replaced",
        {"services": (built.service("9.9.9.9", balanced=False),)},
        Level.OK,
        "none",
    ),
    (
        "Addresses given by others",
        {"services": (built.service("192.0.2.9", lb_class="other"),)},
        Level.PROBLEM,
        "192.0.2.9 at default/web",
    ),
    ("Addresses given by others", {"services": (built.service("192.0.2.9"),)}, Level.OK, "none"),
    ("kube-proxy", {"proxy": Proxy("iptables", False)}, Level.OK, "iptables"),
    ("kube-proxy", {"proxy": Proxy("ipvs", True)}, Level.OK, "ipvs"),
    ("kube-proxy", {"proxy": Proxy("ipvs", False)}, Level.WARNING, " without strictARP"),
    ("kube-proxy", {"proxy": Proxy("ipvs", None)}, Level.WARNING, "maybe without"),
]


@pytest.mark.parametrize(("title", "changed", "level", "reason"), CASES)
def test_each_check_of_a_cluster(title: str, changed: Any, level: Level, reason: str) -> None:
    finding = found(title, built.facts(**changed))
    assert finding.level is level
    assert reason in finding.reason
    assert bool(finding.fix) is (level is not Level.OK)


UNREADABLE = [
    ("Kubernetes version", "version"),
    ("Definitions", "definitions"),
    ("Pools and pod networks", "nodes"),
    ("Pools and node addresses", "nodes"),
    ("Addresses to be replaced", "services"),
    ("Addresses to be replaced", "labels"),
    ("Addresses given by others", "services"),
    ("Other load balancers", "workloads"),
    ("Other load balancers", "definitions"),
    ("Other load balancers", "cilium_pools"),
    ("kube-proxy", "proxy"),
]


@pytest.mark.parametrize(("title", "field"), UNREADABLE)
def test_what_cannot_be_read_is_a_warning_and_never_fine(title: str, field: str) -> None:
    finding = found(title, built.facts(**{field: NO_RIGHTS}))
    assert finding.level is Level.WARNING
    assert NO_RIGHTS.reason in finding.reason
    assert finding.fix


def test_service_networks_are_unknown_without_cidrs_and_services() -> None:
    finding = found(
        "Pools and Service networks", built.facts(service_cidrs=NO_RIGHTS, services=NO_RIGHTS)
    )
    assert (finding.level, "403" in finding.reason) == (Level.WARNING, True)


RIVALS = [
    ((work("metallb-controller"),), "MetalLB (Deployment x/metallb-controller)"),
    ((work("controller", namespace="metallb-system"),), "MetalLB"),
    ((work("speaker", namespace="metallb-system", kind="DaemonSet"),), "MetalLB"),
    ((work("kube-vip-cp-1", "svc_enable=true", kind="Pod"),), "kube-vip"),
    ((work("kube-vip-ds", "manager", "--services"),), "kube-vip"),
    ((work("lbnodeagent", kind="DaemonSet"),), "PureLB"),
    ((work("ako", kind="StatefulSet"),), "AKO"),
    ((work("svclb-traefik-1a2b", kind="DaemonSet"),), "K3s ServiceLB"),
    ((work("openstack-cloud-controller-manager"),), "a cloud controller"),
]


@pytest.mark.parametrize(("workloads", "named"), RIVALS)
def test_another_controller_that_runs_is_a_problem(workloads: Any, named: str) -> None:
    finding = found("Other load balancers", built.facts(workloads=workloads))
    assert finding.level is Level.PROBLEM
    assert named in finding.reason
    assert "defaultLBController: false" in finding.fix


HARMLESS = [
    (),
    (work("controller", namespace="default"), work("akorn"), work("lbctl-controller")),
    (work("kube-vip-cp-1", "svc_enable=false", "cp_enable=true", kind="Pod"),),
    (
        work("controller", "--lb-class=metallb", namespace="metallb-system"),
        work("frr-k8s", namespace="metallb-system"),
    ),
]


@pytest.mark.parametrize("workloads", HARMLESS)
def test_who_takes_none_of_our_services_is_no_rival(workloads: Any) -> None:
    finding = found("Other load balancers", built.facts(workloads=workloads))
    assert finding.level is Level.OK


def test_an_empty_class_is_no_class_of_its_own() -> None:
    workloads = (work("controller", "--lb-class=", namespace="metallb-system"),)
    finding = found("Other load balancers", built.facts(workloads=workloads))
    assert finding.level is Level.PROBLEM


def test_cilium_counts_once_it_has_a_pool() -> None:
    finding = found("Other load balancers", built.facts(cilium_pools=2))
    assert (finding.level, "Cilium LB-IPAM (2 pools)" in finding.reason) == (Level.PROBLEM, True)


def test_definitions_alone_are_a_warning() -> None:
    left = (*built.READY.definitions, Definition("ipaddresspools.metallb.io", ("v1beta1",)))  # type: ignore[misc]
    finding = found("Other load balancers", built.facts(definitions=left))
    assert (finding.level, "MetalLB" in finding.reason) == (Level.WARNING, True)


def test_no_one_is_a_rival_where_we_take_only_our_class() -> None:
    settings = built.settings(L4Settings={"defaultLBController": False})
    facts = built.facts(
        workloads=(work("metallb-controller"),), services=(built.service("9.9.9.9"),)
    )
    assert found("Other load balancers", facts, settings).level is Level.OK
    assert found("Addresses to be replaced", facts, settings).level is Level.OK


SCOPES = [
    ({"blockedNamespaceList": ["default"]}, Level.OK),
    ({"namespaceSelector": {"labelKey": "lb", "labelValue": "no"}}, Level.OK),
    ({"namespaceSelector": {"labelKey": "lb", "labelValue": "yes"}}, Level.PROBLEM),
    ({"namespaceSelector": {"matchExpressions": [{"key": "lb", "operator": "Exists"}]}}, "same"),
]


@pytest.mark.parametrize(("section", "level"), SCOPES)
def test_services_of_other_namespaces_keep_their_addresses(section: Any, level: Any) -> None:
    facts = built.facts(services=(built.service("9.9.9.9"),), labels={"default": {"lb": "yes"}})
    finding = found("Addresses to be replaced", facts, built.settings(LbctlSettings=section))
    assert finding.level is (Level.PROBLEM if level == "same" else level)


def test_no_pool_is_a_warning_and_a_bad_one_a_problem() -> None:
    services = (built.service("9.9.9.9"),)
    (none,) = checks.pools(built.facts(services=services), built.settings(), [])
    twice = [{"name": name, "addresses": ["192.0.2.1"]} for name in ("a", "b")]
    (bad,) = checks.cluster(built.READY, built.settings(addressPools=twice))
    assert (none.level, bad.level) == (Level.WARNING, Level.PROBLEM)
    assert "nothing was compared" in none.reason
    assert "pool b: 192.0.2.1-192.0.2.1 is in pool a too" in bad.reason


DELEGATIONS = [
    (Delegation(0, (f"ns1.{ZONE}",)), Level.OK, "leads to ns1"),
    (Delegation(0, ("ns1.other.example",)), Level.WARNING, "leads to ns1.other.example, not to us"),
    (Delegation(0, ()), Level.WARNING, "no name servers"),
    (Delegation(3, ()), Level.WARNING, "RCODE 3"),
    (Delegation(2, ()), Level.WARNING, "SERVFAIL"),
    (Unread("no answer"), Level.WARNING, "no answer"),
]


@pytest.mark.parametrize(("answer", "level", "reason"), DELEGATIONS)
def test_each_answer_about_a_delegation(answer: Any, level: Level, reason: str) -> None:
    nameservice = {"subdomains": [ZONE], "nsAddresses": ["192.0.2.53", "2001:db8::53"]}
    facts = built.facts(delegations={ZONE: answer})
    finding = found(f"Delegation of {ZONE}", facts, built.settings(nameservice=nameservice))
    assert finding.level is level
    assert reason in finding.reason
    assert (f"{ZONE}. NS ns1.{ZONE}." in finding.fix) is (level is not Level.OK)


def test_the_parent_needs_ns_records_and_glue_for_each_family() -> None:
    addresses = ["192.0.2.53", "192.0.2.54", "2001:db8::53"]
    tree = built.settings(nameservice={"nsAddresses": addresses})
    assert checks.records(ZONE, tree).splitlines() == [
        f"{ZONE}. NS ns1.{ZONE}.",
        f"{ZONE}. NS ns2.{ZONE}.",
        f"ns1.{ZONE}. A 192.0.2.53",
        f"ns1.{ZONE}. AAAA 2001:db8::53",
        f"ns2.{ZONE}. A 192.0.2.54",
    ]


def test_without_addresses_the_records_say_what_to_set() -> None:
    assert "nameservice.nsAddresses" in checks.records(ZONE, built.settings())


def test_many_examples_are_cut_short() -> None:
    services = tuple(built.service(f"9.9.9.{number}") for number in range(7))
    finding = found("Addresses to be replaced", built.facts(services=services))
    assert "9.9.9.4 and 2 more" in finding.reason
