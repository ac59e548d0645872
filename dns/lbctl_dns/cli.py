"""The command `lbctl dns`: a plug-in of the `lbctl` command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lbctl.runtime.options import config_option, kubeconfig_option
from lbctl_dns import query

if TYPE_CHECKING:
    from lbctl_dns import listening, primary

DEFAULT_STATE_DIR = Path("/var/lib/lbctl/dns")


@click.group("dns")
def dns_group() -> None:
    """Answer DNS queries for the names of LoadBalancer Services."""


dns_group.add_command(query.query)


@dns_group.command()
@config_option
@kubeconfig_option
@click.option(
    "--listen",
    "places",
    multiple=True,
    required=True,
    metavar="ADDR:PORT",
    help="Address to answer on, UDP and TCP; may be repeated. IPv6: '[::1]:53'.",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer queries.")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    help="Where the last names are kept for a restart.",
)
@click.option(
    "--zone",
    "zone_files",
    multiple=True,
    metavar="ORIGIN=FILE",
    help="Serve this zone file instead of a cluster; may be repeated. SIGHUP reads it again.",
)
@click.option(
    "--tsig-key",
    "keys",
    multiple=True,
    metavar="NAME:ALG:SECRET",
    help="Key that secondaries sign with: hmac-sha256, base64, or @FILE; may be repeated. "
    "Others on this machine can read arguments: prefer a file.",
)
@click.option(
    "--allow-transfer",
    "allowed",
    multiple=True,
    metavar="KEY|CIDR|KEY@CIDR",
    help="Who may take whole zones, by key, network or both; may be repeated.",
)
@click.option(
    "--notify",
    "notified",
    multiple=True,
    metavar="[KEY@]ADDR:PORT",
    help="Secondary to tell of changes at once; may be repeated.",
)
def serve(
    config: Path | None,
    kubeconfig: Path | None,
    places: tuple[str, ...],
    workers: int | None,
    state_dir: Path,
    zone_files: tuple[str, ...],
    **secondary: tuple[str, ...],
) -> None:
    """Serve the names that L4VirtualServices publish, or zone files."""
    # Imported here: `lbctl --help` needs none of it.
    from lbctl.model import errors
    from lbctl.runtime import config_file, logs, program
    from lbctl_dns import configured, cookies, feed, secondaries, snapshot
    from lbctl_dns import zone_files as from_files

    try:
        settings = config_file.load(config)
        logs.configure(settings.lbctl)
        options = feed.Options(
            _places(places),
            workers or settings.nameservice.workers,
            None if zone_files else state_dir,
            config,
            settings,
        )
        files = _files(zone_files)
        plan = _plan(secondary, bool(files)) or secondaries.plan(settings)
        cookies.keys(settings.nameservice)  # what is wrong with them is told before we begin
        zones = () if files else configured.zones(settings)
    except errors.LbctlError as error:
        raise click.ClickException(str(error)) from error

    async def run() -> None:
        if files:
            await from_files.FileFeed(files, plan).run(options)
        else:
            kept, style = snapshot.path_in(state_dir), configured.style(settings)
            names = feed.ClusterFeed(zones, kept, plan, style=style)
            await names.run(kubeconfig, options)

    sys.exit(program.run(run()))


def _places(texts: tuple[str, ...]) -> "tuple[listening.Place, ...]":
    from lbctl_dns import listening

    try:
        return tuple(listening.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from error


def _plan(options: dict[str, tuple[str, ...]], has_files: bool) -> "primary.Plan | None":
    from lbctl_dns import secondaries

    if not any(options.values()):
        return None
    if not has_files:
        raise click.UsageError("with a cluster, secondaries are in the settings")
    try:
        return secondaries.from_options(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _files(texts: tuple[str, ...]) -> dict[str, Path]:
    found = {}
    for text in texts:
        origin, equals, path = text.partition("=")
        if not equals or not origin or not path:
            raise click.BadParameter(f"{text!r} is not ORIGIN=FILE", param_hint="--zone")
        found[origin] = Path(path)
    return found
