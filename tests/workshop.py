"""A team's registry with a past, and whatever its members, and others, can make of it on their own machines.

Honest commits have the trees that the product makes and the signatures of those who may. The attacks start from them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from builder import FINISHED_CARD, FLOORS
from forging import Actor, Draft, Forge, actor

from gitops_registry import edits, paths
from gitops_registry.changes import plan_digest
from gitops_registry.codeowners import owned
from gitops_registry.difference import diff
from gitops_registry.manifest.facts import Artifact, Person, Version
from gitops_registry.manifest.kinds import Access
from gitops_registry.manifest.members import Key, Member
from gitops_registry.manifest.writing import dump
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content, Edits, Snapshot, Stored
from gitops_registry.starting import Start, init
from gitops_registry.workplace import Workplace

ROLES = {
    "alice": "admin", "carol": "admin", "bob": "ml_engineer", "dan": "data_scientist", "eve": "ml_engineer",
    "vic": "viewer", "rob": "ml_engineer", "frank": "ml_engineer", "gus": "ml_engineer",
}  # fmt: skip
"""Members: eve is limited to churn, rob is a service, frank's key was revoked, gus's is past its date."""
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
Change = Mapping[str, bytes | tuple[str, str] | None]


@dataclass
class Workshop:
    """One repository with everybody's commits, and the keys of everybody. `marks` name commits of the past."""

    folder: Path
    cast: dict[str, Actor]
    marks: dict[str, str]

    def __post_init__(self) -> None:
        self.root = self.folder / "registry"
        self.forge = Forge(self.root / ".git")
        self._place = Workplace.open(self.root)

    def __getattr__(self, name: str) -> Actor:
        """Members, and others, by their names."""
        try:
            return self.__dict__["cast"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def tip(self) -> str:
        """The last decision of the past."""
        return self.marks["tip"]

    def at(self, commit: str = "") -> Snapshot:
        """Return the registry at a commit (the tip, without one)."""
        return self._place.snapshot(commit or self.tip)

    # ── what is proposed

    def commit(self, by: Actor, changes: Edits | Change, *, base: str = "", message: str = "change", **how: Any) -> str:
        """Return a signed commit on top of `base` (the tip, without one); `how` are the other parts of a Draft."""
        base = base or self.tip
        tree = self.forge.edited(base, raw(changes))
        return self.forge.commit(by, Draft(**{"tree": tree, "parents": [base], "message": message, **how}))

    def promotion(self, of: str, to: str, *, base: str = "") -> dict[str, Content | None]:
        """Return what promoting a version writes."""
        before = self.at(base)
        return dict(edits.promote(before, before.resolve(of), to))

    def registration(
        self, name: str, *, base: str = "", payload: bytes = b"", **facts: Any
    ) -> dict[str, Content | None]:
        """Return what registering the next version of a model writes, its bytes in the store included."""
        before = self.at(base)
        number = edits.next_number(before, name)
        data = payload or f"{name} {number}\n".encode() * 20
        md5, sha256 = hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
        artifact = Artifact(name="model", file="model.bin", format="bytes", size=len(data), md5=md5, sha256=sha256)
        told: dict[str, Any] = {
            "created": LONG_AGO, "author": Person(name="Dan", email="dan@example.com"), "task": "binary-classification",
            "metrics": {"accuracy": 0.95}, "artifacts": (artifact,), **facts,
        }  # fmt: skip
        version = Version(**told)
        files = {f"{one.file}.dvc": pointer(one) for one in version.artifacts}
        written = {
            **edits.register(before, name, version, card=FINISHED_CARD, files=files),
            paths.store_path(md5): data,
        }
        reference = Reference(name, number)
        card = self._place.card(before.with_edits(written), reference)
        return {**written, paths.rendered_card_path(*reference): card}

    def members(self, change: Callable[[Access], Access], *, base: str = "") -> dict[str, Content | None]:
        """Return what changing the members writes."""
        before = self.at(base)
        assert before.access is not None
        after = change(before.access)
        return {paths.ACCESS: dump(after, paths.ACCESS), **owned(before, after)}

    # ── what is decided

    def digest(self, base: str, head: str) -> str:
        """Return the digest of what a proposal would change on a base."""
        before, after, changed = self._place.landed(base, head)
        return plan_digest(diff(before, after, changed))

    def approval(
        self,
        by: Actor,
        head: str,
        *,
        base: str = "",
        word: str = "Approves",
        plan: str = "",
        message: str = "",
        **how: Any,
    ) -> str:
        """Return a commit on top of a proposal's that approves (or `Rejects`) what it would change on a base."""
        base = base or self.tip
        told = message or f"{word.lower().rstrip('s')} {head[:12]}"
        trailers = f"{word}-Plan: {plan or self.digest(base, head)}\n{word}-Base: {base}"
        return self.commit(by, {}, base=head, message=f"{told}\n\n{trailers}", **how)

    def landing(self, by: Actor, head: str, *, base: str = "", branch: str = "", **how: Any) -> str:
        """Return the merge of a proposal on a base, as the product makes it; `how` are the other parts of a Draft."""
        base = base or self.tip
        if "tree" not in how:
            _, after, _ = self._place.landed(base, head)
            how["tree"] = self.forge.edited(base, raw(after.edits))
        draft = {"parents": [base, head], "message": f"land\n\nProposal: {branch or 'promote/x'}", **how}
        return self.forge.commit(by, Draft(**draft))

    def landed(
        self, by: Actor, changes: Edits, *, approved: Actor | None = None, decided: Actor | None = None, base: str = ""
    ) -> str:
        """Return the merge of one commit of somebody's, approved by another and decided by a third (or by whoever made it)."""
        head = self.commit(by, changes, base=base)
        if approved:
            head = self.approval(approved, head, base=base)
        return self.landing(decided or by, head, base=base)

    def pushes(self, head: str, *decisions: str, branch: str = "") -> list[str]:
        """Return what is pushed to propose a commit and to decide: its branch, and the last of the decisions as main."""
        proposed = [f"{head}:refs/heads/{branch or f'promote/{head[:12]}'}"] if head else []
        return [*proposed, *(f"{decision}:refs/heads/main" for decision in decisions[-1:])]


def raw(changes: Edits | Change) -> dict[str, bytes | tuple[str, str] | None]:
    """Return changes as the forge takes them."""
    told: dict[str, bytes | tuple[str, str] | None] = {}
    for path, content in changes.items():
        told[path] = (content.mode, content.oid) if isinstance(content, Stored) else content  # type: ignore[assignment]
    return told


def make(folder: Path) -> None:
    """Write a workshop into a folder: the keys of everybody, and a registry whose decisions so far are all honest.

    fraud: 1 serves, 2 served and was rolled back to staging, 3 and 5 wait in staging (5 is too weak to serve), 4 is new.
    churn: 1 serves, 2 waits in staging.
    """
    keys = folder / "keys"
    keys.mkdir(parents=True)
    cast = {name: actor(keys, name) for name in (*ROLES, "mallory", "bob_laptop")}
    root = folder / "registry"
    _init(root, cast["alice"])
    git = ["git", "-C", str(root)]
    genesis = subprocess.run([*git, "rev-parse", "main"], capture_output=True, text=True, check=True).stdout.strip()
    shop = Workshop(folder, cast, {"genesis": genesis, "tip": genesis})
    _past(shop)
    subprocess.run([*git, "update-ref", "refs/heads/main", shop.tip], check=True)
    subprocess.run([*git, "reset", "--quiet", "--hard"], check=True)
    (folder / "marks.json").write_text(json.dumps(shop.marks))


def opened(folder: Path) -> Workshop:
    """Return the workshop that `make` wrote."""
    names = (*ROLES, "mallory", "bob_laptop")
    cast = {name: actor(folder / "keys", name) for name in names}
    return Workshop(folder, cast, json.loads((folder / "marks.json").read_text()))


def _init(root: Path, alice: Actor) -> None:
    how = Start(name="fortress", team=True, key=f"{alice.key}.pub", policies={"policies/floors.yaml": FLOORS})
    assert init(root, how).commit is not None


def _past(shop: Workshop) -> None:
    """Let the registry have a past."""

    def decide(commit: str, mark: str = "") -> None:
        shop.marks |= {"tip": commit, **({mark: commit} if mark else {})}

    decide(shop.landed(shop.alice, shop.members(lambda access: _team(shop, access))), "team")
    for name, who, metrics in (
        ("fraud", shop.dan, 0.95), ("fraud", shop.dan, 0.96), ("fraud", shop.bob, 0.97), ("fraud", shop.dan, 0.96),
        ("fraud", shop.dan, 0.5), ("churn", shop.eve, 0.95), ("churn", shop.eve, 0.96),
    ):  # fmt: skip
        number = edits.next_number(shop.at(), name)
        registered = shop.registration(name, metrics={"accuracy": metrics})
        decide(shop.commit(who, registered, message=f"register {name} {number}"), f"{name}@{number}")
    for reference in ("fraud@1", "fraud@2", "fraud@3", "fraud@5", "churn@1", "churn@2"):
        decide(shop.landed(shop.bob, shop.promotion(reference, "staging")))
    champion = edits.set_alias(shop.at(), Reference("fraud", 1), "champion")
    decide(shop.landed(shop.bob, champion))
    for reference in ("fraud@1", "churn@1"):
        serve = shop.promotion(reference, "production")
        decide(shop.landed(shop.bob, serve, approved=shop.carol), "before 2")
    second = shop.approval(shop.carol, shop.commit(shop.bob, shop.promotion("fraud@2", "production")))
    shop.marks["approved 2"] = second
    decide(shop.landing(shop.bob, second), "2 serves")
    back = edits.restore(shop.at(), Reference("fraud", 1), "production", {2: "staging"})
    decide(shop.landed(shop.bob, back, approved=shop.carol))
    third = shop.commit(shop.bob, shop.promotion("fraud@3", "production"), message="promote fraud 3 to production")
    shop.marks |= {"third": third, "third rejected": shop.approval(shop.carol, third, word="Rejects")}
    shop.marks["abandoned"] = shop.commit(shop.alice, shop.promotion("fraud@4", "staging"), message="never mind")


def _team(shop: Workshop, access: Access) -> Access:
    known = {member.name for member in access.members}
    members = [*access.members]
    for name, role in ROLES.items():
        if name in known:
            continue
        keys = [Key(key=shop.cast[name].public, revoked=name == "frank", not_after=LONG_AGO if name == "gus" else None)]
        keys += [Key(key=shop.bob_laptop.public)] if name == "bob" else []
        members.append(
            Member(
                name=name,
                role=role,
                email=f"{name}@example.com",
                keys=tuple(keys),
                kind="service" if name == "rob" else "person",
                models=("churn*",) if name == "eve" else (),
            )
        )
    return access.model_copy(update={"members": tuple(members)})
