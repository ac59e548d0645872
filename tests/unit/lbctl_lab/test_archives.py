import hashlib
import io
import json
import tarfile

from lbctl_lab import archives

IMAGE = archives.Image(
    ("example.test/a:1", "example.test/b:2"), {"echo": b"program", "etc/x": b"y"}, ("/echo",)
)


def members(blob):
    with tarfile.open(fileobj=io.BytesIO(blob)) as opened:
        files = [each for each in opened.getmembers() if each.isfile()]
        return {each.name: opened.extractfile(each).read() for each in files}


def test_the_same_image_gives_the_same_bytes_whatever_the_order_of_its_files():
    other = archives.Image(IMAGE.names, dict(reversed(IMAGE.files.items())), IMAGE.entrypoint)
    assert archives.archive(other) == archives.archive(IMAGE)


def test_every_blob_lies_under_its_digest():
    blobs = {k: v for k, v in members(archives.archive(IMAGE)).items() if k.startswith("blobs/")}
    assert len(blobs) == 3
    for name, content in blobs.items():
        assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def test_the_index_names_one_manifest_by_every_name():
    index = json.loads(members(archives.archive(IMAGE))["index.json"])
    found = [each["annotations"][archives.NAME_ANNOTATION] for each in index["manifests"]]
    assert tuple(found) == IMAGE.names
    assert len({each["digest"] for each in index["manifests"]}) == 1


def test_the_manifest_leads_to_config_and_layer():
    files = members(archives.archive(IMAGE))

    def blob(descriptor):
        content = files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert len(content) == descriptor["size"]
        return content

    manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]))
    config = json.loads(blob(manifest["config"]))
    assert config["config"]["Entrypoint"] == ["/echo"]
    assert members(blob(manifest["layers"][0])) == IMAGE.files


def test_a_layer_holds_its_folders_before_their_files():
    with tarfile.open(fileobj=io.BytesIO(archives.tar({"a/b/c": b"1"}))) as opened:
        assert [(each.name, each.isdir()) for each in opened] == [
            ("a", True), ("a/b", True), ("a/b/c", False),
        ]  # fmt: skip


def test_a_change_of_content_changes_the_archive():
    other = archives.Image(IMAGE.names, {**IMAGE.files, "echo": b"other"}, IMAGE.entrypoint)
    assert archives.archive(other) != archives.archive(IMAGE)
