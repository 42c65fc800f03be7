"""What a server wrote down of pushes: those it turned away, as events, and when it received what it took.

The files lie in the server's git directory, where nothing that is pushed can reach; whoever runs the server can write them, so
an event from here is recorded, not verified.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gitops_registry.audit.entries import DENIED, Entry
from gitops_registry.audit.proof import spelled
from gitops_registry.git.repository import Repository
from gitops_registry.paths import place_of
from gitops_registry.reporting.values import clean

REFUSED, ACCEPTED = "denials.jsonl", "received.jsonl"
FOLDER = "gitops-registry"


class Receipt(NamedTuple):
    """A ref that a push moved, and when the server took it."""

    time: datetime
    ref: str
    old: str
    new: str


def has_record(repository: Repository) -> bool:
    """Say whether a hook wrote anything down here."""
    return any((repository.common_dir / FOLDER / name).exists() for name in (REFUSED, ACCEPTED))


def lines(repository: Repository, name: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each line of a record with what it says, oldest first; one that a crash cut short is left out."""
    file = repository.common_dir / FOLDER / name
    if not file.exists():
        return
    with file.open("rb") as reader:
        for line in reader:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the machine went down in the middle of it
            if isinstance(entry, dict):
                yield line.rstrip(b"\n"), entry


def denied(repository: Repository) -> Iterator[Entry]:
    """Yield the pushes that were turned away here, oldest first, as events of the type `access_denied`."""
    seen: Counter[bytes] = Counter()
    for line, entry in lines(repository, REFUSED):
        seen[line] += 1
        yield _denial(hashlib.sha256(b"%d %s" % (seen[line], line)).hexdigest(), entry)


def _denial(identity: str, entry: dict[str, Any]) -> Entry:
    reasons = tuple(clean(one.get("message", "")) for one in _dicts(entry.get("reasons")))
    refs = [str(one.get("ref", "")).removeprefix("refs/heads/") for one in _dicts(entry.get("refs"))]
    who = str(entry.get("key") or entry.get("account") or "")
    claimed = str(entry.get("signer") or "")
    told = (
        f"a push of {', '.join(refs[:3]) or 'nothing'} was refused: {reasons[0] if reasons else 'no reason was kept'}"
    )
    places = [place_of(str(one.get("where", ""))) for one in _dicts(entry.get("reasons"))]
    about = tuple(dict.fromkeys((place.model, place.version) for place in places if place.model))
    model, version = about[0] if about else ("", 0)
    return Entry(
        identity, DENIED, clean(told), _time(entry.get("time")), "recorded", actor=clean(claimed or who), subject=", ".join(refs),
        model=model, version=version, about=about,
        proof=f"recorded by the server; it knew whoever pushed as {clean(who)}" if who else "recorded by the server",
        reasons=reasons,
    )  # fmt: skip


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _time(value: Any) -> str:
    found = _moment(value)
    return spelled(found) if found else ""


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def receipts(repository: Repository) -> Iterator[Receipt]:
    """Yield what the server took, oldest first: every ref that moved, with the moment."""
    for _, entry in lines(repository, ACCEPTED):
        moment = _moment(entry.get("time"))
        for one in _dicts(entry.get("refs")) if moment else ():
            assert moment is not None
            yield Receipt(moment, str(one.get("ref")), str(one.get("old")), str(one.get("new")))
