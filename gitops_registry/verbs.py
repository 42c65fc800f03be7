"""Every verb that changes something, as one method each: what the front door inherits.

Methods that change something in place return an `Outcome`; a refusal is a false outcome, not an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gitops_registry.workplace import Workplace

if TYPE_CHECKING:
    from gitops_registry.collecting import Collection
    from gitops_registry.deciding import Intent, Outcome
    from gitops_registry.evaluating import Evaluated, Found
    from gitops_registry.forge.interface import Forge


class Verbs:
    """The changing half of a registry. `direct` asks for a commit at once; None for one wherever the registry takes it. A
    `forge` (see `Registry.forge`) asks for a pull request there.
    """

    def __init__(self, place: Workplace) -> None:
        self._place = place

    # ── moving

    def promote(
        self,
        name: str,
        version: int | str = "",
        *,
        to: str,
        direct: bool = False,
        reason: str = "",
        dry_run: bool = False,
        draft: bool = False,
        forge: Forge | None = None,
    ) -> Outcome:
        """Propose to move a version to a stage, or move it at once with `direct` where the registry allows it.

        The version is `name` and a number, alias or stage, or one reference (`name@3`), read on the newest tip. Raises
        NotFound for an unknown version or stage, Conflict where it is there already or proposed already.
        """
        from gitops_registry import moving

        intent = moving.promotion(name, version, to, reason=reason)
        return moving.change(self._place, intent, direct=direct, dry_run=dry_run, draft=draft, forge=forge)

    def archive(
        self,
        name: str,
        version: int | str = "",
        *,
        direct: bool = False,
        reason: str = "",
        dry_run: bool = False,
        forge: Forge | None = None,
    ) -> Outcome:
        """Propose to move a version to the last stage (archived), or move it at once with `direct`."""
        from gitops_registry import moving

        intent = moving.archival(name, version, reason=reason)
        return moving.change(self._place, intent, direct=direct, dry_run=dry_run, forge=forge)

    def rollback(
        self,
        name: str,
        *,
        stage: str = "production",
        to: int | None = None,
        direct: bool = False,
        reason: str = "",
        dry_run: bool = False,
        forge: Forge | None = None,
    ) -> Outcome:
        """Propose to give a stage back to whoever held it before, read from history; or to version `to`.

        The present holder returns to where it came from. Raises NotFound where nobody held the stage before.
        """
        from gitops_registry import moving

        intent = moving.rollback(self._place, name, stage, to, reason=reason)
        return moving.change(self._place, intent, direct=direct, dry_run=dry_run, forge=forge)

    # ── keeping

    def gc(self, *, cache: bool = False, remove: bool = False) -> list[Collection]:
        """Look for bytes that no version and no proposal needs, in the default remote (and with `cache` in the cache).

        With `remove` they are taken away. What is younger than two weeks, and the store inside the repository, are never
        touched. Raises RegistryError, with nothing removed, where not everything that is needed can be known. Nobody else's
        registry may keep its bytes in the same place.
        """
        from gitops_registry.collecting import collect

        return collect(self._place, cache=cache, remove=remove)

    # ── naming and describing

    def set_alias(
        self,
        name: str,
        alias: str,
        version: int | str = "",
        *,
        direct: bool | None = None,
        reason: str = "",
        dry_run: bool = False,
        forge: Forge | None = None,
    ) -> Outcome:
        """Let an alias name a version, whatever it named before."""
        from gitops_registry.labelling import new_alias

        return self._change(new_alias(name, version, alias, reason=reason), direct=direct, dry_run=dry_run, forge=forge)

    def remove_alias(
        self,
        name: str,
        alias: str,
        *,
        direct: bool | None = None,
        reason: str = "",
        dry_run: bool = False,
        forge: Forge | None = None,
    ) -> Outcome:
        """Take an alias away. Raises NotFound where the model has none of that name."""
        from gitops_registry.labelling import no_alias

        return self._change(no_alias(name, alias, reason=reason), direct=direct, dry_run=dry_run, forge=forge)

    def describe(
        self,
        name: str,
        version: int | str = "",
        *,
        description: str | None = None,
        title: str | None = None,
        owners: Sequence[str] | None = None,
        tags: Mapping[str, str | None] | None = None,
        direct: bool | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> Outcome:
        """Give a model, or one version of it, other words and tags; what is None stays, and a tag whose value is None goes."""
        from gitops_registry.labelling import description as described

        words = {"description": description, "title": title, "owners": None if owners is None else tuple(owners)}
        intent = described(self._place, name, version, tags=tags or {}, words=words, reason=reason)
        return self._change(intent, direct=direct, dry_run=dry_run)

    def update_card(
        self,
        reference: str,
        words: bytes,
        *,
        source: str = "card.yaml",
        since: str | None = None,
        direct: bool | None = None,
        dry_run: bool = False,
    ) -> Outcome:
        """Commit new words of a version with the card rendered from them (a proposal where direct changes are not taken).

        `since` is git's id of the card.yaml that they are an edit of. Raises ManifestError where the words cannot be read,
        Conflict where the version has other words by now than `since`.
        """
        from gitops_registry import moving

        intent = moving.new_words(self._place, reference, words, source, since=since)
        return self._change(intent, direct=direct, dry_run=dry_run)

    def renew_cards(self, *, direct: bool | None = None, dry_run: bool = False) -> Outcome:
        """Render all cards anew that another template, or another language, made: one commit, or one proposal."""
        from gitops_registry import renewing

        return self._change(renewing.renewal(), direct=direct, dry_run=dry_run)

    # ── measuring

    def set_evaluation(
        self,
        name: str,
        file: str | Path | None,
        *,
        target: str = "",
        dataset: str = "",
        slices: Sequence[str] = (),
        direct: bool | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> Outcome:
        """Pin a table (CSV or Parquet) with its column of truth as what a model's versions are measured on; None takes it away.

        `slices` are columns of it by whose groups they are measured, too.
        """
        from gitops_registry import pinning

        if file is None:
            intent = pinning.unpinning(name, reason=reason)
        else:
            intent = pinning.pinning(
                self._place, name, Path(file), target, dataset=dataset, slices=slices, reason=reason, dry_run=dry_run
            )
        return self._change(intent, direct=direct, dry_run=dry_run)

    def evaluate(
        self,
        name: str,
        version: int | str = "",
        *,
        data: str | Path | None = None,
        target: str = "",
        slices: Sequence[str] = (),
    ) -> Evaluated:
        """Measure a version on a table, or on the data its model pins; by groups of columns (`slices`), too.

        It is opened in a child process under limits. Raises NotFound where there is no data.
        """
        from gitops_registry.evaluating import Wish, evaluate

        snapshot = self._place.snapshot()
        wish = Wish(None if data is None else Path(data), target, tuple(slices))
        return evaluate(self._place, snapshot, [snapshot.resolve_named(name, version)], wish)[0]

    def record(
        self, found: Sequence[Found], *, direct: bool | None = None, reason: str = "", dry_run: bool = False
    ) -> Outcome:
        """Append measurements, or comparisons of formats, to their versions, in one decision."""
        from gitops_registry import evaluating

        return self._change(evaluating.recording(self._place, found, reason=reason), direct=direct, dry_run=dry_run)

    def waive(
        self,
        version: str,
        rules: Sequence[str],
        *,
        days: int = 7,
        direct: bool | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> Outcome:
        """Let a version (`name@ref`) pass soft rules (`policy/rule`) for some days, 30 at most. Raises RegistryError without a reason."""
        from gitops_registry.governing import waiving

        intent = waiving(self._place, version, rules, days=days, reason=reason)
        return self._change(intent, direct=direct, dry_run=dry_run)

    # ── taking away

    def rename(
        self, name: str, new: str, *, direct: bool | None = None, reason: str = "", dry_run: bool = False
    ) -> Outcome:
        """Give a model another name. The old one is spent: references to it find the new one, and nobody else gets it."""
        from gitops_registry.removing import renaming

        return self._change(renaming(name, new, reason=reason), direct=direct, dry_run=dry_run)

    def delete(
        self,
        name: str,
        version: int | str = "",
        *,
        force: bool = False,
        direct: bool | None = None,
        reason: str = "",
        dry_run: bool = False,
        forge: Forge | None = None,
    ) -> Outcome:
        """Delete a version with its stage and aliases, or a model with all its versions. Numbers and names are never given again.

        Raises Conflict for what serves, unless by `force`.
        """
        from gitops_registry.removing import deletion

        return self._change(
            deletion(name, version, force=force, reason=reason), direct=direct, dry_run=dry_run, forge=forge
        )

    def migrate(self, *, direct: bool | None = None, reason: str = "", dry_run: bool = False) -> Outcome:
        """Bring files that an older release wrote to what this one writes, in one commit; facts stay as they are."""
        from gitops_registry.migrating import migration

        return self._change(migration(self._place, reason=reason), direct=direct, dry_run=dry_run)

    def switch_interop(
        self, to: Literal["gto"] | None, *, direct: bool | None = None, reason: str = "", dry_run: bool = False
    ) -> Outcome:
        """Keep dvc.yaml and the tags that GTO reads in agreement with the registry from now on, or (None) no longer."""
        from gitops_registry.agreeing import switching

        return self._change(switching(to, reason=reason), direct=direct, dry_run=dry_run)

    def _change(self, intent: Intent, *, direct: bool | None, dry_run: bool, forge: Forge | None = None) -> Outcome:
        from gitops_registry import moving

        return moving.change(self._place, intent, direct=direct, dry_run=dry_run, forge=forge)
