"""Real counterparts of the fakes, started once per session."""

from collections.abc import Iterator

import pytest

import real_api as real_api_server
from lbctl.kube.config import ClusterConfig


@pytest.fixture(scope="session")
def real_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterConfig]:
    """A kube-apiserver with lbctl's resource types; nothing else runs on that cluster."""
    with real_api_server.kube_apiserver(tmp_path_factory.mktemp("kube-apiserver")) as cluster:
        yield cluster
