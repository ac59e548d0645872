"""URL paths as the API server's discovery document names them."""

import pytest

from lbctl.kube import resources
from lbctl.kube.resources import Resource


@pytest.mark.parametrize(
    ("resource", "place", "path"),
    [
        (resources.SERVICES, (), "/api/v1/services"),
        (resources.SERVICES, ("default",), "/api/v1/namespaces/default/services"),
        (
            resources.SERVICES,
            ("default", "kuard", "status"),
            "/api/v1/namespaces/default/services/kuard/status",
        ),
        (resources.NODES, (None, "n1"), "/api/v1/nodes/n1"),
        (
            resources.LEASES,
            ("ns", "l"),
            "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l",
        ),
        (
            resources.L4_VIRTUAL_SERVICES,
            ("ignored", "default.kuard"),
            "/apis/lbctl.io/v1alpha1/l4virtualservices/default.kuard",
        ),
    ],
)
def test_collections_objects_and_subresources_have_their_path(
    resource: Resource, place: tuple[str, ...], path: str
) -> None:
    assert resource.path(*place) == path


@pytest.mark.parametrize(
    ("resource", "version"),
    [(resources.SERVICES, "v1"), (resources.FABRICS, "lbctl.io/v1alpha1")],
)
def test_the_core_group_has_no_name(resource: Resource, version: str) -> None:
    assert resource.api_version == version
