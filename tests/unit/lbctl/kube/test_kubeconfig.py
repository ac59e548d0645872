"""Kubeconfig files: what they say, and errors that name the file and the part."""

import base64
import datetime
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from lbctl.kube import config
from lbctl.model.errors import Misconfigured
from lbctl_lab import certs


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> Path:
    """Write a kubeconfig with one context; `cluster` overrides fields of its cluster."""
    tree = {
        "current-context": "here",
        "contexts": [
            {"name": "there", "context": {"cluster": "x", "user": "y"}},
            {"name": "here", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:8001/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(tree))
    return path


@pytest.fixture(scope="module")
def pair() -> certs.Pair:
    authority = certs.new_authority(datetime.datetime.now(tz=datetime.UTC))
    identity = certs.Identity("someone")
    issued = certs.issue(authority, identity, datetime.datetime.now(tz=datetime.UTC))
    return certs.Pair(issued.certificate + authority.pair.certificate, issued.key)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_plain_server_has_no_tls_and_no_trailing_slash(tmp_path: Path) -> None:
    found = config.load(kubeconfig(tmp_path, {"token": "t"}))
    assert found == config.ClusterConfig("http://127.0.0.1:8001", None, token="t")


def test_a_token_file_is_named_to_be_read_again(tmp_path: Path) -> None:
    found = config.load(kubeconfig(tmp_path, {"tokenFile": "/run/token"}))
    assert (found.token, found.token_file) == ("", Path("/run/token"))


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    shown = repr(config.load(kubeconfig(tmp_path, {"token": "sesame"})))
    assert "sesame" not in shown


def test_the_servers_certificate_is_checked(tmp_path: Path, pair: certs.Pair) -> None:
    path = kubeconfig(
        tmp_path,
        {},
        server="https://127.0.0.1:6443",
        **{"certificate-authority-data": encoded(pair.certificate)},
    )
    tls = config.load(path).tls
    assert tls is not None
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert tls.check_hostname
    assert tls.get_ca_certs()


def test_a_check_that_is_switched_off_is_off(tmp_path: Path) -> None:
    path = kubeconfig(
        tmp_path, {}, server="https://127.0.0.1:6443", **{"insecure-skip-tls-verify": True}
    )
    tls = config.load(path).tls
    assert tls is not None
    assert tls.verify_mode is ssl.CERT_NONE


def test_a_client_certificate_may_be_inline(tmp_path: Path, pair: certs.Pair) -> None:
    user = {
        "client-certificate-data": encoded(pair.certificate),
        "client-key-data": encoded(pair.key),
    }
    assert config.load(kubeconfig(tmp_path, user, server="https://127.0.0.1")).tls is not None


def test_a_client_certificate_may_be_in_files(tmp_path: Path, pair: certs.Pair) -> None:
    (tmp_path / "crt").write_text(pair.certificate)
    (tmp_path / "key").write_text(pair.key)
    (tmp_path / "ca").write_text(pair.certificate)
    user = {
        "client-certificate": str(tmp_path / "crt"),
        "client-key": str(tmp_path / "key"),
    }
    path = kubeconfig(
        tmp_path,
        user,
        server="https://127.0.0.1",
        **{"certificate-authority": str(tmp_path / "ca")},
    )
    assert config.load(path).tls is not None


def test_a_key_that_does_not_fit_is_refused(tmp_path: Path, pair: certs.Pair) -> None:
    user = {
        "client-certificate-data": encoded(pair.certificate),
        "client-key-data": encoded(certs.key_pem(certs.new_key())),
    }
    with pytest.raises(Misconfigured, match="kubeconfig"):
        config.load(kubeconfig(tmp_path, user, server="https://127.0.0.1"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{}", "contexts"),
        ("- a", "list indices"),
        ("a: [", "ParserError"),
        ('{"current-context": "x", "contexts": []}', "no entry called 'x'"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(Misconfigured) as raised:
        config.load(path)
    assert str(path) in str(raised.value)
    assert part in str(raised.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="absent"):
        config.load(tmp_path / "absent")


ANSWER = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "kind": "ExecCredential",
    "status": {"token": "from-plug-in"},
}
PLUG_IN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "echo",
    "args": [json.dumps(ANSWER)],
    "interactiveMode": "Never",
}


@pytest.mark.parametrize("certified", [False, True])
def test_a_plug_in_is_asked_for_its_token(
    tmp_path: Path, pair: certs.Pair, certified: bool
) -> None:
    user: dict[str, Any] = {"exec": PLUG_IN}
    if certified:
        user["client-certificate-data"] = encoded(pair.certificate)
        user["client-key-data"] = encoded(pair.key)
    found = config.load(kubeconfig(tmp_path, user, server="https://127.0.0.1:6443/"))
    assert (found.server, found.token) == ("https://127.0.0.1:6443", "from-plug-in")


def test_a_login_that_lacks_its_parts_is_named(tmp_path: Path) -> None:
    user = {"auth-provider": {"name": "oidc", "config": {}}}
    with pytest.raises(Misconfigured, match="id-token"):
        config.load(kubeconfig(tmp_path, user, server="https://127.0.0.1:6443"))


@pytest.mark.parametrize(
    ("host", "server"),
    [("10.96.0.1", "https://10.96.0.1:443"), ("fd00:10:96::1", "https://[fd00:10:96::1]:443")],
)
def test_a_pod_knows_its_server_and_reads_its_own_token(
    tmp_path: Path, pair: certs.Pair, host: str, server: str
) -> None:
    (tmp_path / "ca.crt").write_text(pair.certificate)
    found = config.from_pod({"KUBERNETES_SERVICE_HOST": host}, tmp_path)
    assert (found.server, found.token_file) == (server, tmp_path / "token")


def test_a_pod_without_a_service_account_is_told_what_is_missing(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    with pytest.raises(Misconfigured, match=r"ca\.crt"):
        config.from_pod(environment, tmp_path)


def test_without_a_kubeconfig_and_outside_a_pod_the_cure_is_named() -> None:
    with pytest.raises(Misconfigured, match="--kubeconfig is not given"):
        config.load(None)
