"""A kube-apiserver and its etcd for one test session, on free ports of the loopback."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from lbctl.kube import config
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl_lab import binaries, certs, progress

CRDS = Path(__file__).parents[1] / "charts" / "lbctl" / "files" / "crds"
NAMESPACE = "lbctl-system"
TOKEN = "contract"
READY_S = 90.0
"""Far above the few seconds that it takes."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _program(folder: Path, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; its output goes to a file in `folder`."""
    log = folder / f"{Path(argv[0]).name}.log"
    with log.open("wb") as out:
        child = subprocess.Popen(argv, stdout=out, stderr=out, cwd=folder)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _etcd_argv(programs: Path, folder: Path, client: str, peer: str) -> list[str]:
    return [
        str(programs / "etcd"),
        "--name=contract",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=contract={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver_argv(programs: Path, folder: Path, etcd: str, port: int) -> list[str]:
    signer = certs.new_key()
    (folder / "tokens.key").write_text(certs.key_pem(signer))
    (folder / "tokens.pub").write_text(certs.public_pem(signer))
    (folder / "users.csv").write_text(f"{TOKEN},contract,contract,system:masters\n")
    return [
        str(programs / "kube-apiserver"),
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        f"--token-auth-file={folder / 'users.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'tokens.pub'}",
        f"--service-account-signing-key-file={folder / 'tokens.key'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        # No ServiceAccount controller runs here, and nothing of this suite is a pod.
        "--disable-admission-plugins=ServiceAccount",
    ]


def _call(cluster: config.ClusterConfig, path: str, body: Json | None = None) -> None:
    async def asked() -> None:
        async with Client(cluster) as api:
            await api.raw("GET" if body is None else "POST", path, body)

    asyncio.run(asked())


def _until(cluster: config.ClusterConfig, path: str, child: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers a path."""
    end = time.monotonic() + READY_S
    while True:
        try:
            _call(cluster, path)
        except errors.LbctlError:
            if child.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _define_ours(cluster: config.ClusterConfig, child: subprocess.Popen[bytes]) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for file in sorted(CRDS.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        _call(cluster, path, definition)
        _until(cluster, f"/apis/lbctl.io/v1alpha1/{definition['spec']['names']['plural']}", child)


@contextlib.contextmanager
def kube_apiserver(folder: Path) -> Iterator[Path]:
    """Serve lbctl's resource types until the block ends; return the administrator's kubeconfig."""
    with bare_apiserver(folder) as (kubeconfig, child):
        cluster = config.load(kubeconfig)
        _define_ours(cluster, child)
        _call(cluster, "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        yield kubeconfig


@contextlib.contextmanager
def bare_apiserver(folder: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Run a fresh API server until the block ends; return the administrator's kubeconfig and it.

    The programs are the lab's.
    """
    programs = binaries.built(binaries.KUBERNETES, progress.Progress())
    client, peer = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
    port = _free_port()
    with (
        _program(folder, *_etcd_argv(programs, folder, client, peer)),
        _program(folder, *_apiserver_argv(programs, folder, client, port)) as child,
    ):
        kubeconfig = _kubeconfig(folder, port)
        cluster = config.load(kubeconfig)
        for namespace in ("default", "kube-system"):
            _until(cluster, f"/api/v1/namespaces/{namespace}", child)
        yield kubeconfig, child


def _kubeconfig(folder: Path, port: int) -> Path:
    user = {"token": TOKEN}
    tree = {
        "current-context": "real",
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "real"}}],
        "clusters": [
            {
                "name": "real",
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "insecure-skip-tls-verify": True,
                },
            }
        ],
        "users": [{"name": "real", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(tree))
    return path
