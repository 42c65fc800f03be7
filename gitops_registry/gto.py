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

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_RELEASE = (
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_TAG = re.compile(
    rf"(?P<model>{_NAME})(?:@v(?P<release>{_RELEASE})(?P<gone>!?)(?:#(?P<of>[0-9]+))?|#(?P<stage>{_NAME})(?P<left>!?)#(?P<count>[1-9][0-9]{{0,8}}))"
)
_ENTRY = re.compile(r'  ("(?:[^"\\\n]|\\.)*"):\n    path: ("(?:[^"\\\n]|\\.)*")\n    type: model\n')


class Tag(NamedTuple):
    """What a tag of GTO's says: a release of a model, or with a `stage` and its `counter` a move; `is_undone`: taken back."""

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
    if found["stage"]:
        return Tag(found["model"], "", found["stage"], int(found["count"]), bool(found["left"]))
    return Tag(found["model"], found["release"], "", int(found["of"] or 0), bool(found["gone"]))


def is_sayable(name: str) -> bool:
    """Say whether GTO has a word for a model or a stage of that name."""
    return re.fullmatch(_NAME, name) is not None


def release_of(release: str | None, number: int) -> str:
    """Return what GTO calls a version: its release where it has one that GTO can say, else `NUMBER.0.0`."""
    return release if release and re.fullmatch(_RELEASE, release) else f"{number}.0.0"


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


def listed(content: bytes | None) -> dict[str, str]:
    """Return model → path of a dvc.yaml that is ours; empty for any other."""
    if content is None or not is_ours(content):
        return {}
    pairs = _ENTRY.findall(content.decode(errors="replace"))
    try:
        return {json.loads(name): json.loads(path) for name, path in pairs}
    except ValueError:
        return {}


def number_listed(content: bytes | None, name: str) -> int:
    """Return the version of a model that a dvc.yaml of ours leads to; 0 for none."""
    at = place_of(f"{listed(content).get(name, '')}.dvc")
    return at.version if at.role == "pointer" and at.model == name else 0


def dvc_yaml(after: Snapshot, before: Snapshot | None = None, changed: Sequence[PathChange] = ()) -> bytes:
    """Return the bytes of dvc.yaml for a registry.

    From a `before` that is in agreement only the models of the `changed` paths are looked at. Raises ManifestError where a
    version cannot be read.
    """
    touched = {place_of(change.path).model for change in changed} - {""}
    if before is not None and is_on(before) and not any(change.path == CONSTITUTION for change in changed):
        entries = {name: path for name, path in listed(before.read(DVC_YAML)).items() if name not in touched}
        names: Iterable[str] = touched
    else:
        entries, names = {}, after.models()
    for name in names:
        if path := _entry(after, name):
            entries[name] = path
    if not entries:
        return HEADING + b"artifacts: {}\n"
    lines = [
        f"  {json.dumps(name)}:\n    path: {json.dumps(path, ensure_ascii=False)}\n    type: model\n"
        for name, path in sorted(entries.items())
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
    there = before.read(DVC_YAML)
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
