"""lbctl's images: built as `make image` does, unpacked and run without an engine."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl_lab import product_images, toolchain

pytestmark = pytest.mark.root

LBCTL = Path(sys.executable).parent / "lbctl"
RUN = """\
set -e
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
exec chroot --userspec="$user:$user" "$root" "$@"
"""
"""What a container is, as far as these tests go: its files, read-only, its user and no network."""

IMPORT_ALL = """\
import importlib, pathlib, sys
import click
site = pathlib.Path(click.__file__).parents[1]
left_out = [word[1:] for word in sys.argv[1:] if word.startswith("!")]
for package in (word for word in sys.argv[1:] if not word.startswith("!")):
    importlib.import_module(package)
    if not package.startswith("lbctl"):
        continue
    for path in sorted((site / package).rglob("*.py")):
        parts = path.relative_to(site).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if not name.startswith(tuple(left_out)):
            importlib.import_module(name)
print("imported")
"""
LIBRARIES = """\
import pathlib, subprocess
for path in sorted(pathlib.Path("/usr").rglob("*.so*")):
    if not path.is_symlink() and path.read_bytes()[:4] == b"\\x7fELF":
        loader = ["/lib64/ld-linux-x86-64.so.2", "--list", str(path)]
        said = subprocess.run(loader, capture_output=True, text=True)
        if "not found" in said.stdout + said.stderr:
            print(path, said.stdout)
"""
RULES = """\
import subprocess
rules = "add table inet t; add chain inet t c; add rule inet t c meta l4proto sctp accept"
subprocess.run(["nft", rules], check=True)
subprocess.run(["nft", "-j", "list", "table", "inet", "t"], check=True)
"""
PACKAGES = {
    "controller": ("lbctl", "kubernetes.config", "httpx", "jinja2"),
    # Drivers of what is outside are the controller's, and so are their libraries.
    "dns": ("lbctl", "lbctl_dns", "!lbctl.drivers"),
    "agent": ("lbctl", "lbctl_dataplane", "!lbctl.drivers"),
}
HELP = {
    "controller": ("controller", "--help"),
    "dns": ("dns", "serve", "--help"),
    "agent": ("agent", "--help"),
}
PROGRAMS = ("ip -V", "bridge -V", "nft --version", "conntrack --version", "ovs-ofctl --version",
            "ovs-vsctl --version", "ovs-appctl --version", "ovsdb-client --version")  # fmt: skip


class Image:
    """One built image, unpacked."""

    def __init__(self, component: str, output: Path, root: Path) -> None:
        self.component = component
        self.archive = next(output.glob(f"lbctl-{component}-*.tar"))
        self.bill = json.loads(next(output.glob(f"lbctl-{component}-*.sbom.json")).read_text())
        self.root = root / component
        self.config = unpack(self.archive, self.root)

    def run(self, *words: str) -> str:
        user = self.config["User"].partition(":")[0]
        environment = dict(each.partition("=")[::2] for each in self.config["Env"])
        argv = ["unshare", "--mount", "--net", "sh", "-c", RUN, "sh", str(self.root), user, *words]
        # The shell needs the machine's folders, the program gets the image's environment.
        run = subprocess.run(
            argv, capture_output=True, text=True, check=False, env=environment, timeout=60
        )
        assert run.returncode == 0, run.stderr
        return run.stdout


def unpack(archive: Path, root: Path) -> dict[str, object]:
    """Lay the layers of an archive over each other, return the configuration of its processes."""
    with tarfile.open(archive) as opened:

        def blob(descriptor: dict[str, str]) -> bytes:
            found = opened.extractfile("blobs/" + descriptor["digest"].replace(":", "/"))
            assert found is not None
            return found.read()

        index = opened.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.load(index)["manifests"][0]))
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer)), mode="r:gz") as files:
                files.extractall(root, filter="tar")
        return json.loads(blob(manifest["config"]))["config"]


def build(output: Path, *components: str, cache: Path | None = None) -> None:
    environment = os.environ | ({"XDG_CACHE_HOME": str(cache)} if cache else {})
    argv = [str(LBCTL), "lab", "image", "build", *components, f"--output={output}"]
    run = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Image]]:
    output, root = tmp_path_factory.mktemp("archives"), tmp_path_factory.mktemp("roots")
    build(output)
    yield {name: Image(name, output, root) for name in product_images.COMPONENTS}


COMPONENT = pytest.mark.parametrize("component", product_images.COMPONENTS)


@COMPONENT
def test_the_command_runs_as_the_images_user_on_a_read_only_file_system(images, component):
    image = images[component]
    version = image.run("lbctl", "--version")
    assert version.startswith("lbctl, version ")
    assert "Usage: lbctl" in image.run(*image.config["Entrypoint"], *HELP[component])


@COMPONENT
def test_every_module_finds_what_it_imports(images, component):
    said = images[component].run("python3", "-c", IMPORT_ALL, *PACKAGES[component])
    assert said == "imported\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_agent_has_the_programs_it_calls(images, program):
    assert images["agent"].run(*program.split())


def test_nft_and_ip_name_what_they_print_as_on_a_whole_debian(images):
    # In a network namespace of its own: the rule is gone with the process.
    agent = images["agent"]
    assert '"right": "sctp"' in agent.run("python3", "-c", RULES)
    assert '"protocol":"kernel"' in agent.run("ip", "-d", "-j", "rule", "show")


@COMPONENT
def test_every_shared_library_finds_those_it_needs(images, component):
    assert images[component].run("python3", "-c", LIBRARIES) == ""


@COMPONENT
def test_an_image_holds_no_byte_code_no_shell_and_no_state_of_package_tools(images, component):
    root = images[component].root
    assert list(root.rglob("__pycache__")) == []
    for absent in ("bin/sh", "usr/bin/apt", "var/lib/apt", "var/cache", "usr/share/man"):
        assert not (root / absent).exists()
    assert all(not path.stat().st_mode & 0o6000 for path in root.rglob("*") if path.is_file())


@COMPONENT
def test_the_bill_of_materials_lists_what_is_in_the_image(images, component):
    image = images[component]
    listed = {each["name"]: each["versionInfo"] for each in image.bill["packages"]}
    debian = {path.name for path in (image.root / "var/lib/dpkg/status.d").iterdir()}
    python = {
        path.name.removesuffix(".dist-info").rpartition("-")[0].replace("_", "-").lower()
        for path in image.root.glob("usr/local/lib/python3.11/dist-packages/*.dist-info")
    }
    assert set(listed) == debian | python | {f"lbctl-{component}"}
    assert image.bill["packages"][0]["checksums"] == [
        {
            "algorithm": "SHA256",
            "checksumValue": hashlib.sha256(image.archive.read_bytes()).hexdigest(),
        }
    ]


def test_an_image_made_anew_is_the_same_byte_for_byte(images, tmp_path):
    """With the same packages but none of the kept layers: all of it is made a second time."""
    kept = toolchain.cache_dir() / "images"
    place = tmp_path / "cache" / "lbctl" / "images"
    place.mkdir(parents=True)
    for name in ("debs", "wheels"):
        (place / name).symlink_to(kept / name)
    build(tmp_path / "again", "agent", cache=tmp_path / "cache")
    assert digests(tmp_path / "again", "agent") == digests(images["agent"].archive.parent, "agent")


def digests(folder: Path, component: str) -> dict[str, str]:
    """Return the digests of an image's archive and bill of materials by file name."""
    found = sorted(folder.glob(f"lbctl-{component}-*"))
    assert len(found) == 2
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
