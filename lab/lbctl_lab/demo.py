"""`make demo`: lbctl's main job on a fresh cluster, from expose to delete. Shell.

`KEEP=1` leaves the lab up. Everything printed is the output of the command above it.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from lbctl_lab import errors, plan, state, walk

IMAGE = "gcr.io/kuar-demo/kuard-amd64:1"
NAME = f"kuard.default.{plan.SUBDOMAIN}"
CLIENT = "lbctl lab exec client --"
KUARD = r"default\.kuard\s+"
RECORD = "L4LBService/default/kuard"
LOGS: dict[state.Kind, str] = {
    "pods": "kubectl -n lbctl-system logs -l app.kubernetes.io/component=controller --tail=-1",
    "processes": "lbctl lab logs controller",
}
POOL = r"198\.18\.\d+\.\d+"
SOA = r"^lb\.lab\.test\.\s+30\s+IN\s+SOA\s.* 10800 3600 86400 30$"
NEXT = f"""
The lab is still up. To try next:
  eval "$(lbctl lab env)"
  kubectl get lbvs,ipallocations,servingnodes
  kubectl create deployment web --image={IMAGE} --replicas=3
  kubectl expose deployment web --port=80 --target-port=8080 --type=LoadBalancer
  lbctl lab exec client -- curl -s http://web.default.{plan.SUBDOMAIN}/
  lbctl lab exec node-1 -- ovs-ofctl -O OpenFlow15 dump-flows br-int
  lbctl lab down
"""


def main() -> int:
    """Bring the lab up, walk, take it down; returns the exit code."""
    lbctl = str(Path(sys.executable).with_name("lbctl"))
    keep = os.environ.get("KEEP") == "1"
    subprocess.run([lbctl, "lab", "down"], check=True)
    try:
        subprocess.run([lbctl, "lab", "up"], check=True)
        take(walk.Walk(walk.shell_env()))
        print("\nEvery promise held.")
    except (errors.LabError, subprocess.CalledProcessError) as failed:
        print(f"\ndemo: {failed}", file=sys.stderr)
        return 1
    finally:
        if keep:
            print(NEXT)
        else:
            subprocess.run([lbctl, "lab", "down"], check=True)
    return 0


def take(steps: walk.Walk) -> None:
    """Walk the whole life of one Service."""
    if state.require_up().kind == "pods":
        installed(steps)
    expose(steps)
    scale(steps)
    delete(steps)


def installed(steps: walk.Walk) -> None:
    """Show what helm has installed, and test it."""
    steps.say("Installed by helm, as everywhere")
    steps.type("helm list -n lbctl-system", r"^lbctl\s+lbctl-system\s+1\s.*deployed")
    running = (rf"lbctl-{part}-\S+\s+1/1\s+Running" for part in ("agent", "controller", "dns"))
    steps.type("kubectl -n lbctl-system get pods", *running, within_s=30)
    served = rf"lbctl-dns\s+LoadBalancer\s+\S+\s+{plan.DNS_V4},{plan.DNS_V6}\s"
    steps.type("kubectl -n lbctl-system get service lbctl-dns", served)
    steps.type("helm test lbctl -n lbctl-system", r"Phase:\s+Succeeded")


def expose(steps: walk.Walk) -> None:
    """Address, name and traffic from one `kubectl expose`."""
    steps.say("A Deployment, exposed: address, name and traffic")
    steps.type(f"kubectl create deployment kuard --image={IMAGE}", "created")
    steps.type("kubectl rollout status deployment kuard", "successfully rolled out", within_s=60)
    steps.type("kubectl expose deployment kuard --port=8080 --type=LoadBalancer", "exposed")
    began = time.monotonic()
    steps.type("kubectl get service kuard", rf"LoadBalancer\s+\S+\s+{POOL}\s", within_s=10)
    print(f"(EXTERNAL-IP was there at most {time.monotonic() - began:.1f} s after expose)")
    steps.type("kubectl get lbvs", rf"{KUARD}{POOL}\s+{NAME}\s+Up\s+1/1", within_s=10)
    steps.type(f"{CLIENT} dig +noall +answer {NAME}", rf"^{NAME}\.\s+5\s+IN\s+A\s+{POOL}")
    steps.type(f"{CLIENT} curl -s http://{NAME}:8080/", f"pod=kuard-.* client={plan.CLIENT_V4}")
    steps.say("The same Service over both families")
    patch = '{"spec":{"ipFamilyPolicy":"PreferDualStack"}}'
    steps.type(f"kubectl patch service kuard -p '{patch}'", "patched")
    dig = f"{CLIENT} dig +noall +answer {NAME} A {NAME} AAAA"
    steps.type(dig, r"\sA\s", r"\s5\s+IN\s+AAAA\s+2001:2::", within_s=10)
    seen = f"client={re.escape(plan.CLIENT_V6)}"
    steps.type(f"{CLIENT} curl -6 -s http://{NAME}:8080/", seen, within_s=10)
    steps.say("What the controller logged, in AKO's layout")
    steps.type(f"{LOGS[state.require_up().kind]} | grep -m3 {RECORD}", "PoolRefs", "--8080")


def scale(steps: walk.Walk) -> None:
    """Members follow replicas; the name goes at zero and comes back."""
    steps.say("Five replicas: five members, traffic reaches all of them")
    steps.type("kubectl scale deployment kuard --replicas=5", "scaled")
    steps.type("kubectl get lbvs", rf"{KUARD}.*Up\s+5/5", within_s=60)
    many = f"for i in $(seq 60); do curl -s http://{NAME}:8080/; done"
    count = f"{CLIENT} sh -c '{many}' | sort | uniq -c"
    shares = steps.type(count, r"pod=kuard-", within_s=20)
    pods = set(re.findall(r"pod=(\S+)", shares))
    if len(pods) != 5:
        raise errors.LabError("traffic", f"reached {len(pods)} of 5 pods")
    steps.say("None: the state says why, the address stays, the name does not exist")
    steps.type("kubectl scale deployment kuard --replicas=0", "scaled")
    steps.type("kubectl get lbvs", rf"{KUARD}.*Down\s+NoEndpoints\s+0/0", within_s=60)
    steps.type("kubectl get service kuard", POOL)
    steps.type(f"{CLIENT} dig {NAME}", "status: NXDOMAIN", r"flags: qr aa rd;", SOA, within_s=5)
    steps.say("Two: it works again")
    steps.type("kubectl scale deployment kuard --replicas=2", "scaled")
    steps.type("kubectl get lbvs", rf"{KUARD}.*Up\s+2/2", within_s=60)
    steps.type(f"{CLIENT} dig +short {NAME}", f"^{POOL}$", within_s=5)
    steps.type(f"{CLIENT} curl -s http://{NAME}:8080/", "pod=kuard-", within_s=5)


def delete(steps: walk.Walk) -> None:
    """Nothing stays, and the address can be given again."""
    steps.say("Deleted: nothing is left anywhere")
    ingress = "-o jsonpath='{.status.loadBalancer.ingress[0].ip}'"
    address = steps.type(f"kubectl get service kuard {ingress}", POOL).strip()
    steps.type("kubectl delete service kuard", "deleted")
    steps.type("kubectl get lbvs,ipallocations | grep -c kuard", "^0$", within_s=5)
    for node in plan.nodes(2):
        flows = f"lbctl lab exec {node.name} -- ovs-ofctl -O OpenFlow15 dump-flows br-int"
        steps.type(f"{flows} | grep -c {address}", "^0$", within_s=5)
    rules = "nft list ruleset; ip rule; ip route show table all; ip -6 route show table all"
    steps.type(f"lbctl lab exec router -- sh -c '{rules}' | grep -c {address}", "^0$", within_s=5)
    steps.type(f"{CLIENT} dig {NAME}", "status: NXDOMAIN")
    steps.say("Exposed again: the address is free to be given again")
    steps.type("kubectl expose deployment kuard --port=8080 --type=LoadBalancer", "exposed")
    steps.type("kubectl get service kuard", rf"\s{re.escape(address)}\s", within_s=10)
    steps.type("kubectl delete service,deployment kuard", "deleted")


if __name__ == "__main__":
    raise SystemExit(main())
