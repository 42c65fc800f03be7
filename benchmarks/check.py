"""CPU seconds of judging a proposal of one change, in a small registry and in large ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ground import COMMAND, FIRST, cpu, fill, folder, in_turns, started, table

from gitops_registry.registry import Registry

TIMES = 9
SMALL = "10 versions: 2 models × 5"
SIZES = {
    SMALL: {FIRST: 5, "churn": 5},
    "300 versions: 60 models × 5": {FIRST: 5, **{f"model-{n}": 5 for n in range(59)}},
    "300 versions: 1 model × 300": {FIRST: 300},
}
PROPOSALS = {"staging": f"promote/{FIRST}/3/staging", "production": f"promote/{FIRST}/2/production"}


def main() -> None:
    """Print the table."""
    with folder() as there:
        measures = {}
        for number, (size, counts) in enumerate(SIZES.items()):
            root = there / str(number)
            fill(root, started(root), counts)
            registry = Registry.open(root)
            for version in (1, 2):
                registry.promote(FIRST, version, to="staging", direct=True)
            for version, stage in ((3, "staging"), (2, "production")):
                outcome = registry.promote(FIRST, version, to=stage, draft=True)
                for finding in outcome.refusals:
                    print(f"  ! {finding.rule}: {finding.message}")
            for stage, branch in PROPOSALS.items():
                measures[size, f"check --head …/{stage}"] = partial(cpu, [*COMMAND, "check", "--head", branch], root)
            measures[size, "git diff main…head"] = partial(bare, root, PROPOSALS["staging"])
        found = in_turns(measures, times=TIMES)
    rows = [
        [what, size, f"{value:.3f}", "" if size == SMALL else f"{value / found[SMALL, what]:.2f}"]
        for (size, what), value in sorted(found.items(), key=lambda item: (item[0][1], list(SIZES).index(item[0][0])))
    ]
    table(f"check: CPU seconds, median of {TIMES}; ratio to the small registry", ["command", "registry", "seconds", "ratio"], rows)  # fmt: skip


def bare(root: Path, branch: str) -> float:
    """What git alone takes to say which files differ."""
    return cpu(["git", "-C", str(root), "diff", "--raw", "--no-renames", f"main...{branch}"])


if __name__ == "__main__":
    main()
