"""`export`: a version as something that another system takes, whole or not at all.

What is read is verified first, and only what the target needs is fetched. The file or folder appears under its name when it
is complete; nothing that is there is ever overwritten.
"""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_registry.artifact import Store
from gitops_registry.digests import name_first
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.exports import TARGETS, Target
from gitops_registry.exports.subject import Subject
from gitops_registry.git.remote import remotes
from gitops_registry.manifest.facts import Version
from gitops_registry.portrait import fixed_card
from gitops_registry.printing.templates import languages
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace, digest_of

_ADDRESSES = ("https://", "http://", "ssh://", "git@")


@dataclass(frozen=True)
class Exported:
    """What was exported: the version, the target, where it is, and what the target cannot say of it."""

    reference: Reference
    target: str
    path: Path
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "version": str(self.reference), "target": self.target, "path": str(self.path), "notes": list(self.notes)
        }  # fmt: skip


def export(
    place: Workplace, snapshot: Snapshot, reference: Reference, target: str, *,
    path: Path | None = None, options: Mapping[str, str] | None = None,
) -> Exported:  # fmt: skip
    """Write a version for a target and return where: at `path`, else under the target's own name in the current folder.

    `options` are those that the target takes (`exports.TARGETS`). Raises NotFound for an unknown target and for a version
    without what it needs, Damaged for wrong bytes, RegistryError where something is at the path already, an option is none
    of the target's, or the target's own library is not installed.
    """
    known = target_named(target)
    options = options or {}
    _check_options(target, options)
    version = snapshot.known_version(reference)
    name, number = reference
    final = path or Path(known.file.format(name=name, number=number, plain=name.replace(".", "-")))
    if os.path.lexists(final):
        raise RegistryError(f"{final} is there already", hint="remove it, or name another place: -o PATH")
    place.tell(f"exporting to {target}")
    with _draft(final) as draft, tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
        written = known.write(_subject(place, snapshot, reference, version, Path(folder), options), draft)
        _name(draft, final)
    place.tell("")
    notes = tuple(
        note.replace(str(draft), str(final)) for note in written.notes
    )  # what is typed works on what is there now
    return Exported(reference, target, final, notes)


def targets() -> dict[str, str]:
    """Return the targets by name, and what each is."""
    return {name: target.what for name, target in TARGETS.items()}


def target_named(name: str) -> Target:
    """Return a target by name. Raises NotFound with the ones that are close."""
    if name not in TARGETS:
        close = difflib.get_close_matches(name, TARGETS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(TARGETS)}"
        raise NotFound(f"no target {name!r} to export to", hint=hint)
    return TARGETS[name]


def _check_options(target: str, options: Mapping[str, str]) -> None:
    """Raise RegistryError for an option that the target would not read: nobody may think that it did something."""
    for name in options:
        if name not in TARGETS[target].options:
            takers = [other for other, known in TARGETS.items() if name in known.options]
            takes = f"it goes with {', '.join(takers)}" if takers else "leave it out"
            raise RegistryError(f"an export to {target} takes no {name}", hint=takes)


def _subject(
    place: Workplace, snapshot: Snapshot, reference: Reference, version: Version, folder: Path, options: Mapping[str, str]
) -> Subject:  # fmt: skip
    from gitops_registry.policy.data import measurements

    model = snapshot.known_model(reference.name)
    language = options.get("language")
    # Of a language that nobody wrote the labels of, only the people's words are.
    shown = language if language in languages(snapshot) else None
    told = fixed_card(snapshot, reference, language=shown)
    return Subject(
        reference, version, snapshot.card(*reference), told,
        _Files(place.store(snapshot), reference, version, folder),
        title=model.title, home=_home(place), commit=place.commit(),
        evaluations=tuple(measurements(snapshot, reference)),
        options={**options, "trusted_types": " ".join(place.trust.types)},
    )  # fmt: skip


class _Files(Mapping[str, Path]):
    """The artifacts of a version by name: each is fetched, verified and laid down when somebody asks for it."""

    def __init__(self, store: Store, reference: Reference, version: Version, folder: Path) -> None:
        self._store = store
        self._reference = reference
        self._artifacts = {artifact.name: artifact for artifact in version.artifacts}
        self._folder = folder

    def __getitem__(self, name: str) -> Path:
        artifact = self._artifacts[name]
        path = self._folder / artifact.file
        # Asked again it is compared again: between two readers nobody knows what happened to it.
        self._store.materialise(digest_of(artifact), path, f"{self._reference} {artifact.file}")
        return path

    def __contains__(self, name: object) -> bool:
        return name in self._artifacts

    def __iter__(self) -> Iterator[str]:
        return iter(self._artifacts)

    def __len__(self) -> int:
        return len(self._artifacts)


def _home(place: Workplace) -> str:
    """Return the address of the registry for others; empty where it has none that means anything elsewhere."""
    if place.mirror is not None:
        address = place.mirror.url
    else:
        address = remotes(place.repository).get(place.follows or "origin", "")
    return address if address.startswith(_ADDRESSES) else ""


@contextmanager
def _draft(final: Path) -> Iterator[Path]:
    """Yield a free path in a hidden folder beside the final one, which is gone afterwards. Raises RegistryError."""
    try:
        hidden = Path(tempfile.mkdtemp(prefix=".gitops-registry-", dir=final.absolute().parent))
    except OSError as error:
        raise RegistryError(
            f"cannot write to {final.absolute().parent}: {error.strerror}",
            hint="name a place in a folder of yours: -o PATH",
        ) from error
    try:
        yield hidden / final.name
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _name(draft: Path, final: Path) -> None:
    """Give what is complete its name. Raises RegistryError where somebody else took it meanwhile."""
    if draft.is_dir():
        with suppress(OSError):  # a folder that is not empty, or a file
            if not os.path.lexists(final):
                draft.rename(final)
                return
    elif name_first(draft, final):
        return
    raise RegistryError(f"{final} is there already", hint="remove it, or name another place: -o PATH")
