"""`interop`: a registry that DVC and GTO read is made one, looked at, mended, and given up again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from gitops_registry import gto
from gitops_registry.deciding import Intent, Outcome
from gitops_registry.errors import Conflict, ManifestError, RegistryError
from gitops_registry.git.remote import upstream
from gitops_registry.moving import change
from gitops_registry.paths import CONSTITUTION, DVC_YAML
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.tag_look import Agreement
from gitops_registry.tagging import agree
from gitops_registry.workplace import Workplace

_LINE = re.compile(rb"(?m)^interop:.*\n?")


@dataclass(frozen=True)
class Disagreement:
    """What DVC and GTO would find: whether dvc.yaml `is_listed` as the registry gives it, and what the tags lack."""

    is_listed: bool
    tags: Agreement

    @property
    def is_none(self) -> bool:
        """Whether there is nothing to mend."""
        return self.is_listed and not self.tags.wanted and not self.tags.wrong

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {"dvc_yaml": self.is_listed, **self.tags.to_json()}


@dataclass(frozen=True)
class Repaired:
    """What was mended: the decision, or the proposal, that writes dvc.yaml anew (None where it was right), and the tags that were made or pushed."""

    outcome: Outcome | None
    tags: tuple[str, ...]
    is_waiting: bool = False
    """Whether tags wait until what is only here is pushed."""


def disagreement(place: Workplace) -> Disagreement | None:
    """Look at dvc.yaml and the tags of the branch of decisions; None where the registry does not say `interop: gto`."""
    now = place.snapshot(place.tip())
    if not gto.is_on(now):
        return None
    return Disagreement(gto.written(now) == gto.dvc_yaml(now), agree(place, dry_run=True))


def repair(place: Workplace, *, dry_run: bool = False) -> Repaired:
    """Write dvc.yaml anew where it is not what the registry gives, and make the tags that are missing.

    Where the registry takes proposals only, the file is proposed. Where the branch follows a remote, the tags are pushed. Raises RegistryError where the registry does not say
    `interop: gto`, git cannot sign, or the remote refuses.
    """
    found = disagreement(place)
    if found is None:
        raise RegistryError("there is nothing to repair here: registry.yaml does not say `interop: gto`", hint=_HOW)
    outcome = None if found.is_listed else change(place, _rewriting(), direct=None, dry_run=dry_run)
    if waits_for_push(place):
        return Repaired(outcome, (), is_waiting=True)
    remote = "origin" if place.mirror is not None else place.follows
    made = agree(place, remote=remote, dry_run=dry_run)
    return Repaired(outcome, tuple(dict.fromkeys((*made.wanted, *made.pushed))))


def waits_for_push(place: Workplace) -> bool:
    """Say whether decisions are only here, where others are to see them: what is only here gets no tag yet."""
    follows = None if place.mirror is not None else upstream(place.repository, place.branch)
    return follows is not None and place.repository.tip(follows.seen) != place.tip()


_HOW = "gitops-registry interop on"


def _rewriting() -> Intent:
    def edit(before: Snapshot) -> Edits:
        return {DVC_YAML: gto.dvc_yaml(before)}

    return Intent(edit=edit, subject=lambda _: f"write {DVC_YAML} anew", branch=lambda _: "change/dvc-yaml")


def switching(to: Literal["gto"] | None, *, reason: str = "") -> Intent:
    """Return the wish to keep a registry in agreement with DVC and GTO, or no longer; registry.yaml keeps its comments."""

    def edit(before: Snapshot) -> Edits:
        text = before.read(CONSTITUTION) or b""
        if before.constitution.interop == to:
            return {}
        bare = _LINE.sub(b"", text)
        end = b"" if bare.endswith(b"\n") else b"\n"
        switched = {CONSTITUTION: bare + end + b"interop: gto\n" if to else bare}
        try:
            is_done = before.with_edits(switched).constitution.interop == to
        except ManifestError:
            is_done = False
        if not is_done:
            raise Conflict(
                f"{CONSTITUTION} spells `interop` in a way of its own, and is left as it is",
                hint="edit it by hand: a line `interop: gto`, or none; then: gitops-registry check",
            )
        return switched

    verb = "keep the registry in agreement with DVC and GTO" if to else "leave DVC and GTO to themselves"
    return Intent(edit=edit, subject=lambda _: verb, branch=lambda _: "change/interop", reason=reason)
