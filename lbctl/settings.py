"""The settings tree of all processes. Pure: what a settings file may say, with units and reasons.

Sections and keys are AKO's where they mean the same (docs/how-to/coming-from-ako.md has the table).
Loading a file is `lbctl.runtime.config_file`. Unknown keys are errors that name the key.
"""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from lbctl.settings_agent import AgentSettings
from lbctl.settings_names import SuffixSettings
from lbctl.settings_parts import DnsLabel, DomainName, LabelExpression, LabelSelector
from lbctl.settings_parts import Section as _Section
from lbctl.settings_transfer import TransferSettings

ClusterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")]
Network = Annotated[str, AfterValidator(lambda text: ipaddress.ip_network(text) and text)]


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
    cidrs: tuple[Network, ...] = Field(min_length=1)
    """A service leg outside of these is refused."""


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


class PoolFence(_Section):
    """Whom a pool serves; nothing said: everybody."""

    namespaces: tuple[str, ...] = ()
    """Namespaces by name."""
    namespace_selectors: tuple[LabelSelector, ...] = ()
    """Namespaces by label; one that is named or selected is served."""
    service_selectors: tuple[LabelSelector, ...] = ()
    """Services by label, in those namespaces; one selector must hold."""
    exclusive: bool = False
    """Services that it selects get addresses from pools that select them and nowhere else."""

    @model_validator(mode="after")
    def _exclusive_for_somebody(self) -> "PoolFence":
        selects = self.namespaces or self.namespace_selectors or self.service_selectors
        if self.exclusive and not selects:
            raise ValueError("exclusive: say for which namespaces or Services")
        return self


class ExternalIpamSettings(_Section):
    """An IPAM outside of lbctl that chooses the addresses of a pool, over HTTP."""

    url: str = ""
    """Where it answers, as in docs/how-to/external-ipam.md; empty: lbctl itself chooses."""
    token_file: str = ""
    """File with the bearer token, a mounted Secret; empty: none is sent."""


class AddressPoolSettings(_Section):
    """One pool that IPAM gives addresses from; fields as in an AddressPool object."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["addresses"]}, {"required": ["staticAddresses"]}]
        }
    )

    name: DnsLabel = "default"
    """Unique among pools."""
    addresses: tuple[str, ...] = Field(default=(), max_length=64)
    """CIDRs or `first-last` ranges, IPv4 and IPv6; each family may have several."""
    static_addresses: tuple[str, ...] = Field(default=(), max_length=64)
    """The same, but given on request of the address only."""
    reserved: tuple[str, ...] = Field(default=(), max_length=64)
    """The same, but never given; a CIDR means all of its addresses."""
    priority: int | None = Field(default=None, ge=0, le=1_000_000)
    """Lower is tried first, equal ones by name; null: 100 and the pool's place in the list."""
    auto_assign: bool = True
    """False: only by request of an address or of the pool."""
    avoid_buggy_ips: bool = Field(default=False, alias="avoidBuggyIPs")
    """Never give IPv4 addresses that end in .0 or .255."""
    reuse_delay_seconds: int = Field(default=0, ge=0, le=31_536_000)
    """For so long an address given back is only for the Service of the same namespace and name."""
    serves: PoolFence = PoolFence()
    """Whom the pool serves."""
    external: ExternalIpamSettings = ExternalIpamSettings()
    """Who chooses among its addresses; in the settings only, not in AddressPool objects."""

    @field_validator("addresses", "static_addresses", "reserved")
    @classmethod
    def _each_parses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for text in addresses:
            first, dash, last = text.partition("-")
            if not dash:
                ipaddress.ip_network(text.strip())
                continue
            low, high = (ipaddress.ip_address(part.strip()) for part in (first, last))
            if low.version != high.version or int(low) > int(high):
                raise ValueError(f"{text}: not a range from a lower to a higher address")
        return addresses

    @model_validator(mode="after")
    def _gives_something(self) -> "AddressPoolSettings":
        if not (self.addresses or self.static_addresses):
            raise ValueError("addresses: at least one CIDR or range is needed")
        return self


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


class RateLimitSettings(_Section):
    """Replies to a flood of queries in another's name. For servers that strangers reach."""

    responses_per_second: int = Field(default=0, ge=0, le=1_000_000)
    """Equal answers a second from a worker to one /24 (IPv6: /56); 0: any. Needs a restart."""
    slip: int = Field(default=2, ge=0, le=10)
    """Of the replies over that, each n-th says to ask by TCP; 0: none. Needs a restart."""
    window: int = Field(default=15, ge=1, le=3600)
    """Seconds that a flood must rest, at most, to get answers again. Needs a restart."""
    exempt: tuple[Network, ...] = ()
    """Networks that are never limited: resolvers of one's own. Needs a restart."""


_SUFFIXES = [
    {
        "suffix": "shop.lb.example",
        "namespaces": ["shop"],
        "namespaceSelectors": [{"matchLabels": {"team": "shop"}}],
    },
    {"suffix": "{namespace}.lb.example"},
]


class NameServiceSettings(_Section):
    """The DNS server and the names it gives."""

    subdomains: tuple[DomainName, ...] = ()
    """Zones that lbctl is authoritative for; the first one names Services."""
    ttl: int = Field(default=5, ge=0, le=86400)
    """Seconds a resolver may keep an address."""
    min_ttl: int = Field(default=0, ge=0, le=86400)
    """Least TTL that a Service gets by annotation."""
    max_ttl: int = Field(default=3600, ge=0, le=86400)
    """Greatest one; a Service that goes is carried on for its TTL."""
    opt_in: bool = False
    """Only Services with the annotation `lbctl.io/dns: "true"` get names."""
    suffixes: tuple[SuffixSettings, ...] = Field(default=(), examples=[_SUFFIXES])
    """Who may ask for which host names; empty: everybody for any in our zones."""
    at_zero: Literal["nxdomain", "nodata", "keep"] = "nxdomain"
    """What DNS answers for a Service without a usable endpoint, unless it says otherwise."""
    owner_records: bool = False
    """Tell by a TXT record at each name which cluster and Service it belongs to."""
    reverse: bool = True
    """Answer for the addresses of pools, too: PTR records in zones of our own."""
    empty_grace: float = Field(default=10.0, ge=0, le=3600)
    """Seconds that a name stays while there are endpoints but none is ready."""
    ns_addresses: tuple[str, ...] = ()
    """Addresses of the name servers (glue); the n-th of each family is `ns<n>.<zone>`."""
    soa: SoaSettings = SoaSettings()
    """The zone's SOA record."""
    transfer: TransferSettings = TransferSettings()
    """Secondaries: other servers that take whole zones."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that answer queries; one is worth several CoreDNS cores. Needs a restart."""
    rate_limit: RateLimitSettings = RateLimitSettings()
    """Response rate limiting; off."""
    cookie_secret_file: str = Field(default="", examples=["/etc/lbctl-cookies/secrets"])
    """File with secrets of DNS cookies, in hexadecimal, one a line; empty: each pod has its own."""

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> "NameServiceSettings":
        if self.min_ttl > self.max_ttl:
            raise ValueError("minTtl is greater than maxTtl")
        return self


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


class MetricsSettings(_Section):
    """Health checks and metrics over HTTP: /healthz, /readyz, /metrics. Needs a restart."""

    enabled: bool = True
    """Answer /metrics; the health checks are there whenever there is a port."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP port of controller and DNS server; 0: none of this."""
    agent_port: int = Field(default=0, ge=0, le=65535)
    """TCP port of agents, on the network of their machine; 0: none of this."""


_POOLS = [
    {
        "name": "main",
        "addresses": ["198.51.100.0/24"],
        "staticAddresses": ["203.0.113.0/28"],
        "reserved": ["198.51.100.1/32"],
        "priority": 7,
        "autoAssign": False,
        "avoidBuggyIPs": True,
        "reuseDelaySeconds": 60,
        "serves": {"namespaceSelectors": [{"matchLabels": {"tier": "edge"}}]},
        "external": {"url": "https://ipam.example/lbctl"},
    }
]


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
    address_pools: tuple[AddressPoolSettings, ...] = Field(default=(), examples=[_POOLS])
    """What IPAM gives addresses from, beside AddressPool objects."""
    nameservice: NameServiceSettings = NameServiceSettings()
    """The DNS server and the names it gives."""
    lease: LeaseSettings = LeaseSettings()
    """Leader election."""
    agent: AgentSettings = AgentSettings()
    """The agent on one node or router."""
    metrics: MetricsSettings = MetricsSettings()
    """Health checks and metrics over HTTP."""

    @property
    def pools(self) -> tuple[AddressPoolSettings, ...]:
        """Return every pool: `addressPools`, then `vipNetworkList`."""
        return self.address_pools + tuple(
            AddressPoolSettings(
                name=entry.network_name,
                addresses=tuple(filter(None, (entry.cidr, entry.v6cidr))),
            )
            for entry in self.network.vip_network_list
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
        names = [pool.name for pool in self.pools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two address pools are called {twice[0]!r}")
        return self
