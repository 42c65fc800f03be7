"""Which part of the log somebody wants to see, and what was in force at a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate

from gitops_registry.audit.decision import Event, entries_of
from gitops_registry.audit.entries import TYPES, UNREADABLE, Entry
from gitops_registry.changes import Change
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.git.line import ids
from gitops_registry.git.repository import Repository
from gitops_registry.reference import did_you_mean


@dataclass(frozen=True)
class Wanted:
    """A filter of the log: everything that is set must fit. `actor` is a part of the signer's name, or of the name or e-mail
    that the commit claims; `version` a number; `stage` one that a version came to or left.
    """

    version: int | None = None
    actor: str = ""
    event: str = ""
    stage: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.event and self.event not in TYPES:
            raise NotFound(f"no event is called {self.event!r}", hint=did_you_mean(self.event, TYPES))
        if self.since and self.until and self.since > self.until:
            raise RegistryError("--since is later than --until", hint="swap the two")

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Wanted()

    @property
    def is_dated(self) -> bool:
        """Whether it asks when something was decided."""
        return self.since is not None or self.until is not None

    def of(self, found: Iterable[Event], moments: Mapping[str, int]) -> Iterator[Event]:
        """Yield the decisions that fit, newest first as they come, each with the changes that do.

        `moments` say when each was decided at the earliest (`moments_of`), for a filter that is dated.
        """
        for event in found:
            if self.since and moments[event.commit.oid] < self.since.timestamp():
                return  # and so is everything before it
            if self.until and moments[event.commit.oid] > self.until.timestamp():
                continue
            if self.actor and not self.is_by(event.signer, event.commit.author, event.commit.email):
                continue
            if not (self.version or self.event or self.stage):
                yield event
            elif event.problem:
                if self.event == UNREADABLE:
                    yield event
            elif own := tuple(change for change in event.changes if self._fits(change, event)):
                yield replace(event, changes=own)

    def has(self, entry: Entry) -> bool:
        """Say whether one event fits that is of no decision: a push that was refused."""
        time = datetime.fromisoformat(entry.time) if entry.time else None
        if (self.since and (time is None or time < self.since)) or (self.until and (time is None or time > self.until)):
            return False
        if self.stage or (self.event and self.event != entry.event):
            return False
        if self.version and not any(number in {0, self.version} for _, number in entry.about):
            return False
        return not self.actor or self.is_by(entry.signer, entry.actor, entry.email)

    def is_by(self, *names: str) -> bool:
        """Say whether one of the names of somebody is meant."""
        return any(self.actor.lower() in name.lower() for name in names)

    def _fits(self, change: Change, event: Event) -> bool:
        if self.version and self.version not in _numbers(change):
            return False
        if self.stage and not (change.kind == "stage_transition" and self.stage in {change.before, change.after}):
            return False
        return not self.event or any(
            entry.event == self.event for entry in entries_of(replace(event, changes=(change,)))
        )


def _numbers(change: Change) -> set[int]:
    aliased = {change.before, change.after} if change.kind in {"alias_set", "alias_removed"} else set()
    return {change.version} | {number for number in aliased if isinstance(number, int)}


def at(repository: Repository, tip: str, moment: datetime) -> str:
    """Return the last decision by a moment. Raises NotFound where there was none yet, RegistryError in a shallow clone.

    A decision counts as no older than those before it, whatever date it bears: who commits may write any.
    """
    found = ""
    for oid, latest in moments_of(repository, tip).items():
        if latest > moment.timestamp():
            break
        found = oid
    if not found:
        raise NotFound(
            f"nothing was decided here by {moment:%Y-%m-%d %H:%M} UTC",
            hint="see when it began: gitops-registry log --all",
        )
    return found


def moments_of(repository: Repository, tip: str) -> dict[str, int]:
    """Return commit → the seconds of its date, or of the latest before it: oldest first, so that they never fall.

    Nobody decided in the future: what is dated there was decided by the time of the decision after it, or by now, so that it
    takes none of those that follow out of their days. Raises RegistryError in a shallow clone.
    """
    commits = ids(repository, tip)[::-1]
    found = repository.objects.get_many(commits, limit=1 << 20)
    dates = [_committed(one.data) if one and one.data else 0 for one in found]
    now = by_then = int(datetime.now(UTC).timestamp())
    for at in reversed(range(len(dates))):
        by_then = dates[at] = dates[at] if dates[at] <= now else by_then
    return dict(zip(commits, accumulate(dates, max), strict=True))


def _committed(data: bytes) -> int:
    head = data.partition(b"\n\n")[0]
    line = head[head.rfind(b"\ncommitter ") :].split(b"\n")[1] if b"\ncommitter " in head else b""
    words = line.rsplit(b" ", 2)
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else 0
