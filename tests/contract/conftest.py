"""Real counterparts of the fakes, started once per session."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import api_builders
import dataplane_bed
import real_api as real_api_server
import spaces
from dataplane_worlds import NftWorld, OvsWorld, bed_with_pods
from lbctl.kube import config
from routed_bed import RoutedBed

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _swept() -> None:
    """Take away what a run that was killed left."""
    if os.geteuid() == 0:
        spaces.sweep()


@pytest.fixture(scope="session")
def real_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a kube-apiserver with lbctl's types; nothing else runs on that cluster."""
    with real_api_server.kube_apiserver(tmp_path_factory.mktemp("kube-apiserver")) as kubeconfig:
        yield kubeconfig


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
def ask(request: pytest.FixtureRequest) -> api_builders.Ask:
    """Run the body of a test with a client of one of the two API servers."""
    kubeconfig = request.getfixturevalue("real_api") if request.param == "real" else None
    cluster = config.load(kubeconfig) if kubeconfig else None
    return lambda body: api_builders.ask(body, cluster)


@pytest.fixture
def name() -> str:
    """A name that no other test of this session uses."""
    return f"thing-{next(NUMBERS)}"


@pytest.fixture(scope="module")
def routed_bed() -> Iterator[dataplane_bed.Bed]:
    """A node whose pods are plain routes."""
    with bed_with_pods("routed", RoutedBed) as made:
        yield made


@pytest.fixture
def nft_world(routed_bed: dataplane_bed.Bed) -> Iterator[NftWorld]:
    """The nftables of the module's routed bed; empty again afterwards."""
    made = NftWorld(routed_bed)
    yield made
    made.program()


@pytest.fixture
def world(bed: dataplane_bed.Bed) -> Iterator[OvsWorld]:
    """The switch of the module's bed; empty again afterwards."""
    made = OvsWorld(bed)
    yield made
    made.program()
