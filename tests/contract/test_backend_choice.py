"""Detection of a node's backend beside a real Open vSwitch."""

from collections.abc import Iterator

import pytest

import dataplane_bed
from dataplane_worlds import bed_with_pods
from lbctl_dataplane.backends import choice

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("choice") as made:
        yield made


def test_the_bridge_of_the_pods_decides(bed: dataplane_bed.Bed) -> None:
    found = choice.choose("auto", "br-int", bed.folder)
    assert found == choice.Choice("ovs", "auto: Open vSwitch here has bridge br-int")
    found = choice.choose("auto", "br-other", bed.folder)
    assert found == choice.Choice("nft", "auto: Open vSwitch here has no bridge br-other")
