"""The `lbctl agent` command."""

import asyncio
import logging
import sys
from pathlib import Path

import click

from lbctl.kube import client, config
from lbctl.model import errors
from lbctl.runtime import config_file, logs, options, program
from lbctl.settings import Settings
from lbctl_dataplane import agent as agents
from lbctl_dataplane import metrics
from lbctl_dataplane.backends.port import NodeBackend
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
        made = _router(node) if role == "router" else _node(node, settings)
    except errors.LbctlError as error:
        raise click.ClickException(str(error)) from error
    logs.configure(settings.lbctl)
    log.info("backend %s (%s)", made.backend.name, made.backend.reason)
    _wait_for_children_by_pidfd()
    sys.exit(program.run(_run(made, agents.Options(node, settings, config=config), kubeconfig)))


def _wait_for_children_by_pidfd() -> None:
    """Use the child watcher that Python 3.12 has by default: no thread per command (4 ms → 3)."""
    if sys.version_info < (3, 12):
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


async def _run(role: Role, options: agents.Options, kubeconfig: Path | None) -> None:
    kept = metrics.Metrics(options.node, role.name)
    async with client.Client(config.load(kubeconfig), observer=kept.calls) as api:
        await agents.Agent(api, role, options, kept).run()


def _node(node: str, settings: Settings) -> Role:
    from lbctl_dataplane.backends import choice, ground, nft, ovs
    from lbctl_dataplane.node import NodeRole
    from lbctl_dataplane.own_legs import OwnLegs

    asked = settings.agent
    names = ground.Names(asked.bridge, asked.service_interface)
    own = OwnLegs(node, settings)
    chosen = choice.choose(asked.backend, asked.bridge, ovs.run_dir())
    backend: NodeBackend = (
        nft.NftBackend(asked.service_interface, own.now)
        if chosen.name == choice.NFT
        else ovs.OvsBackend(names, own.now)
    )
    return NodeRole(node, backend, chosen, own)


def _router(node: str) -> Role:
    from lbctl_dataplane.backends import routes
    from lbctl_dataplane.router import RouterRole

    return RouterRole(node, routes.LinuxRouter())
