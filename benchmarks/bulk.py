"""Thousands of versions in seconds: one decision for each, through one `git fast-import`.

Every version has facts of its own, its own bytes in the store, its pointers and its rendered card. The manifests are those
that `register` writes for a real model; only what differs from version to version is put in its place, so that what is
measured is the check and not the making. The newest version of each model serves.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ground import CARD

from gitops_registry import edits, paths
from gitops_registry.manifest.facts import Artifact, Version
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.writing import dump
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry

EACH = 50
"""Versions of a model."""
_ACCURACY = 0.9173
"""Stands nowhere else in what is written of the pattern."""
_PRECISION, _COUNT = 0.8261, 271_828
"""The like, of the precision and of one cell of the confusion matrix."""
_PATTERN = Reference("pattern-of-all", 424242)
_SIZE = 4096


def fill(root: Path, facts: Version, models: int, *, each: int = EACH) -> None:
    """Add so many models with so many versions each, and policies; the work tree comes along."""
    place = Registry.open(root).place
    branch, store = place.branch, Path(place.store().location)
    embedded = place.store().is_embedded
    written = _pattern(root, facts)
    stream = subprocess.Popen(["git", "-C", str(root), "fast-import", "--quiet"], stdin=subprocess.PIPE)
    assert stream.stdin is not None
    tell = stream.stdin.write
    time, parent = int(facts.created.timestamp()), place.tip()
    for number in range(1, each + 1):
        for model in range(models):
            reference = Reference(f"model-{model:03}", number)
            files = dict(_version(written, facts, reference))
            objects = dict(_objects(facts, reference)) if embedded else {}
            if not embedded:
                for path, data in _objects(facts, reference):
                    _put(store / path.removeprefix(f"{paths.EMBEDDED_STORE}/"), data)
            stages = {"production": (number,)} if number == each else {}
            if number in {1, each}:
                state = Model(name=reference.name, owners=("risk-team",), stages=stages)
                files[paths.model_path(reference.name)] = dump(state, paths.model_path(reference.name))
            time += 1
            _commit(tell, f"refs/heads/{branch}", f"register {reference.name} {number}", time, parent, files | objects)
            parent = ""
    stream.stdin.close()
    if stream.wait():
        raise SystemExit("git fast-import did not end well")
    subprocess.run(["git", "-C", str(root), "reset", "--quiet", "--hard"], check=True)
    policies(root)
    subprocess.run(["git", "-C", str(root), "gc", "--quiet"], check=True)


def policies(root: Path) -> None:
    """Bring the policies that `init` wrote to ten, all of them about production, and commit them."""
    there = sorted((root / paths.POLICIES).glob("production-*.yaml"))
    for number in range(10 - len(there)):
        name = f"more-{number}"
        text = (root / paths.policy_path("production-metrics")).read_text(encoding="utf-8")
        (root / paths.policy_path(name)).write_text(text.replace("production-metrics", name), encoding="utf-8")
    subprocess.run(["git", "-C", str(root), "add", paths.POLICIES], check=True)
    subprocess.run(["git", "-C", str(root), "commit", "--quiet", "-m", "Ask for more"], check=True)


def _commit(
    tell: Callable[[bytes], object], ref: str, subject: str, time: int, parent: str, files: Mapping[str, bytes]
) -> None:
    who, text = f"Alice <alice@example.com> {time} +0000", f"{subject}\n".encode()
    tell(f"commit {ref}\nauthor {who}\ncommitter {who}\ndata {len(text)}\n".encode() + text)
    tell(f"from {parent}\n".encode() if parent else b"")
    for path, data in files.items():
        tell(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n")


# ── one version


def _pattern(root: Path, facts: Version) -> dict[str, bytes]:
    """Return the files of one version as `register` writes them: path → bytes."""
    place = Registry.open(root).place
    artifacts = tuple(_artifact(artifact, _PATTERN) for artifact in facts.artifacts)
    matrix = facts.confusion_matrix
    assert matrix is not None
    own = {
        "metrics": {**facts.metrics, "accuracy": _ACCURACY, "precision": _PRECISION}, "artifacts": artifacts,
        "confusion_matrix": matrix.model_copy(update={"counts": ((_COUNT, *matrix.counts[0][1:]), *matrix.counts[1:])}),
    }  # fmt: skip
    version = facts.model_copy(update=own)
    files = {f"{artifact.file}.dvc": pointer(artifact) for artifact in artifacts}
    before = place.snapshot()
    after = edits.register(before, _PATTERN.name, version, card=CARD, files=files, model={})
    number = edits.next_number(before, _PATTERN.name)
    moved = {path.replace(f"/{number}/", f"/{_PATTERN.number}/"): data for path, data in after.items()}
    moved.pop(paths.model_path(_PATTERN.name))
    card = place.card(before.with_edits(moved), _PATTERN)
    return {path: data for path, data in moved.items() if isinstance(data, bytes)} | {
        paths.rendered_card_path(*_PATTERN): card
    }


def _version(written: Mapping[str, bytes], facts: Version, reference: Reference) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a version, made from those of the pattern."""
    accuracy = round(0.91 + ((reference.number * 7919) % 89) / 1000 + 0.0001 * (int(reference.name[-3:]) % 9 + 1), 4)
    place = int(reference.name[-3:]) * 53 + reference.number  # each has charts of its own, as versions have
    swaps = {
        _PATTERN.name: reference.name, str(_PATTERN.number): str(reference.number), str(_ACCURACY): str(accuracy),
        str(_PRECISION): str(round(0.1 + place % 8999 / 10_000, 4)), str(_COUNT): str(place),
    }  # fmt: skip
    for artifact in facts.artifacts:
        old, new = _artifact(artifact, _PATTERN), _artifact(artifact, reference)
        swaps |= {old.md5: new.md5, old.sha256: new.sha256}
    for path, data in written.items():
        text = data.decode()
        for old_text, new_text in swaps.items():
            text = text.replace(old_text, new_text)
            path = path.replace(old_text, new_text)
        yield path, text.encode()


def _bytes(artifact: Artifact, reference: Reference) -> bytes:
    return f"{reference} {artifact.file}\n".encode().ljust(_SIZE, b".")


def _artifact(artifact: Artifact, reference: Reference) -> Artifact:
    data = _bytes(artifact, reference)
    md5, sha256 = hashlib.md5(data, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest()
    return artifact.model_copy(update={"md5": md5, "sha256": sha256, "size": len(data)})


def _objects(facts: Version, reference: Reference) -> Iterator[tuple[str, bytes]]:
    """Yield what the store holds of a version: path in a store inside the repository, and bytes."""
    for artifact in facts.artifacts:
        yield paths.store_path(_artifact(artifact, reference).md5), _bytes(artifact, reference)


def _put(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
