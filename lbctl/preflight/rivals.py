"""Other load-balancer controllers, and how one sees that they are there. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.preflight.facts import Definition, Fact, Unread, Workload
from lbctl.preflight.findings import Finding, ok, problem, warning
from lbctl.settings import L4Settings

TITLE = "Other load balancers"
CLASS_ARGUMENTS = ("--lb-class=",)
"""Who is started with one serves that class only (MetalLB)."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A controller that gives Services addresses."""

    name: str
    workloads: tuple[str, ...] = ()
    """How names of its workloads begin."""
    suffixes: tuple[str, ...] = ()
    """How they may end as well."""
    groups: tuple[str, ...] = ()
    """API groups of its definitions."""
    needs: frozenset[str] = frozenset()
    """Arguments or variables, one of which makes it serve Services; empty: it always does."""


RIVALS = (
    Rival("MetalLB", ("metallb",), groups=("metallb.io",)),
    # Most kube-vips only hold the control plane's address.
    Rival("kube-vip", ("kube-vip",), needs=frozenset({"svc_enable=true", "--services"})),
    Rival("PureLB", ("purelb", "lbnodeagent"), groups=("purelb.io",)),
    Rival("AKO", ("ako",), groups=("ako.vmware.com",)),
    Rival("K3s ServiceLB", ("svclb-",)),
    Rival(
        "a cloud controller",
        ("cloud-controller-manager", "aws-load-balancer-controller"),
        suffixes=("-cloud-controller-manager",),
    ),
)
HOMES = {"metallb-system": "MetalLB", "purelb": "PureLB", "avi-system": "AKO"}
"""Namespaces where these install themselves, often under plain names (`controller`, `speaker`)."""


def check(
    workloads: Fact[tuple[Workload, ...]],
    definitions: Fact[tuple[Definition, ...]],
    cilium_pools: Fact[int],
    settings: L4Settings,
) -> Finding:
    """Tell whether another controller would take the Services that we take by default."""
    if not settings.default_lb_controller:
        return ok(TITLE, f"we take only Services of class {settings.load_balancer_class}")
    fix = (
        "set L4Settings.defaultLBController: false and give our Services "
        f"loadBalancerClass: {settings.load_balancer_class}, or remove the other one"
    )
    running = _running(workloads)
    if not isinstance(cilium_pools, Unread) and cilium_pools:
        # Cilium's LB IPAM sleeps until there is a pool: its definitions alone mean nothing.
        running.append(f"Cilium LB-IPAM ({cilium_pools} pools)")
    if running:
        return problem(TITLE, f"{', '.join(running)}: would take the same Services", fix)
    unread = [
        fact.reason for fact in (workloads, definitions, cilium_pools) if isinstance(fact, Unread)
    ]
    if unread:
        return warning(TITLE, f"not checked: {'; '.join(unread)}", "run this with rights to list")
    left = _defined(definitions)
    if left:
        reason = f"definitions of {', '.join(left)} are there, but nothing known that runs"
        return warning(TITLE, reason, f"if it runs elsewhere, {fix}; else delete its definitions")
    return ok(TITLE, "none found")


def _running(workloads: Fact[tuple[Workload, ...]]) -> list[str]:
    if isinstance(workloads, Unread):
        return []
    found: dict[str, Workload] = {}
    # One with a class of its own takes only Services that name it. Parts of one controller differ:
    # of MetalLB only the controller and the speakers are told, so one telling speaks for all.
    modest = {name for name, workload in _named(workloads) if _has_class(workload)}
    for name, workload in _named(workloads):
        if name not in modest:
            found.setdefault(name, workload)
    return [f"{name} ({workload})" for name, workload in found.items()]


def _named(workloads: Iterable[Workload]) -> list[tuple[str, Workload]]:
    named = ((rival_of(workload), workload) for workload in workloads)
    return [(name, workload) for name, workload in named if name]


def rival_of(workload: Workload) -> str:
    """Return which controller a workload belongs to; empty: none that we know."""
    for rival in RIVALS:
        begins = any(_begins(workload.name, prefix) for prefix in rival.workloads)
        ends = bool(rival.suffixes) and workload.name.endswith(rival.suffixes)
        if begins or ends:
            serves = not rival.needs or rival.needs.intersection(workload.arguments)
            return rival.name if serves else ""
    return HOMES.get(workload.namespace, "")


def _begins(name: str, prefix: str) -> bool:
    """Tell whether a name begins with a whole word: `ako-0` with `ako`, `akorn` not."""
    return name == prefix or name.startswith(prefix if prefix.endswith("-") else f"{prefix}-")


def _has_class(workload: Workload) -> bool:
    return any(
        argument.startswith(start) and argument != start
        for argument in workload.arguments
        for start in CLASS_ARGUMENTS
    )


def _defined(definitions: Fact[tuple[Definition, ...]]) -> list[str]:
    if isinstance(definitions, Unread):
        return []
    groups = {definition.name.partition(".")[2] for definition in definitions}
    return [rival.name for rival in RIVALS if groups.intersection(rival.groups)]
