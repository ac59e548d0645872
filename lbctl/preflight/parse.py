"""Objects of the API server and output of commands, as facts. Pure."""

import ipaddress
import json
from collections.abc import Iterable, Iterator

import yaml

from lbctl.kube.objects import Json, metadata, name_of
from lbctl.model import names
from lbctl.model.virtual_service import Address
from lbctl.preflight.facts import Definition, Node, Proxy, Service, Workload

POD_MAC = "attached-mac"
"""External id that the network plug-in gives a pod's port of the switch."""


def version(answer: Json) -> tuple[int, int]:
    """Return major and minor of `/version`; vendors write the minor as `30+`."""
    return int(answer["major"]), int(str(answer["minor"]).rstrip("+"))


def definition(obj: Json) -> Definition:
    """Return a CustomResourceDefinition."""
    versions = obj["spec"].get("versions") or ()
    served = tuple(str(entry["name"]) for entry in versions if entry.get("served"))
    return Definition(name_of(obj), served)


def node(obj: Json) -> Node:
    """Return a Node; its service legs count as addresses of its own."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    texts = [str(entry["address"]) for entry in status.get("addresses") or ()]
    legs = (metadata(obj).get("annotations") or {}).get(names.LEGS_ANNOTATION, "")
    texts += (leg.partition(" via ")[0].partition("/")[0] for leg in str(legs).split(","))
    cidrs = spec.get("podCIDRs") or filter(None, [spec.get("podCIDR")])
    return Node(name_of(obj), tuple(dict.fromkeys(_addresses(texts))), tuple(cidrs))


def service(obj: Json) -> Service:
    """Return a Service."""
    spec, meta = obj.get("spec") or {}, metadata(obj)
    status = (obj.get("status") or {}).get("loadBalancer") or {}
    shown = (entry.get("ip") or entry.get("hostname") for entry in status.get("ingress") or ())
    return Service(
        namespace=str(meta.get("namespace", "")),
        name=name_of(obj),
        balanced=spec.get("type") == "LoadBalancer",
        load_balancer_class=spec.get("loadBalancerClass") or "",
        shown=tuple(filter(None, shown)),
        cluster_ips=tuple(_addresses(spec.get("clusterIPs") or ())),
    )


def workload(kind: str, obj: Json) -> Workload:
    """Return a workload, or a pod."""
    spec = obj.get("spec") or {}
    pod = spec if kind == "Pod" else (spec.get("template") or {}).get("spec") or {}
    arguments: list[str] = []
    for container in pod.get("containers") or ():
        arguments += [*(container.get("command") or ()), *(container.get("args") or ())]
        arguments += [f"{env['name']}={env.get('value', '')}" for env in container.get("env") or ()]
    return Workload(
        kind, str(metadata(obj).get("namespace", "")), name_of(obj), tuple(map(str, arguments))
    )


def proxy(config_map: Json) -> Proxy:
    """Return how kube-proxy is configured. Raises ValueError."""
    try:
        tree = yaml.safe_load((config_map.get("data") or {}).get("config.conf") or "")
    except yaml.YAMLError as error:
        raise ValueError(f"config.conf is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ValueError("no config.conf in it")
    strict = bool((tree.get("ipvs") or {}).get("strictARP"))
    return Proxy(tree.get("mode") or "iptables", strict)


def name_servers(resolv_conf: str) -> list[str]:
    """Return the resolvers of a resolv.conf; without any, the C library asks this machine."""
    lines = (line.split() for line in resolv_conf.splitlines())
    return [words[1] for words in lines if words[:1] == ["nameserver"] and words[1:]] or [
        "127.0.0.1"
    ]


def pod_devices(table: str) -> tuple[str, ...]:
    """Return the pods' devices in `ovs-vsctl -f json --columns=name,external_ids list Interface`.

    Raises ValueError.
    """
    try:
        rows = json.loads(table)["data"]
        named = [(str(name), dict(pairs)) for name, (_, pairs) in rows]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a table of interfaces: {error}") from error
    return tuple(sorted(name for name, ids in named if POD_MAC in ids))


def _addresses(texts: Iterable[str]) -> Iterator[Address]:
    """Yield what is an address: a node's host names and the ClusterIP `None` are not."""
    for text in texts:
        try:
            yield ipaddress.ip_address(text.strip())
        except ValueError:
            continue
