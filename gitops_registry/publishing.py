"""`push`: the decisions and proposals of this repository, brought to the remote that the branch of decisions follows.

What others decided meanwhile comes first: ours is put on top of it, and pushed as one change of all its branches. A
remote whose branch moved in between refuses, and it is done again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from gitops_registry.errors import Moved, RegistryError
from gitops_registry.git.landing import NO_COMMIT, writer
from gitops_registry.git.remote import Follows, how_to_follow, push, upstream
from gitops_registry.gto import is_on
from gitops_registry.paths import MODELS, place_of
from gitops_registry.relanding import reland
from gitops_registry.tagging import agree
from gitops_registry.workplace import PREFIXES, Workplace, digest_of

_PATIENCE = 300.0
_PUSHED = "refs/gitops-registry/pushed"
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Published:
    """What was brought to a remote: how many decisions, which proposals; and what to tell the user."""

    remote: str
    decisions: int
    proposals: tuple[str, ...]
    closed: tuple[str, ...]
    notes: tuple[str, ...] = ()


def publish(place: Workplace, *, dry_run: bool = False) -> Published:
    """Bring decisions and open proposals to the remote, and take landed proposals away there.

    Raises RegistryError where there is no remote, it cannot be reached or refuses; what is here stays here. Raises
    Conflict where the two do not fit, or somebody else keeps moving the branch.
    """
    if place.mirror is not None:
        raise RegistryError(
            f"every change is made at {place.mirror.url} at once", hint="there is nothing to push from here"
        )
    follows = upstream(place.repository, place.branch)
    if follows is None:
        raise RegistryError(
            f"{place.branch} follows no branch of a remote", hint=how_to_follow(place.repository, place.branch)
        )
    if dry_run:
        return _waiting(place, follows)[0]
    end = time.monotonic() + _PATIENCE
    notes: tuple[str, ...] = ()
    while True:
        caught = place.catch_up()
        if caught.unreachable:
            raise RegistryError(
                caught.unreachable, hint="what is here stays here; push again when the remote can be reached"
            )
        with writer(place.repository):
            notes += (reland(place, caught.theirs),) if caught.theirs else ()
            seen = place.repository.tip(follows.seen) or ""
            published, moves, landed = _waiting(place, follows)
            _bring_bytes(place, follows)
            try:
                if moves:
                    push(place.repository, follows.remote, moves, progress=place.progress)
            except Moved:
                if time.monotonic() > end:
                    raise
            else:
                _remember(place, follows, published.proposals)
                closed = _take_away(place, follows, landed)
                notes += published.notes + _tagged(place, follows, seen)
                return replace(published, closed=closed, notes=notes)
        time.sleep(random.uniform(0, _LONGEST_PAUSE))


def _waiting(place: Workplace, follows: Follows) -> tuple[Published, dict[str, tuple[str, str]], dict[str, str]]:
    """Return what there is to push, for each ref of the remote its commit there and the ref of ours it becomes, and the
    landed proposals of the remote with their commits there.
    """
    repository, tip = place.repository, place.tip()
    theirs = repository.tip(follows.seen) or NO_COMMIT
    decisions = repository.own_steps(tip, theirs)
    folder = f"refs/remotes/{follows.remote}/"
    there = {ref.removeprefix(folder): oid for ref, oid in repository.branches(*_below(folder)).items()}
    here = repository.branches(*_below("refs/heads/"), beyond=tip)
    new: dict[str, tuple[str, str]] = {}
    notes: list[str] = []
    for ref, oid in here.items():
        name = ref.removeprefix("refs/heads/")
        problem = _in_the_way(place, follows, name, oid, there.get(name))
        if problem:
            notes.append(problem)
        elif there.get(name) != oid:
            new[ref] = (there.get(name, NO_COMMIT), ref)
    merged = {repository.commit(step).trailer("Proposal").removeprefix(f"{follows.remote}/") for step in decisions}
    open_there = {ref.removeprefix(folder) for ref in repository.branches(*_below(folder), beyond=tip)}
    landed = {name: oid for name, oid in there.items() if name in merged - open_there}
    moves = {**({follows.there: (theirs, place.ref)} if decisions else {}), **new}
    return Published(follows.remote, len(decisions), _names(new), tuple(landed), tuple(notes)), moves, landed


def _bring_bytes(place: Workplace, follows: Follows) -> None:
    """Make sure that the store has the bytes of what is pushed: they may have been there for so long that gc took them.

    Bytes that neither the store nor the cache has are left to the check, which says whose they are.
    """
    store = place.store()
    if store.is_embedded or not (theirs := place.repository.tip(follows.seen)):
        return
    after = place.snapshot(place.tip())
    digests = []
    for change in place.repository.changed_paths(theirs, place.tip(), MODELS):
        at = place_of(change.path)
        if change.new_oid and at.role == "version" and (version := after.version(at.model, at.version)):
            digests += [digest_of(artifact) for artifact in version.artifacts]
        if change.new_oid and at.role == "model" and (model := after.model(at.model)) and model.evaluation:
            digests.append(digest_of(model.evaluation.as_artifact()))
    store.push([digest for digest in dict.fromkeys(digests) if store.held(digest) == "present"])


def _in_the_way(place: Workplace, follows: Follows, name: str, oid: str, there: str | None) -> str:
    """Say why a proposal is not pushed: the remote's has commits that ours has not, or was taken away there."""
    repository = place.repository
    if there is not None:
        if repository.is_ancestor(there, oid):
            return ""
        return f"{name} has commits at {follows.remote} that are not here, and was not pushed: git log {follows.remote}/{name}"
    was = repository.tip(f"{_PUSHED}/{follows.remote}/{name}")
    has_landed = was is not None and repository.is_ancestor(was, place.tip())
    if was is None or has_landed or not repository.is_ancestor(was, oid):
        return ""
    return f"{name} was pushed before and is gone at {follows.remote}, so it was not pushed again: gitops-registry proposals close {name}"


def _remember(place: Workplace, follows: Follows, names: Iterable[str]) -> None:
    """Note which proposals were pushed: one that is gone at the remote later was closed there."""
    tips = {name: place.repository.tip(f"refs/heads/{name}") for name in names}
    lines = [f"update {_PUSHED}/{follows.remote}/{name} {oid}" for name, oid in tips.items() if oid]
    for ref in place.repository.branches(f"{_PUSHED}/{follows.remote}"):
        name = ref.removeprefix(f"{_PUSHED}/{follows.remote}/")
        if name not in tips and place.repository.tip(f"refs/heads/{name}") is None:
            lines.append(f"delete {ref}")
    if lines:
        place.repository.run("update-ref", "--stdin", stdin="\n".join([*lines, ""]).encode())


def _take_away(place: Workplace, follows: Follows, landed: Mapping[str, str]) -> tuple[str, ...]:
    """Delete landed proposals at the remote, each on its own: one that somebody has taken away already stops nothing."""
    gone = []
    for name, oid in landed.items():
        with suppress(RegistryError):
            push(place.repository, follows.remote, {f"refs/heads/{name}": (oid, "")}, progress=place.progress)
            gone.append(name)
    return tuple(gone)


def _tagged(place: Workplace, follows: Follows, since: str) -> tuple[str, ...]:
    """Tag what was pushed where GTO is to see it, and push the tags; return what went wrong, for the decisions are there."""
    if not is_on(place.snapshot(place.tip())):
        return ()
    try:
        agree(place, since=since, remote=follows.remote)
    except RegistryError as error:
        return (f"GTO's tags are not all at {follows.remote}: {error.message}; gitops-registry release-tags --push",)
    return ()


def _below(folder: str) -> list[str]:
    return [folder + prefix for prefix in PREFIXES]


def _names(refs: Iterable[str]) -> tuple[str, ...]:
    return tuple(ref.removeprefix("refs/heads/") for ref in refs)
