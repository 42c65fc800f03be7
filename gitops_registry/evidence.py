"""Gathering the facts that rules need, and only those that this change makes them need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property

from gitops_registry import paths
from gitops_registry.approving import Landing, consent, unplanned
from gitops_registry.card.rendering import MARKDOWN, Templates
from gitops_registry.changes import Change
from gitops_registry.errors import RegistryError
from gitops_registry.git.parsing import Commit
from gitops_registry.history import Past, altered, departed, tenures
from gitops_registry.identity import deciding_member
from gitops_registry.manifest.kinds import Constitution
from gitops_registry.policy.check import Gather
from gitops_registry.policy.report import Alteration, Facts, Presence, Tenures, needing_bytes, serving_versions
from gitops_registry.policy.rulebook import judged_stages
from gitops_registry.printing.cards import committed_cards
from gitops_registry.printing.templates import FOLDER, problems, templates_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace, digest_of

_TOGETHER = 64
"""Cards that a registry's own template is asked for at a time: a child for each would take longer than the cards."""


class Rendered(Mapping[str, bytes]):
    """Per path what the rendered card must be, of every version there is; rendered when somebody asks.

    The templates are those of `law`. Of the versions that are `wanted`, those after the one asked for are rendered with it where
    a child is needed. Raises RegistryError for a card that the template fails at.
    """

    def __init__(self, after: Snapshot, law: Snapshot, wanted: Sequence[Reference] = ()) -> None:
        self._after = after
        self._law = law
        self._wanted = {reference: at for at, reference in enumerate(wanted)}
        self._made: dict[Reference, bytes | RegistryError] = {}

    def __getitem__(self, path: str) -> bytes:
        at = paths.place_of(path)
        reference = Reference(at.model, at.version)
        if at.role != "rendered_card" or self._after.version(*reference) is None:
            raise KeyError(path)
        if reference not in self._made:
            some = self._with(reference)
            self._made = dict(zip(some, committed_cards(self._after, some, self._templates), strict=True))
        made = self._made[reference]
        if isinstance(made, RegistryError):
            raise made
        return made

    @cached_property
    def _templates(self) -> Templates:
        return templates_of(self._law)

    def _with(self, reference: Reference) -> list[Reference]:
        """Return the versions that are rendered together with one."""
        if reference not in self._wanted or not self._templates.is_own(MARKDOWN):
            return [reference]
        start = self._wanted[reference]
        some = list(self._wanted)[start : start + _TOGETHER]
        return [one for one in some if self._after.version(*one) is not None]

    def __contains__(self, path: object) -> bool:
        at = paths.place_of(str(path))
        return at.role == "rendered_card" and self._after.version(at.model, at.version) is not None

    def __iter__(self) -> Iterator[str]:
        names = self._after.models()
        every = (paths.rendered_card_path(name, number) for name in names for number in self._after.versions(name))
        return (path for path in every if path in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


Said = Callable[[Sequence[Change]], Facts]
"""Finds out who decides and who approved a change; of the facts it returns, only those are set."""


def said_by(place: Workplace, base: str, head: str = "", *, is_decision: bool = True) -> Said:
    """Return what finds out who decides here and now on the commit `base`, and who approved the proposal `head`.

    A change without a proposal was approved by nobody. Who decides is asked where somebody does: whoever has the key that
    signs here.
    """

    def said(changes: Sequence[Change]) -> Facts:
        before = place.snapshot(base)
        actor, signer = deciding_member(place.repository, before.access) if is_decision else (None, "")
        return agreed(place, base, head, changes, Facts(actor=actor, signer=signer))

    return said


def agreed(
    place: Workplace, base: str, head: str, changes: Sequence[Change], facts: Facts,
    *, now: datetime | None = None, also: Sequence[Commit] = (), authors: frozenset[str] = frozenset(),
) -> Facts:  # fmt: skip
    """Return facts with who approved the landing of `head` on `base`; `also` are rejections on other branches, `authors`
    the members who wrote part of it as a forge says.
    """
    if not head:
        return replace(facts, approvals=())
    before = place.snapshot(base)
    others = unplanned(place.landed(base, head)[2], before) if before.constitution.unmanaged else []
    found = consent(place.witnesses, before, changes, Landing(base, head, others, also, authors), now)
    return replace(
        facts,
        approvals=found.given, objections=found.objections, discounted=found.discounted, contributors=found.contributors,
        unsigned=found.unsigned,
    )  # fmt: skip


def gatherer(
    place: Workplace,
    base: str | None,
    *,
    brings: frozenset[str] = frozenset(),
    past: Past | None = None,
    said: Said | None = None,
    now: datetime | None = None,
) -> Gather:
    """Return what gathers the facts of a change made on the commit `base` (of a whole registry, without one).

    `brings` are the SHA-256 of bytes that will be in the store by then. `past` is what its history said of a whole
    registry, where somebody read it already. `said` finds out who decides and who approved; without it nobody asked.
    """

    history: list[Mapping[Reference, Alteration] | None] = [past.altered] if past else []

    def gather(after: Snapshot, changes: Sequence[Change], models: Sequence[str] | None = None) -> Facts:
        law = _law(place, base, after)
        bytes_of = needing_bytes(after, changes, law) if models is None else serving_versions(after, law, models)
        if base is None and not history:  # of a whole registry it is read once, whatever part is asked for
            history.append(_altered(place, base, law, changes))
        return replace(
            said(changes) if said else Facts(),
            presence={
                **_presence(place, after, bytes_of, brings),
                **_data_presence(place, after, changes, brings, models),
                **dict.fromkeys(brings, "present"),
            },
            history=_history(place, base, law, changes) if base else None,
            altered=history[0] if base is None else _altered(place, base, law, changes),
            cards=Rendered(after, _laws(place, base, after), _with_cards(after, changes, models)),
            templates=_templates(place, base, after) if not models else (),
            now=now or datetime.now(UTC),
        )

    return gather


def _law(place: Workplace, base: str | None, after: Snapshot) -> Constitution:
    """The constitution that judges."""
    return _laws(place, base, after).constitution


def _laws(place: Workplace, base: str | None, after: Snapshot) -> Snapshot:
    """The registry whose rules and templates judge: the base, or the registry itself where there is none before."""
    before = place.snapshot(base) if base else after
    return before if before.read(paths.CONSTITUTION) is not None else after


def _with_cards(after: Snapshot, changes: Sequence[Change], models: Sequence[str] | None) -> list[Reference]:
    """The versions whose cards may be asked for, in the order they are asked for."""
    if models is not None:
        return [Reference(name, number) for name in models for number in after.versions(name)]
    renamed = [str(change.after) for change in changes if change.kind == "model_renamed"]
    found = {Reference(change.model, change.version) for change in changes if change.version}
    return sorted(found | {Reference(name, number) for name in renamed for number in after.versions(name)})


def _templates(place: Workplace, base: str | None, after: Snapshot) -> list[tuple[str, str, str]]:
    """What is wrong with the templates of cards, where the change touches them or the language (or without a change)."""
    if base is not None:
        sides = [
            ([(path, side.oid(path)) for path in side.files(FOLDER)], side.constitution.card)
            for side in (_laws(place, base, after), after)
        ]
        if sides[0] == sides[1]:
            return []
    return problems(after)


def _presence(
    place: Workplace, after: Snapshot, references: Sequence[Reference], brings: frozenset[str]
) -> dict[str, Presence | None]:
    store = place.store(after)
    versions = [version for reference in references if (version := after.version(*reference))]
    found: dict[str, Presence | None] = {}
    for digest in dict.fromkeys(digest_of(artifact) for version in versions for artifact in version.artifacts):
        if digest.sha256 not in brings and found.get(digest.sha256, "present") == "present":
            found[digest.sha256] = store.presence(digest)  # the worst, where one SHA-256 is named with two MD5s
    return found


def _data_presence(
    place: Workplace, after: Snapshot, changes: Sequence[Change], brings: frozenset[str], models: Sequence[str] | None
) -> dict[str, Presence | None]:
    """Whether the store has the evaluation data that a change pins (all there is, without a change)."""
    pinned = {change.model for change in changes if change.subject == "evaluation" and change.after}
    states = [
        after.model(name) for name in (sorted(pinned) if models is None else models) if not paths.name_problem(name)
    ]
    wanted = {m.evaluation.sha256: digest_of(m.evaluation.as_artifact()) for m in states if m and m.evaluation}
    store = place.store(after)
    return {sha256: store.presence(digest) for sha256, digest in wanted.items() if sha256 not in brings}


def _altered(
    place: Workplace, base: str | None, law: Constitution, changes: Sequence[Change]
) -> dict[Reference, Alteration] | None:
    """The versions that this change moves up (all, without a change) and that history altered; None in a shallow clone."""
    if place.repository.is_shallow:
        return None
    if base is None:
        return altered(place.repository, place.commit())
    stages = judged_stages(place.snapshot(base), law)
    moves = [change for change in changes if change.kind == "stage_transition" and change.after in stages]
    found: dict[Reference, Alteration] = {}
    for change in moves:
        found |= altered(place.repository, base, Reference(change.model, change.version))
    return found


def _history(
    place: Workplace, base: str, law: Constitution, changes: Sequence[Change]
) -> dict[tuple[str, str], Tenures] | None:
    """Who held the stages that policies will ask about; None in a shallow clone, which cannot know.

    A model that the change renames has its history under the name that the base knows.
    """
    before = place.snapshot(base)
    stages = judged_stages(before, law)
    serving = {stage.name for stage in law.stages if stage.serving}
    moved = {(change.model, str(change.after)) for change in changes if change.kind == "stage_transition"}
    touched = {str(change.after) if change.kind == "model_renamed" else change.model for change in changes} - {""}
    served = {(name, stage) for name in touched for stage in serving}
    wanted = sorted(pair for pair in moved | served if pair[1] in stages)
    if wanted and place.repository.is_shallow:
        return None
    origin = {str(change.after): change.model for change in changes if change.kind == "model_renamed"}
    found = {}
    for name, stage in wanted:
        home = origin.get(name, name)
        order, earned = tenures(place.repository, base, home, stage, serving=stage in serving)
        gone = None
        if order and order[0] not in before.versions(home):
            last = departed(place.repository, base, home, order[0])
            gone = (place.snapshot(last[0]), last[1]) if last else None
        found[name, stage] = Tenures(order, earned, gone)
    return found
