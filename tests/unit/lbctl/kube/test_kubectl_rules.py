"""Which kubeconfig counts: as with kubectl."""

import json
from pathlib import Path
from typing import Any

import pytest

from lbctl.kube import config, kubectl_rules
from lbctl.model.errors import Misconfigured


def written(path: Path, server: str, *, current: str = "here", **user: Any) -> Path:
    """Write a kubeconfig with the contexts `here` and one named after its file."""
    tree = {
        "current-context": current,
        "contexts": [
            {"name": name, "context": {"cluster": path.stem, "user": path.stem}}
            for name in ("here", path.stem)
        ],
        "clusters": [{"name": path.stem, "cluster": {"server": f"http://{server}"}}],
        "users": [{"name": path.stem, "user": {"token": "t", **user}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))
    return path


def server(home: Path, given: Path | None = None, context: str = "", **environment: str) -> str:
    return kubectl_rules.find(given, context, environment, home).server


def test_the_option_goes_first(tmp_path: Path) -> None:
    one, two = written(tmp_path / "one", "1"), written(tmp_path / "two", "2")
    assert server(tmp_path, one, KUBECONFIG=str(two)) == "http://1"


def test_then_the_environment(tmp_path: Path) -> None:
    written(tmp_path / ".kube/config", "home")
    path = written(tmp_path / "one", "1")
    assert server(tmp_path, KUBECONFIG=str(path)) == "http://1"


def test_then_the_file_in_the_home(tmp_path: Path) -> None:
    written(tmp_path / ".kube/config", "home")
    assert server(tmp_path) == "http://home"


def test_then_the_pod(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"ServiceAccount in .*ca\.crt"):
        server(tmp_path, KUBERNETES_SERVICE_HOST="10.0.0.1")


def test_nothing_at_all_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="give --kubeconfig FILE, set KUBECONFIG"):
        server(tmp_path)


def test_of_several_files_the_first_says_most_and_missing_ones_do_not_matter(
    tmp_path: Path,
) -> None:
    one, two = written(tmp_path / "one", "1"), written(tmp_path / "two", "2")
    listed = f"{tmp_path}/absent:{one}:{two}"
    assert server(tmp_path, KUBECONFIG=listed) == "http://1"
    assert server(tmp_path, context="two", KUBECONFIG=listed) == "http://2"


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "one", "1")
    with pytest.raises(Misconfigured, match=f"{path}.*no entry called 'nowhere'"):
        server(tmp_path, path, context="nowhere")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="absent: No such file or directory"):
        server(tmp_path, tmp_path / "absent")


def test_a_file_with_something_else_in_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("[]")
    with pytest.raises(Misconfigured, match="holds no kubeconfig"):
        server(tmp_path, path)


def test_files_that_a_kubeconfig_names_are_relative_to_it(tmp_path: Path) -> None:
    path = written(tmp_path / "one", "1", tokenFile="token", token="")
    found = kubectl_rules.find(path, "", {}, tmp_path)
    assert found == config.ClusterConfig("http://1", None, token_file=tmp_path / "token")
