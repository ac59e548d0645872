"""The cluster's brain on the host: etcd, API server, controller manager, scheduler.

The specs are pure; `kubectl` runs the admin's kubectl.
"""

from pathlib import Path

from lbctl_lab import commands, credentials, plan, processes, state, waiting

ETCD_CLIENT = "http://127.0.0.1:23790"
"""Loopback only, so that no pod reaches it, and off etcd's own port, which may be taken."""
ETCD_PEER = "http://127.0.0.1:23800"


def etcd(binaries: Path) -> processes.Spec:
    """Return etcd: it does not wait for the disk, but keeps its records over stop and start."""
    argv = (
        str(binaries / "etcd"),
        "--name=lab",
        f"--data-dir={state.ROOT / 'etcd'}",
        f"--listen-client-urls={ETCD_CLIENT}",
        f"--advertise-client-urls={ETCD_CLIENT}",
        f"--listen-peer-urls={ETCD_PEER}",
        f"--initial-advertise-peer-urls={ETCD_PEER}",
        f"--initial-cluster=lab={ETCD_PEER}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        "--quota-backend-bytes=2147483648",
    )
    return processes.Spec("etcd", argv)


def apiserver(binaries: Path) -> processes.Spec:
    """Return the API server: RBAC, node authorisation, ServiceAccount admission, two families."""
    crt, key = credentials.crt, credentials.key
    argv = (
        str(binaries / "kube-apiserver"),
        f"--etcd-servers={ETCD_CLIENT}",
        f"--bind-address={plan.HOST_V4}",
        f"--advertise-address={plan.HOST_V4}",
        f"--secure-port={plan.API_PORT}",
        f"--cert-dir={credentials.PKI}",
        f"--tls-cert-file={crt('apiserver')}",
        f"--tls-private-key-file={key('apiserver')}",
        f"--client-ca-file={crt('ca')}",
        f"--kubelet-certificate-authority={crt('ca')}",
        f"--kubelet-client-certificate={crt('apiserver-kubelet')}",
        f"--kubelet-client-key={key('apiserver-kubelet')}",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={crt('tokens')}",
        f"--service-account-signing-key-file={key('tokens')}",
        f"--service-cluster-ip-range={plan.SERVICES_V4},{plan.SERVICES_V6}",
        "--profiling=false",
    )
    return processes.Spec("apiserver", argv)


def kcm(binaries: Path) -> processes.Spec:
    """Return the controller manager, without the cloud's Service controller."""
    argv = (
        str(binaries / "kube-controller-manager"),
        f"--kubeconfig={credentials.kubeconfig_path('kcm')}",
        f"--root-ca-file={credentials.crt('ca')}",
        f"--service-account-private-key-file={credentials.key('tokens')}",
        f"--cluster-signing-cert-file={credentials.crt('ca')}",
        f"--cluster-signing-key-file={credentials.key('ca')}",
        # Without own accounts per controller, RBAC denies them nearly everything.
        "--use-service-account-credentials=true",
        "--controllers=*,-service-lb-controller",
        "--leader-elect=false",
        "--allocate-node-cidrs=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--secure-port=0",
    )
    return processes.Spec("kcm", argv)


def scheduler(binaries: Path) -> processes.Spec:
    """Return the scheduler."""
    argv = (
        str(binaries / "kube-scheduler"),
        f"--kubeconfig={credentials.kubeconfig_path('scheduler')}",
        "--leader-elect=false",
        "--secure-port=0",
    )
    return processes.Spec("scheduler", argv)


def kubectl_argv(*words: str) -> list[str]:
    """Return a kubectl command line with the admin's credentials."""
    return [str(tools() / "kubectl"), f"--kubeconfig={credentials.ADMIN}", *words]


def kubectl(*words: str, text: str | None = None, timeout_s: float = 60.0) -> str:
    """Run kubectl as the admin and return its output."""
    return commands.run(kubectl_argv(*words), text=text, timeout_s=timeout_s)


def tools() -> Path:
    """Return the folder of the lab that people put on PATH (links to the built programs)."""
    return state.ROOT / "bin"


def wait_ready(timeout_s: float = 60.0) -> None:
    """Wait until the API server says it is ready."""
    # curl and not kubectl: it is asked often, on a machine that is busy starting the rest.
    crt, key = credentials.crt, credentials.key
    ready = ["curl", "--silent", "--fail", "--max-time", "2", "--cacert", str(crt("ca"))]
    ready += ["--cert", str(crt("admin")), "--key", str(key("admin")), f"{plan.API_URL}/readyz"]
    waiting.until_runs("apiserver", ready, timeout_s=timeout_s)
