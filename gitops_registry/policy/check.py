"""Running the rules: pure, in a fixed order, the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator, MutableSet, Sequence
from dataclasses import replace
from typing import Protocol

from gitops_registry import paths
from gitops_registry.changes import Change
from gitops_registry.difference import diff, is_unmanaged
from gitops_registry.manifest.kinds import DEFAULT_STAGES, Constitution
from gitops_registry.policy import authority, cards, data, decisions, interop, invariants, keeping, owners
from gitops_registry.policy.engine import Engine
from gitops_registry.policy.gate import moves, ruling
from gitops_registry.policy.remembered import Remembered
from gitops_registry.policy.report import Facts, Finding, Judgement, Report, Rule, Spot
from gitops_registry.policy.subjects import Subject, subjects
from gitops_registry.reference import Reference
from gitops_registry.snapshot import PathChange, Snapshot

INVARIANTS: dict[str, Rule] = {
    "modes": invariants.modes,
    "names": invariants.names,
    "stages": invariants.stages,
    "aliases": invariants.aliases,
    "pointers": invariants.pointers,
    "store": invariants.store,
    "presence": invariants.presence,
    "evaluation-data": data.evaluation_data,
    "cards": cards.cards,
}
"""Rules about any revision, by the name that findings carry."""

_OF_FILES: dict[str, Rule] = {
    "schema": invariants.schema,
    **{name: INVARIANTS[name] for name in ("modes", "names", "stages", "aliases", "pointers", "store", "cards")},
}
"""Rules whose verdict on a version follows from `registry.yaml` and its own files: it may be remembered (`remembered`)."""
_OF_MORE: dict[str, Rule] = {name: rule for name, rule in INVARIANTS.items() if name not in _OF_FILES}

DECISIONS: dict[str, Rule] = {
    "immutable": keeping.immutable,
    "intact": keeping.intact,
    "numbering": keeping.numbering,
    "kept": keeping.kept,
    "emptied": keeping.emptied,
    "stage-order": decisions.stage_order,
    "approvals": authority.approvals,
    "objections": authority.objections,
    "second-administrator": authority.second_administrator,
    "administrators": authority.administrators,
    "permissions": authority.permissions,
    "strangers": decisions.strangers,
    "governance": decisions.governance,
    "codeowners": owners.owners,
    "interop": interop.interop,
}
"""Rules about a change, by the name that findings carry."""


class Gather(Protocol):
    """Finds out, for the registry after a change and the change itself, what the rules need to know.

    Of a whole registry, `models` are those whose facts are asked for now; None means those of the change.
    """

    def __call__(self, after: Snapshot, changes: Sequence[Change], models: Sequence[str] | None = None) -> Facts:
        """Return the facts."""
        ...


def check(before: Snapshot, after: Snapshot, changed: Sequence[PathChange], gather: Gather, engine: Engine) -> Report:
    """Judge the change from `before` to `after`, whose differing paths are `changed`.

    Stages, policies, roles and approvals are read from `before`. Where a changed manifest cannot be read, the report
    says so and nothing else, for nothing else could be known. Raises ManifestError where `before` cannot be read.
    """
    first = before.read(paths.CONSTITUTION) is None
    managed = [path for path in changed if not is_unmanaged(path.path, () if first else before.constitution.unmanaged)]
    unreadable = _unreadable(after, managed)
    if unreadable:
        nothing = Judgement(None, after, (), managed, Facts(), Constitution(stages=DEFAULT_STAGES), None)
        return Report(_in_order((*unreadable, *invariants.modes(nothing))), (), ("schema", "modes"))
    changes = diff(before, after, changed)
    judgement = Judgement(
        before, after, changes, managed, gather(after, changes),
        law=after.constitution if first else before.constitution,
        access=before.access,
        models=tuple(sorted({name for change in changes for name in _names(change)})),
        versions=touched_versions(after, changes),
    )  # fmt: skip
    report = _run(judgement, {"schema": invariants.schema, **INVARIANTS, **DECISIONS})
    said = ruling(judgement, engine)
    findings = (*_in_order((*report.findings, *said.findings)), *_left_to_others(changed, managed))
    return replace(report, findings=findings, verdicts=said.verdicts, moves=moves(judgement))


def check_whole(
    after: Snapshot, files: Sequence[PathChange], gather: Gather, engine: Engine, clean: MutableSet[bytes] | None = None
) -> Report:
    """Judge a registry as it stands, without a change: every model and every version.

    `files` are all its files, as changes from nothing. `clean` knows what earlier checks by these same rules found without
    fault, and is told what this one does (see `remembered`); without it everything is judged.
    """
    remembered = Remembered(files, set() if clean is None else clean)
    globs = after.constitution.unmanaged
    managed = [path for path in files if not is_unmanaged(path.path, globs)] if globs else list(files)
    strangers = [
        Change("unknown_file_changed", place.model, place.version, path.path, None, path.new_oid, (path,))
        for path in managed
        if (place := paths.place_of(path.path)).role == "unknown"
    ]
    models = tuple(name for name in after.children(paths.MODELS) if after.children(f"{paths.MODELS}/{name}"))
    theirs: dict[str, list[PathChange]] = {name: [] for name in ("", *models)}
    for path in managed:
        theirs.get(paths.place_of(path.path).model, theirs[""]).append(path)
    unreadable = list(_unreadable(after, theirs[""]))
    of_change = {name: DECISIONS[name] for name in ("intact", "strangers", "codeowners", "interop")}
    rules = {"schema": invariants.schema, **INVARIANTS, **of_change}
    found: list[Finding] = []
    asked: list[Subject] = []
    for some in _in_parts(after, models):
        everything = [path for name in some for path in theirs[name]]
        versions = tuple(Reference(name, number) for name in some for number in after.versions(name))
        new_files, new_versions = remembered.unknown(everything, versions)
        after.read_ahead(new_files)
        unreadable += _unreadable(after, new_files)
        if not unreadable:
            judgement = Judgement(
                None, after, (), everything, gather(after, strangers, some), after.constitution, after.access, some, versions
            )  # fmt: skip
            new = replace(judgement, changed=new_files, versions=new_versions)
            found += remembered.noted((*_run(new, _OF_FILES).findings, *_run(judgement, _OF_MORE).findings))
            asked += subjects(judgement)
        after.forget()
    if unreadable:
        return Report(_in_order(unreadable), (), ("schema",))
    rest, _ = remembered.unknown(theirs[""])
    whole = Judgement(None, after, strangers, rest, gather(after, strangers, ()), after.constitution, after.access)
    found += remembered.noted(_run(whole, rules).findings)
    said = ruling(replace(whole, changed=theirs[""]), engine, asked)
    return Report(_in_order((*cards.together(found), *said.findings)), tuple(strangers), tuple(rules), said.verdicts)


_PART = 500
"""Versions that are judged at a time: what their manifests hold is let go of before the next."""


def _in_parts(after: Snapshot, models: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the models, some at a time, that have not too many versions together."""
    part: list[str] = []
    count = 0
    for name in models:
        part.append(name)
        count += len(after.versions(name))
        if count >= _PART:
            yield tuple(part)
            part, count = [], 0
    if part:
        yield tuple(part)


def _left_to_others(changed: Sequence[PathChange], managed: Sequence[PathChange]) -> list[Finding]:
    """Say which files land unjudged, for they stand in no plan: `unmanaged` leaves them to other people's rules."""
    judged = {path.path for path in managed}
    others = [path.path for path in changed if path.path not in judged]
    if not others:
        return []
    some = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
    message = f"{len(others)} file(s) that registry.yaml leaves to others change too, unjudged: {some}"
    return [Finding.warning("unmanaged", message, "look at them with git diff before they land", Spot())]


def _names(change: Change) -> set[str]:
    return {change.model, str(change.after)} if change.kind == "model_renamed" else {change.model} - {""}


def touched_versions(after: Snapshot, changes: Sequence[Change]) -> tuple[Reference, ...]:
    """Return the versions that a change touches, those of a model that it renames too, in order."""
    kinds = {"version_registered", "stage_transition", "card_updated", "evaluation_added", "immutable_violated"}
    found = {Reference(change.model, change.version) for change in changes if change.kind in kinds and change.version}
    renamed = [str(change.after) for change in changes if change.kind == "model_renamed"]
    return tuple(sorted(found | {Reference(name, number) for name in renamed for number in after.versions(name)}))


def _unreadable(after: Snapshot, changed: Sequence[PathChange]) -> tuple[Finding, ...]:
    if after.read(paths.CONSTITUTION) is None:
        return (
            Finding.error(
                "schema",
                "the registry would have no registry.yaml",
                "restore it: git checkout BASE -- registry.yaml",
                Spot(paths.CONSTITUTION, 1, 1),
            ),
        )
    judgement = Judgement(None, after, (), changed, Facts(), Constitution(stages=DEFAULT_STAGES), None)
    return tuple(finding for finding in invariants.schema(judgement) if finding.result == "error")


def _run(judgement: Judgement, rules: dict[str, Rule]) -> Report:
    found = [finding for rule in rules.values() for finding in rule(judgement)]
    return Report(_in_order(found), tuple(judgement.changes), tuple(rules))


def _in_order(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings, each once, errors first."""
    return tuple(sorted(set(found), key=lambda f: (f.result != "error", f.path, f.line, f.rule, f.message)))
