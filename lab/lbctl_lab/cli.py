"""`lbctl lab …`: the commands, nothing else. Shell."""

import dataclasses
import os
import sys
from pathlib import Path

import click

from lbctl_lab import (
    binaries,
    bring_up,
    deploy,
    errors,
    identities,
    image_commands,
    images,
    places,
    plan,
    pods,
    processes,
    progress,
    restarting,
    state,
    status,
    sweep,
)


class _Group(click.Group):
    """A group whose commands turn a `LabError` into its words and exit code 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except errors.LabError as failed:
            raise click.ClickException(str(failed)) from failed


@click.group(cls=_Group)
def lab() -> None:
    """Run a real Kubernetes cluster on this machine, with lbctl on it."""


lab.add_command(image_commands.image)


@lab.command()
@click.option("--nodes", default=2, show_default=True, type=click.IntRange(1, plan.MAX_NODES))
@click.option("--bare", is_flag=True, help="Only the cluster, without lbctl.")
@click.option(
    "--dev",
    is_flag=True,
    envvar="DEV",
    help="lbctl as processes of the host, from this checkout, instead of pods. [env: DEV=1]",
)
@click.option(
    "--backend",
    type=click.Choice(plan.BACKENDS),
    default="ovs",
    show_default=True,
    envvar="LBCTL_LAB_BACKEND",
    show_envvar=True,
    help="What moves the packets of virtual addresses on the nodes.",
)
@click.option(
    "--cni",
    type=click.Choice(plan.CNIS),
    envvar="LBCTL_LAB_CNI",
    show_envvar=True,
    help="The pods' network; by default ovs for backend ovs, else bridge.",
)
def up(nodes: int, bare: bool, dev: bool, backend: plan.Backend, cni: plan.Cni | None) -> None:
    """Bring the lab up; what a killed one left behind is swept first."""
    shown = progress.Progress()
    bring_up.preflight()
    kind: state.Kind = "bare" if bare else "processes" if dev else "pods"
    try:
        pods_by = plan.cni_for(backend, cni)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    wanted = state.Lab(
        state.checkout(), nodes, kind, os.getpid(), "starting", backend=backend, cni=pods_by
    )
    with state.locked():
        if _is_there(wanted):
            click.echo("the lab is up already", err=True)
            return
        programs = bring_up.build(shown)
        try:
            bring_up.bring_up(wanted, programs, shown)
            if kind != "bare":
                deploy.deploy(wanted, shown)
        except BaseException:
            shown.say(
                "failed half-way: `lbctl lab logs NAME` shows why, `lbctl lab down` cleans up"
            )
            raise
        state.save(dataclasses.replace(state.require_up(), phase="up"))
    shown.say(f'the lab is up, {nodes} nodes. Next: eval "$(lbctl lab env)"; kubectl get nodes')


def _is_there(wanted: state.Lab) -> bool:
    """Return whether this very lab runs; refuse when another one does."""
    there = state.load()
    alive = [name for name, record in processes.records().items() if processes.is_alive(record)]
    if there is None or there.phase != "up" or not alive:
        return False
    if status.words(there) != status.words(wanted):
        what = status.words(there)
        reason = f"this machine runs one already ({what}); there can be one"
        raise errors.LabError("lab", reason, "lbctl lab down")
    return True


@lab.command()
def down() -> None:
    """Take the lab away completely, whatever state it is in and whoever made it."""
    state.require_root()
    shown = progress.Progress()
    with state.locked():
        did = sweep.sweep()
    shown.say(f"removed: {', '.join(did)}" if did else "there was nothing to remove")


@lab.command()
def restart() -> None:
    """End everything at once, as a power cut would, and come back on what the disks hold."""
    state.require_root()
    shown = progress.Progress()
    with state.locked():
        restarting.restart(state.require_up(), shown)
    shown.say("the lab is up again")


@lab.command("status")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def show_status(output: str) -> None:
    """Show the lab's nodes and processes; exit code 1 when there is no lab."""
    now = status.read()
    click.echo(status.as_json(now) if output == "json" else status.as_text(now))


@lab.command()
def env() -> None:
    """Print shell exports: KUBECONFIG, LBCTL_DNS, LBCTL_SUBDOMAIN, PATH with kubectl."""
    state.require_up()
    click.echo(status.as_exports(status.env()))


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("place")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(place: str, words: tuple[str, ...]) -> None:
    """Run a command at a place: client, router, node-1 and so on."""
    places.execute(place, words)


@lab.command("load-image")
@click.argument("name")
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load_image(name: str, archive: Path) -> None:
    """Load an image archive (OCI or docker) into every node under a name."""
    for node in plan.nodes(state.require_up().nodes):
        click.echo(f"{node.name}: {', '.join(images.load(node, archive, (name,)))}")


@lab.command()
@click.argument("name", metavar="PROCESS")
def start(name: str) -> None:
    """Start a process of the lab again (see `status` for names)."""
    processes.start(name)


@lab.command()
@click.argument("name", metavar="PROCESS")
def stop(name: str) -> None:
    """Ask a process to end (SIGTERM) and wait until it has."""
    processes.stop(name)


@lab.command()
@click.argument("name", metavar="PROCESS|pod/[NAMESPACE/]NAME")
def kill(name: str) -> None:
    """End a process, or those of a pod, at once (SIGKILL), as a crash would."""
    if name.startswith(pods.PREFIX):
        pods.kill(name)
    else:
        processes.kill(name)


@lab.command("renew-token")
@click.argument("name", metavar="PROCESS", type=click.Choice([deploy.ROUTER_AGENT]))
def renew_token(name: str) -> None:
    """Write a new token for the router's agent: its account was made anew by an install."""
    identities.write_token(name, deploy.ROUTER_ACCOUNT)


@lab.command()
@click.argument("name", metavar="PROCESS")
def logs(name: str) -> None:
    """Print what a process has logged since the lab came up."""
    path = processes.log_path(processes.find(name).spec.name)
    with path.open("rb") as log:
        while chunk := log.read(1 << 16):
            sys.stdout.buffer.write(chunk)


@lab.command()
@click.argument("origins", nargs=-1, type=click.Choice(sorted(binaries.ORIGINS)))
def build(origins: tuple[str, ...]) -> None:
    """Build the lab's programs into the cache; prints the folder of each origin."""
    shown = progress.Progress()
    for name in origins or tuple(origin.name for origin in binaries.NEEDED):
        click.echo(binaries.built(binaries.ORIGINS[name], shown))
