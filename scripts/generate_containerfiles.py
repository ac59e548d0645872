#!/usr/bin/env python3
"""Generate the Containerfiles from one template and `lbctl_lab.product_images`.

With --check nothing is written: exit code 1 and the names of the files that are not up to date.
"""

import sys
from pathlib import Path

import jinja2

import drift
from lbctl_lab import product_images
from lbctl_lab.product_images import Component

TEMPLATE = Path(__file__).with_name("Containerfile.j2")
PLACES = {
    "Containerfile": ("controller", product_images.CONTROLLER),
    "dns/Containerfile": ("DNS server", product_images.DNS),
    "dataplane/Containerfile": ("agent", product_images.AGENT),
}
"""Where each stands, and what its component is called."""
PROGRAMS = {
    "python": ("libpython3-stdlib", "python3-minimal"),
    "agent": ("conntrack", "iproute2", "nftables", "openvswitch-switch"),
}
"""Debian packages to ask for; `lab/debian` pins them and all that they need."""


def containerfile(place: str, who: str, component: Component) -> str:
    """Return the text of one Containerfile."""
    template = jinja2.Template(
        TEMPLATE.read_text(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    programs = sorted(name for part in component.packages for name in PROGRAMS[part])
    facts = {"place": place, "who": who, "component": component, "programs": programs}
    return str(template.render(facts, command=drift.COMMAND))


def generated() -> dict[Path, str]:
    """Return the files that are generated, with what they should hold."""
    return {
        drift.ROOT / place: containerfile(place, who, component)
        for place, (who, component) in PLACES.items()
    }


if __name__ == "__main__":
    sys.exit(drift.main("Generate the Containerfiles.", generated))
