"""Registry, the front door: every verb as one method, the same words as the command line.

A registry is opened once and follows its branch: each call reads what is committed by then. Methods that change
something in place return an `Outcome`; a refusal is a false outcome, not an exception. `register`, which has
a version to return, raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_registry.bookkeeping import Bookkeeping
from gitops_registry.delivery import Delivery
from gitops_registry.intake import Intake
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.team import Team
from gitops_registry.verbs import Verbs
from gitops_registry.workplace import Workplace, place_at

if TYPE_CHECKING:
    from gitops_registry.changes import Change
    from gitops_registry.comparison import Compared
    from gitops_registry.evaluating import Remeasured
    from gitops_registry.exporting import Exported
    from gitops_registry.policy.report import Report
    from gitops_registry.portrait import Draft, Form
    from gitops_registry.searching import FoundModel, FoundVersion
    from gitops_registry.signature import Misfit
    from gitops_registry.timing import Timed
    from gitops_registry.using import RegisteredModel


class Registry(Verbs, Intake, Team, Delivery, Bookkeeping):
    """One registry, read at a revision or at its newest state."""

    @classmethod
    def open(
        cls,
        path: str | Path = ".",
        *,
        revision: str | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        cache: str | Path | None = None,
        offline: bool = False,
    ) -> Registry:
        """Return the registry at a path (a checkout, a folder in one, a bare repository) or a URL, `@revision` behind it.

        A URL (https, ssh, file, git@host:path) is read through a managed clone in the folder `cache` (the user's cache
        folder without one), as it is now, or with `offline` as it was last seen; changes are made at the remote at once.
        `revision` reads the past. `progress(what, done, total)` is called during long work. Raises RegistryError where
        there is no git repository, or it cannot be reached.
        """
        return cls(place_at(path, revision=revision, progress=progress, cache=cache, is_offline=offline))

    def refresh(self) -> None:
        """See what others decided since this registry was opened from a URL; anywhere else it is seen at once."""
        self._place.refresh()

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
        return snapshot, snapshot.resolve_named(name, version)

    def compare(self, left: str, right: str = "") -> Compared:
        """Compare two versions; one with the champion of its model; or, of a model's bare name, champion and challenger.

        The champion is the alias of that name, else what serves. Raises NotFound.
        """
        from gitops_registry.comparison import compared

        return compared(self.snapshot, left, right)

    def search(self, wanted: str = "", *, order_by: str = "", limit: int | None = None) -> list[FoundVersion]:
        """Return the versions that a filter finds: `metrics.accuracy > 0.9 and tags.domain = 'credit'`.

        Ordered by name and number, or by `order_by`: `metrics.accuracy desc, created`. Raises RegistryError where
        either cannot be read.
        """
        from gitops_registry.searching import find_versions

        return find_versions(self._place, wanted, order=order_by, limit=limit)

    def search_models(self, wanted: str = "", *, order_by: str = "", limit: int | None = None) -> list[FoundModel]:
        """Return the models that a filter finds, or that have a version it finds, as `search` does versions."""
        from gitops_registry.searching import find_models

        return find_models(self._place, wanted, order=order_by, limit=limit)

    # ── judging

    def plan(self, *, base: str | None = None, head: str | None = None) -> list[Change]:
        """Return what `head` would change on `base`; without a head, what the work tree changes (against HEAD)."""
        from gitops_registry import judging

        return judging.plan(self._place, base=base, head=head)

    def check(self, *, base: str | None = None, head: str | None = None, anew: bool = False) -> Report:
        """Judge `head` as it would land on `base`; without a base, the whole registry at `head`.

        Without a head the work tree is meant, as its files lie there (HEAD in a bare repository), and what it changes
        against HEAD is judged too. Of a whole registry, what an earlier check on this computer found without fault is not
        judged again where nothing of it changed, unless all of it is to be judged `anew`.
        """
        from gitops_registry import judging

        return judging.judge(self._place, base=base, head=head, is_anew=anew)

    # ── cards

    def card(self, name: str, version: int | str = "", *, language: str | None = None, form: Form = "markdown") -> str:
        """Return the card of a version as Markdown, with what was measured since it was registered; or, as `form` says, as a
        page ("html"), with its history too, or as a README.md of Hugging Face's hub ("huggingface").
        """
        from gitops_registry.portrait import portrait

        return portrait(self._place, *self._found(name, version), form, language=language)

    def card_data(self, name: str, version: int | str = "") -> dict[str, Any]:
        """Return everything that is known of a version as JSON-ready data: facts, words, stage, history and approvals."""
        from gitops_registry.portrait import content_of_card

        return content_of_card(self._place, *self._found(name, version))

    def card_draft(self, name: str, version: int | str = "") -> Draft:
        """Return the words of a version as a file to edit: card.yaml with a line above each field that says what belongs there.

        It lies in the git directory. One that an earlier edit of the same words left behind is taken up again.
        """
        from gitops_registry.portrait import draft

        return draft(self._place, *self._found(name, version))

    # ── using

    def load(self, name: str, version: int | str = "", *, format: str | None = None) -> RegisteredModel:  # noqa: A002
        """Return a version ready to predict, its bytes verified. Raises Damaged, NotFound."""
        from gitops_registry.using import load

        return load(self._place, *self._found(name, version), format=format)

    def validate(self, name: str, version: int | str = "", data: Any = None) -> list[Misfit]:
        """Return everything in which data does not fit the signature of a version; empty when it fits.

        `data` is a DataFrame, an array, a mapping of names to arrays, or the path of a .csv, .parquet or .npy file. Raises
        NotFound for a version without a signature.
        """
        from gitops_registry.using import signature_of, validate

        return validate(signature_of(*self._found(name, version)), data)[0]

    def pull(self, name: str, version: int | str = "", *, to: str | Path | None = None) -> list[Path]:
        """Write the verified artifacts of a version into a folder (beside their pointers without one)."""
        from gitops_registry.using import pull

        folder = Path(to) if to is not None else None
        return pull(self._place, *self._found(name, version), folder=folder)

    def export(
        self, name: str, version: int | str = "", *, to: str, path: str | Path | None = None, **options: str | Path
    ) -> Exported:
        """Write a version as what another system takes (bentoml, mlflow, onnx, …) and return where it is.

        Without a path it is called NAME-v3-TARGET in the current folder. `options` are the target's own: `key`, the file of
        a private key, for sigstore; `language`, that of the words, for huggingface. Raises RegistryError where something is
        there, and for an option that the target does not take.
        """
        from gitops_registry.exporting import export

        where = Path(path) if path is not None else None
        return export(
            self._place,
            *self._found(name, version),
            to,
            path=where,
            options={key: str(value) for key, value in options.items()},
        )

    def remeasure(self, references: Sequence[Reference], *, insist: bool = False) -> list[Remeasured]:
        """Measure versions on the data their models pin and on the rows they keep, in a child process under limits.

        Those that have neither, or that cannot be loaded, are told with the reason; `insist`: that is wrong, too.
        """
        from gitops_registry.evaluating import Remeasured, Wish, remeasure, unmeasurable

        snapshot = self.snapshot
        reasons = {} if insist else {one: why for one in references if (why := unmeasurable(snapshot, one))}
        wanted = [one for one in references if one not in reasons]
        return [
            *remeasure(self._place, snapshot, wanted, Wish(keeps=True)),
            *(Remeasured(one, reason=why) for one, why in reasons.items()),
        ]

    def compare_formats(
        self,
        name: str,
        version: int | str = "",
        *,
        data: str | Path | None = None,
        runs: int = 5,
        formats: Sequence[str] = (),
    ) -> Timed:
        """Measure a version in each format it can be stored in (or in those named): bytes, milliseconds, agreement.

        On the rows of `data`, else those its model pins, else those it keeps, else its input example. The figures are medians of `runs`, each in
        a process of its own; `record` appends them to the version. Raises NotFound where it cannot be opened, Damaged.
        """
        from gitops_registry.timing import time_formats

        file = None if data is None else Path(data)
        return time_formats(self._place, *self._found(name, version), file=file, runs=runs, formats=formats)

    def verify(self, references: Sequence[str] = (), *, deep: bool = False) -> list[Any]:
        """Look at every artifact of the versions: pointer, cache and store. A bare name means all versions of a model.

        Without any, all versions of all models are looked at. Of a store on another machine the sizes are compared; with
        `deep` every byte there is read.
        """
        from gitops_registry.using import verify

        snapshot = self.snapshot
        wanted = [found for text in references or snapshot.live_models() for found in snapshot.resolve_all(text)]
        return verify(self._place, snapshot, wanted, deep=deep)
