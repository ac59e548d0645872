"""What is in an image, as an SPDX 2.3 document. Pure; the same parts give the same text.

Format: the SPDX specification, version 2.3, in JSON.
"""

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib import parse

DISTRIBUTION = "debian-12"


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One package that an image holds."""

    kind: str
    """`deb` or `pypi`: the type of its package URL."""
    name: str
    version: str
    sha256: str
    """Of the package file it came from; empty for lbctl itself, which is built on the spot."""
    license: str = ""
    """An SPDX expression, where the package states one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that a document describes."""

    name: str
    version: str
    digest: str
    """Of the archive, `sha256:` and 64 hex digits; makes the document's name its own."""
    created_s: int
    """Seconds since 1970 that stand as the document's time."""


def purl(part: Part) -> str:
    """Return the package URL.

    >>> purl(Part("deb", "libc6", "1:2.36-9+deb12u13", ""))
    'pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12'
    """
    version = parse.quote(part.version, safe="")
    if part.kind == "deb":
        return f"pkg:deb/debian/{part.name}@{version}?arch=amd64&distro={DISTRIBUTION}"
    return f"pkg:{part.kind}/{part.name}@{version}"


def document(subject: Subject, parts: Sequence[Part]) -> str:
    """Return the SPDX document of an image as indented JSON."""
    image_id = _identifier("image", subject.name)
    packages = [_package(part) for part in sorted(set(parts))]
    algorithm, _, hexadecimal = subject.digest.partition(":")
    described = {
        "SPDXID": image_id,
        "name": subject.name,
        "versionInfo": subject.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "Apache-2.0",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": algorithm.upper(), "checksumValue": hexadecimal}],
    }
    tree = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{subject.name}-{subject.version}",
        "documentNamespace": f"urn:lbctl:sbom:{subject.name}:{subject.version}:{hexadecimal}",
        "creationInfo": {"created": timestamp(subject.created_s), "creators": ["Tool: lbctl-lab"]},
        "documentDescribes": [image_id],
        "packages": [described, *packages],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", image_id),
            *(_relation(image_id, "CONTAINS", str(each["SPDXID"])) for each in packages),
        ],
    }
    return json.dumps(tree, indent=1) + "\n"


def timestamp(seconds: int) -> str:
    """Return a time as SPDX and OCI write it.

    >>> timestamp(0)
    '1970-01-01T00:00:00Z'
    """
    then = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def _package(part: Part) -> dict[str, object]:
    checksums = [{"algorithm": "SHA256", "checksumValue": part.sha256}] if part.sha256 else []
    reference = {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl(part),
    }
    return {
        "SPDXID": _identifier(part.kind, part.name),
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": part.license or "NOASSERTION",
        "copyrightText": "NOASSERTION",
        **({"checksums": checksums} if checksums else {}),
        "externalRefs": [reference],
    }


def _relation(source: str, kind: str, target: str) -> dict[str, str]:
    return {"spdxElementId": source, "relationshipType": kind, "relatedSpdxElement": target}


def _identifier(kind: str, name: str) -> str:
    # SPDX allows letters, digits, dots and dashes in an identifier.
    return f"SPDXRef-{kind}-{re.sub(r'[^A-Za-z0-9.-]', '-', name)}"
