"""`push`: the decisions and proposals of this repository, brought to the remote that the branch of decisions follows.

What others decided meanwhile comes first: ours is put on top of it, and pushed as one change of all its branches. A
remote whose branch moved in between refuses, and it is done again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.git.landing import NO_COMMIT, writer
from gitops_registry.git.remote import push, upstream
from gitops_registry.proposals import PREFIXES
from gitops_registry.relanding import reland
from gitops_registry.workplace import Workplace

_PATIENCE = 300.0
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
            f"{place.branch} follows no branch of a remote", hint=f"git push -u REMOTE {place.branch} says which, once"
        )
    if dry_run:
        return _waiting(place, *follows)[0]
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
            published, moves = _waiting(place, *follows)
            try:
                if moves:
                    push(place.repository, follows[0], moves, progress=place.progress)
                return replace(published, notes=notes)
            except Conflict:
                if time.monotonic() > end:
                    raise
        time.sleep(random.uniform(0, _LONGEST_PAUSE))


def _waiting(place: Workplace, remote: str, ref: str) -> tuple[Published, dict[str, tuple[str, str]]]:
    """Return what there is to push, and for each ref of the remote its commit there and the ref of ours it becomes."""
    repository, tip = place.repository, place.tip()
    theirs = repository.tip(ref) or NO_COMMIT
    decisions = repository.own_steps(tip, theirs)
    folder, here = f"refs/remotes/{remote}/", repository.branches(*_below("refs/heads/"), beyond=tip)
    there, open_there = (repository.branches(*_below(folder), beyond=limit) for limit in (None, tip))
    known = {name.replace(folder, "refs/heads/", 1): oid for name, oid in there.items()}
    is_open = {name.replace(folder, "refs/heads/", 1) for name in open_there}
    new = {name: (known.get(name, NO_COMMIT), name) for name, oid in here.items() if known.get(name) != oid}
    landed = {name: (oid, "") for name, oid in known.items() if name not in is_open and name not in here}
    moves = {**({place.ref: (theirs, place.ref)} if decisions else {}), **new, **landed}
    return Published(remote, len(decisions), _names(new), _names(landed)), moves


def _below(folder: str) -> list[str]:
    return [folder + prefix for prefix in PREFIXES]


def _names(refs: Iterable[str]) -> tuple[str, ...]:
    return tuple(ref.removeprefix("refs/heads/") for ref in refs)
