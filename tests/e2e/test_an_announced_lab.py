"""Backend announce-only: the fabric brings packets to nodes with members, kube-proxy has them."""

from collections.abc import Iterator

import pytest

from lab_commands import eventually, lab
from lbctl_lab import plan
from service_lab import Kuard, answering, client, dig, url

pytestmark = [pytest.mark.lab, pytest.mark.lab_alone]
WITHIN_S = 30.0
"""For safety: nobody tells when kube-proxy is done."""


@pytest.fixture(scope="module")
def kuard() -> Iterator[Kuard]:
    """A dual-stack kuard with one pod, in a lab of its own."""
    lab("down")
    lab("up", "--backend", "announce-only", timeout_s=600)
    made = Kuard("announced")
    made.create(1)
    yield made
    lab("down")


def all_answer(kuard: Kuard) -> None:
    """Wait until exactly the pods that there are answer, at each address."""
    pods = kuard.pods()
    for vip in kuard.addresses():
        target = url(vip)
        what = f"{len(pods)} pods answer at {vip}"
        eventually(lambda to=target: answering(to, 60) == pods, WITHIN_S, what)


def test_traffic_state_and_name_follow_the_replicas(kuard: Kuard) -> None:
    before = kuard.addresses()
    all_answer(kuard)
    kuard.scale(5)
    all_answer(kuard)
    kuard.scale(0)
    eventually(lambda: "NXDOMAIN" in dig(kuard.host), 10, "the name is gone")
    kuard.scale(2)
    eventually(lambda: before[0] in dig("+short", kuard.host), 10, "the name is back")
    assert kuard.addresses() == before
    all_answer(kuard)


@pytest.mark.parametrize(
    ("family", "own"), [(0, plan.CLIENT_V4), (1, plan.CLIENT_V6)], ids=["IPv4", "IPv6"]
)
def test_with_policy_local_a_pod_sees_the_clients_own_address(
    kuard: Kuard, family: int, own: str
) -> None:
    kuard.patch({"externalTrafficPolicy": "Local"})
    target = url(kuard.addresses()[family])

    def seen() -> bool:
        said = client("sh", "-c", f"curl -sS -m 5 {target} || true")
        return f"client={own}" in said

    eventually(seen, WITHIN_S, "kube-proxy has the policy")
