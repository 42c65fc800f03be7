"""The annotated tags that GTO and `dvc artifacts get` go by, brought into agreement with the registry.

Whatever was missed is made up for by the next look at everything (`doctor --repair`, `release-tags`). No tag is moved or taken
away but what one call made and nobody else saw.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from gitops_registry import gto
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.git.tags import fetch_tags, make_tags, push_tags, tags, tags_at, take_back
from gitops_registry.tag_look import Agreement, Look
from gitops_registry.workplace import Workplace

_MIRRORED = "origin"


def keep_tags(place: Workplace, since: str) -> None:
    """Tag what was decided after `since`, where the registry is kept in agreement with GTO.

    Where the branch follows a remote, tags wait for `push`: what is only here may still get another commit. A decision that
    has landed stays one whatever becomes of its tags: `doctor` finds what is missing, and mends it.
    """
    tip = place.tip()
    if tip == since or not gto.is_on(place.snapshot(tip)):
        return
    remote = _MIRRORED if place.mirror is not None else ""
    if remote or not place.follows:
        with suppress(RegistryError):
            agree(place, since=since, remote=remote)


def agree(place: Workplace, *, since: str = "", remote: str = "", dry_run: bool = False) -> Agreement:
    """Make the tags that are missing (of what was decided after `since`, where it is given), and push them to a `remote`.

    Raises RegistryError where git cannot sign or the remote refuses (then those made by this call are taken back, for
    somebody else's may have their names by now), Moved where somebody else tags at the same time.
    """
    repository = place.repository
    there = tags_at(repository, remote) if remote else {}
    if remote and not dry_run:
        here = tags(repository)
        fetch_tags(repository, remote, [name for name in there if name not in here and gto.read_tag(name)])
    look = Look(place, since)
    found = look.agreement()
    others = tuple(
        f"{name} is another tag at {remote}"
        for name, (_, tagged) in look.all_tags().items()
        if name in there and there[name].oid != tagged.oid
    )
    pushed = look.lacking(found, there) if remote else ()
    if not dry_run:
        before = tags(repository)
        make_tags(repository, found.wanted)
        try:
            push_tags(repository, remote, pushed, place.progress)
        except RegistryError:
            after = tags(repository)
            take_back(repository, {name: after[name] for name in found.wanted if name in after and name not in before})
            raise
    return replace(found, pushed=pushed, wrong=(*found.wrong, *others))


def since_of(place: Workplace) -> str:
    """Return the last decision; empty where there is none."""
    try:
        return place.tip()
    except NotFound:
        return ""
