"""The command line: what plugs in, and `config check`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lbctl import cli


@pytest.mark.parametrize("name", ["controller", "agent", "dns", "config", "preflight"])
def test_help_lists_own_and_plugged_in_commands(name: str) -> None:
    found = CliRunner().invoke(cli.main, ["--help"])
    assert found.exit_code == 0
    assert f"\n  {name} " in found.output


def test_an_unknown_command_is_refused() -> None:
    assert CliRunner().invoke(cli.main, ["nonsense"]).exit_code == 2


def test_config_check_prints_the_effective_settings(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("LbctlSettings: {clusterName: lab}")
    found = CliRunner().invoke(cli.main, ["config", "check", str(path)])
    tree = json.loads(found.output)
    assert found.exit_code == 0
    assert (tree["LbctlSettings"]["clusterName"], tree["lease"]["duration"]) == ("lab", 8)


def test_config_check_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("clusterName: [")
    found = CliRunner().invoke(cli.main, ["config", "check", str(path)])
    assert found.exit_code == 1
    assert str(path) in found.output


def test_the_controller_ends_with_code_1_on_settings_that_do_not_load(tmp_path: Path) -> None:
    argv = ["controller", "--config", str(tmp_path / "absent.yaml")]
    assert CliRunner().invoke(cli.main, argv).exit_code == 1
