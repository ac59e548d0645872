"""Put lbctl itself on the lab, and wait until all of it works. Shell."""

from collections.abc import Sequence

from lbctl_lab import (
    commands,
    controlplane,
    identities,
    on_host,
    plan,
    processes,
    progress,
    release,
    state,
    values,
    waiting,
)

READY_WITHIN_S = 180.0
"""For safety: some ten seconds on a quiet machine."""
ROUTER_AGENT = f"agent-{plan.ROUTER}"
ROUTER_ACCOUNT = "lbctl-router"


def deploy(lab: state.Lab, shown: progress.Progress) -> None:
    """Install lbctl, as pods or as processes of the host, and start the router's agent."""
    wanted = plan.nodes(lab.nodes)
    _annotate(wanted)
    if lab.kind == "pods":
        release.install(lab.backend, shown)
    else:
        on_host.start(wanted, lab.backend, shown)
    start_router_agent(lab.backend)
    with shown.step("lbctl works"):
        wait_working(wanted)


def start_router_agent(backend: plan.Backend) -> None:
    """Start the agent of the router, which is no node of the cluster."""
    tree = values.agent(str(identities.HERE / ROUTER_AGENT), backend)
    identities.write(ROUTER_AGENT, ROUTER_ACCOUNT, tree)
    words = ("agent", "--role", "router", "--node", plan.ROUTER)
    processes.launch(identities.spec(ROUTER_AGENT, words, plan.ROUTER))


def wait_working(wanted: Sequence[plan.Node]) -> None:
    """Wait until the leader holds its Lease, every agent has reported itself and DNS answers."""
    lease = ("-n", values.NAMESPACE, "get", "lease/lbctl-controller")
    waiting.until_runs("controller", controlplane.kubectl_argv(*lease), timeout_s=READY_WITHIN_S)
    for name in (*(node.name for node in wanted), plan.ROUTER):
        reported = controlplane.kubectl_argv("get", f"servingnode/{name}")
        waiting.until_runs(f"agent-{name}", reported, timeout_s=READY_WITHIN_S)
    for server in (plan.DNS_V4, plan.DNS_V6):
        dig = f"dig +short +time=1 +tries=1 @{server} {plan.SUBDOMAIN} SOA"
        at_client = [*commands.inside(plan.CLIENT), "sh", "-c", f'test -n "$({dig})"']
        waiting.until_runs("dns", at_client, timeout_s=READY_WITHIN_S)


def _annotate(wanted: Sequence[plan.Node]) -> None:
    """Tell the addresses of each node's service leg, as an operator would.

    By the gateways answers leave by the leg, where the kernel's routes would lead them to the node
    network; a switch knows by itself where a connection came from.
    """
    for node in wanted:
        four = f"{node.leg_v4} via {node.leg_router_v4}"
        legs = f"lbctl.io/legs={four},{node.leg_v6} via {node.leg_router_v6}"
        controlplane.kubectl("annotate", f"node/{node.name}", legs)
