"""`lbctl lab image …`: build lbctl's own images, and pin what is in them. Shell."""

from pathlib import Path

import click

from lbctl_lab import debian_packages, product_images, progress, state, wheels


@click.group()
def image() -> None:
    """Build lbctl's container images, without a container engine."""


@image.command()
@click.argument("components", nargs=-1, type=click.Choice(sorted(product_images.COMPONENTS)))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to; dist/images of the checkout by default.",
)
@click.option("--exact", is_flag=True, help="Refuse where a pinned Debian package is gone.")
def build(components: tuple[str, ...], output: Path | None, exact: bool) -> None:
    """Write OCI archives and bills of materials of the images (all of them by default)."""
    shown = progress.Progress()
    target = output or Path(state.checkout()) / "dist" / "images"
    with shown.step("lbctl's own wheel"):
        code = wheels.own()
    for name in components or tuple(product_images.COMPONENTS):
        component = product_images.COMPONENTS[name]
        built = product_images.build(component, code, target, shown, exact=exact)
        shown.say(f"{built.name}: {built.size / 1e6:.1f} MB")
        click.echo(built.archive)


@image.command()
def pin() -> None:
    """Pin the newest versions of the images' Debian packages (lab/debian/*.txt)."""
    shown = progress.Progress()
    for path in sorted(debian_packages.PINS.glob("*.txt")):
        before = debian_packages.parse_pins(path.read_text())
        after = debian_packages.pin_again([pin.name for pin in before], shown)
        path.write_text("".join(f"{pin.line()}\n" for pin in after))
        changed = sorted({each.line().partition(" ")[0] for each in set(after) - set(before)})
        shown.say(f"{path.name}: {', '.join(changed) or 'nothing newer'}")
