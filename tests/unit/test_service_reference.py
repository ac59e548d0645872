"""The reference of Service fields names every field and every annotation that there is."""

import re
from pathlib import Path

import pytest

import drift
import generate_annotations
from lbctl.model.reasons import Reason
from lbctl.translate import annotations

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"

SPEC = [
    "type",
    "loadBalancerClass",
    "selector",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "externalIPs",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "internalTrafficPolicy",
    "trafficDistribution",
    "sessionAffinity",
    "sessionAffinityConfig.clientIP.timeoutSeconds",
    "publishNotReadyAddresses",
    "allocateLoadBalancerNodePorts",
    "externalName",
]
PORT = ["name", "protocol", "port", "targetPort", "nodePort", "appProtocol"]
INGRESS = ["ip", "hostname", "ipMode", "ports[].port", "ports[].protocol", "ports[].error"]
"""ServiceSpec, ServicePort and LoadBalancerIngress of Kubernetes 1.34 to 1.36.

`tests/contract/test_service_fields_real.py` asks the API server.
"""


def first_cells() -> set[str]:
    rows = re.findall(r"^\| (.*?) \|", (REFERENCE / "service-fields.md").read_text(), re.M)
    return {name.partition(":")[0] for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_table_of_annotations_is_up_to_date() -> None:
    assert drift.stale(generate_annotations.generated()) == [], drift.COMMAND


FIELDS = [
    *SPEC,
    *(f"ports[].{name}" for name in PORT),
    *(f"loadBalancer.ingress[].{name}" for name in INGRESS),
    "conditions",
]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_has_a_row(field: str) -> None:
    assert field in first_cells()


@pytest.mark.parametrize("annotation", annotations.ALL, ids=lambda one: one.own)
def test_every_annotation_has_a_row(annotation: annotations.Annotation) -> None:
    assert annotation.own in first_cells()


@pytest.mark.parametrize("page", ["service-fields.md", "endpoints.md", "l4-policy.md"])
def test_reasons_that_the_pages_name_exist(page: str) -> None:
    words = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", (REFERENCE / page).read_text()))
    known = {reason.value for reason in Reason}
    assert words & known
    others = {
        "ClientIP",
        "DataplaneReady",
        "LoadBalancer",
        "RequireDualStack",
        "NotReady",
        "NoPodPort",
        "UnknownAnnotation",
    }
    assert words <= known | others | {"ToBeDeletedByClusterAutoscaler"}
