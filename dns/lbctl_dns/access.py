"""Who may take whole zones: keys, and rules of which one must hold. Pure.

Its rendered form travels to the workers, which refuse what no rule allows.
"""

import base64
import binascii
import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbctl_dns import names, tsig

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Rule:
    """Lets a secondary in when everything that it names holds; it names something."""

    key: bytes = b""
    """Name of the key that the request is signed with; empty: signed or not."""
    network: Network | None = None
    """Where the request comes from; None: from anywhere."""

    def allows(self, key: bytes, client: str) -> bool:
        """Tell whether a request signed with this key (empty: unsigned) is let in."""
        if self.key and self.key != key:
            return False
        return self.network is None or _address(client) in self.network


@dataclass(frozen=True, slots=True)
class Access:
    """All keys and rules; without a rule nobody takes a zone."""

    keys: Mapping[bytes, tsig.Key] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def allows(self, key: bytes, client: str) -> bool:
        """Tell whether a client may have whole zones; `key` is empty for an unsigned request."""
        return any(rule.allows(key, client) for rule in self.rules)


def _address(client: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(client.partition("%")[0])


def key(name: str, algorithm: str, secret: str) -> tsig.Key:
    """Return a key from its text form; the secret is base64. Raises ValueError, never saying it."""
    if algorithm.lower().removesuffix(".") not in tsig.ALGORITHMS:
        known = ", ".join(tsig.ALGORITHMS)
        raise ValueError(f"key {name}: {algorithm!r} is none of {known}")
    try:
        secret_bytes = base64.b64decode("".join(secret.split()), validate=True)
    except (binascii.Error, ValueError):
        secret_bytes = b""
    if len(secret_bytes) < MIN_SECRET:
        raise ValueError(f"key {name}: needs a secret of {MIN_SECRET} bytes or more, in base64")
    return tsig.Key(names.to_wire(name), algorithm.lower().removesuffix("."), secret_bytes)


MIN_SECRET = 16
"""Bytes of a secret: half of what RFC 8945 §8 wants, so that keys of 128 bits still serve."""


def rule(text: str) -> Rule:
    """Return a rule written `KEY`, `CIDR` or `KEY@CIDR`. Raises ValueError.

    >>> rule("192.0.2.0/24").network
    IPv4Network('192.0.2.0/24')
    """
    name, at, place = text.partition("@")
    if at:
        return Rule(names.to_wire(name), ipaddress.ip_network(place))
    try:
        return Rule(network=ipaddress.ip_network(text))
    except ValueError:
        return Rule(names.to_wire(text))


def checked(keys: Iterable[tsig.Key], rules: Iterable[Rule]) -> Access:
    """Return keys and rules that fit together. Raises ValueError naming what does not."""
    listed = tuple(keys)
    known = {one.name: one for one in listed}
    if len(known) < len(listed):
        raise ValueError("two keys have one name")
    access = Access(known, tuple(rules))
    for one in access.rules:
        if one.key and one.key not in known:
            raise ValueError(f"{names.to_text(one.key)} is no key that is known")
        if not one.key and one.network is None:
            raise ValueError("a rule without key and network would let everybody in")
    return access


def render(access: Access) -> bytes:
    """Return the form that travels to workers."""
    tree = {
        "keys": [
            [names.to_text(one.name), one.algorithm, base64.b64encode(one.secret).decode()]
            for one in access.keys.values()
        ],
        "rules": [[one.key.hex(), str(one.network) if one.network else ""] for one in access.rules],
    }
    return json.dumps(tree).encode()


def parse(rendered: bytes) -> Access:
    """Return what `render` was given."""
    tree = json.loads(rendered)
    keys = [key(*one) for one in tree["keys"]]
    rules = [
        Rule(bytes.fromhex(name), ipaddress.ip_network(network) if network else None)
        for name, network in tree["rules"]
    ]
    return checked(keys, rules)
