"""What the lab tells lbctl: values of its chart, and settings of processes on the host. Pure."""

from lbctl_lab import plan

NAMESPACE = "lbctl-system"
RELEASE = "lbctl"

Tree = dict[str, object]


def settings() -> Tree:
    """Return lbctl's settings for the lab."""
    return {
        "LbctlSettings": {"clusterName": plan.CLUSTER},
        "addressPools": [
            {"name": "default", "addresses": list(plan.DEFAULT_POOL)},
            # For the DNS server alone: the lab's resolvers must know its address beforehand.
            {"name": "nameserver", "addresses": [f"{plan.DNS_V4}/32", f"{plan.DNS_V6}/128"]},
        ],
        "nameservice": {
            "subdomains": [plan.SUBDOMAIN],
            "nsAddresses": [plan.DNS_V4, plan.DNS_V6],
        },
    }


def chart(folder: str, backend: plan.Backend) -> Tree:
    """Return the values of the chart; `folder` is where the nodes have theirs.

    All nodes share one file system, so what each node keeps lies in a folder of its name.
    """
    service = {"loadBalancerIPs": [plan.DNS_V4, plan.DNS_V6], "ipFamilyPolicy": "PreferDualStack"}
    fabric = {
        "name": "leaf",
        "driver": "linux",
        "linux": {"router": plan.ROUTER, "clientInterfaces": [plan.CLIENT_INTERFACE]},
    }
    agent = {
        "backend": backend,
        "bridge": plan.INTEGRATION_BRIDGE,
        "serviceInterface": plan.SERVICE_INTERFACE,
        "stateDir": folder,
        "stateDirSubPathExpr": "$(NODE_NAME)/agent",
        "ovs": {"runDir": folder, "runDirSubPathExpr": "$(NODE_NAME)/ovs"},
    }
    return {**settings(), "agent": agent, "dns": {"service": service}, "fabric": fabric}


def agent(state_dir: str, backend: plan.Backend) -> Tree:
    """Return the settings of an agent that runs as a process of the host."""
    section = {
        "backend": backend,
        "bridge": plan.INTEGRATION_BRIDGE,
        "serviceInterface": plan.SERVICE_INTERFACE,
        "stateDir": state_dir,
    }
    return {**settings(), "agent": section}
