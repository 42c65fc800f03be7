"""The verbs about members, as one method each: what the front door inherits beside those about models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gitops_registry.workplace import Workplace

if TYPE_CHECKING:
    from gitops_registry.deciding import Intent, Outcome
    from gitops_registry.forge.interface import Forge
    from gitops_registry.manifest.members import Access
    from gitops_registry.standing import Standing


class Team:
    """Who may do what. `direct` asks for a commit at once; None for one wherever the registry takes it."""

    _place: Workplace

    if TYPE_CHECKING:

        def _change(
            self, intent: Intent, *, direct: bool | None, dry_run: bool, forge: Forge | None = None
        ) -> Outcome: ...

    @property
    def access(self) -> Access | None:
        """Roles and members as the branch of decisions has them (or the revision this was opened at); None without any."""
        from gitops_registry.membership import rules_now

        return rules_now(self._place).access

    def who_can(self, word: str, model: str = "") -> list[Standing]:
        """Return those whose role and models allow a permission, or a verb, for a model (for any, without one), by name.

        `may` is false where their keys do not count any more. Raises NotFound for an unknown word or model.
        """
        from gitops_registry import membership, standing

        snapshot = membership.rules_now(self._place)
        access = snapshot.access
        if access is None:
            return []
        return standing.who_can(access, standing.act(snapshot, access, word, model), datetime.now(UTC))

    def standing(self, member: str, word: str, model: str = "") -> Standing:
        """Return whether a member may do what a permission or a verb stands for, and why; `model` may name a version or alias.

        Raises NotFound for an unknown member, word, model or version.
        """
        from gitops_registry import membership, standing

        snapshot = membership.rules_now(self._place)
        found = standing.known_member(snapshot.access, member)
        assert snapshot.access is not None
        wanted = standing.act(snapshot, snapshot.access, word, model)
        return standing.standing(snapshot.access, found, wanted, datetime.now(UTC))

    def add_member(
        self,
        name: str,
        role: str,
        *,
        email: str = "",
        keys: Sequence[str | Path] = (),
        not_after: str | datetime | None = None,
        models: Sequence[str] = (),
        kind: Literal["person", "service"] = "person",
        identities: Sequence[str] = (),
        direct: bool | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> Outcome:
        """Let somebody be a member, with docs/CODEOWNERS written anew. The first one must administer.

        `keys`: lines of SSH public keys, or files of them, which count until `not_after`; `models`: patterns of names;
        `identities`: `FORGE:LOGIN[:ID]`. Raises RegistryError, NotFound for an unknown role, Conflict for what is another's.
        """
        from gitops_registry import membership

        member = membership.member_given(
            name, role, email=email, models=tuple(models), kind=kind,
            keys=tuple(membership.key_given(key, not_after) for key in keys),
            identities=tuple(map(membership.identity_given, identities)),
        )  # fmt: skip
        return self._change(membership.addition(member, reason=reason), direct=direct, dry_run=dry_run)

    def remove_member(
        self, name: str, *, direct: bool | None = None, reason: str = "", dry_run: bool = False
    ) -> Outcome:
        """Let somebody be a member no more. Raises NotFound, RegistryError for the last one who can administer."""
        from gitops_registry import membership

        return self._change(membership.removal(name, reason=reason), direct=direct, dry_run=dry_run)

    def rotate_key(
        self,
        name: str,
        key: str | Path,
        *,
        not_after: str | datetime | None = None,
        is_lost: bool = False,
        direct: bool | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> Outcome:
        """Let a member sign with another key from now on; what the old one signed still counts, unless it `is_lost`.

        Raises NotFound for an unknown member, Conflict for a key that is somebody's already.
        """
        from gitops_registry import membership

        wanted = membership.rotation(name, membership.key_given(key, not_after), is_lost=is_lost, reason=reason)
        return self._change(wanted, direct=direct, dry_run=dry_run)
