"""The commands `lbctl get` and `lbctl explain`: read, show, end with a code for scripts."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    # Imported in the commands: completion and --help must not wait for the API client.
    from lbctl.inspection.gather import Place
    from lbctl.inspection.listing import Listing
    from lbctl.inspection.scene import Scene
    from lbctl.kube.client import Client

T = TypeVar("T")
KINDS = ("vs", "pools", "members", "vips", "records", "nodes")
OUTPUTS = ("table", "wide", "json", "yaml", "name", "tree")
NO_ANSWER = 2
"""Exit code of `explain` where it could not look; 1 is for a Service that is not served."""

_FILE = click.Path(path_type=Path, dir_okay=False)
_OPTIONS = (
    click.option(
        "--kubeconfig", type=_FILE, help="Kubeconfig; else KUBECONFIG, ~/.kube/config, the pod's."
    ),
    click.option("--context", default="", help="Context of the kubeconfig to use."),
    click.option(
        "--config", type=_FILE, help="Settings file (YAML); else the controller's ConfigMap."
    ),
    click.option(
        "--system-namespace",
        default="lbctl-system",
        show_default=True,
        help="Where lbctl runs.",
    ),
)


def _places(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where to look."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("names", nargs=-1)
@click.option("-n", "--namespace", default="", help="Only this namespace; else all.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces, also without this.")
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True)
@_places
def get(
    kind: str,
    names: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,
    output: str,
    **where: Any,
) -> None:
    """List virtual services, pools, members, VIPs, records or nodes.

    NAMES leave only what is called so: <namespace>/<service>, a service, an address, a host name.
    Ends with 1 where one of them is not found, or where the API server does not answer.
    """
    from lbctl.inspection import gather, kinds
    from lbctl.model import errors

    if namespace and all_namespaces:
        raise click.UsageError("--namespace and --all-namespaces exclude each other")
    wanted, place = kinds.KINDS[kind], _place(where)

    async def read(api: "Client") -> "Scene":
        try:
            settings = await gather.settings_at(api, place)
        except errors.Misconfigured as error:
            if place.config is not None:
                raise
            click.echo(f"Note: default settings are assumed. {error}", err=True)
            settings = gather.assumed(place)
        return await gather.whole(api, settings, wanted.reads)

    listing = wanted.listing(_read(place, read, code=1))
    if namespace:
        listing = listing.within(namespace)
    missing: tuple[str, ...] = ()
    if names:
        listing, missing = listing.named(names)
    _show(listing, output)
    for name in missing:
        click.echo(f"Error: {kind}: there is no {name}", err=True)
    raise SystemExit(1 if missing else 0)


@click.command()
@click.argument("service", metavar="<namespace>/<service>")
@click.option("-n", "--namespace", default="", help="Namespace of a SERVICE given without one.")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text")
@_places
def explain(service: str, namespace: str, output: str, **where: Any) -> None:
    """Say stage by stage how far a Service has come, and what it waits for since when.

    Ends with 0 where the Service is served and waits for nothing, with 1 where not, with 2 where
    that cannot be told.
    """
    from lbctl.inspection import explain as explaining
    from lbctl.inspection import explained, gather

    key = service if "/" in service else f"{namespace or 'default'}/{service}"
    if key.count("/") != 1 or not all(key.split("/")):
        raise click.UsageError(f"{service}: not <namespace>/<service>")

    place = _place(where)

    async def read(api: "Client") -> "Scene":
        return await gather.around(api, await gather.settings_at(api, place), key)

    scene = _read(place, read, code=NO_ANSWER)
    found = explaining.explain(scene, key)
    if output == "json":
        click.echo(explained.render_json(found))
    else:
        click.echo(explained.render_text(found, scene.now))
    raise SystemExit(0 if found.served and found.waits_for is None else 1)


def _place(where: dict[str, Any]) -> "Place":
    from lbctl.inspection.gather import Place

    return Place(where["kubeconfig"], where["context"], where["config"], where["system_namespace"])


def _read(
    place: "Place",
    read: "Callable[[Client], Coroutine[Any, Any, T]]",
    *,
    code: int,
) -> T:
    """Return what was read; where that fails, say what, why and what to change, and end."""
    from lbctl.inspection import gather
    from lbctl.model import errors

    async def within() -> T:
        async with gather.api_at(place) as api:
            return await read(api)

    try:
        return asyncio.run(within())
    except* errors.LbctlError as group:
        failure = _Failure(_told(_first(group)), code)
    raise failure


class _Failure(click.ClickException):
    """The end of a command that could not look."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self._code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """Return the code that the command ends with."""
        return self._code


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first single error in a group of groups."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _told(error: BaseException) -> str:
    from lbctl.model import errors

    cures: tuple[tuple[type[errors.LbctlError], str], ...] = (
        (
            errors.Unauthorised,
            "the account needs get and list on it: docs/how-to/why-is-it-pending.md",
        ),
        (errors.NotFound, "lbctl's definitions are not installed here: is it the right cluster?"),
        (errors.Unavailable, "check with `kubectl cluster-info` that the API server answers"),
        (errors.Throttled, "the API server is busy: try again"),
    )
    cure = next((cure for kind, cure in cures if isinstance(error, kind)), "")
    return f"{str(error).strip()}\n{cure}".strip()


def _show(listing: "Listing", output: str) -> None:
    from lbctl.inspection import listing as listings

    renders: dict[str, Callable[[], str]] = {
        "table": lambda: listings.render_table(listing, wide=False),
        "wide": lambda: listings.render_table(listing, wide=True),
        "json": lambda: listings.render_json(listing),
        "yaml": lambda: listings.render_yaml(listing),
        "name": lambda: listings.render_names(listing),
        "tree": lambda: listings.render_tree(listing),
    }
    if not listing.rows and output not in ("json", "yaml"):
        click.echo("No resources found", err=True)
        return
    click.echo(renders[output]())
