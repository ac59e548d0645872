"""The chart's values, their schema, their reference page and the table for AKO's users agree."""

import re

import chart_renders as chart
import drift
import generate_values

AKO_KEYS = """
AKOSettings.clusterName AKOSettings.logLevel AKOSettings.enableEvents AKOSettings.deleteConfig
AKOSettings.fullSyncFrequency AKOSettings.apiServerPort AKOSettings.disableStaticRouteSync
AKOSettings.cniPlugin AKOSettings.layer7Only AKOSettings.namespaceSelector.labelKey
AKOSettings.namespaceSelector.labelValue AKOSettings.blockedNamespaceList
AKOSettings.primaryInstance AKOSettings.servicesAPI AKOSettings.ipFamily AKOSettings.vpcMode
AKOSettings.istioEnabled NetworkSettings.vipNetworkList NetworkSettings.nodeNetworkList
NetworkSettings.enableRHI NetworkSettings.bgpPeerLabels NetworkSettings.defaultDomain
L4Settings.defaultDomain L4Settings.autoFQDN L4Settings.defaultLBController L7Settings.serviceType
L7Settings.shardVSSize nodePortSelector.key nodePortSelector.value
ControllerSettings.serviceEngineGroupName ControllerSettings.cloudName
ControllerSettings.tenantName ControllerSettings.controllerHost
ControllerSettings.controllerVersion ControllerSettings.dedicatedTenantMode
featureGates.GatewayAPI featureGates.EnablePrometheus replicaCount resources
avicredentials.username avicredentials.password avicredentials.authtoken
avicredentials.certificateAuthorityData image.repository image.pullPolicy image.pullSecrets
rbac.pspEnable securityContext persistentVolumeClaim logFile
"""
"""AKO's values that have to do with layer 4 or with how it is installed (its chart `helm/ako`)."""

DOCS = chart.ROOT / "docs"
SCHEMA = generate_values.values_schema()


def documented() -> set[str]:
    page = (DOCS / "reference" / "values.md").read_text()
    return set(re.findall(r"(?m)^\| `([^`]+)` \|", page))


def ako_rows() -> dict[str, tuple[str, str]]:
    """Return what the table says of each key of AKO: ours, and the remark."""
    page = (DOCS / "how-to" / "coming-from-ako.md").read_text().partition("## Beside")[0]
    found = re.findall(r"(?m)^\| `([^`]+)` \| ([^|]+) \| ([^|]*) ?\|$", page)
    return {key: (ours.strip(), remark.strip()) for key, ours, remark in found}


def test_generated_files_are_up_to_date() -> None:
    assert drift.stale(generate_values.generated()) == [], drift.COMMAND


def test_every_value_has_a_meaning_and_a_row() -> None:
    for path, node in generate_values.leaves(SCHEMA):
        assert node.get("description"), path
        assert ".".join(path) in documented()


def test_every_object_is_closed() -> None:
    open_ones = {
        ".".join(path)
        for path, node in generate_values.leaves(SCHEMA)
        if node.get("type") == "object" and node["additionalProperties"] is True
    }
    assert open_ones == {"controller.affinity", "dns.affinity", "agent.affinity", "global"}
    assert SCHEMA["additionalProperties"] is False


def test_every_key_of_ako_has_its_answer() -> None:
    rows = ako_rows()
    assert set(AKO_KEYS.split()) - rows.keys() == set()
    silent = [key for key, (ours, remark) in rows.items() if ours == "–" and not remark]
    assert silent == []


def test_what_the_table_for_ako_promises_exists() -> None:
    named = {key for ours, _ in ako_rows().values() for key in re.findall(r"`([^`]+)`", ours)}
    assert named - documented() == set()
