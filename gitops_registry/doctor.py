"""`doctor`: what is wrong with this registry on this machine, and the command that repairs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from shlex import quote
from typing import Any, Literal

from gitops_registry import paths
from gitops_registry.agreeing import disagreement, waits_for_push
from gitops_registry.errors import RegistryError
from gitops_registry.git.remote import remotes, unreachable, upstream
from gitops_registry.governing import book_of, tested
from gitops_registry.identity import deciding_member
from gitops_registry.migrating import outdated
from gitops_registry.policy.report import serving_versions
from gitops_registry.starting import IGNORED
from gitops_registry.storage import shared_by_others
from gitops_registry.using import Verified, verify
from gitops_registry.workplace import Workplace

_OLDEST_GIT = (2, 34)
_SHOWN = 5


@dataclass(frozen=True)
class Symptom:
    """One thing that `doctor` looked at. `repair` is the command or step that mends it; empty when it is well."""

    what: str
    state: Literal["ok", "warning", "error"]
    message: str
    repair: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return dict(self.__dict__)


def examine(place: Workplace) -> list[Symptom]:
    """Look at everything once, in a fixed order; whatever cannot be looked at is itself a symptom."""
    place.snapshot().constitution  # noqa: B018 - raises NotFound where this is no registry
    found: list[Symptom] = []
    for look in (
        _git,
        _identity,
        _signing,
        _objects,
        _history,
        _branch,
        _work_tree,
        _bytes_in_git,
        _ignored,
        _formats,
        _policies,
        _storage,
        _serving_bytes,
        _interop,
        _caught_up,
    ):
        found += _careful(look, place)
    return found


def _careful(look: Callable[[Workplace], Iterator[Symptom]], place: Workplace) -> list[Symptom]:
    try:
        return list(look(place))
    except RegistryError as error:
        return [Symptom(look.__name__.strip("_").replace("_", " "), "error", error.message, error.hint)]


def _git(place: Workplace) -> Iterator[Symptom]:
    told = place.repository.run("version").strip()
    match = re.search(r"(\d+)\.(\d+)", told)
    old = match is None or (int(match[1]), int(match[2])) < _OLDEST_GIT
    yield Symptom("git", "error" if old else "ok", told, "install git 2.34 or newer" if old else "")


def _identity(place: Workplace) -> Iterator[Symptom]:
    name, email = place.repository.identity()
    yield Symptom("identity", "ok", f"{name} <{email}>")


def _signing(place: Workplace) -> Iterator[Symptom]:
    access = place.snapshot(place.tip()).access
    member, key = deciding_member(place.repository, access)
    if member:
        yield Symptom("signing", "ok", f"commits here are signed with a key of {member}")
    elif key:
        repair = "an administrator adds it: gitops-registry access add, or access rotate-key"
        yield Symptom("signing", "warning", f"{key} signs here and is no member's", repair)
    elif access is not None and any(member.keys for member in access.members):
        repair = "git config gpg.format ssh; git config user.signingKey ~/.ssh/id_ed25519.pub"
        yield Symptom("signing", "warning", "members sign what they decide, and no key is configured here", repair)


def _objects(place: Workplace) -> Iterator[Symptom]:
    told = place.repository.broken_objects()
    if told:
        more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
        repair = "fetch what is lost from a clone that has it: git fetch CLONE; a damaged file under .git/objects is removed first"
        yield Symptom("objects", "error", f"git has lost objects: {told[0]}{more}", repair)
    else:
        yield Symptom("objects", "ok", "git has every object, and each is what its name says")


def _policies(place: Workplace) -> Iterator[Symptom]:
    """Whether the engine of policies works here, every policy's tests are met, and something speaks for what serves."""
    found = tested(place, ())
    if found.findings:
        first, count = found.findings[0], len(found.findings)
        more = f" (and {count - 1} more)" if count > 1 else ""
        yield Symptom("policies", "error", f"{first.where}: {first.message}{more}", "gitops-registry policy test")
        return
    law = place.snapshot().constitution
    asked = {
        stage for sheet in book_of(place)[1].sheets for stage in sheet.policy.match.to or (s.name for s in law.stages)
    }
    closed = [stage.name for stage in law.stages if stage.serving and stage.name not in asked]
    if closed:
        message = f"no policy is about {', '.join(closed)}, so nothing can come there"
        yield Symptom(
            "policies", "warning", message, f"gitops-registry policy new {closed[0]}-quality --to {closed[0]}"
        )
    else:
        yield Symptom("policies", "ok", f"{len(found.policies)} policies, {len(found.tried)} tests, all met")


def _history(place: Workplace) -> Iterator[Symptom]:
    if place.repository.is_shallow:
        yield Symptom(
            "history",
            "error",
            "this clone is shallow: the log, rollback and what serving asks of the past need the whole history",
            "git fetch --unshallow",
        )
    else:
        yield Symptom("history", "ok", "complete")


def _branch(place: Workplace) -> Iterator[Symptom]:
    branch = place.branch
    place.tip()
    here = place.repository.head_branch
    if here == branch:
        yield Symptom("branch", "ok", f"decisions land on {branch}")
    else:
        yield Symptom(
            "branch",
            "warning",
            f"{here or 'a detached HEAD'} is checked out; decisions land on {branch}",
            f"git switch {branch}",
        )


def _work_tree(place: Workplace) -> Iterator[Symptom]:
    repository = place.repository
    if repository.work_tree is None:
        return
    lock = repository.git_dir / "index.lock"
    if lock.exists():
        yield Symptom("work tree", "error", "git's lock of the index is held", f"if no git command runs: rm {lock}")
    changed = [change.path for change in repository.working_changes(place.commit("HEAD"))]
    edited = [path for path in changed if paths.place_of(path).role != "unknown"]
    if edited:
        some = ", ".join(edited[:3]) + (" …" if len(edited) > 3 else "")
        yield Symptom(
            "work tree",
            "warning",
            f"{len(edited)} registry file(s) differ from the last commit: {some}",
            "commit them, or restore them: git checkout HEAD -- FILE",
        )
    elif not lock.exists():
        yield Symptom("work tree", "ok", "as committed")


def _bytes_in_git(place: Workplace) -> Iterator[Symptom]:
    committed = [file.path for file in place.files()]
    staged = place.repository.run("ls-files", "-z", "--", "models").split("\0") if place.repository.work_tree else []
    there = dict.fromkeys(path for path in (*committed, *staged) if path.startswith("models/"))
    strangers = [path for path in there if paths.place_of(path).role == "unknown"]
    if strangers:
        yield Symptom(
            "bytes in git",
            "error",
            f"{len(strangers)} file(s) below models/ are no registry files: {strangers[0]}",
            f"git rm --cached {quote(strangers[0])}; then gitops-registry register",
        )
    else:
        yield Symptom("bytes in git", "ok", "none below models/")


def _ignored(place: Workplace) -> Iterator[Symptom]:
    if place.repository.work_tree is None:
        return
    folder = "models/some-model/versions/1"
    lines = " ".join(f"'{line}'" for line in IGNORED.splitlines())
    repair = f"printf '%s\\n' {lines} >> .gitignore; git add .gitignore; git commit -m 'keep bytes out of git'"
    wanted = (
        "models/some-model/model.yaml",
        f"{folder}/version.yaml",
        f"{folder}/card.yaml",
        f"{folder}/model.skops.dvc",
    )
    hidden = [path for path in wanted if place.repository.is_ignored(path)]
    loose = [path for path in (f"{folder}/model.skops", "model.joblib") if not place.repository.is_ignored(path)]
    if loose:
        yield Symptom("ignored bytes", "error", ".gitignore would let model files into git", repair)
    elif hidden:
        names = ", ".join(path.rsplit("/", 1)[1] for path in hidden)
        yield Symptom("ignored bytes", "error", f".gitignore hides {names}, which belong into git", repair)
    else:
        yield Symptom("ignored bytes", "ok", "model files are ignored, manifests and pointers are not")


def _formats(place: Workplace) -> Iterator[Symptom]:
    old = sorted(outdated(place, place.snapshot()))
    place.tell("")
    if old:
        message = f"{len(old)} file(s) are as an older release wrote them: {old[0]}"
        yield Symptom("formats", "warning", message, "gitops-registry migrate")
    else:
        yield Symptom("formats", "ok", "as this release writes them")


def _storage(place: Workplace) -> Iterator[Symptom]:
    store = place.store()
    if not store.location and not store.is_embedded:
        yield Symptom(
            "storage",
            "error",
            "no DVC remote is configured: bytes have nowhere to go",
            "dvc remote add -d storage URL; git add .dvc/config; git commit",
        )
        return
    trouble, lonely = store.trouble(), shared_by_others(place.store_root)
    if trouble:
        yield Symptom(
            "storage", "error", trouble, "see `dvc remote list`, and that its place is there and may be written"
        )
    elif lonely:
        yield Symptom(
            "storage",
            "warning",
            lonely,
            "dvc remote add -d storage URL (s3://…, ssh://…); dvc push; git commit .dvc/config",
        )
    elif store.is_embedded:
        yield Symptom(
            "storage", "ok", f"{paths.EMBEDDED_STORE}, committed with git: every clone has it (right for small models)"
        )
    else:
        yield Symptom("storage", "ok", store.location)


def _serving_bytes(place: Workplace) -> Iterator[Symptom]:
    snapshot = place.snapshot()
    references = serving_versions(snapshot, snapshot.constitution)
    problems = [found for found in verify(place, snapshot, references) if found.problem]
    for found in problems:
        state: Literal["warning", "error"] = "warning" if found.store == "present" else "error"
        message = f"{found.reference} {found.file}: {found.problem}"
        yield Symptom("serving bytes", state, message, _bytes_repair(place, found))
    if not problems:
        yield Symptom("serving bytes", "ok", f"{len(references)} serving version(s), every artifact present")


def _bytes_repair(place: Workplace, found: Verified) -> str:
    pointer = paths.pointer_path(*found.reference, found.file)
    if found.store == "present":
        return f"gitops-registry pull {found.reference} --to FOLDER"
    if found.cache != "present":
        return f"push it from a clone that has it: dvc push {pointer}; otherwise roll back to a version that is whole"
    commit = f"; git add {paths.EMBEDDED_STORE}; git commit -m 'bring back the bytes of {found.reference}'"
    return f"dvc push {pointer}" + (commit if place.store().is_embedded else "")


def _interop(place: Workplace) -> Iterator[Symptom]:
    """Whether DVC and GTO find what the registry says, where it is to be so."""
    found = disagreement(place)
    if found is None:
        return
    repair = "gitops-registry doctor --repair"
    if not found.is_listed:
        yield Symptom("interop", "error", f"{paths.DVC_YAML} is not what models/ gives", repair)
    if found.tags.wanted:
        waiting = f"{len(found.tags.wanted)} tag(s) that GTO reads are missing: {next(iter(found.tags.wanted))}"
        if waits_for_push(place):
            yield Symptom(
                "interop", "warning", f"{waiting} (they are made when decisions are pushed)", "gitops-registry push"
            )
        else:
            yield Symptom("interop", "error", waiting, repair)
    for told in found.tags.wrong:
        yield Symptom(
            "interop",
            "error",
            told,
            "look at it: git show TAG; a tag is never moved: git tag -d TAG, then doctor --repair",
        )
    for told in found.tags.unsaid[:_SHOWN]:
        yield Symptom("interop", "warning", told, "use gitops-registry for it, or another name: gitops-registry rename")
    if len(found.tags.unsaid) > _SHOWN:
        yield Symptom(
            "interop", "warning", f"{len(found.tags.unsaid) - _SHOWN} more like that", "gitops-registry interop status"
        )
    if found.is_listed and not found.tags.wanted and not found.tags.wrong:
        yield Symptom("interop", "ok", f"{paths.DVC_YAML} and GTO's tags say what the registry says")


def _caught_up(place: Workplace) -> Iterator[Symptom]:
    if place.mirror is not None:
        yield Symptom("remote", "ok", f"every change is made at {place.mirror.url}")
        return
    follows = upstream(place.repository, place.branch)
    if follows is None:
        others = remotes(place.repository)
        if others and place.repository.work_tree is not None:
            yield Symptom(
                "remote",
                "warning",
                f"{place.branch} follows no branch of {next(iter(others))}",
                f"git push -u {next(iter(others))} {place.branch}",
            )
        else:
            yield Symptom("remote", "ok", "none: this registry is only here")
        return
    away = unreachable(place.repository, follows[0])
    if away:
        yield Symptom("remote", "warning", f"{follows[0]} cannot be reached: {away}", f"git fetch {follows[0]}")
        return
    told = place.repository.run(
        "rev-list", "--left-right", "--count", f"refs/heads/{place.branch}...{follows.seen}"
    ).split()
    ahead, behind = int(told[0]), int(told[1])
    if ahead and behind:
        yield Symptom(
            "remote",
            "error",
            f"{place.branch} and {follows[0]} went different ways",
            "gitops-registry push puts yours on top of theirs",
        )
    elif behind:
        yield Symptom("remote", "warning", f"{behind} decision(s) behind {follows[0]}", "git pull")
    elif ahead:
        yield Symptom("remote", "warning", f"{ahead} decision(s) are only here", "gitops-registry push")
    else:
        yield Symptom("remote", "ok", f"level with {follows[0]}")
