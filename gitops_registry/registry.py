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

from gitops_registry.errors import RegistryError
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

if TYPE_CHECKING:
    from gitops_registry.audit import Event
    from gitops_registry.changes import Change
    from gitops_registry.deciding import Outcome
    from gitops_registry.manifest.facts import Training
    from gitops_registry.manifest.kinds import Card
    from gitops_registry.manifest.parts import Param
    from gitops_registry.policy.report import Report
    from gitops_registry.proposals import Proposal
    from gitops_registry.publishing import Published
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

    def resolve(self, name: str, version: int | str = "") -> Reference:
        """Return the version that a name and a number, alias or stage (or one reference, `name@ref`) mean now.

        Raises NotFound.
        """
        return self._found(name, version)[1]

    def _found(self, name: str, version: int | str) -> tuple[Snapshot, Reference]:
        """Return the registry at one moment and the version that is meant there."""
        snapshot = self.snapshot
        return snapshot, snapshot.resolve(name, str(version)) if version != "" else snapshot.resolve(name)

    def log(self, name: str = "", *, limit: int | None = None) -> Iterator[Event]:
        """Yield the decisions about a model (about everything, without a name), newest first."""
        from gitops_registry.audit import events

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
        from gitops_registry.appraisal import Rows
        from gitops_registry.manifest.facts import Training
        from gitops_registry.manifest.kinds import Card
        from gitops_registry.registering import Submission, made, register

        rows = None if X is None else Rows(X, y, str(getattr(y, "name", "") or ""))
        submission = Submission(
            params=params or {}, metrics=metrics or {}, tags=tags or {},
            training=made(Training, **training) if isinstance(training, Mapping) else training,
            card=made(Card, **card) if isinstance(card, Mapping) else card or Card(), release=release,
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
        from gitops_registry import moving

        intent = moving.promotion(name, version, to, reason=reason)
        return moving.change(self._place, intent, direct=direct, dry_run=dry_run, draft=draft)

    def archive(
        self, name: str, version: int | str = "", *, direct: bool = False, reason: str = "", dry_run: bool = False
    ) -> Outcome:
        """Propose to move a version to the last stage (archived), or move it at once with `direct`."""
        from gitops_registry import moving

        intent = moving.archival(name, version, reason=reason)
        return moving.change(self._place, intent, direct=direct, dry_run=dry_run)

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
        from gitops_registry import moving

        intent = moving.rollback(self._place, name, stage, to, reason=reason)
        return moving.change(self._place, intent, direct=direct, dry_run=dry_run)

    # ── proposals

    def proposals(self) -> Iterator[Proposal]:
        """Yield the open proposals in order of branch."""
        from gitops_registry import proposals

        return proposals.open_proposals(self._place)

    def merge(self, branch: str, *, reason: str = "", dry_run: bool = False) -> Outcome:
        """Land a proposal, judged as it would be on the present tip."""
        from gitops_registry import proposals

        return proposals.merge(self._place, branch, reason=reason, dry_run=dry_run)

    def push(self, *, dry_run: bool = False) -> Published:
        """Bring decisions and open proposals to the remote; what others decided meanwhile comes first, ours on top of it."""
        from gitops_registry.publishing import publish

        return publish(self._place, dry_run=dry_run)

    # ── judging

    def plan(self, *, base: str | None = None, head: str | None = None) -> list[Change]:
        """Return what `head` would change on `base`; without a head, what the work tree changes (against HEAD)."""
        from gitops_registry import judging

        return judging.plan(self._place, base=base, head=head)

    def check(self, *, base: str | None = None, head: str | None = None) -> Report:
        """Judge `head` as it would land on `base`; without a base, the whole registry at `head`.

        Without a head the work tree is meant, as its files lie there (HEAD in a bare repository), and what it changes
        against HEAD is judged too.
        """
        from gitops_registry import judging

        return judging.judge(self._place, base=base, head=head)

    # ── cards

    def card(self, name: str, version: int | str = "", *, language: str | None = None) -> str:
        """Return the card of a version as Markdown."""
        return self._place.card(*self._found(name, version), language=language).decode()

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
        from gitops_registry import moving

        intent = moving.new_words(self._place, reference, words, source)
        allowed = self._place.snapshot(self._place.tip()).constitution.direct
        return moving.change(self._place, intent, direct=allowed if direct is None else direct, dry_run=dry_run)

    # ── using

    def load(self, name: str, version: int | str = "", *, format: str | None = None) -> RegisteredModel:  # noqa: A002
        """Return a version ready to predict, its bytes verified. Raises Damaged, NotFound."""
        from gitops_registry.using import load

        return load(self._place, *self._found(name, version), format=format)

    def pull(self, name: str, version: int | str = "", *, to: str | Path | None = None) -> list[Path]:
        """Write the verified artifacts of a version into a folder (beside their pointers without one)."""
        from gitops_registry.using import pull

        folder = Path(to) if to is not None else None
        return pull(self._place, *self._found(name, version), folder=folder)

    def verify(self, references: Sequence[str] = ()) -> list[Any]:
        """Look at every artifact of the versions: pointer, cache and store. A bare name means all versions of a model.

        Without any, all versions of all models are looked at.
        """
        from gitops_registry.using import verify

        snapshot = self.snapshot
        wanted = [found for text in references or snapshot.models() for found in snapshot.resolve_all(text)]
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
