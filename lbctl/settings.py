"""The settings tree of all processes. Pure: what a settings file may say, with units and reasons.

Sections and keys are AKO's where they mean the same (docs/how-to/coming-from-ako.md has the table).
Loading a file is `lbctl.runtime.config_file`. Unknown keys are errors that name the key.
"""

import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
DomainName = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9-]{1,63}\.?$")
]
ClusterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")]


class LabelExpression(_Section):
    """One Kubernetes label selector requirement."""

    key: str = Field(min_length=1)
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label is compared."""
    values: tuple[str, ...] = ()
    """Values for `In` and `NotIn`; empty for the others."""


class NamespaceSelector(_Section):
    """Which namespaces are served; empty: all. Both parts must hold."""

    label_key: str = ""
    """Label that a namespace must carry; empty: no such demand."""
    label_value: str = ""
    """Value that it must have."""
    match_expressions: tuple[LabelExpression, ...] = ()
    """Further demands, as in a Kubernetes label selector."""


class LbctlSettings(_Section):
    """The controller as a whole (AKO: `AKOSettings`)."""

    cluster_name: ClusterName = "my-cluster"
    """Prefix of virtual service names; unique per fabric. Needs a restart."""
    log_level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = "INFO"
    """Least severity that is logged."""
    log_format: Literal["text", "json"] = "text"
    """`text` is AKO's layout, `json` one object per line."""
    enable_events: bool = True
    """Send Normal events; Warning events are always sent."""
    delete_config: Literal["false", "dryRun", "true"] = "false"
    """`true` withdraws everything lbctl made and stops; `dryRun` logs what that would be."""
    full_sync_frequency: int = Field(default=1800, ge=0, le=86400)
    """Seconds between two passes over every Service, changed or not; 0: never."""
    namespace_selector: NamespaceSelector = NamespaceSelector()
    """Which namespaces are served."""
    blocked_namespace_list: tuple[str, ...] = ()
    """Namespaces that are never served, whatever the selector says."""

    @field_validator("delete_config", mode="before")
    @classmethod
    def _truth_is_text(cls, value: object) -> object:
        return str(value).lower() if isinstance(value, bool) else value


class VipNetwork(_Section):
    """One network that IPAM gives addresses from, as AKO writes it."""

    network_name: DnsLabel
    """Becomes the name of the address pool."""
    cidr: str = ""
    """IPv4 network; its host addresses are given."""
    v6cidr: str = Field(default="", alias="v6cidr")
    """IPv6 network."""


class NodeNetwork(_Section):
    """One network that service legs lie in."""

    network_name: str
    """For people."""
    cidrs: tuple[str, ...] = Field(min_length=1)
    """A service leg outside of these is refused."""

    @field_validator("cidrs")
    @classmethod
    def _each_parses(cls, cidrs: tuple[str, ...]) -> tuple[str, ...]:
        for cidr in cidrs:
            ipaddress.ip_network(cidr)
        return cidrs


class NetworkSettings(_Section):
    """Networks and the domain of names."""

    vip_network_list: tuple[VipNetwork, ...] = ()
    """Further address pools in AKO's form, after `addressPools`."""
    node_network_list: tuple[NodeNetwork, ...] = ()
    """Networks that the nodes' service legs lie in; empty: any."""
    default_domain: DomainName | Literal[""] = ""
    """Zone that names Services; empty: the first of `nameservice.subdomains`."""


class L4Settings(_Section):
    """Which Services are ours and what they are called."""

    default_lb_controller: bool = Field(default=True, alias="defaultLBController")
    """Take Services that name no load balancer class."""
    load_balancer_class: str = Field(default="lbctl.io/lbctl", min_length=1)
    """The class that is ours."""
    auto_fqdn: Literal["default", "flat", "disabled"] = Field(default="default", alias="autoFQDN")
    """`default`: service.namespace.domain; `flat`: service-namespace.domain; `disabled`: none."""
    service_type: Literal["ClusterIP"] = "ClusterIP"
    """Members are pods. (NodePort and NodePortLocal members are refused: not available.)"""


class ControllerSettings(_Section):
    """Names that the fabric knows us by."""

    tenant_name: str = "admin"
    """Tenant of virtual services and pools."""
    service_engine_group_name: str = ""
    """Group of serving nodes, as shown in records."""
    vrf_name: str = ""
    """Routing context of the VIPs, as shown in records."""


class AddressPoolSettings(_Section):
    """One pool that IPAM gives addresses from."""

    name: DnsLabel = "default"
    """Unique among pools."""
    addresses: tuple[str, ...] = Field(min_length=1)
    """CIDRs or `first-last` ranges, IPv4 and IPv6; each family may have several."""

    @field_validator("addresses")
    @classmethod
    def _each_parses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for text in addresses:
            first, dash, last = text.partition("-")
            if not dash:
                ipaddress.ip_network(text)
            elif int(ipaddress.ip_address(first)) > int(ipaddress.ip_address(last)):
                raise ValueError(f"{text}: the first address is after the last")
        return addresses


class SoaSettings(_Section):
    """Timers of the zone's SOA record, seconds (AKO's values, but for what a field says)."""

    mname: str = ""
    """Primary name server; empty: `ns1.<zone>`."""
    rname: str = ""
    """Mailbox, with a dot for the `@`; empty: `hostmaster.<zone>`."""
    refresh: int = Field(default=10800, ge=1, le=2**31 - 1)
    """How often secondaries look for changes."""
    retry: int = Field(default=3600, ge=1, le=2**31 - 1)
    """How soon they try again."""
    expire: int = Field(default=86400, ge=1, le=2**31 - 1)
    """How long they answer without having reached us."""
    negative_ttl: int = Field(default=30, ge=0, le=86400)
    """How long resolvers remember that a name does not exist (RFC 2308)."""


class NameServiceSettings(_Section):
    """The DNS server and the names it gives."""

    subdomains: tuple[DomainName, ...] = ()
    """Zones that lbctl is authoritative for; the first one names Services."""
    ttl: int = Field(default=5, ge=0, le=86400)
    """Seconds a resolver may keep an address."""
    empty_grace: float = Field(default=10.0, ge=0, le=3600)
    """Seconds that a name stays while there are endpoints but none is ready."""
    ns_addresses: tuple[str, ...] = ()
    """Addresses of the name servers (glue); the n-th of each family is `ns<n>.<zone>`."""
    soa: SoaSettings = SoaSettings()
    """The zone's SOA record."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that answer queries; one is worth several CoreDNS cores. Needs a restart."""


class LeaseSettings(_Section):
    """Leader election, seconds. Needs a restart."""

    namespace: DnsLabel = "lbctl-system"
    """Where the Leases are."""
    name: DnsLabel = "lbctl-controller"
    """Lease of the leading controller."""
    duration: int = Field(default=8, ge=2, le=120)
    """A crashed leader is replaced after this long at the latest."""
    renew: float = Field(default=2.0, gt=0, le=60)
    """Time between two renewals; well below `duration`."""


class AgentSettings(_Section):
    """The agent on one node or router. Needs a restart."""

    backend: Literal["ovs"] = "ovs"
    """What moves packets on nodes."""
    bridge: str = "br-int"
    """The OVS bridge that pods are ports of."""
    service_interface: str = "svc0"
    """The port towards the fabric; traffic to VIPs enters here."""
    legs: tuple[str, ...] = ()
    """Addresses of the service interface, ≤ 1 per family; empty: the Node's `lbctl.io/legs`."""
    state_dir: str = "/var/lib/lbctl"
    """Where the last state is kept for a restart."""
    liveness_seconds: int = Field(default=10, ge=2, le=300)
    """Time between two renewals of the agent's Lease."""

    @field_validator("legs")
    @classmethod
    def _each_parses(cls, legs: tuple[str, ...]) -> tuple[str, ...]:
        for leg in legs:
            ipaddress.ip_address(leg)
        return legs


class Settings(_Section):
    """Everything an operator can set."""

    lbctl: LbctlSettings = Field(default=LbctlSettings(), alias="LbctlSettings")
    """The controller as a whole."""
    network: NetworkSettings = Field(default=NetworkSettings(), alias="NetworkSettings")
    """Networks and the domain of names."""
    l4: L4Settings = Field(default=L4Settings(), alias="L4Settings")
    """Which Services are ours and what they are called."""
    controller: ControllerSettings = Field(default=ControllerSettings(), alias="ControllerSettings")
    """Names that the fabric knows us by."""
    address_pools: tuple[AddressPoolSettings, ...] = ()
    """What IPAM gives addresses from, in this order."""
    nameservice: NameServiceSettings = NameServiceSettings()
    """The DNS server and the names it gives."""
    lease: LeaseSettings = LeaseSettings()
    """Leader election."""
    agent: AgentSettings = AgentSettings()
    """The agent on one node or router."""

    @property
    def pools(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return name and addresses of every pool: `addressPools`, then `vipNetworkList`."""
        own = tuple((pool.name, pool.addresses) for pool in self.address_pools)
        networks = self.network.vip_network_list
        return own + tuple(
            (entry.network_name, tuple(filter(None, (entry.cidr, entry.v6cidr))))
            for entry in networks
        )

    @property
    def domain(self) -> str:
        """Return the zone that names Services; empty: they get no name."""
        if self.l4.auto_fqdn == "disabled":
            return ""
        first = self.nameservice.subdomains[0] if self.nameservice.subdomains else ""
        return self.network.default_domain or first

    @property
    def zones(self) -> tuple[str, ...]:
        """Return every zone that the DNS server answers for."""
        default = self.network.default_domain
        known = self.nameservice.subdomains
        return known if not default or default in known else (*known, default)

    @model_validator(mode="after")
    def _pools_have_names_of_their_own(self) -> "Settings":
        names = [name for name, _ in self.pools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two address pools are called {twice[0]!r}")
        return self
