"""What a check of a whole registry remembers in the git directory: units without fault, and what history said.

Both are true of content that they name by digest, whatever is checked out. No decision reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableSet
from contextlib import contextmanager, suppress
from itertools import islice

from gitops_registry.errors import RegistryError
from gitops_registry.git.landing import state_folder
from gitops_registry.git.repository import Repository
from gitops_registry.history import Past
from gitops_registry.policy.report import Alteration
from gitops_registry.reference import Reference
from gitops_registry.sealed import load, save

_CLEAN = "check.clean"
_PAST = "check.past"
_SIZE = 32
_MOST = 200_000
"""Units of other revisions that are kept beside those of the one that was checked."""


class Clean(MutableSet[bytes]):
    """Digests of units without fault. `used` are those that somebody asked for or added."""

    def __init__(self, held: frozenset[bytes]) -> None:
        self._held = held
        self.used: set[bytes] = set()

    def __contains__(self, key: object) -> bool:
        if key in self._held:
            self.used.add(key)
        return key in self.used

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._held | self.used)

    def __len__(self) -> int:
        return len(self._held | self.used)

    def add(self, value: bytes) -> None:
        self.used.add(value)

    def discard(self, value: bytes) -> None:
        self._held -= {value}
        self.used.discard(value)

    def kept(self) -> bytes:
        """Return what is to be kept: what was used, and of the rest as much as there is room for."""
        return b"".join((*sorted(self.used), *islice(sorted(self._held - self.used), _MOST)))


class Verdicts:
    """What earlier checks found: `clean` grows while one runs, `past` is what the last one read of the history."""

    def __init__(self, clean: Clean, past: Past | None) -> None:
        self.clean = clean
        self.past = past


@contextmanager
def verdicts(repository: Repository, *, is_anew: bool = False) -> Iterator[Verdicts]:
    """Give what earlier checks remembered (nothing, where all is judged `anew`), and keep what is known at the end.

    Nothing new is kept where the check fails. Two checks at a time do not disturb each other: the last one is kept.
    """
    folder = repository.common_dir / "gitops-registry"
    held, past = b"", None
    if not is_anew:
        held, past = load(folder / _CLEAN), _past(load(folder / _PAST))
    found = Verdicts(Clean(_units(held)), past)
    yield found
    with suppress(OSError, RegistryError):
        folder = state_folder(repository)
        if (kept := found.clean.kept()) != held:
            save(folder / _CLEAN, kept)
        if found.past is not None and found.past != past:
            save(folder / _PAST, _told(found.past))


def _units(held: bytes) -> frozenset[bytes]:
    return frozenset(held[start : start + _SIZE] for start in range(0, len(held), _SIZE))


def _past(held: bytes) -> Past | None:
    try:
        told = json.loads(held) if held else None
        if told is None:
            return None
        altered = {Reference(name, number): Alteration(*rest) for name, number, *rest in told["altered"]}
        return Past(told["tip"], altered, frozenset(told["gone"]))
    except (ValueError, TypeError, KeyError):
        return None


def _told(past: Past) -> bytes:
    altered = [[*reference, *found] for reference, found in sorted(past.altered.items())]
    return json.dumps({"tip": past.tip, "altered": altered, "gone": sorted(past.gone)}).encode()
