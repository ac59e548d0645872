"""Where the API server is and how to prove who we are: kubeconfig files and the pod's own mount.

Server, CA, client certificate, token and token file are read here, without the `kubernetes`
package (34 MiB and half a second: ADR 1). A kubeconfig that needs more (an exec plug-in, a login)
is handed to that package.
"""

import base64
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lbctl.model.errors import Misconfigured

POD_MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """One API server with one identity."""

    server: str
    """URL without a trailing slash."""
    tls: ssl.SSLContext | None = field(repr=False)
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    """Read again for each request batch, as the kubelet rotates it."""


def load(kubeconfig: Path | None) -> ClusterConfig:
    """Return the configuration of a kubeconfig file, or of the pod we run in when None.

    Raises Misconfigured naming the file and the part that is missing.
    """
    return _from_kubeconfig(kubeconfig) if kubeconfig else from_pod(os.environ, POD_MOUNT)


def from_pod(environment: Mapping[str, str], mount: Path) -> ClusterConfig:
    """Return the configuration of a pod: where the server is, and its ServiceAccount's mount.

    Raises Misconfigured.
    """
    host = environment.get("KUBERNETES_SERVICE_HOST")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise Misconfigured(
            "no API server: --kubeconfig is not given and this is not a pod "
            "(KUBERNETES_SERVICE_HOST is not set)"
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    try:
        tls = ssl.create_default_context(cafile=str(mount / "ca.crt"))
    except OSError as error:
        raise Misconfigured(f"ServiceAccount in {mount}: ca.crt: {error}") from error
    return ClusterConfig(server, tls, token_file=mount / "token")


def _from_kubeconfig(path: Path) -> ClusterConfig:
    try:
        tree = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise Misconfigured(f"kubeconfig {path}: {type(error).__name__}: {error}") from error
    return from_tree(tree, str(path))


def from_tree(tree: Any, place: str, context: str = "") -> ClusterConfig:
    """Return the configuration of a kubeconfig that was read from `place`.

    `place` is one path or several with the path separator between; `context` stands for the
    current one. Raises Misconfigured naming the place and the part that is missing.
    """
    try:
        chosen = _named(tree["contexts"], context or tree["current-context"])["context"]
        cluster = _named(tree["clusters"], chosen["cluster"])["cluster"]
        user = _named(tree["users"], chosen["user"])["user"]
        if "exec" in user or "auth-provider" in user:
            return _by_kubernetes_package(place, context)
        return _plain(cluster, user)
    # ValueError: base64 that is none; OSError: certificates that ssl does not take.
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise Misconfigured(f"kubeconfig {place}: {type(error).__name__}: {error}") from error


def _plain(cluster: dict[str, Any], user: dict[str, Any]) -> ClusterConfig:
    return ClusterConfig(
        str(cluster["server"]).rstrip("/"),
        _tls(cluster, user),
        token=user.get("token", ""),
        token_file=Path(user["tokenFile"]) if "tokenFile" in user else None,
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(f"no entry called {name!r}")


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext | None:
    if not str(cluster["server"]).startswith("https"):
        return None
    ca = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=base64.b64decode(ca).decode() if ca else None,
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_client_certificate(context, user)
    return context


def _load_client_certificate(context: ssl.SSLContext, user: dict[str, Any]) -> None:
    import tempfile

    if "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    elif "client-certificate-data" in user:
        # The ssl module reads certificates from files only; the file is gone right after.
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
            pem.write(base64.b64decode(user["client-key-data"]))
            pem.flush()
            context.load_cert_chain(pem.name)


def _by_kubernetes_package(place: str, context: str) -> ClusterConfig:
    from kubernetes import client
    from kubernetes import config as kubernetes_config

    configuration = client.Configuration()
    load = kubernetes_config.load_kube_config  # untyped in that package
    try:
        load(  # type: ignore[no-untyped-call]
            place, context=context or None, client_configuration=configuration
        )
    except kubernetes_config.ConfigException as error:
        raise Misconfigured(f"kubeconfig {place}: {error}") from error
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    bearer = str(configuration.get_api_key_with_prefix("BearerToken", "authorization") or "")
    return ClusterConfig(
        str(configuration.host).rstrip("/"), tls, token=bearer.removeprefix("Bearer ")
    )
