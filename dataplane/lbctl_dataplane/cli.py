"""The `lbctl agent` and `lbctl trace` commands."""

import asyncio
import functools
import logging
import sys
from pathlib import Path
from typing import Any

import click

from lbctl.kube import client, config, resources
from lbctl.model import errors
from lbctl.runtime import config_file, logs, options, program
from lbctl.settings import Settings
from lbctl.settings_agent import AgentSettings
from lbctl_dataplane import agent as agents
from lbctl_dataplane import metrics
from lbctl_dataplane.backends.peers.forwarding import Peers
from lbctl_dataplane.backends.port import NodeBackend
from lbctl_dataplane.backends.tables.generation import Others
from lbctl_dataplane.own_legs import OwnLegs
from lbctl_dataplane.relay import Relay
from lbctl_dataplane.roles import Role

log = logging.getLogger(__name__)


@click.command()
@options.config_option
@options.kubeconfig_option
@click.option("--node", required=True, help="Name of this node or router.")
@click.option(
    "--role",
    type=click.Choice(["node", "router"]),
    default="node",
    show_default=True,
    help="Serve VIPs on a node, or spread them over nodes on a Linux router.",
)
def agent(config: Path | None, kubeconfig: Path | None, node: str, role: str) -> None:
    """Carry VIP traffic on this machine."""
    try:
        settings = config_file.load(config)
        kept = metrics.Metrics(node, role)
        made = _router(node, settings) if role == "router" else _node(node, settings, kept)
    except errors.LbctlError as error:
        raise click.ClickException(str(error)) from error
    logs.configure(settings.lbctl)
    log.info("backend %s (%s)", made.backend.name, made.backend.reason)
    _wait_for_children_by_pidfd()
    run = agents.Options(node, settings, config=config)
    sys.exit(program.run(_run(made, run, kubeconfig, kept)))


_TRACED = {"Delivered": 0, "Unknown": 2}
"""Exit codes of a trace by verdict; others end with 1."""


@click.command()
@click.argument("client", metavar="CLIENT")
@click.argument("place", metavar="VIP:PORT")
@click.option("--udp", "protocol", flag_value="UDP", help="A datagram.")
@click.option("--sctp", "protocol", flag_value="SCTP")
@click.option("--tcp", "protocol", flag_value="TCP", default=True, help="The default.")
@click.option(
    "--at", "entry", default="", metavar="NODE", help="Where the fabric brings it; else a router."
)
@click.option("--kubeconfig", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--context", default="", help="Of the kubeconfig.")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text")
def trace(client: str, place: str, protocol: str, entry: str, output: str, **where: Any) -> None:
    """Walk a new flow from CLIENT to VIP:PORT through what routers and nodes are to do.

    Ends with 0 where a member gets it, with 1 where not, with 2 where that cannot be told.
    """
    from lbctl_dataplane import tracing

    try:
        packet = tracing.parse_packet(client, place, protocol)
        found = asyncio.run(tracing.walk(packet, entry, **where))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except errors.LbctlError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from error
    click.echo(tracing.render_json(found) if output == "json" else tracing.render_text(found))
    raise SystemExit(_TRACED.get(found.verdict, 1))


def _wait_for_children_by_pidfd() -> None:
    """Use the child watcher that Python 3.12 has by default: no thread per command (4 ms → 3)."""
    if sys.version_info < (3, 12):
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


async def _run(
    role: Role, options: agents.Options, kubeconfig: Path | None, kept: metrics.Metrics
) -> None:
    async with client.Client(config.load(kubeconfig), observer=kept.calls) as api:
        await agents.Agent(api, role, options, kept).run()


def _node(node: str, settings: Settings, kept: metrics.Metrics) -> Role:
    from lbctl_dataplane.backends import choice
    from lbctl_dataplane.backends.ovs import backend as ovs
    from lbctl_dataplane.backends.tables import counter
    from lbctl_dataplane.health_ports import HealthPorts
    from lbctl_dataplane.monitors import prober
    from lbctl_dataplane.node import Beside, NodeRole

    asked = settings.agent
    own = OwnLegs(node, settings)
    prober.allow_many_files()
    chosen = choice.choose(asked.backend, asked.bridge, ovs.run_dir())
    kept.refused = functools.partial(counter.refused, chosen.name)
    others = Others()
    backend = _backend(chosen.name, asked, own, others)
    peers = _peers(node, backend, asked, own, others)
    health = HealthPorts(asked.health_check_node_port, kept.ready)
    relay = _relay(node, chosen.name, asked, own, peers)
    beside = Beside(own, prober.Prober(kept.probes), peers, health, relay)
    return NodeRole(node, backend, chosen, beside)


def _backend(name: str, asked: AgentSettings, own: OwnLegs, others: Others) -> NodeBackend:
    from lbctl_dataplane.backends import announce, choice
    from lbctl_dataplane.backends.nft import backend as nft
    from lbctl_dataplane.backends.ovs import backend as ovs
    from lbctl_dataplane.backends.ovs import ground

    interface = asked.service_interface
    if name == choice.NFT:
        return nft.NftBackend(
            interface, own.now, own.gateways, answer_pings=asked.answer_ping, others=others
        )
    if name == choice.IPVS:
        return _ipvs(asked, own)
    if name == choice.ANNOUNCE:
        return announce.AnnounceOnly(interface, own.now)
    return ovs.OvsBackend(
        ground.Names(asked.bridge, interface, answer_pings=asked.answer_ping), own.now
    )


def _peers(
    node: str, backend: NodeBackend, asked: AgentSettings, own: OwnLegs, others: Others
) -> Peers:
    from lbctl_dataplane.backends.nft import backend as nft
    from lbctl_dataplane.backends.ovs import backend as ovs
    from lbctl_dataplane.backends.ovs import peers as ovs_peers
    from lbctl_dataplane.backends.peers import forwarding

    everywhere = asked.peers == "always"
    if not isinstance(backend, nft.NftBackend | ovs.OvsBackend):
        wished = "this backend can't forward to peers: set agent.peers to auto"
        return forwarding.NoPeers(wished if everywhere else "")
    if isinstance(backend, ovs.OvsBackend):
        if asked.peers == "never":
            return forwarding.NoPeers()
        return ovs_peers.SwitchPeers(node, backend, own, everywhere=everywhere)
    if asked.peers == "never":
        return forwarding.PeersOff()
    return forwarding.PeerForwarder(
        node, asked.service_interface, own, everywhere=everywhere, others=others
    )


def _relay(node: str, backend: str, asked: AgentSettings, own: OwnLegs, peers: Peers) -> Relay:
    from lbctl_dataplane.backends import choice
    from lbctl_dataplane.relay import NodePortRelay, NoRelay

    if asked.remote_members == "never":
        return NoRelay()
    if backend != choice.NFT:
        return NoRelay(
            f"backend {backend} can't serve members on other nodes: set agent.remoteMembers to "
            "never or agent.backend to nft"
        )
    return NodePortRelay(node, own.nodes, peers.stores.get(resources.SERVING_NODES))


def _ipvs(asked: AgentSettings, own: OwnLegs) -> NodeBackend:
    # The netlink library takes 12 MB: who does not need it goes without.
    from lbctl_dataplane.backends.ipvs import backend as ipvs
    from lbctl_dataplane.backends.ipvs import gate

    interface = asked.service_interface
    beside = gate.NftFilter(interface, answer_pings=asked.answer_ping)
    return ipvs.IpvsBackend(interface, own.now, beside)


def _router(node: str, settings: Settings) -> Role:
    from lbctl_dataplane.backends.router import kernel
    from lbctl_dataplane.router import RouterRole

    return RouterRole(node, kernel.LinuxRouter(), answer_pings=settings.agent.answer_ping)
