"""How a forge guards the branch of decisions, as `doctor --forge` says it: what is open first, each with where to close it."""

from __future__ import annotations

from collections.abc import Iterator

from gitops_registry.doctor import Symptom
from gitops_registry.errors import RegistryError
from gitops_registry.forge.interface import Forge, Guarded, Setting, fitting
from gitops_registry.manifest.members import Access
from gitops_registry.weighing import STATUS
from gitops_registry.workplace import Workplace

_STATES = {True: "error", None: "warning", False: "ok"}


def guards(place: Workplace, forge: Forge) -> list[Symptom]:
    """Return what a forge lets through, what could not be read, and what holds; then members whom it does not know.

    Raises RegistryError where the forge cannot be asked.
    """
    snapshot = place.snapshot(place.tip())
    found = [_symptom(forge, setting) for setting in fitting(forge.settings(Guarded(place.branch, STATUS)))]
    found += _members(forge, snapshot.access)
    if forge.kind != "local":
        return found
    named = snapshot.constitution.forge
    if named is not None:
        message = f"registry.yaml says that pull requests are on {named.kind}, and no remote here is on one"
        step = f"git remote add origin URL; git push -u origin {place.branch}; then run it again"
        return [*found, Symptom("forge", "error", message, step)]
    message = f"{forge.url} is on no forge: nothing there guards {place.branch}"
    step = "a server of your own: gitops-registry hook install REPOSITORY; a forge: forge: {kind: …} in registry.yaml"
    return [*found, Symptom("forge", "warning", message, step)]


def _symptom(forge: Forge, setting: Setting) -> Symptom:
    state = _STATES[setting.is_open]
    assert state in {"ok", "warning", "error"}
    return Symptom(f"{forge.kind} {setting.what}", state, setting.message, setting.repair)  # type: ignore[arg-type]


def _members(forge: Forge, access: Access | None) -> Iterator[Symptom]:
    """Whether reviews of members can count: a forge's account is known by its number."""
    if access is None or forge.kind == "local":
        return
    for member in access.members:
        if member.kind != "person" or not access.may(member, "deploy"):
            continue
        known = [one for one in member.identities if one.forge == forge.kind]
        if not known:
            step = f"in policies/access.yaml: identities: [{{forge: {forge.kind}, login: …, id: …}}]"
            yield Symptom(
                "identities",
                "warning",
                f"{member.name} has no account on {forge.kind}, so no review of theirs counts",
                step,
            )
        for one in known:
            if one.id is None:
                yield _numberless(forge, member.name, one.login)


def _numberless(forge: Forge, name: str, login: str) -> Symptom:
    message = (
        f"{name} is {login} on {forge.kind} without a number, and a login can change hands: no review of theirs counts"
    )
    try:
        number = forge.person(login).id
    except RegistryError as error:
        return Symptom("identities", "error", message, error.message)
    return Symptom("identities", "error", message, f"if that is {name}: add id: {number} in policies/access.yaml")
