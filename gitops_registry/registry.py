"""Registry, the front door: every verb as one method, the same words as the command line.

A registry is opened once and follows its branch: each call reads what is committed by then. Methods that change
something in place return an `Outcome`; a refusal is a false outcome, not an exception. `register`, which has
a version to return, raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gitops_registry import deciding, edits, paths, proposals
from gitops_registry.audit import Event, Return, before_present, events
from gitops_registry.changes import Change, diff
from gitops_registry.deciding import Intent, Outcome
from gitops_registry.errors import RegistryError
from gitops_registry.evidence import gatherer
from gitops_registry.manifest.kinds import Card, Param, Training
from gitops_registry.manifest.reading import parse
from gitops_registry.policy.check import check, check_whole
from gitops_registry.policy.report import Report
from gitops_registry.snapshot import Edits, Reference, Snapshot
from gitops_registry.workplace import Workplace

if TYPE_CHECKING:
    from gitops_registry.registering import Registered
    from gitops_registry.using import RegisteredModel


class Registry:
    """One registry, read at a revision or at its newest state."""

    def __init__(self, place: Workplace) -> None:
        self._place = place

    @classmethod
    def open(
        cls,
        path: str | Path = ".",
        *,
        revision: str | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Registry:
        """Return the registry at a path or a file:// URL: a checkout, a folder in one, or a bare repository.

        `revision` reads the past. `progress(what, done, total)` is called during long work. Raises RegistryError
        where there is no git repository.
        """
        return cls(Workplace.open(_local(path), revision=revision, progress=progress))

    # ── reading

    @property
    def place(self) -> Workplace:
        """The repository and the bytes behind this registry."""
        return self._place

    @property
    def snapshot(self) -> Snapshot:
        """The registry as a value, at its newest state or the revision it was opened at."""
        return self._place.snapshot()

    def resolve(self, reference: str) -> Reference:
        """Return the version that `name@ref` names now. Raises NotFound."""
        return self.snapshot.resolve(reference)

    def log(self, name: str = "", *, limit: int | None = None) -> Iterator[Event]:
        """Yield the decisions about a model (about everything, without a name), newest first."""
        if name:
            self.snapshot.known_model(name)
        return events(self._place.repository, self._place.commit(), name=name, limit=limit)

    # ── registering

    def register(
        self,
        name: str,
        model: Any,
        *,
        X: Any = None,  # noqa: N803 - the field's own name
        y: Any = None,
        params: Mapping[str, Param] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        training: Training | Mapping[str, Any] | None = None,
        card: Card | Mapping[str, Any] | None = None,
        release: str | None = None,
        dry_run: bool = False,
    ) -> Registered:
        """Register a fitted estimator, or a model file given as a Path, and return the version with its `number`.

        `X`, `y`: evaluation rows; with them the metrics are measured, the signature inferred and ONNX compared.
        Raises RegistryError where the model cannot be read, measured or stored, or is refused.
        """
        from gitops_registry.registering import Rows, Submission, register

        rows = None if X is None else Rows(X, y, str(getattr(y, "name", "") or ""))
        submission = Submission(
            params=params or {}, metrics=metrics or {}, tags=tags or {},
            training=_part(Training, training), card=_part(Card, card) or Card(), release=release,
        )  # fmt: skip
        registered = register(self._place, name, model, rows=rows, submission=submission, dry_run=dry_run)
        if registered.outcome.is_refused:
            first = registered.outcome.refusals[0]
            raise RegistryError(f"{name} was not registered: {first.message}", hint=first.hint)
        return registered

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
    ) -> Outcome:
        """Propose to move a version to a stage, or move it at once with `direct` where the registry allows it.

        The version is `name` and a number, alias or stage, or one reference (`name@3`), read on the newest tip. Raises
        NotFound for an unknown version or stage, Conflict where it is there already or proposed already.
        """

        def wanted(before: Snapshot) -> tuple[Reference, str]:
            return _named(before, name, version), before.known_stage(to).name

        intent = Intent(
            edit=lambda before: edits.promote(before, *wanted(before)),
            subject=lambda before: "promote {0.name} {0.number} to {1}".format(*wanted(before)),
            branch=lambda before: proposals.promote_branch(*wanted(before)),
            reason=reason,
        )
        return self._change(intent, direct=direct, dry_run=dry_run, draft=draft)

    def archive(
        self, name: str, version: int | str = "", *, direct: bool = False, reason: str = "", dry_run: bool = False
    ) -> Outcome:
        """Propose to move a version to the last stage (archived), or move it at once with `direct`."""

        def edit(before: Snapshot) -> Edits:
            return edits.promote(before, _named(before, name, version), before.constitution.stages[-1].name)

        intent = Intent(
            edit=edit,
            subject=lambda before: "archive {0.name} {0.number}".format(_named(before, name, version)),
            branch=lambda before: "archive/{0.name}/{0.number}".format(_named(before, name, version)),
            reason=reason,
        )
        return self._change(intent, direct=direct, dry_run=dry_run)

    def rollback(
        self,
        name: str,
        *,
        stage: str = "production",
        to: int | None = None,
        direct: bool = False,
        reason: str = "",
        dry_run: bool = False,
    ) -> Outcome:
        """Propose to give a stage back to whoever held it before, read from history; or to version `to`.

        The present holder returns to where it came from. Raises NotFound where nobody held the stage before.
        """
        found: dict[int, Return] = {}

        def back(before: Snapshot) -> Return:
            if id(before) not in found:
                before.known_model(name)
                known = before.known_stage(stage).name
                found[id(before)] = before_present(
                    self._place.repository, self._place.tip(), before, name=name, stage=known, to=to
                )
            return found[id(before)]

        intent = Intent(
            edit=lambda before: edits.restore(before, back(before).reference, stage, back(before).back),
            subject=lambda before: (
                f"rollback {name} {before.known_stage(stage).name} to {back(before).reference.number}"
            ),
            branch=lambda before: f"rollback/{name}/{before.known_stage(stage).name}",
            reason=reason,
        )
        return self._change(intent, direct=direct, dry_run=dry_run)

    def _change(self, intent: Intent, *, direct: bool, dry_run: bool, draft: bool = False) -> Outcome:
        if not direct:
            return deciding.propose(self._place, intent, dry_run=dry_run, draft=draft)
        if not self._place.snapshot(self._place.tip()).constitution.direct:
            raise RegistryError(
                "this registry takes changes as proposals only (direct: false in registry.yaml)",
                hint="leave out --direct",
            )
        return deciding.decide(self._place, intent, dry_run=dry_run)

    # ── proposals

    def proposals(self) -> Iterator[proposals.Proposal]:
        """Yield the open proposals in order of branch."""
        return proposals.open_proposals(self._place)

    def merge(self, branch: str, *, reason: str = "", dry_run: bool = False) -> Outcome:
        """Land a proposal, judged as it would be on the present tip."""
        return proposals.merge(self._place, branch, reason=reason, dry_run=dry_run)

    # ── judging

    def plan(self, *, base: str | None = None, head: str | None = None) -> list[Change]:
        """Return what `head` would change on `base`; without a head, what the work tree changes (against HEAD)."""
        if head is None and self._place.repository.work_tree is not None:
            before, after, changed = self._place.work_tree(base)
        else:
            before, after, changed = self._place.landed(base or self._place.branch, head or "HEAD")
        return diff(before, after, changed)

    def check(self, *, base: str | None = None, head: str | None = None) -> Report:
        """Judge `head` as it would land on `base`; without a base, the whole registry at `head`.

        Without a head the work tree is meant, as its files lie there (HEAD in a bare repository), and what it changes
        against HEAD is judged too.
        """
        if base is not None and head is None and self._place.repository.work_tree is not None:
            before, after, changed = self._place.work_tree(base)
            return check(before, after, changed, gatherer(self._place, self._place.commit(base)))
        if base is not None:
            return proposals.examine(self._place, base, head or "HEAD")
        if head is None and self._place.repository.work_tree is not None:
            before, after, changed = self._place.work_tree()
            files = {file.path: file for file in self._place.files("HEAD")}
            files |= {change.path: change for change in changed}
            there = [file for file in files.values() if file.new_oid]
            whole = check_whole(after, there, gatherer(self._place, None))
            if not changed:
                return whole
            return whole.with_report(check(before, after, changed, gatherer(self._place, self._place.commit("HEAD"))))
        return check_whole(self._place.snapshot(head), self._place.files(head), gatherer(self._place, None))

    # ── cards

    def card(self, reference: str, *, language: str | None = None) -> str:
        """Return the card of a version as Markdown."""
        snapshot = self.snapshot
        return self._place.card(snapshot, snapshot.resolve(reference), language=language).decode()

    def update_card(
        self,
        reference: str,
        words: bytes,
        *,
        source: str = "card.yaml",
        direct: bool | None = None,
        dry_run: bool = False,
    ) -> Outcome:
        """Commit new words of a version with the card rendered from them (a proposal where direct changes are not taken).

        Raises ManifestError where the words cannot be read.
        """
        parse(words, source, Card)

        def edit(before: Snapshot) -> Edits:
            found = before.resolve(reference)
            before.known_version(found)
            written: dict[str, Any] = {paths.card_path(*found): words}
            return written | {paths.rendered_card_path(*found): self._place.card(before.with_edits(written), found)}

        intent = Intent(
            edit=edit,
            subject=lambda before: "card of {0.name} {0.number}".format(before.resolve(reference)),
            branch=lambda before: "card/{0.name}/{0.number}".format(before.resolve(reference)),
        )
        allowed = self._place.snapshot(self._place.tip()).constitution.direct
        return self._change(intent, direct=allowed if direct is None else direct, dry_run=dry_run)

    # ── using

    def load(self, reference: str, *, format: str | None = None) -> RegisteredModel:  # noqa: A002
        """Return a version ready to predict, its bytes verified. Raises Damaged, NotFound."""
        from gitops_registry.using import load

        snapshot = self.snapshot
        return load(self._place, snapshot, snapshot.resolve(reference), format=format)

    def pull(self, reference: str, *, to: str | Path | None = None) -> list[Path]:
        """Write the verified artifacts of a version into a folder (beside their pointers without one)."""
        from gitops_registry.using import pull

        snapshot = self.snapshot
        return pull(self._place, snapshot, snapshot.resolve(reference), folder=Path(to) if to is not None else None)

    def verify(self, references: Sequence[str] = ()) -> list[Any]:
        """Look at every artifact of the versions (of all versions, without any): pointer, cache and store."""
        from gitops_registry.using import verify

        snapshot = self.snapshot
        wanted = [snapshot.resolve(text) for text in references]
        wanted = wanted or [Reference(name, number) for name in snapshot.models() for number in snapshot.versions(name)]
        return verify(self._place, snapshot, wanted)


def _local(path: str | Path) -> Path:
    """Return the folder that a path or a file:// URL names. Raises RegistryError for a registry on another machine."""
    text = str(path)
    url = urlsplit(text)
    if url.scheme == "file" and url.netloc in {"", "localhost"}:
        return Path(unquote(url.path))
    if "://" in text or (isinstance(path, str) and re.match(r"[\w.-]+@[\w.-]+:", text)):
        raise RegistryError(
            "a registry on another machine is opened from a clone of it",
            hint="git clone URL registry, then name that folder",
        )
    return Path(path)


def _named(before: Snapshot, name: str, version: int | str) -> Reference:
    if version == "" and "@" not in name and not name.startswith("models:/"):
        raise RegistryError(f"{name} names no version", hint=f"say which: {name}@3, or {name}@latest for the newest")
    return before.resolve(name, str(version)) if version != "" else before.resolve(name)


def _part(kind: Any, value: Any) -> Any:
    return kind.model_validate(dict(value)) if isinstance(value, Mapping) else value
