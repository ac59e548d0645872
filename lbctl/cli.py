"""The `lbctl` command: its own subcommands, and those that plug in by entry point.

A plug-in is imported only when its command is used, so that `lbctl dns` does not pay for the rest.
"""

from importlib import metadata
from pathlib import Path

import click

from lbctl.inspection import commands
from lbctl.runtime.options import config_option, kubeconfig_option

PLUG_INS = "lbctl.commands"


class _Root(click.Group):
    """A group that finds further commands under the entry points of `lbctl.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *metadata.entry_points(group=PLUG_INS).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        found = metadata.entry_points(group=PLUG_INS, name=cmd_name)
        if own is not None or not found:
            return own
        command: click.Command = next(iter(found)).load()
        return command


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lbctl")
def main() -> None:
    """Give LoadBalancer Services an address, a name and traffic."""


main.add_command(commands.get)
main.add_command(commands.explain)


@main.command()
@config_option
@kubeconfig_option
def controller(config: Path | None, kubeconfig: Path | None) -> None:
    """Run the controller: decide about every LoadBalancer Service while this process leads."""
    from lbctl import app
    from lbctl.runtime import program

    raise SystemExit(
        program.start(config, lambda tree: app.run_controller(tree, kubeconfig, config))
    )


@main.command()
@config_option
@kubeconfig_option
@click.option("--dry-run", is_flag=True, help="Only say what would be withdrawn.")
@click.option("--deployment", default="", help="The controller's Deployment, scaled to 0 first.")
def uninstall(config: Path | None, kubeconfig: Path | None, dry_run: bool, deployment: str) -> None:
    """Withdraw every address, name and rule that lbctl made; returns when nothing is left."""
    from lbctl import app
    from lbctl.runtime import program

    raise SystemExit(
        program.start(
            config,
            lambda tree: app.run_uninstall(
                tree, kubeconfig, dry_run=dry_run, deployment=deployment
            ),
        )
    )


@main.command()
@config_option
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="KUBECONFIG",
    show_envvar=True,
    help="Kubeconfig file; without it, the pod's own ServiceAccount.",
)
@click.option("--node", is_flag=True, help="Check this machine; the cluster with --kubeconfig.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def preflight(config: Path | None, kubeconfig: Path | None, node: bool, output: str) -> None:
    """Say whether the cluster, or this node, is ready for lbctl; change nothing.

    Ends with 1 where there is a problem; warnings do not count.
    """
    import asyncio

    from lbctl.model.errors import Misconfigured
    from lbctl.preflight import examine, findings
    from lbctl.runtime import config_file

    try:
        tree = config_file.load(config)
    except Misconfigured as error:
        raise click.ClickException(str(error)) from error
    found: tuple[findings.Finding, ...] = ()
    if kubeconfig or not node:
        found += asyncio.run(examine.cluster(tree, kubeconfig))
    if node:
        found += asyncio.run(examine.node(tree))
    render = findings.render_json if output == "json" else findings.render_text
    click.echo(render(found))
    raise SystemExit(0 if findings.passed(found) else 1)


@main.group(name="config")
def config_group() -> None:
    """Look at the settings."""


@config_group.command(name="check")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def config_check(file: Path) -> None:
    """Print the effective settings of FILE, or what is wrong with it."""
    import json

    from lbctl.model.errors import Misconfigured
    from lbctl.runtime import config_file

    try:
        tree = config_file.load(file)
    except Misconfigured as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(tree.model_dump(mode="json", by_alias=True), indent=2))
