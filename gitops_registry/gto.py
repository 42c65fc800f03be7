"""What DVC and GTO read of a registry where it says `interop: gto`: the artifacts of `dvc.yaml`, and names of annotated tags.

`dvc.yaml` follows from the rest of the registry: each model with the main file of its newest version. So the decision that
registers a version names that version's path, and a tag on it leads DVC and GTO there. The grammar is that of GTO 1.10
(`gto.constants`): a name has no dots, a version is a semantic one behind a `v`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gitops_registry.errors import Conflict, ManifestError, NotFound
from gitops_registry.manifest.facts import Artifact
from gitops_registry.paths import CONSTITUTION, DVC_YAML, place_of, version_folder
from gitops_registry.snapshot import Content, Edits, PathChange, Snapshot

HEADING = b"# Written from models/ (interop: gto in registry.yaml); gitops-registry doctor --repair writes it anew\n"

LARGEST = 1 << 26
"""Bytes of the largest dvc.yaml that is read: a third of a million models of ordinary names."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_LONGEST = 100
"""Letters of the longest name, and of the longest release, that go into a tag: git keeps a ref in a file of that name."""
_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_RELEASE = (
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_TAG = re.compile(
    rf"(?P<model>{_NAME})(?:@v(?P<release>{_RELEASE})(?P<gone>!?)|#(?P<stage>{_NAME})(?P<left>!?)|@(?:deprecated|created))(?:#(?P<count>[0-9]{{1,99}}))?"
)
_ENTRY = re.compile(rb'  ("(?:[^"\\\n]|\\.)*"):\n    path: ("(?:[^"\\\n]|\\.)*")\n    type: model\n')

Entry = tuple[bytes, bytes]
"""A model and its path, as a dvc.yaml of ours spells them."""


class Tag(NamedTuple):
    """What a tag of GTO's says: a release of a model, or with a `stage` a move; `is_undone`: taken back. Neither: it is about
    the model itself, and `is_undone` where it says that the model is no more. GTO writes a `counter` where it is asked to.
    """

    model: str
    release: str = ""
    stage: str = ""
    counter: int = 0
    is_undone: bool = False

    def __str__(self) -> str:
        """Return it as the tag is called."""
        end = "!" if self.is_undone else ""
        counted = f"#{self.counter}" if self.counter else ""
        return (
            f"{self.model}#{self.stage}{end}{counted}" if self.stage else f"{self.model}@v{self.release}{end}{counted}"
        )


def read_tag(name: str) -> Tag | None:
    """Return what a tag of that name says; None where GTO would not look at it."""
    found = _TAG.fullmatch(name)
    if found is None:
        return None
    is_undone = bool(found["gone"] or found["left"] or (not found["stage"] and not found["release"] and "@d" in name))
    return Tag(found["model"], found["release"] or "", found["stage"] or "", int(found["count"] or 0), is_undone)


def is_sayable(name: str) -> bool:
    """Say whether GTO has a word for a model or a stage of that name."""
    return len(name) <= _LONGEST and re.fullmatch(_NAME, name) is not None


def release_of(release: str | None, number: int) -> str:
    """Return what GTO calls a version: its release where it has one that GTO, and a ref of git's, can say, else `NUMBER.0.0`."""
    is_said = release and len(release) <= _LONGEST and not release.endswith(".lock") and re.fullmatch(_RELEASE, release)
    return release if release and is_said else f"{number}.0.0"


def is_on(side: Snapshot) -> bool:
    """Say whether a registry is kept in agreement with GTO; False where it has no registry.yaml that can be read."""
    try:
        return side.constitution.interop == "gto"
    except (NotFound, ManifestError):
        return False


def is_ours(content: bytes) -> bool:
    """Say whether a dvc.yaml was written from the registry, whoever changed it since."""
    return content.startswith(HEADING.split(b";")[0])


def main_file(artifacts: Iterable[Artifact]) -> str:
    """Return the file of a version that others load: the ONNX one where it has one, else its model; empty without any."""
    files = {artifact.name: artifact.file for artifact in artifacts}
    return files.get("onnx") or files.get("model") or next(iter(files.values()), "")


def written(side: Snapshot) -> bytes | None:
    """Return the dvc.yaml that is there, None where there is none; nothing of one that is no file, or larger than any of ours."""
    try:
        return side.read(DVC_YAML, LARGEST)
    except ManifestError:
        return b""


def entries(content: bytes | None) -> frozenset[Entry]:
    """Return the entries of a dvc.yaml that is ours; none of any other."""
    return frozenset(_ENTRY.findall(content)) if content is not None and is_ours(content) else frozenset()


def listed(content: bytes | None) -> dict[str, str]:
    """Return model → path of a dvc.yaml that is ours; empty for any other."""
    pairs = _ENTRY.findall(content) if content is not None and is_ours(content) else []
    try:
        return {json.loads(name): json.loads(path) for name, path in pairs}
    except ValueError:
        return {}


def numbers_of(found: Iterable[Entry]) -> dict[str, int]:
    """Return model → the version that its entry leads to; nothing of an entry that leads to no version of its own."""
    numbers = {}
    for spelled, path in found:
        try:
            name, at = json.loads(spelled), place_of(f"{json.loads(path)}.dvc")
        except ValueError:
            continue
        if at.role == "pointer" and at.model == name:
            numbers[name] = at.version
    return numbers


def number_listed(content: bytes | None, name: str) -> int:
    """Return the version of a model that a dvc.yaml of ours leads to; 0 for none. The entry is looked for, nothing else is read."""
    if content is None or not is_ours(content):
        return 0
    at = content.find(f"\n  {json.dumps(name)}:\n".encode()) + 1
    entry = _ENTRY.match(content, at) if at else None
    return numbers_of([(entry[1], entry[2])]).get(name, 0) if entry else 0


def dvc_yaml(after: Snapshot, before: Snapshot | None = None, changed: Sequence[PathChange] = ()) -> bytes:
    """Return the bytes of dvc.yaml for a registry.

    From a `before` that is in agreement only the models of the `changed` paths are looked at. Raises ManifestError where a
    version cannot be read.
    """
    touched = {place_of(change.path).model for change in changed} - {""}
    if before is not None and is_on(before) and not any(change.path == CONSTITUTION for change in changed):
        found = {name: path for name, path in listed(written(before)).items() if name not in touched}
        names: Iterable[str] = touched
    else:
        found, names = {}, after.models()
    for name in names:
        if path := _entry(after, name):
            found[name] = path
    if not found:
        return HEADING + b"artifacts: {}\n"
    lines = [
        f"  {json.dumps(name)}:\n    path: {json.dumps(path, ensure_ascii=False)}\n    type: model\n"
        for name, path in sorted(found.items())
    ]
    return HEADING + ("artifacts:\n" + "".join(lines)).encode()


def _entry(side: Snapshot, name: str) -> str:
    numbers = side.versions(name)
    version = side.version(name, numbers[-1]) if numbers and is_sayable(name) else None
    file = main_file(version.artifacts) if version else ""
    return f"{version_folder(name, numbers[-1])}/{file}" if file else ""


def agreed(before: Snapshot, edits: Edits) -> Edits:
    """Return the edits with the dvc.yaml that belongs to what they make; where nothing is to be in agreement, ours goes.

    Edits whose manifests cannot be read come back as they are: the check says why. Raises Conflict where people wrote a
    dvc.yaml themselves.
    """
    after = before.with_edits(edits)
    there = written(before)
    wanted: Content | None = None
    if is_on(after):
        if there is not None and not is_ours(there):
            raise Conflict(
                f"{DVC_YAML} was written by hand, and is to be written from models/ (interop: gto)",
                hint=f"put your pipelines into a folder of their own, where DVC finds them too, and commit: git rm {DVC_YAML}",
            )
        try:
            is_kept = there is not None and DVC_YAML not in edits  # else it is about to be mended
            wanted = dvc_yaml(after, before if is_kept else None, after.changed_paths())
        except ManifestError:
            return edits
    elif there is None or not is_on(before) or not is_ours(there):
        return edits
    return edits if wanted == there and DVC_YAML not in edits else {**edits, DVC_YAML: wanted}
