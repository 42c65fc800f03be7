"""The registry at one revision, as a value.

A `Snapshot` reads a file when it is asked for and parses it once. It never writes: an edit is a mapping from
paths to new contents, and `with_edits` gives the registry that would be. Nothing here knows git or a disk; a
`Source` hands in bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple, TypeVar

from gitops_registry import paths
from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.manifest.facts import Version
from gitops_registry.manifest.kinds import Access, Card, Constitution, Model, Stage
from gitops_registry.manifest.parts import Document
from gitops_registry.manifest.reading import MAX_BYTES, Parsed, parse
from gitops_registry.reference import Reference, did_you_mean, split_reference, there_are
from gitops_registry.source import Source

FILE_MODE = "100644"
LARGEST_STORED = 1 << 28
"""Bytes of the largest object that the store inside the repository may hold: it is read into memory."""

_MOST_PARSED_FOR_A_HINT = 200
"""Models that are parsed to leave those out of a hint that are renamed or deleted."""


class Stored(NamedTuple):
    """Content that the repository already holds under an object id, with the mode it has there."""

    oid: str
    mode: str


class LocalFile(NamedTuple):
    """Content that lies in a file of this machine and is too large to hold; `oid` is the id git gives it."""

    file: str
    oid: str
    size: int


Content = bytes | LocalFile | Stored
"""The new content of a path: bytes, a large local file, or an object that git already has."""
Edits = Mapping[str, Content | None]
"""What a change does to paths; None removes one."""

D = TypeVar("D", bound=Document)


class PathChange(NamedTuple):
    """One path that differs between two revisions. An empty mode and id mean that it is not there."""

    path: str
    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str


def blob_id(content: bytes) -> str:
    """Return git's id of a file with that content (SHA-1 repositories)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def content_id(content: Content | None) -> str:
    """Return the id git gives a content; empty for None."""
    if content is None:
        return ""
    return blob_id(content) if isinstance(content, bytes) else content.oid


class Snapshot:
    """The registry at one revision, or as it would be after edits."""

    def __init__(self, source: Source, edits: Edits | None = None) -> None:
        self._source = source
        self._edits: dict[str, Content | None] = dict(edits or {})
        self._parsed: dict[str, Parsed[Document] | None] = {}

    @property
    def label(self) -> str:
        """What a person would call this revision."""
        return self._source.label

    @property
    def edits(self) -> Edits:
        """What this snapshot changes against its source."""
        return self._edits

    def with_edits(self, edits: Edits) -> Snapshot:
        """Return the registry with those edits on top."""
        return Snapshot(self._source, {**self._edits, **edits})

    def changed_paths(self) -> list[PathChange]:
        """Return the paths that the edits really change against the source, in order."""
        found = []
        for path, content in sorted(self._edits.items()):
            old, new = self._source.oid(path), content_id(content)
            mode = content.mode if isinstance(content, Stored) else FILE_MODE
            if old != new:
                found.append(PathChange(path, FILE_MODE if old else "", mode if new else "", old, new))
        return found

    # ── files

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes | None:
        """Return the bytes of a file, None where there is none."""
        if path in self._edits:
            content = self._edits[path]
            if isinstance(content, Stored):
                return self._source.read_object(content.oid, path, limit)
            if isinstance(content, LocalFile):
                raise ManifestError("bytes where a manifest is expected", path=path)
            return content
        return self._source.read(path, limit)

    def children(self, folder: str) -> tuple[str, ...]:
        """Return the names in a folder in order; empty where there is no such folder."""
        names = set(self._source.children(folder))
        for name, has_content in self._touched.get(folder, {}).items():
            if has_content:
                names.add(name)
            elif name in names and not self._still_there(f"{folder}/{name}"):
                names.discard(name)
        return tuple(sorted(names))

    @cached_property
    def _touched(self) -> dict[str, dict[str, bool]]:
        """Folder → the names in it that edits touch → whether one puts something there. Made once, however many they are."""
        found: dict[str, dict[str, bool]] = {}
        for path, content in self._edits.items():
            folder, _, name = path.rpartition("/")
            while folder:
                names = found.setdefault(folder, {})
                names[name] = names.get(name, False) or content is not None
                folder, _, name = folder.rpartition("/")
        return found

    def _still_there(self, path: str) -> bool:
        below = self._source.children(path)
        if not below:
            return path not in self._edits
        return any(self._still_there(f"{path}/{name}") for name in below)

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, in order."""
        found = []
        for name in self.children(folder):
            path = f"{folder}/{name}"
            found += [path] if self.oid(path) else self.files(path)
        return found

    def parsed(self, path: str, kind: type[D]) -> Parsed[D] | None:
        """Return the manifest at `path` with its positions; None where there is no file. Raises ManifestError."""
        if path not in self._parsed:
            data = self.read(path)
            self._parsed[path] = None if data is None else parse(data, path, kind)
        return self._parsed[path]  # type: ignore[return-value]

    def _document(self, path: str, kind: type[D]) -> D | None:
        parsed = self.parsed(path, kind)
        return None if parsed is None else parsed.document

    def oid(self, path: str) -> str:
        """Return git's id of a file; empty where there is none."""
        return content_id(self._edits[path]) if path in self._edits else self._source.oid(path)

    def read_ahead(self, files: Iterable[PathChange]) -> None:
        """Fetch files together that are about to be read, and that are here as those changes leave them."""
        oids = {
            file.path: file.new_oid for file in files if file.new_mode == FILE_MODE and file.path not in self._edits
        }
        self._source.read_ahead(oids, MAX_BYTES)

    def forget(self) -> None:
        """Let go of what was fetched ahead and parsed; whoever asks again has it read again."""
        self._parsed.clear()
        self._source.read_ahead({}, 0)

    # ── documents

    @property
    def constitution(self) -> Constitution:
        """registry.yaml. Raises NotFound where this is no registry."""
        found = self._document(paths.CONSTITUTION, Constitution)
        if found is None:
            raise NotFound(
                f"{self.label} is not a registry: it has no {paths.CONSTITUTION}",
                hint="start one with: gitops-registry init",
            )
        return found

    @property
    def access(self) -> Access | None:
        """policies/access.yaml, where there is one."""
        return self._document(paths.ACCESS, Access)

    def live_models(self) -> tuple[str, ...]:
        """Return the names of the models that are there, neither renamed nor deleted, in order."""
        models = {name: self.model(name) for name in self.models()}
        return tuple(name for name, model in models.items() if model is not None and not model.is_gone)

    def models(self) -> tuple[str, ...]:
        """Return all names of models in order, spent ones too."""
        return tuple(name for name in self.children(paths.MODELS) if paths.NAME.fullmatch(name))

    def model(self, name: str) -> Model | None:
        """Return the state of a model; None where there is none."""
        return self._document(paths.model_path(name), Model)

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the numbers of a model's versions in order; empty where there is no such model."""
        names = self.children(f"{paths.MODELS}/{name}/versions")
        return tuple(sorted(int(number) for number in names if re.fullmatch(r"[1-9][0-9]{0,8}", number)))

    def version(self, name: str, number: int) -> Version | None:
        """Return the facts of a version; None where there is none."""
        return self._document(paths.version_path(name, number), Version)

    def card(self, name: str, number: int) -> Card:
        """Return the words of a version; empty ones where nobody wrote any."""
        return self._document(paths.card_path(name, number), Card) or Card()

    # ── look up

    def known_model(self, name: str) -> Model:
        """Return the state of a model. Raises NotFound for one that is gone, and with the names that are close."""
        model = None if paths.name_problem(name) else self.model(name)
        if model is None:
            _ = self.constitution  # where there is no registry at all, that is what is wrong
            names = self.models()
            there = self.live_models() if len(names) <= _MOST_PARSED_FOR_A_HINT else names
            raise NotFound(f"no model {name!r} in {self.label}", hint=did_you_mean(name, there))
        if model.renamed_to is not None:
            raise NotFound(f"{name} was renamed to {model.renamed_to}", hint=f"use {self.present_name(name)}")
        if model.removed:
            raise NotFound(f"{name} was deleted", hint=f"see: gitops-registry log {name}")
        return model

    def present_name(self, name: str) -> str:
        """Return what a model is called now: its own name, or what it was renamed to."""
        seen = {name}
        while not paths.name_problem(name) and (model := self.model(name)) and model.renamed_to:
            name = model.renamed_to
            if name in seen:
                raise NotFound(f"{name} was renamed in a circle", hint="see: gitops-registry check")
            seen.add(name)
        return name

    def known_version(self, reference: Reference) -> Version:
        """Return the facts of a version. Raises NotFound with what there is instead."""
        version = self.version(*reference)
        if version is None:
            model = self.known_model(reference.name)
            gone = "; it was deleted" if reference.number in model.deleted else ""
            raise NotFound(
                f"no version {reference.number} of {reference.name}{gone}",
                hint=there_are(reference.name, self.versions(reference.name)),
            )
        return version

    def known_stage(self, name: str) -> Stage:
        """Return a stage by name without regard to case. Raises NotFound with the names there are."""
        stage = self.constitution.stage(name)
        if stage is None:
            names = [stage.name for stage in self.constitution.stages]
            raise NotFound(f"no stage {name!r} in this registry", hint=did_you_mean(name, tuple(names)))
        return stage

    def stage_of(self, reference: Reference) -> str:
        """Return the stage a version is in."""
        model = self.known_model(reference.name)
        return model.stage_of(reference.number) or self.constitution.first_stage

    def in_stage(self, name: str, stage: str) -> tuple[int, ...]:
        """Return the versions of a model in a stage, in order."""
        model = self.known_model(name)
        if stage == self.constitution.first_stage:
            listed = {n for s, numbers in model.stages.items() if s != stage for n in numbers}
            return tuple(n for n in self.versions(name) if n not in listed)
        return tuple(sorted(model.stages.get(stage, ())))

    def resolve_named(self, name: str, version: int | str | None) -> Reference:
        """Return the version that a name and a number, alias or stage (or one reference and nothing) mean. Raises NotFound."""
        return self.resolve(name, str(version)) if version not in ("", None) else self.resolve(name)

    def resolve_all(self, text: str) -> list[Reference]:
        """Return the versions that a reference or the bare name of a model means, in order. Raises NotFound."""
        name, wanted = split_reference(text)
        if wanted:
            return [self.resolve(text)]
        name = self.present_name(name)
        self.known_model(name)
        return [Reference(name, number) for number in self.versions(name)]

    def resolve(self, text: str, reference: str | None = None) -> Reference:
        """Return the version that a reference names.

        Reads `name@3`, `name@v3`, `name@latest`, `name@<stage>` (its newest version), `name@<alias>`, and MLflow's
        `models:/name/3`, `models:/name/Production`, `models:/name@alias`. An alias wins over nothing: it can never be
        named like a stage. A name that a model had before is its name still. A bare name is no reference: nobody should
        use a version by guessing. Raises NotFound.
        """
        name, wanted = split_reference(text)
        if reference is not None:
            name, wanted = text, reference
        name = self.present_name(name)
        model = self.known_model(name)
        if not wanted:
            stages = [stage.name for stage in reversed(self.constitution.stages) if model.stages.get(stage.name)]
            named = ", ".join(f"{name}@{word}" for word in (*stages[:2], "latest"))
            raise NotFound(f"{name} names no version", hint=f"say which: {named}")
        if wanted.lower() == "latest":
            numbers = self.versions(name)
            if not numbers:
                raise NotFound(
                    f"{name} has no version yet", hint=f"register one with: gitops-registry register {name} FILE"
                )
            return Reference(name, numbers[-1])
        if re.fullmatch(r"[vV]?[1-9][0-9]{0,8}", wanted):
            found = Reference(name, int(wanted.lower().removeprefix("v")))
            self.known_version(found)
            return found
        alias = next((number for alias, number in model.aliases.items() if alias.lower() == wanted.lower()), None)
        if alias is not None:
            return Reference(name, alias)
        stage = self.constitution.stage(self.constitution.first_stage if wanted == "None" else wanted)
        if stage is None:
            choices = (*model.aliases, *(stage.name for stage in self.constitution.stages))
            if wanted.lower().removeprefix("v").isdigit():
                raise NotFound(f"no version {wanted} of {name}", hint=there_are(name, self.versions(name)))
            raise NotFound(f"{name} has no alias or stage {wanted!r}", hint=did_you_mean(wanted, choices))
        held = self.in_stage(name, stage.name)
        if not held:
            raise NotFound(f"no version of {name} is in {stage.name}", hint=there_are(name, self.versions(name)))
        return Reference(name, held[-1])
