"""CycloneDX 1.6: a version as a machine learning bill of materials, with its model card, files, packages and where it is from.

The same version gives the same bytes: the serial number is a digest of what is said, the time is that of registering.
Specification: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gitops_registry.errors import RegistryError
from gitops_registry.exports.addresses import public
from gitops_registry.exports.cyclonedx_card import model_card
from gitops_registry.exports.pins import pinned, pins
from gitops_registry.exports.subject import Subject, Written
from gitops_registry.exports.writing import new_file
from gitops_registry.formats.loaded import shown
from gitops_registry.manifest.facts import Artifact

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")


def write(subject: Subject, target: Path) -> Written:
    """Write the bill as one JSON file.

    It is checked against the schema of CycloneDX 1.6 where the library for that is installed, and the notes say where it
    is not. Raises RegistryError for a bill that would not be valid; then nothing is written.
    """
    requirements, notes = pins(subject)
    bill = _bill(subject, requirements)
    text = json.dumps(bill, ensure_ascii=False, indent=2) + "\n"
    told = list(notes)
    if not _is_checked(text):
        told.append("it was not checked against the schema of CycloneDX: pip install 'gitops-registry[sbom]'")
    if requirements:
        told.append("packages are those the model names itself; what these need is not listed")
    if subject.version.claimed:
        told.append(
            "it marks metrics that were claimed and not measured by a property only; CycloneDX has no field for it"
        )
    new_file(target, text)
    return Written(target, tuple(told))


def _bill(subject: Subject, requirements: tuple[Requirement, ...]) -> dict[str, Any]:
    packages = list({one["bom-ref"]: one for one in map(_package, requirements)}.values())
    model = _model(subject)
    content = {
        "metadata": {
            "timestamp": subject.version.created.isoformat().replace("+00:00", "Z"),
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [{"type": "application", "name": "gitops-registry"}]},
            "component": model,
        },
        "components": packages,
        "dependencies": [
            {"ref": model["bom-ref"], "dependsOn": [one["bom-ref"] for one in packages]},
            *({"ref": one["bom-ref"]} for one in packages),
        ],
        "compositions": [
            {"aggregate": "incomplete", "dependencies": [model["bom-ref"], *(one["bom-ref"] for one in packages)]}
        ],
    }
    said = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, said)}",
        "version": 1,
        **content,
    }


def _model(subject: Subject) -> dict[str, Any]:
    version, card = subject.version, subject.card
    described = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{subject.reference}",
        "authors": [_person(version.author.name, version.author.email)],
        "name": subject.reference.name,
        "version": version.release or str(subject.reference.number),
        "description": card.description or subject.title,
        "hashes": [_sha256(version.artifacts[0].sha256)] if _is_one_file(version.artifacts) else [],
        "licenses": _licences(card.license),
        "pedigree": _pedigree(subject),
        "externalReferences": _references(subject),
        "components": [_file(subject, artifact) for artifact in version.artifacts],
        "modelCard": model_card(subject),
        "properties": list(_properties(subject)),
        "tags": [f"{name}:{value}" if value else name for name, value in card.tags.items()],
    }
    return {key: value for key, value in described.items() if value}


def _is_one_file(artifacts: tuple[Artifact, ...]) -> bool:
    return len(artifacts) == 1 and artifacts[0].files is None


def _person(name: str, email: str) -> dict[str, str]:
    return {"name": name, **({"email": email} if _EMAIL.fullmatch(email) else {})}


def _licences(text: str) -> list[dict[str, Any]]:
    """Return a licence as an SPDX expression where it is one, else by the name that people gave it."""
    if not text.strip():
        return []
    try:
        return [{"expression": str(canonicalize_license_expression(text.strip()))}]
    except InvalidLicenseExpression:
        return [{"license": {"name": text.strip()}}]


def _pedigree(subject: Subject) -> dict[str, Any]:
    parents = subject.version.lineage.parents if subject.version.lineage else ()
    ancestors = []
    for parent in parents:
        name, _, number = parent.partition("@")
        about = {"version": number} if number else {}
        ancestors.append({"type": "machine-learning-model", "name": name, **about})
    return {"ancestors": ancestors} if ancestors else {}


def _references(subject: Subject) -> list[dict[str, str]]:
    """Return where the registry and the code of training are, but for folders of somebody's machine."""
    code = subject.version.training.code if subject.version.training else None
    # Not the commit it was read at: the next one may say the same of this version, and then the bill is the same.
    places = [("vcs", subject.home, f"the registry, which names it {subject.reference}")]
    if code is not None:
        changed = ", with changes that were not committed" if code.dirty else ""
        places.append(("vcs", code.repository, f"what it was trained with, at commit {code.commit}{changed}"))
    return [{"type": kind, "url": url, "comment": said} for kind, place, said in places if (url := public(place))]


def _file(subject: Subject, artifact: Artifact) -> dict[str, Any]:
    """Return a file as a component; a folder as one whose files have digests of their own."""
    facts = {
        "name": artifact.name,
        "format": artifact.format,
        "size": artifact.size,
        "derived-from": artifact.derived_from,
    }
    if artifact.parity is not None:
        facts |= {"agreement": artifact.parity.agreement, "agreement-rows": artifact.parity.rows}
    described: dict[str, Any] = {"type": "file", "bom-ref": f"artifact:{artifact.name}", "name": artifact.file}
    if artifact.files is None:
        described["hashes"] = [_sha256(artifact.sha256)]
    else:
        facts["listing-sha256"] = artifact.sha256
        inner = sorted(path for path in subject.files.get(artifact.name, Path()).rglob("*") if path.is_file())
        described["components"] = [
            {"type": "file", "name": path.relative_to(subject.files[artifact.name]).as_posix(), "hashes": [_digest(path)]}
            for path in inner
        ] if artifact.name in subject.files else []  # fmt: skip
    described["properties"] = [_property(name, value) for name, value in facts.items() if value is not None]
    return {key: value for key, value in described.items() if value}


def _digest(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            return _sha256(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise RegistryError(f"cannot read {path.name}: {error.strerror}", hint="check its permissions") from error


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _package(requirement: Requirement) -> dict[str, Any]:
    """Return a package as a library with its package URL: https://github.com/package-url/purl-spec, type pypi."""
    name, version = canonicalize_name(requirement.name), pinned(requirement)
    purl = f"pkg:pypi/{quote(name, safe='')}"
    if version:
        purl += f"@{quote(version, safe='')}"
    elif requirement.url:
        qualifier = "vcs_url" if requirement.url.startswith("git+") else "download_url"
        purl += f"?{qualifier}={quote(requirement.url, safe='')}"
    about = {"version": version} if version else {}
    return {"type": "library", "bom-ref": purl, "name": name, **about, "purl": purl}


def _properties(subject: Subject) -> Iterator[dict[str, str]]:
    """Yield what CycloneDX has no field for."""
    version, environment = subject.version, subject.version.environment
    framework = f"{version.framework.name} {version.framework.version}".strip() if version.framework else None
    facts: dict[str, Any] = {
        "number": subject.reference.number, "title": subject.title or None, "contact": subject.card.contact or None,
        "framework": framework, "run": version.lineage.run if version.lineage else None,
    }  # fmt: skip
    if environment is not None:
        facts |= {
            "python": environment.python, "platform": environment.platform, "cpu": environment.cpu or None,
            "gpu": environment.gpu, "blas": environment.blas or None, "providers": ", ".join(environment.providers) or None,
        }  # fmt: skip
    yield from (_property(name, value) for name, value in facts.items() if value is not None)


def _property(name: str, value: Any) -> dict[str, str]:
    return {"name": f"gitops-registry:{name}", "value": str(value)}


def _is_checked(text: str) -> bool:
    """Say whether the bill could be checked here. Raises RegistryError where it is not valid."""
    try:
        from cyclonedx.exception import MissingOptionalDependencyException
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        return False
    try:
        found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except MissingOptionalDependencyException:
        return False
    if found is not None:
        raise RegistryError(
            f"the bill of materials is not valid CycloneDX 1.6: {shown(str(getattr(found.data, 'message', found.data)))}",
            hint="a word in version.yaml or card.yaml may be no address or name; show the version with --json",
        )
    return True
