import hashlib
import io
import json
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import drift
import generate_containerfiles
from lbctl_lab import (
    archives,
    debian_packages,
    errors,
    layers,
    product_images,
    sbom,
    state,
    wheels,
)

ROOT = Path(state.checkout())
TREE = {
    "usr/bin/run": layers.File(b"program", executable=True),
    "usr/share/text": layers.File(b"text"),
    "bin": layers.Link("usr/bin"),
    "var/lib/lbctl": layers.Folder(owner=65532),
    "tmp": layers.Folder(mode=0o1777),
}
PARTS = (
    sbom.Part("deb", "libc6", "2.36-9+deb12u14", "ab" * 32),
    sbom.Part("pypi", "click", "8.5.1", "cd" * 32, "BSD-3-Clause"),
    sbom.Part("pypi", "lbctl", "0.1.0", "", "Apache-2.0"),
)
SUBJECT = sbom.Subject("lbctl-dns", "0.1.0", "sha256:" + "ef" * 32, 0)


def members(blob: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(blob)) as opened:
        return {each.name: each for each in opened}


def test_a_layer_built_twice_has_the_same_bytes_whatever_the_order_of_its_entries():
    turned = dict(reversed(TREE.items()))
    assert layers.layer(turned) == layers.layer(TREE)


def test_a_layer_carries_no_time_and_no_names_of_the_machine_it_was_made_on():
    for each in members(layers.tar(TREE)).values():
        assert (each.mtime, each.uname, each.gname, each.pax_headers) == (0, "", "", {})
    assert layers.layer(TREE).blob[4:8] == bytes(4)  # where gzip keeps a time (RFC 1952)


def test_a_layer_keeps_kinds_rights_and_owners():
    found = members(layers.tar(TREE))
    assert found["usr/bin/run"].mode == 0o755
    assert found["usr/share/text"].mode == 0o644
    assert (found["bin"].issym(), found["bin"].linkname) == (True, "usr/bin")
    assert (found["var/lib/lbctl"].uid, found["var/lib/lbctl"].gid) == (65532, 65532)
    assert found["tmp"].mode == 0o1777


def test_a_folder_comes_before_what_is_in_it_even_when_a_sibling_sorts_between():
    names = list(members(layers.tar({"a/b": layers.File(b""), "a-b/c": layers.File(b"")})))
    assert names.index("a") < names.index("a/b")
    assert names.index("a-b") < names.index("a-b/c")


def test_the_digest_of_a_layer_is_that_of_its_tar_before_compression():
    made = layers.layer(TREE)
    assert made.diff_id == archives.digest(layers.tar(TREE))
    assert made.media_type.endswith("+gzip")


@pytest.mark.parametrize(
    "path",
    [
        "usr/bin/python3.11",
        "usr/sbin/nft",
        "usr/lib/x86_64-linux-gnu/libssl.so.3",
        "usr/lib64/ld-linux-x86-64.so.2",
        "usr/lib/python3.11/asyncio/events.py",
        "usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
        "usr/share/doc/libc6/copyright",
        "usr/share/doc/libgcc-s1",
        "etc/protocols",
        "etc/iproute2/rt_protos",
    ],
)
def test_images_take_programs_libraries_and_licences(path):
    assert debian_packages.kept(path)


def test_every_program_that_agents_run_is_in_their_image():
    agent = ROOT / "dataplane" / "lbctl_dataplane"
    named = re.compile(r'(?:commands\.run|_batch)\(\s*"([\w-]+)"')
    run = {name for path in agent.rglob("*.py") for name in named.findall(path.read_text())}
    assert {"ip", "bridge", "nft", "conntrack"} <= run
    assert run <= debian_packages.PROGRAMS


@pytest.mark.parametrize(
    "path",
    [
        "usr/bin/perl",
        "usr/sbin/ovsdb-server",
        "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
        "usr/lib/python3.11/ensurepip/__init__.py",
        "usr/lib/python3.11/lib-dynload/_curses.cpython-311-x86_64-linux-gnu.so",
        "usr/share/doc/libc6/changelog.gz",
        "usr/share/man/man8/ip.8.gz",
        "usr/share/locale/de/LC_MESSAGES/x.mo",
        "etc/init.d/openvswitch-switch",
        "var/lib/apt/lists/x",
    ],
)
def test_images_leave_out_shells_documents_locales_and_state_of_apt(path):
    assert not debian_packages.kept(path)


def test_a_package_file_is_read_without_being_installed(tmp_path):
    root = tmp_path / "root"
    for path, text in {
        "DEBIAN/control": (
            "Package: demo\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y.test>\n"
            "Description: d\n"
        ),
        "sbin/nft": "program",
        "usr/share/doc/demo/copyright": "licence",
        "usr/share/doc/demo/changelog.gz": "news",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "sbin/nft").chmod(0o4755)
    (root / "sbin/ip").symlink_to("/bin/ip")
    package = tmp_path / "demo_1.deb"
    subprocess.run(["dpkg-deb", "-b", root, package], check=True, capture_output=True)
    tree = dict(debian_packages.contents(package))
    control = tree.pop("var/lib/dpkg/status.d/demo")
    assert isinstance(control, layers.File)
    assert control.content.startswith(b"Package: demo\nVersion: 1\n")
    assert tree == {
        "usr/sbin/nft": layers.File(b"program", executable=True),
        "usr/sbin/ip": layers.Link("/bin/ip"),
        "usr/share/doc/demo/copyright": layers.File(b"licence"),
    }


@pytest.mark.parametrize("line", ["libc6", "libc6=1", "libc6=1 md5:ab", "libc6 =1 sha256:ab"])
def test_a_line_that_is_no_pin_is_refused_by_its_number(line):
    with pytest.raises(errors.LabError, match="line 2"):
        debian_packages.parse_pins(f"zlib1g=1 sha256:ab\n{line}\n")


@pytest.mark.parametrize("path", sorted(debian_packages.PINS.glob("*.txt")), ids=lambda p: p.name)
def test_the_pins_are_whole_sorted_and_each_package_is_there_once(path):
    pins = debian_packages.parse_pins(path.read_text())
    names = [pin.name for pin in pins]
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"[0-9a-f]{64}", pin.sha256) for pin in pins)
    assert path.read_text() == "".join(f"{pin.line()}\n" for pin in pins)


def test_every_component_has_its_pins():
    for component in product_images.COMPONENTS.values():
        assert wheels.requirements_path(component.name).exists()
        assert all(debian_packages.pins_text(name) for name in component.packages)


@pytest.mark.parametrize("name", ["agent", "build", "controller", "dns"])
def test_images_hold_the_versions_that_the_tests_ran_with(name):
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[a-z0-9.-]+==\S+", path.read_text(), re.MULTILINE))

    assert pins(ROOT / "requirements" / f"{name}.txt") <= pins(ROOT / "requirements" / "dev.txt")


def wheel_of(path: Path, files: dict[str, str]) -> Path:
    metadata = "Metadata-Version: 2.4\nName: Some_Thing\nVersion: 1.2\nLicense-Expression: MIT\n\n"
    with zipfile.ZipFile(path, "w") as out:
        for name, text in {"some_thing-1.2.dist-info/METADATA": metadata, **files}.items():
            out.writestr(name, text)
    return path


def test_a_wheel_is_unpacked_without_what_only_builds_or_tests_need(tmp_path):
    wheel = wheel_of(
        tmp_path / "some_thing-1.2-py3-none-any.whl",
        {
            "some_thing/__init__.py": "",
            "some_thing/fast.c": "",
            "some_thing/tests/test_a.py": "",
            "some_thing-1.2.data/purelib/also.py": "",
            "some_thing-1.2.data/scripts/some-thing": "",
            "some_thing-1.2.dist-info/RECORD": "",
        },
    )
    assert {path.removeprefix(f"{wheels.SITE}/") for path in wheels.contents(wheel)} == {
        "some_thing/__init__.py",
        "also.py",
        "some_thing-1.2.dist-info/METADATA",
    }


def test_a_wheel_says_what_it_is(tmp_path):
    wheel = wheel_of(tmp_path / "some_thing-1.2-py3-none-any.whl", {})
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert wheels.part(wheel) == sbom.Part("pypi", "some-thing", "1.2", checksum, "MIT")


def test_the_bill_of_materials_has_what_spdx_demands():
    tree = json.loads(sbom.document(SUBJECT, PARTS))
    assert tree["spdxVersion"] == "SPDX-2.3"
    assert tree["dataLicense"] == "CC0-1.0"
    assert tree["documentNamespace"].startswith("urn:")
    assert "#" not in tree["documentNamespace"]
    assert tree["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
    identifiers = [each["SPDXID"] for each in tree["packages"]]
    assert len(set(identifiers)) == len(identifiers) == len(PARTS) + 1
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", each) for each in identifiers)
    for each in tree["packages"]:
        assert {"name", "downloadLocation", "filesAnalyzed"} <= each.keys()
    related = {each["relatedSpdxElement"] for each in tree["relationships"]}
    assert related == set(identifiers)


def test_the_bill_of_materials_names_each_package_with_version_and_checksum():
    packages = {
        each["name"]: each for each in json.loads(sbom.document(SUBJECT, PARTS))["packages"]
    }
    libc = packages["libc6"]
    assert libc["versionInfo"] == "2.36-9+deb12u14"
    assert libc["checksums"] == [{"algorithm": "SHA256", "checksumValue": "ab" * 32}]
    assert packages["click"]["externalRefs"][0]["referenceLocator"] == "pkg:pypi/click@8.5.1"
    assert "checksums" not in packages["lbctl"]


def test_the_bill_of_materials_does_not_depend_on_order():
    assert sbom.document(SUBJECT, PARTS[::-1]) == sbom.document(SUBJECT, PARTS)


@pytest.mark.parametrize(("name", "user"), [("controller", 65532), ("dns", 65532), ("agent", 0)])
def test_only_the_agent_is_root(name, user):
    component = product_images.COMPONENTS[name]
    config = product_images.image_config(component, "1.2.3", 0)["config"]
    assert isinstance(config, dict)
    assert config["User"] == f"{user}:{user}"
    assert config["Entrypoint"] == ["/usr/bin/lbctl"]
    assert config["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    state_folder = product_images.code_tree(component, {})["var/lib/lbctl"]
    assert state_folder == layers.Folder(owner=user)


def test_an_image_leads_to_all_its_layers_in_order():
    stored = [layers.layer({name: layers.File(b"")}) for name in ("one", "two")]
    config = product_images.image_config(product_images.DNS, "1", 0)
    blob = archives.assemble(("lbctl.io/x:1",), config, stored)
    with tarfile.open(fileobj=io.BytesIO(blob)) as opened:

        def read(path: str) -> bytes:
            found = opened.extractfile(path)
            assert found is not None
            return found.read()

        def blob_of(descriptor: dict[str, str]) -> bytes:
            return read("blobs/" + descriptor["digest"].replace(":", "/"))

        manifest = json.loads(blob_of(json.loads(read("index.json"))["manifests"][0]))
        described = json.loads(blob_of(manifest["config"]))
        assert [blob_of(each) for each in manifest["layers"]] == [each.blob for each in stored]
    assert described["rootfs"]["diff_ids"] == [each.diff_id for each in stored]
    assert described["created"] == "1970-01-01T00:00:00Z"


def test_a_time_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(errors.LabError, match="SOURCE_DATE_EPOCH"):
        product_images.creation_s()


def test_the_cache_key_tells_texts_apart_by_where_they_end():
    assert product_images.cache_key([b"ab", b"c"]) != product_images.cache_key([b"a", b"bc"])


def test_the_containerfiles_are_up_to_date() -> None:
    assert drift.stale(generate_containerfiles.generated()) == [], drift.COMMAND


@pytest.mark.parametrize("place", ["Containerfile", "dns/Containerfile", "dataplane/Containerfile"])
def test_the_containerfiles_take_the_pinned_packages_and_the_same_command(place):
    component = {
        "Containerfile": product_images.CONTROLLER,
        "dns/Containerfile": product_images.DNS,
        "dataplane/Containerfile": product_images.AGENT,
    }[place]
    text = (ROOT / place).read_text()
    assert f"--target /packages -r requirements/{component.name}.txt" in text
    assert f"CMD {json.dumps(list(component.command))}" in text
    assert ("USER 65532:65532" in text) == (component.user != 0)
