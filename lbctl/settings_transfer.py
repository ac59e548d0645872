"""Settings of zone transfers: keys, who may take zones, who is told of changes. Pure."""

import ipaddress
from typing import Literal

from pydantic import Field, field_validator, model_validator

from lbctl.settings_parts import DomainName, Section


class TransferKeySettings(Section):
    """A secret that this server and a secondary share (TSIG, RFC 8945)."""

    name: DomainName
    """Name of the key; the same at the secondary."""
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    """How messages are signed."""
    secret_file: str = Field(min_length=1)
    """File with the secret in base64, 16 bytes or more; a mounted Secret. Read again and again."""


class TransferRuleSettings(Section):
    """Lets in who signs with the key, where one is named, and comes from one of the networks."""

    key: DomainName | Literal[""] = ""
    """Name of one of the keys; empty: signed or not."""
    networks: tuple[str, ...] = ()
    """Networks of the secondaries; empty: from anywhere."""

    @field_validator("networks")
    @classmethod
    def _each_parses(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @model_validator(mode="after")
    def _somebody(self) -> "TransferRuleSettings":
        if not (self.key or self.networks):
            raise ValueError("a rule names a key, networks or both; this one lets everybody in")
        return self


class NotifySettings(Section):
    """A secondary that is told of changes at once (NOTIFY, RFC 1996)."""

    address: str = Field(min_length=1)
    """`ADDR:PORT`, `[ADDR]:PORT` or `ADDR`; the port is 53 then."""
    key: DomainName | Literal[""] = ""
    """Name of the key to sign with; empty: not signed."""


_KEYS = [
    {
        "name": "xfr.lb.example",
        "algorithm": "hmac-sha256",
        "secretFile": "/etc/lbctl-transfer/xfr.lb.example",
    }
]
_ALLOW = [{"key": "xfr.lb.example", "networks": ["192.0.2.0/24"]}]
_NOTIFY = [{"address": "192.0.2.53:5353", "key": "xfr.lb.example"}]


class TransferSettings(Section):
    """Secondaries: other servers that take whole zones (AXFR, IXFR)."""

    keys: tuple[TransferKeySettings, ...] = Field(default=(), examples=[_KEYS])
    """Keys that secondaries sign with."""
    allow: tuple[TransferRuleSettings, ...] = Field(default=(), examples=[_ALLOW])
    """Who may take zones: one rule must hold. Empty: nobody."""
    notify: tuple[NotifySettings, ...] = Field(default=(), examples=[_NOTIFY])
    """Who is told of changes; the others find them when they look (SOA refresh)."""
