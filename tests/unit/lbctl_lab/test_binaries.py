import pytest

from lbctl_lab import binaries, errors, toolchain

SOURCES = {"go.mod": b"module x\n", "go.sum": b"a\n"}
FLAGS = ("-trimpath",)
GO = "go version go1.26.8 linux/amd64"


def test_the_cache_key_does_not_depend_on_order():
    turned = dict(reversed(SOURCES.items()))
    assert binaries.cache_key(SOURCES, FLAGS, GO) == binaries.cache_key(turned, FLAGS, GO)


@pytest.mark.parametrize(
    ("sources", "flags", "go"),
    [
        ({**SOURCES, "go.sum": b"b\n"}, FLAGS, GO),
        ({**SOURCES, "cmd/main.go": b""}, FLAGS, GO),
        ({"go.mod": b"module x\na\n", "go.sum": b""}, FLAGS, GO),
        (SOURCES, ("-trimpath", "-s"), GO),
        (SOURCES, FLAGS, "go version go1.26.9 linux/amd64"),
    ],
)
def test_the_cache_key_changes_with_all_that_decides_the_result(sources, flags, go):
    assert binaries.cache_key(sources, flags, go) != binaries.cache_key(SOURCES, FLAGS, GO)


def test_kubernetes_is_stamped_with_the_version_its_go_mod_requires():
    text = "require (\n\tk8s.io/kubernetes v1.36.3\n\tk8s.io/api v0.36.3 // indirect\n)\n"
    flags = binaries.linker_flags(binaries.KUBERNETES, text)
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in flags


def test_an_origin_without_stamps_gets_none():
    assert binaries.linker_flags(binaries.COREDNS, "require k8s.io/kubernetes v1\n") == "-s -w"


@pytest.mark.parametrize("origin", binaries.ORIGINS.values(), ids=lambda origin: origin.name)
def test_every_origin_has_a_module_that_says_which_go_it_wants(origin):
    assert toolchain.wanted_version(origin.folder) >= (1, 20)


def test_an_old_go_is_older_than_a_new_one_by_number_not_by_text():
    old, new = (toolchain.parse_version(f"go version go1.{n}") for n in ("9.1", "26"))
    assert old < new


def test_a_text_without_a_version_is_refused():
    with pytest.raises(errors.LabError, match="no version"):
        toolchain.parse_version("not go")
