"""`lbctl get` and `lbctl explain` as people and scripts type them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import inspect_bed
from controller_bed import Bed, served
from inspect_reasons import Story, everything, exhausted, led, member, withdrawn
from lbctl import cli
from lbctl.inspection import commands, kinds


async def up(bed: Bed) -> None:
    await everything(bed)
    await served(bed)


async def classified(bed: Bed) -> None:
    await inspect_bed.leads(bed)
    await bed.create(loadBalancerClass="example.org/lb")


OWN_CLASS = inspect_bed.settings(L4Settings={"loadBalancerClass": "example.org/lb"})


async def broken(bed: Bed) -> None:
    bed.fake.unavailable = True


# --- explain --------------------------------------------------------------------------------------


def test_explain_ends_with_0_where_all_is_well(typed: Any) -> None:
    ended = typed(Story(up), "explain", "default/kuard")
    assert ended.exit_code == 0
    assert ended.stdout.endswith("\ndefault/kuard is served at 192.0.2.1 and waits for nothing.\n")


def test_explain_ends_with_1_and_says_why_in_one_sentence(typed: Any) -> None:
    ended = typed(Story(exhausted), "explain", "default/kuard")
    assert ended.exit_code == 1
    assert "PoolExhausted: no free IPv4 address in default" in ended.stdout.splitlines()[-1]


def test_explain_is_read_by_scripts(typed: Any) -> None:
    ended = typed(Story(member), "explain", "kuard", "-o", "json")
    tree = json.loads(ended.stdout)
    assert (tree["service"], tree["served"]) == ("default/kuard", [])
    assert tree["waitsFor"]["reason"] == "NoAgent"
    assert [entry["stage"] for entry in tree["stages"]] == [
        "service",
        "controller",
        "address",
        "decision",
        "members",
        "nodes",
        "fabric",
        "name",
        "status",
    ]
    assert tree["waitsFor"] in tree["stages"]


def test_explain_of_a_service_that_is_not_there(typed: Any) -> None:
    ended = typed(Story(led), "explain", "other", "-n", "shop", controlled=False)
    assert ended.exit_code == 1
    assert "there is no Service shop/other" in ended.stdout


@pytest.mark.parametrize("text", ["a/b/c", "/kuard", "default/"])
def test_explain_wants_namespace_and_name(text: str) -> None:
    assert CliRunner().invoke(cli.main, ["explain", text]).exit_code == 2


def test_where_the_server_does_not_answer_the_code_is_another_one(typed: Any) -> None:
    ended = typed(Story(broken), "explain", "kuard", controlled=False, configured=False)
    assert ended.exit_code == commands.NO_ANSWER
    assert "Error: GET /api/v1/namespaces/lbctl-system/configmaps/lbctl-settings: 503" in (
        ended.stderr
    )
    assert "kubectl cluster-info" in ended.stderr


def test_without_a_kubeconfig_it_says_what_to_give(typed: Any) -> None:
    ended = typed(Story(led), "get", "vs", controlled=False, kubeconfig=False)
    assert ended.exit_code == 1
    assert "no kubeconfig, and not in a pod: give --kubeconfig FILE" in ended.stderr


# --- settings -------------------------------------------------------------------------------------


def test_the_controllers_own_settings_count(typed: Any) -> None:
    ended = typed(Story(classified, OWN_CLASS), "explain", "default/kuard", controlled=False)
    assert "done     service     of type LoadBalancer, class example.org/lb" in ended.stdout
    assert ended.stderr == ""


def test_without_them_explain_would_have_to_guess(typed: Any) -> None:
    ended = typed(Story(led), "explain", "kuard", controlled=False, configured=False)
    assert ended.exit_code == commands.NO_ANSWER
    assert "ConfigMap lbctl-system/lbctl-settings is not there" in ended.stderr
    assert "--system-namespace" in ended.stderr


def test_without_them_get_says_what_it_assumes(typed: Any) -> None:
    ended = typed(Story(led), "get", "vs", controlled=False, configured=False)
    assert ended.exit_code == 0
    assert "Note: default settings are assumed" in ended.stderr


def test_a_settings_file_that_is_not_there_is_no_reason_to_assume(typed: Any) -> None:
    ended = typed(Story(led), "get", "vs", "--config", "absent.yaml", controlled=False)
    assert ended.exit_code == 1
    assert "settings absent.yaml: No such file" in ended.stderr


def test_a_settings_file_goes_first(typed: Any, tmp_path: Path) -> None:
    path = inspect_bed.settings_file(
        tmp_path, inspect_bed.settings(L4Settings={"defaultLBController": False})
    )
    ended = typed(Story(led), "explain", "kuard", "--config", str(path), controlled=False)
    assert "ClassNotOurs: spec.loadBalancerClass is not set" in ended.stdout


# --- get ------------------------------------------------------------------------------------------


def test_each_kind_on_the_command_line_is_there() -> None:
    assert set(commands.KINDS) == set(kinds.KINDS)


@pytest.mark.parametrize("output", commands.OUTPUTS)
@pytest.mark.parametrize("kind", commands.KINDS)
def test_every_kind_has_every_output(typed: Any, kind: str, output: str) -> None:
    ended = typed(Story(full), "get", kind, "-o", output, controlled=False)
    assert (ended.exit_code, ended.exception) == (0, None)
    assert ended.stdout.strip()
    if output in ("json", "yaml"):
        read = json.loads if output == "json" else yaml.safe_load
        assert read(ended.stdout)["items"]


async def full(bed: Bed) -> None:
    """Make one object of each kind, without a controller."""
    await inspect_bed.leads(bed)
    await bed.agent("node-1")
    await bed.scale(1)
    made = await bed.create()
    await inspect_bed.decide(bed, made["metadata"]["uid"])
    await inspect_bed.pool(bed)


def test_the_table_of_virtual_services(typed: Any) -> None:
    ended = typed(Story(exhausted), "get", "vs", "-n", "default")
    first, *rest = ended.stdout.splitlines()
    assert first.split() == ["NAME", "VIP", "STATE", "REASON", "MEMBERS", "HOST", "AGE"]
    assert [line.split()[:4] for line in rest] == [
        ["a", "192.0.2.1", "Down", "NoEndpoints"],
        ["b", "192.0.2.2", "Down", "NoEndpoints"],
        ["c", "192.0.2.3", "Down", "NoEndpoints"],
        ["kuard", "<pending>", "Pending", "PoolExhausted"],
    ]


def test_names_choose(typed: Any) -> None:
    ended = typed(Story(exhausted), "get", "vips", "192.0.2.2", "default/c", "-o", "name")
    assert ended.exit_code == 0
    assert ended.stdout.split() == [
        "ipallocations.lbctl.io/ip-192-0-2-2",
        "ipallocations.lbctl.io/ip-192-0-2-3",
    ]


def test_a_name_that_nothing_has_ends_it_with_1(typed: Any) -> None:
    ended = typed(Story(led), "get", "vs", "kuard", "missing", controlled=False)
    assert ended.exit_code == 1
    assert "kuard" in ended.stdout
    assert "Error: vs: there is no missing" in ended.stderr


def test_nothing_found_is_no_error(typed: Any) -> None:
    ended = typed(Story(led), "get", "nodes", controlled=False)
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "No resources found" in ended.stderr


def test_another_namespace_is_left_out(typed: Any) -> None:
    ended = typed(Story(withdrawn), "get", "members", "-n", "shop", "-o", "json")
    assert json.loads(ended.stdout) == {"items": []}


def test_one_namespace_or_all() -> None:
    argv = ["get", "vs", "-n", "shop", "-A"]
    assert CliRunner().invoke(cli.main, argv).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_shell_can_complete(shell: str) -> None:
    env = {"_LBCTL_COMPLETE": f"{shell}_complete", "COMP_WORDS": "lbctl get ", "COMP_CWORD": "2"}
    ended = CliRunner(env=env).invoke(cli.main, prog_name="lbctl")
    assert set(commands.KINDS) <= set(ended.output.replace(",", "\n").split("\n"))
