"""Rules about what a registry is at any revision, whatever the change was.

Each looks only at the models and versions that the judgement names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gitops_registry import paths
from gitops_registry.errors import ManifestError, RegistryError
from gitops_registry.listing import DIR, committed_objects
from gitops_registry.manifest.parts import Document
from gitops_registry.manifest.reading import kind_at
from gitops_registry.pointer import pointer
from gitops_registry.policy.report import Finding, Judgement, Spot, needing_bytes, serving_versions
from gitops_registry.reference import Reference
from gitops_registry.snapshot import FILE_MODE, LARGEST_STORED, LocalFile, PathChange, Snapshot


def schema(judgement: Judgement) -> Iterator[Finding]:
    """Every manifest that changed can be read, and `model.yaml` names the folder it lies in."""
    for change in judgement.changed:
        kind = kind_at(change.path)
        if kind is None or not change.new_oid:
            continue
        try:
            parsed = judgement.after.parsed(change.path, kind)
        except ManifestError as error:
            yield Finding.error("schema", error.problem, error.hint, Spot(error.path, error.line, error.column))
            continue
        if parsed is not None:
            yield from _misnamed(change.path, parsed.document)


def _misnamed(path: str, document: Document) -> Iterator[Finding]:
    place = paths.place_of(path)
    name = getattr(document, "name", "")
    if place.role == "model" and name != place.model:
        yield Finding.error(
            "schema",
            f"name {name!r} is not its folder's, {place.model!r}",
            f"write name: {place.model}",
            Spot(path, model=place.model),
        )


def modes(judgement: Judgement) -> Iterator[Finding]:
    """Only plain files: no symbolic link, submodule or executable."""
    what = {"120000": "a symbolic link", "160000": "a submodule", "100755": "executable"}
    for change in judgement.changed:
        if change.new_mode not in ("", FILE_MODE):
            yield Finding.error(
                "modes",
                f"is {what.get(change.new_mode, change.new_mode)}; the registry holds plain files only",
                "git update-index --chmod=-x FILE, or replace it by a file",
                Spot(change.path),
            )


def names(judgement: Judgement) -> Iterator[Finding]:
    """Names of models and versions are in the grammar, unique without regard to case, and have their manifests."""
    folders = frozenset(judgement.after.children(paths.MODELS) if judgement.models else ())
    folded: dict[str, list[str]] = {}
    for folder in sorted(folders):
        folded.setdefault(folder.lower(), []).append(folder)
    for name in judgement.models:
        twins = [twin for twin in folded.get(name.lower(), []) if twin != name]
        if twins and name in folders:
            yield Finding.error(
                "names",
                f"models {name!r} and {twins[0]!r} differ only in case",
                "choose another name",
                Spot(paths.model_path(name), model=name),
            )
        if problem := paths.name_problem(name):
            yield Finding.error(
                "names", f"name {name!r} {problem}", "rename the folder", Spot(f"{paths.MODELS}/{name}", model=name)
            )
        elif (model := judgement.after.model(name)) and model.is_gone and judgement.after.versions(name):
            message = (
                f"{name} was {'deleted' if model.removed else f'renamed to {model.renamed_to}'}, and versions are there"
            )
            where = Spot(paths.model_path(name), 1, 1, name)
            yield Finding.error("names", message, "remove its folder versions/, or restore its model.yaml", where)
        elif name in folders and model is None:
            yield Finding.error(
                "names",
                f"{name} has no model.yaml",
                "a deleted model leaves its model.yaml behind",
                Spot(paths.model_path(name), model=name),
            )

    yield from _hollow(judgement)


def _hollow(judgement: Judgement) -> Iterator[Finding]:
    """Folders of versions that hold no version: a card or a measurement alone would take a number."""
    touched = {Reference(change.model, change.version) for change in judgement.changes if change.version}
    wanted = sorted(touched | set(judgement.versions))
    there = {name: frozenset(judgement.after.versions(name)) for name in {reference.name for reference in wanted}}
    for reference in wanted:
        if reference.number in there[reference.name] and not judgement.after.version(*reference):
            path = paths.version_path(*reference)
            hint = "register it, or remove its whole folder"
            yield _about("names", reference, f"version {reference.number} has no version.yaml", hint, path)


def stages(judgement: Judgement) -> Iterator[Finding]:
    """Stages are the constitution's, hold versions that exist, and exclusive ones hold one."""
    for name in judgement.models:
        model = judgement.after.model(name)
        if model is None:
            continue
        there = set(judgement.after.versions(name))
        for stage_name, held in model.stages.items():
            stage = next((stage for stage in judgement.law.stages if stage.name == stage_name), None)
            line, column = position(judgement, name, "stages", stage_name)
            path = paths.model_path(name)
            if stage is None:
                known = ", ".join(stage.name for stage in judgement.law.stages)
                yield Finding.error(
                    "stages",
                    f"no stage {stage_name!r} in this registry",
                    f"there is: {known}",
                    Spot(path, line, column, name),
                )
                continue
            if stage.exclusive and len(held) > 1:
                yield Finding.error(
                    "stages",
                    f"{stage_name} holds {len(held)} versions and takes one",
                    "archive the others",
                    Spot(path, line, column, name),
                )
            for number in sorted(set(held) - there):
                yield Finding.error(
                    "stages",
                    f"{stage_name} names version {number}, which does not exist",
                    "remove the number",
                    Spot(path, line, column, name, number),
                )


def aliases(judgement: Judgement) -> Iterator[Finding]:
    """Aliases name versions that exist and are never called like a stage."""
    stage_names = {stage.name.lower() for stage in judgement.law.stages}
    for name in judgement.models:
        model = judgement.after.model(name)
        there = set(judgement.after.versions(name)) if model and model.aliases else set()
        for alias, number in model.aliases.items() if model else ():
            line, column = position(judgement, name, "aliases", alias)
            path = paths.model_path(name)
            if alias.lower() in stage_names:
                yield Finding.error(
                    "aliases",
                    f"alias {alias!r} is the name of a stage",
                    "choose another name",
                    Spot(path, line, column, name),
                )
            if number not in there:
                yield Finding.error(
                    "aliases",
                    f"alias {alias!r} names version {number}, which does not exist",
                    "remove it",
                    Spot(path, line, column, name, number),
                )


def pointers(judgement: Judgement) -> Iterator[Finding]:
    """Every artifact has the DVC pointer that we would write from `version.yaml`, and there is no other pointer."""
    for reference in judgement.versions:
        version = judgement.after.version(*reference)
        if version is None:
            continue
        try:
            wanted = {
                paths.pointer_path(*reference, artifact.file): pointer(artifact) for artifact in version.artifacts
            }
        except RegistryError as error:
            yield _about("pointers", reference, error.message, error.hint, paths.version_path(*reference))
            continue
        folder = paths.version_folder(*reference)
        there = {f"{folder}/{child}" for child in judgement.after.children(folder) if child.endswith(".dvc")}
        for path in sorted(there - set(wanted)):
            yield _about(
                "pointers",
                reference,
                "is a pointer that version.yaml does not name",
                "remove it: a version's artifacts never change",
                path,
            )
        for path, content in wanted.items():
            if judgement.after.read(path) != content:
                yield _about(
                    "pointers",
                    reference,
                    "does not agree with version.yaml",
                    "write it as `register` does: md5, size, hash, path",
                    path,
                )


def store(judgement: Judgement) -> Iterator[Finding]:
    """The store inside the repository only grows, and its objects are what their names say."""
    removed = {path.path for change in judgement.changes if change.kind == "version_deleted" for path in change.paths}
    removed -= (
        _named_objects(judgement.after) if any(path.startswith(paths.EMBEDDED_STORE) for path in removed) else set()
    )
    for change in judgement.changed:
        place = paths.place_of(change.path)
        if place.role != "store_object":
            continue
        if change.old_oid and change.path not in removed and not _heals(judgement, change, place.file):
            yield Finding.error(
                "store",
                "an object of the store was removed or replaced",
                f"restore it: git checkout {judgement.law.branch} -- {change.path}",
                Spot(change.path),
            )
        elif change.new_oid and _md5(judgement.after, change.path) != place.file.removesuffix(DIR):
            yield Finding.error(
                "store", "the object is not what its name says", "push it again with: dvc push", Spot(change.path)
            )


def _heals(judgement: Judgement, change: PathChange, md5: str) -> bool:
    """Say whether a damaged object of the store becomes what its name says."""
    sides = (judgement.before, judgement.after)
    good = [side is not None and _md5(side, change.path) == md5.removesuffix(DIR) for side in sides]
    return good == [False, True]


def _md5(side: Snapshot, path: str) -> str:
    edit = side.edits.get(path)
    if isinstance(edit, LocalFile):
        return paths.place_of(path).file.removesuffix(DIR)  # our own cache's object, hashed when it was added
    data = side.read(path, LARGEST_STORED)
    return hashlib.md5(data, usedforsecurity=False).hexdigest() if isinstance(data, bytes) else ""


def _named_objects(after: Snapshot) -> set[str]:
    """The objects that any version names: bytes that two versions share stay until both are gone."""
    versions = [after.version(name, number) for name in after.models() for number in after.versions(name)]
    pinned = [model.evaluation for name in after.models() if (model := after.model(name)) and model.evaluation]
    return {paths.store_path(data.md5) for data in pinned} | {
        paths.store_path(stored)
        for version in versions
        for artifact in (version.artifacts if version else ())
        for stored in committed_objects(after, artifact)
    }


def presence(judgement: Judgement) -> Iterator[Finding]:
    """The bytes of every version that was registered or is to serve are in the store that others pull from."""
    gathered = judgement.facts.presence
    whole = judgement.before is None
    wanted = (
        serving_versions(judgement.after, judgement.law, judgement.models)
        if whole
        else needing_bytes(judgement.after, judgement.changes, judgement.law)
    )
    for reference in wanted:
        version = judgement.after.version(*reference)
        for artifact in version.artifacts if version else ():
            path = paths.pointer_path(*reference, artifact.file)
            state = (gathered or {}).get(artifact.sha256)
            if state is None:
                yield _about(
                    "presence",
                    reference,
                    f"nobody looked whether the store has {artifact.file}",
                    "gitops-registry verify",
                    path,
                    fact=True,
                )
            elif state != "present":
                yield _about(
                    "presence",
                    reference,
                    f"{artifact.file} is {state} in the store",
                    f"push it from where it was made, or see: gitops-registry verify {reference}",
                    path,
                )


def position(judgement: Judgement, name: str, *where: str) -> tuple[int, int]:
    """Return line and column of a key path in a model's `model.yaml` as it would be; (1, 1) where it is not there."""
    path = paths.model_path(name)
    kind = kind_at(path)
    parsed = judgement.after.parsed(path, kind) if kind else None
    return parsed.position(*where) if parsed else (1, 1)


def _about(rule: str, reference: Reference, message: str, hint: str, path: str, *, fact: bool = False) -> Finding:
    if fact:
        return Finding.unchecked(rule, "presence", message, hint, Spot(path, 0, 0, reference.name, reference.number))
    return Finding.error(rule, message, hint, Spot(path, 1, 1, reference.name, reference.number))
