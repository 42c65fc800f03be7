"""Milliseconds to resolve `name@production` in a running process, with nothing new and after each new decision."""

from __future__ import annotations

import statistics
from pathlib import Path
from time import perf_counter

from ground import FIRST, fill, folder, started, table, verdict

from gitops_registry import edits
from gitops_registry.git.landing import move_branches, write_commit, writer
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry
from gitops_registry.workplace import Workplace

TARGET = 2.0
CALLS, DECISIONS = 1000, 60
SIZES = {"10 versions": {FIRST: 10}, "300 versions of one model": {FIRST: 300}, "100 models × 3": {f"model-{n}": 3 for n in range(99)} | {FIRST: 3}}  # fmt: skip


def main() -> None:
    """Print the table."""
    rows = []
    with folder() as there:
        for number, (what, counts) in enumerate(SIZES.items()):
            root = there / str(number)
            fill(root, started(root), counts)
            decide(Registry.open(root).place, 1)
            for kind, times in (("nothing new", unchanged(root)), ("after a decision", after_decisions(root))):
                middle = statistics.median(times)
                slow = statistics.quantiles(times, n=20)[-1]
                rows.append(
                    [f"{what}, {kind}", f"{middle:.3f}", f"{slow:.3f}", f"{TARGET:.1f}", verdict(middle, TARGET)]
                )
    title = (
        f"resolve {FIRST}@production: milliseconds of {CALLS} calls, or one call after each of {DECISIONS} decisions"
    )
    table(title, ["registry", "median", "95 %", "target", ""], rows)


def decide(place: Workplace, number: int) -> None:
    """Put a version into production, unjudged."""
    with writer(place.repository):
        tip = place.tip()
        edit = edits.promote(place.snapshot(tip), Reference(FIRST, number), "production")
        commit, scratch = write_commit(
            place.repository, edit, parents=[tip], message=f"promote {FIRST} {number} to production\n"
        )
        move_branches(place.repository, {place.ref: (tip, commit)}, scratch=scratch, follow=place.ref)


def timed(registry: Registry) -> float:
    """Return the milliseconds of one call."""
    start = perf_counter()
    registry.resolve(f"{FIRST}@production")
    return (perf_counter() - start) * 1000


def unchanged(root: Path) -> list[float]:
    """Resolve again and again."""
    registry = Registry.open(root)
    timed(registry)
    return [timed(registry) for _ in range(CALLS)]


def after_decisions(root: Path) -> list[float]:
    """Resolve once after each decision that another process could have made."""
    registry, other = Registry.open(root), Registry.open(root).place
    found = []
    for turn in range(DECISIONS):
        decide(other, 2 + turn % 2)
        found.append(timed(registry))
        assert registry.resolve(f"{FIRST}@production").number == 2 + turn % 2
    return found


if __name__ == "__main__":
    main()
