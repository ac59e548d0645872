"""The command-line options that all long-lived processes share."""

from pathlib import Path

import click

config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (YAML)."
)
kubeconfig_option = click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Kubeconfig file; without it, the pod's own ServiceAccount.",
)
