"""What a member may do here and now, and why: which permissions an act needs, who holds them, whose keys still count.

An act is a permission, or a verb of the command line about a model; the permissions a verb needs are those of the changes
that it makes, on the registry as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from gitops_registry import paths
from gitops_registry.access import holds, needed
from gitops_registry.changes import Change, Kind
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.manifest.members import Access, Key, Member
from gitops_registry.manifest.parts import Permission
from gitops_registry.reference import did_you_mean, split_reference
from gitops_registry.snapshot import Snapshot

PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
_LOOKING = (
    "list",
    "search",
    "show",
    "compare",
    "card",
    "log",
    "plan",
    "check",
    "verify",
    "pull",
    "predict",
    "proposals",
)
_NEW = ("register", "import")
_OF_VERSIONS: dict[str, Kind] = {
    "promote": "stage_transition", "archive": "stage_transition", "rollback": "stage_transition", "approve": "stage_transition",
    "evaluate": "evaluation_added",
}  # fmt: skip
_OF_WORDS = ("tag", "describe")
_OF_MODELS = ("alias", *_OF_WORDS, "evaluation", "rename", "delete")
_OF_THE_REGISTRY = ("policy", "waive", "access", "migrate")
VERBS = (*_LOOKING, *_NEW, *_OF_VERSIONS, *_OF_MODELS, *_OF_THE_REGISTRY)
"""The verbs whose permissions are known without looking at a plan."""


@dataclass(frozen=True)
class Act:
    """What somebody wants to do: the permissions it needs, each for a model (empty: the registry itself, or any model).

    `note` says what else there is to know.
    """

    word: str
    model: str
    needs: tuple[tuple[Permission, str], ...]
    note: str = ""


@dataclass(frozen=True)
class Standing:
    """Whether a member may do something, and in one line why."""

    member: Member
    may: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        member = self.member
        return {
            "member": member.name, "kind": member.kind, "role": member.role, "models": list(member.models),
            "may": self.may, "why": self.why,
        }  # fmt: skip


def act(snapshot: Snapshot, access: Access, word: str, target: str = "") -> Act:
    """Return what a permission or a verb needs, there and now; `target` is a model, or for some verbs `NAME@REF`.

    Where an alias or a version is not named, the most that any could need is meant. Raises NotFound for an unknown word,
    model or version, RegistryError where a verb needs a model, or what it needs depends on a plan.
    """
    name, wanted = split_reference(target) if target else ("", "")
    if name and (problem := paths.name_problem(name)):
        raise RegistryError(f"model {name!r} {problem}", hint="see: gitops-registry list")
    is_there = bool(name) and snapshot.model(snapshot.present_name(name)) is not None
    name = snapshot.present_name(name) if is_there else name
    if (word in PERMISSIONS or word in _LOOKING) and not (word == "delete" and is_there):  # that one is a verb too
        permission = next((one for one in PERMISSIONS if one == word), PERMISSIONS[0])
        return Act(word, name, ((permission, name),), _about_new(snapshot, name))
    if word in _OF_THE_REGISTRY:
        return Act(word, "", (("administer", ""),))
    if word in {"merge", "push"}:
        raise RegistryError(f"what {word} needs depends on the plan", hint="ask for the verbs that made the proposal")
    if word not in VERBS:
        raise NotFound(f"{word!r} is no permission and no verb", hint=did_you_mean(word, (*PERMISSIONS, *VERBS)))
    if not name:
        raise RegistryError(f"{word} is about a model", hint="name it behind the verb")
    note = _about_new(snapshot, name)
    if word not in _NEW:
        note = ""
        snapshot.known_model(name)
    changes, more = _changes(snapshot, access, word, name, wanted)
    needs = needed(changes, snapshot, snapshot.constitution, access)
    return Act(word, name, tuple(needs), "; ".join(filter(None, (note, more))))


def _changes(snapshot: Snapshot, access: Access, word: str, name: str, wanted: str) -> tuple[list[Change], str]:
    """Return the changes that a verb would make, as far as permissions depend on them, and a note."""
    if word in _NEW:
        more = "stages it takes over need deploy" if word == "import" else ""
        return [Change("version_registered", name, 1)], more
    if word == "alias":
        return _alias(snapshot, access, name, wanted)
    if word == "evaluation":
        return [Change("model_updated", name, 0, "evaluation")], ""
    if word == "rename":
        return [Change("model_renamed", name, after=name)], "the new name must be within reach too"
    number = snapshot.resolve(name, wanted).number if wanted else 0
    if word in _OF_VERSIONS:
        return [Change(_OF_VERSIONS[word], name, number)], ""
    if word == "delete":
        return [Change("version_deleted" if number else "model_deleted", name, number)], ""
    if number:
        return [Change("card_updated", name, number)], ""
    return [Change("model_updated", name, 0, "description")], ""


def _alias(snapshot: Snapshot, access: Access, name: str, alias: str) -> tuple[list[Change], str]:
    there = snapshot.known_model(name).aliases
    held = {one.lower(): number for one, number in there.items()}
    names = [alias] if alias else [*access.protected_aliases, *there, "any"]
    changes = [Change("alias_set", name, 0, one, held.get(one.lower()), 0) for one in names]
    return changes, "" if alias else f"of any alias; name one to ask about it alone: {name}@ALIAS"


def _about_new(snapshot: Snapshot, name: str) -> str:
    return f"there is no model {name} yet" if name and snapshot.model(name) is None else ""


def standing(access: Access, member: Member, wanted: Act, now: datetime) -> Standing:
    """Return whether a member may do something: by their role, the models they are for, and their keys.

    Where keys are in use, whoever has neither a key that counts nor a login cannot be told from anybody else.
    """
    for permission, model in wanted.needs:
        if not access.may(member, permission):
            return Standing(member, False, f"the role {member.role} has no {permission}")
        if not _is_allowed(access, member, permission, model):
            about = model or "the registry itself"
            return Standing(member, False, f"only for the models {', '.join(member.models)}, and this is about {about}")
    needs = " and ".join(dict.fromkeys(permission for permission, _ in wanted.needs))
    why = f"the role {member.role} has {needs}" + (f", for {', '.join(member.models)}" if member.models else "")
    if all(permission == "read" for permission, _ in wanted.needs):
        return Standing(member, True, _sentence(why, "who may read is for the host to enforce", wanted.note))
    problem, remark = _about_keys(access, member, now)
    return Standing(member, not problem, f"{why}, but {problem}" if problem else _sentence(why, remark, wanted.note))


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _about_keys(access: Access, member: Member, now: datetime) -> tuple[str, str]:
    """Return why a member's signature would not count, else a remark on what tells who they are."""
    if any(key.is_good(now) for key in member.keys):
        return "", ""
    login = next((f"{one.forge} ({one.login})" for one in member.identities), "")
    if member.keys:
        states = ", ".join(state(key, now) for key in member.keys)
        return f"no key of theirs counts any more: {states}", ""
    if login:
        return "", f"no key, so only {login} can tell who it is"
    if any(one.keys for one in access.members):
        return "there is no key and no login that could tell who it is", ""
    return "", "nobody here has a key, so nothing proves who it is"


def state(key: Key, now: datetime) -> str:
    """Return what a key is now, in words: good, good until, expired, revoked."""
    if key.revoked:
        return "revoked"
    if key.not_after is None:
        return "good"
    moment = key.not_after.isoformat(" ", "minutes").replace("+00:00", " UTC")
    return f"good until {moment}" if key.is_good(now) else f"expired {moment}"


def who_can(access: Access, wanted: Act, now: datetime) -> list[Standing]:
    """Return those whose role and models allow something, in order of name; `may` is false where their keys do not.

    Without a model, whoever may do it for any.
    """
    return [
        standing(access, member, wanted, now)
        for member in sorted(access.members, key=lambda one: one.name.lower())
        if all(_is_allowed(access, member, permission, model) for permission, model in wanted.needs)
    ]


def _is_allowed(access: Access, member: Member, permission: Permission, model: str) -> bool:
    """Say whether role and models allow it; without a model, for any."""
    if not model and permission != "administer":
        return access.may(member, permission)
    return holds(access, member.name, permission, model)


def known_member(access: Access | None, name: str) -> Member:
    """Return a member by name. Raises NotFound with the names that are close."""
    members: Sequence[Member] = access.members if access else ()
    found = next((member for member in members if member.name == name), None)
    if found is None:
        raise NotFound(f"no member {name!r} here", hint=did_you_mean(name, tuple(one.name for one in members)))
    return found
