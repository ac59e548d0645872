"""Write the cluster's certificates, keys and kubeconfigs into the lab's folder. Shell."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

from lbctl_lab import certs, plan, state

ADMIN = state.ROOT / "admin.kubeconfig"
PKI = state.ROOT / "pki"


def kubeconfig(user: dict[str, str], ca_file: Path) -> str:
    """Return a kubeconfig as JSON (which is YAML too) for one user's credential fields."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": plan.CLUSTER,
                    "cluster": {"server": plan.API_URL, "certificate-authority": str(ca_file)},
                }
            ],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": plan.CLUSTER, "user": "user"}}],
            "current-context": "lab",
        },
        indent=1,
    )


def identities(nodes: Sequence[plan.Node]) -> dict[str, certs.Identity]:
    """Return everyone who gets a certificate, by file name."""
    api = (plan.HOST_V4, plan.HOST_V6, plan.KUBERNETES_SERVICE_V4, "127.0.0.1", "localhost")
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    masters = ("system:masters",)
    known = {
        "apiserver": certs.Identity("kube-apiserver", names=(*api, *names)),
        "apiserver-kubelet": certs.Identity("kube-apiserver-kubelet-client", masters),
        "admin": certs.Identity("lab-admin", masters),
        "kcm": certs.Identity("system:kube-controller-manager"),
        "scheduler": certs.Identity("system:kube-scheduler"),
    }
    for node in nodes:
        addresses = (node.address_v4, node.address_v6, node.name)
        known[f"kubelet-{node.name}"] = certs.Identity(
            f"system:node:{node.name}", ("system:nodes",)
        )
        known[f"kubelet-server-{node.name}"] = certs.Identity(node.name, names=addresses)
        known[f"kube-proxy-{node.name}"] = certs.Identity("system:kube-proxy")
    return known


def make(nodes: Sequence[plan.Node]) -> None:
    """Write the authority, the token signing key, and a certificate for every identity."""
    now = datetime.datetime.now(datetime.UTC)
    authority = certs.new_authority(now)
    _write_pair("ca", authority.pair)
    signer = certs.new_key()
    _write_pair("tokens", certs.Pair(certs.public_pem(signer), certs.key_pem(signer)))
    for name, identity in identities(nodes).items():
        _write_pair(name, certs.issue(authority, identity, now))
        if not identity.names:
            user = {"client-certificate": str(crt(name)), "client-key": str(key(name))}
            state.write(kubeconfig_path(name), kubeconfig(user, crt("ca")))


def crt(name: str) -> Path:
    """Return the file of a certificate (of the public key, for `tokens`)."""
    return PKI / f"{name}.crt"


def key(name: str) -> Path:
    """Return the file of a private key."""
    return PKI / f"{name}.key"


def kubeconfig_path(name: str) -> Path:
    """Return the kubeconfig of a client identity."""
    return ADMIN if name == "admin" else PKI / f"{name}.kubeconfig"


def _write_pair(name: str, pair: certs.Pair) -> None:
    state.write(crt(name), pair.certificate)
    state.write(key(name), pair.key)
