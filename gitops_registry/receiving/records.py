"""What a server remembers of pushes: who was let in and who was turned away, a line of JSON each, written by nobody else.

The files lie in the git directory of the repository, outside of what can be pushed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from gitops_registry.audit.recorded import ACCEPTED, REFUSED, has_record, lines
from gitops_registry.errors import RegistryError
from gitops_registry.git.landing import state_folder
from gitops_registry.git.repository import Repository
from gitops_registry.receiving.pushes import Pusher
from gitops_registry.receiving.updates import Refusal, Update

_MOST = 50
_LONGEST = 500


def refused(
    repository: Repository, moves: Sequence[Update], pusher: Pusher, refusals: Sequence[Refusal],
    *, now: datetime, signer: str = "", internal: str = "",
) -> None:  # fmt: skip
    """Append what was refused: when, to whom, who signed as far as they say, what and why. At most 50 reasons are kept."""
    reasons = [
        {key: _short(value) for key, value in refusal._asdict().items() if value and key != "hint"}
        for refusal in refusals[:_MOST]
    ]
    entry = {**_entry(moves, pusher, now), "result": "refused", "signer": _short(signer) or None, "reasons": reasons}
    if len(refusals) > _MOST:
        entry["more"] = len(refusals) - _MOST
    _append(repository, REFUSED, {**entry, **({"internal": internal[-4000:]} if internal else {})})


def accepted(repository: Repository, moves: Sequence[Update], pusher: Pusher, *, now: datetime) -> None:
    """Append what was accepted: when, from whom, which refs moved from where to where."""
    _append(repository, ACCEPTED, {**_entry(moves, pusher, now), "result": "accepted"})


def _entry(moves: Sequence[Update], pusher: Pusher, now: datetime) -> dict[str, Any]:
    return {
        "time": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "key": _short(pusher.key) or None,
        "account": _short(pusher.account) or None,
        "refs": [{"ref": _short(u.ref), "old": u.old, "new": u.new} for u in moves[:_MOST]],
    }


def _short(text: str) -> str:
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def _append(repository: Repository, name: str, entry: Mapping[str, Any]) -> None:
    """Write one line in one call, which no other writer's line can break, and let it reach the disk."""
    line = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
    file = os.open(state_folder(repository) / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.write(file, line)
        os.fsync(file)
    finally:
        os.close(file)


def pushes(repository: Repository, *, is_refused: bool = False) -> Iterator[dict[str, Any]]:
    """Yield what was recorded of pushes, oldest first; with `is_refused` only those that were turned away.

    Raises RegistryError for a repository whose hook never ran.
    """
    if not has_record(repository):
        raise RegistryError(
            "no push was recorded here",
            hint="the server's repository records them: gitops-registry -C REPOSITORY audit pushes",
        )
    names = [REFUSED, *([] if is_refused else [ACCEPTED])]
    found = (entry for name in names for _, entry in lines(repository, name))
    yield from sorted(found, key=lambda entry: str(entry.get("time")))
