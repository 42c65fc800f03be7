"""CPU seconds of judging: one proposal in a small registry and in a large one, and a whole registry the first time and again.

    .venv/bin/python benchmarks/check.py [MODELS …]     # 50 versions each; 2 and 200 without any

The whole registry comes first: it is also when git is asked to note which paths each commit changed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bulk import EACH, fill
from ground import COMMAND, cpu, folder, in_turns, started, table, verdict

from gitops_registry.registry import Registry

TIMES, SLOW_TIMES = 7, 2
AIM_PROPOSAL, AIM_RATIO, AIM_FIRST, AIM_AGAIN = 0.6, 1.3, 15.0, 3.0
NAME = "model-001"
PROPOSALS = {"staging": f"promote/{NAME}/3/staging", "production": f"promote/{NAME}/2/production"}


def main(sizes: list[int]) -> None:
    """Print the tables."""
    with folder() as there:
        roots = {f"{models * EACH:,} versions": made(there / str(models), models) for models in sizes}
        whole(roots)
        proposals(roots)


def made(there: Path, models: int) -> Path:
    """Return a registry of so many models whose bytes lie in a folder beside it, with a proposal for each stage."""
    (there / "store").mkdir(parents=True)
    root = there / "registry"
    start = time.monotonic()
    fill(root, started(root, storage=str(there / "store")), models)
    print(f"{models * EACH:,} versions of {models} models: made in {time.monotonic() - start:.0f} s")
    registry = Registry.open(root)
    registry.promote(NAME, 2, to="staging", direct=True)
    for version, stage in ((3, "staging"), (2, "production")):
        for finding in registry.promote(NAME, version, to=stage, draft=True).refusals:
            print(f"  ! {finding.rule}: {finding.message}")
    return root


def whole(roots: Mapping[str, Path]) -> None:
    """Print what a whole registry costs."""
    checks: dict[str, Callable[[Path], float]] = {
        "check, the first time": partial(first, words=["check"]),
        "check, again": partial(run, words=["check"]),
        "check, after a decision": after_a_decision,
        "check --head main, the first time": partial(first, words=["check", "--head", "main"]),
        "check --head main, again": partial(run, words=["check", "--head", "main"]),
        "check --no-cache": partial(run, words=["check", "--no-cache"]),
    }
    rows = []
    for size, root in roots.items():
        found = in_turns({what: partial(check, root) for what, check in checks.items()}, times=SLOW_TIMES)
        for what, value in found.items():
            aim = AIM_FIRST if "first" in what or "no-cache" in what else AIM_AGAIN
            rows.append([what, size, f"{value:.2f}", f"{aim:.0f}", verdict(value, aim)])
    table(f"a whole registry: CPU seconds, median of {SLOW_TIMES}", ["command", "registry", "seconds", "aim", ""], rows)


def run(root: Path, words: list[str]) -> float:
    """Return what a command takes."""
    return cpu([*COMMAND, *words], root)


def first(root: Path, words: list[str]) -> float:
    """Return what a check takes that finds nothing remembered."""
    for kept in (root / ".git" / "gitops-registry").glob("check.*"):
        kept.unlink()
    return run(root, words)


def after_a_decision(root: Path) -> float:
    """Return what a check takes when one version moved since the last one."""
    Registry.open(root).promote(NAME, 4, to="staging", direct=True)
    Registry.open(root).archive(NAME, 4, direct=True)
    return run(root, ["check"])


def proposals(roots: Mapping[str, Path]) -> None:
    """Print what a proposal of one change costs, and how that grows."""
    measures: dict[tuple[str, str], Callable[[], float]] = {}
    for size, root in roots.items():
        for stage, branch in PROPOSALS.items():
            measures[f"check --head …/{stage}", size] = partial(run, root, ["check", "--head", branch])
        measures["git diff main…head", size] = partial(bare, root, PROPOSALS["staging"])
    found = in_turns({f"{what}\t{size}": measure for (what, size), measure in measures.items()}, times=TIMES)
    small, *_ = roots
    rows = []
    for what in dict.fromkeys(what for what, _ in measures):
        for size in roots:
            value, ratio = found[f"{what}\t{size}"], found[f"{what}\t{size}"] / found[f"{what}\t{small}"]
            told = "" if "diff" in what else f"{verdict(value, AIM_PROPOSAL)}, {verdict(ratio, AIM_RATIO)}"
            rows.append([what, size, f"{value:.3f}", f"{ratio:.2f}", told])
    title = f"one change: CPU seconds, median of {TIMES}, and ratio to the small registry; aims {AIM_PROPOSAL} s and {AIM_RATIO} ×"
    table(title, ["command", "registry", "seconds", "ratio", ""], rows)


def bare(root: Path, branch: str) -> float:
    """What git alone takes to say which files differ."""
    return cpu(["git", "-C", str(root), "diff", "--raw", "--no-renames", f"main...{branch}"])


if __name__ == "__main__":
    subprocess.run(["git", "--version"], check=True)
    main([int(word) for word in sys.argv[1:]] or [2, 200])
