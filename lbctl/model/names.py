"""Names that derive from the model alone, so that a restarted process finds its own. Pure."""

import hashlib

from lbctl.model.virtual_service import Address

LEGS_ANNOTATION = "lbctl.io/legs"
"""On a Node: `ADDRESS[ via GATEWAY]` of its service interface, comma separated, ≤ 1 per family."""
LIMIT = 253
LABEL_LIMIT = 63


def virtual_service_name(cluster: str, namespace: str, service: str, *, taken: bool = False) -> str:
    """Return AKO's name `<cluster>--<namespace>-<service>`.

    A name that is `taken` by another Service (`a-b`/`c` and `a`/`b-c` collide) or too long gets a
    hash of what it stands for as its tail.

    >>> virtual_service_name("S1-AZ1", "default", "kuard")
    'S1-AZ1--default-kuard'
    >>> virtual_service_name("c", "a", "b-c", taken=True)
    'c--a-b-c-4fc614a4'
    """
    plain = f"{cluster}--{namespace}-{service}"
    if not taken and len(plain) <= LIMIT:
        return plain
    tail = hashlib.sha256(f"{cluster}/{namespace}/{service}".encode()).hexdigest()[:8]
    return f"{plain[: LIMIT - len(tail) - 1]}-{tail}"


def pool_name(virtual_service: str, port: int, protocol: str) -> str:
    """Return AKO's pool name `<virtual service>--<port>`; other protocols than TCP are added.

    >>> pool_name("S1-AZ1--default-kuard", 8080, "TCP")
    'S1-AZ1--default-kuard--8080'
    >>> pool_name("S1-AZ1--default-kuard", 53, "UDP")
    'S1-AZ1--default-kuard--53-udp'
    """
    suffix = "" if protocol == "TCP" else f"-{protocol.lower()}"
    return f"{virtual_service}--{port}{suffix}"


def allocation_name(address: Address) -> str:
    """Return the name of the IPAllocation of an address; IPv6 fully expanded.

    >>> import ipaddress
    >>> allocation_name(ipaddress.ip_address("192.0.2.7"))
    'ip-192-0-2-7'
    >>> allocation_name(ipaddress.ip_address("2001:2::1"))
    'ip-2001-0002-0000-0000-0000-0000-0000-0001'
    """
    return "ip-" + address.exploded.replace(".", "-").replace(":", "-")


def host_name(namespace: str, service: str, subdomain: str, *, flat: bool = False) -> str:
    """Return `<service>.<namespace>.<subdomain>` without a trailing dot.

    A `flat` name has one label, `<service>-<namespace>`; where that is too long for a label
    (RFC 1035 §2.3.4) or stands for two Services, a hash of what it stands for ends it.

    >>> host_name("default", "kuard", "lb.example.")
    'kuard.default.lb.example'
    >>> host_name("default", "kuard", "lb.example.", flat=True)
    'kuard-default.lb.example'
    """
    label = f"{service}.{namespace}"
    if flat:
        label = f"{service}-{namespace}"
        if len(label) > LABEL_LIMIT or "-" in namespace:
            tail = hashlib.sha256(f"{namespace}/{service}".encode()).hexdigest()[:8]
            label = f"{label[: LABEL_LIMIT - len(tail) - 1]}-{tail}"
    return f"{label}.{subdomain.rstrip('.')}"


def srv_labels(port: str, protocol: str) -> tuple[str, str]:
    """Return the labels before a host name at which a named port is found (RFC 2782).

    >>> srv_labels("http", "TCP")
    ('_http', '_tcp')
    """
    return f"_{port.lower()}", f"_{protocol.lower()}"


def owner_mark(cluster: str, service: str) -> str:
    """Return the text that tells whose a name is; `service` is `<namespace>/<name>`.

    >>> owner_mark("lab", "default/kuard")
    'heritage=lbctl,lbctl/cluster=lab,lbctl/service=default/kuard'
    """
    return f"heritage=lbctl,lbctl/cluster={cluster},lbctl/service={service}"
