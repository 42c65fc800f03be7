"""CPU seconds until the command line answers, beside what Python itself takes to do nothing."""

from __future__ import annotations

import sys
from functools import partial

from ground import COMMAND, FIRST, cpu, fill, folder, in_turns, started, table, verdict

TIMES = 15
TARGETS = {"--version": 0.12, "list": 0.35, f"show {FIRST}": 0.35, f"show {FIRST}@latest": 0.35}


def main() -> None:
    """Print the table."""
    with folder() as there:
        root = there / "registry"
        facts = started(root)
        fill(root, facts, {FIRST: 4, "churn": 3, "fraud": 2})
        floors = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import click, pydantic, yaml'": [sys.executable, "-c", "import click, pydantic, yaml"],
        }
        commands = {**floors, **{name: [*COMMAND, *name.split()] for name in TARGETS}}
        found = in_turns({name: partial(cpu, line, root) for name, line in commands.items()}, times=TIMES)
    rows = [
        [name, f"{value:.3f}", f"{TARGETS[name]:.2f}", verdict(value, TARGETS[name])] if name in TARGETS
        else [name, f"{value:.3f}", "", "floor"]
        for name, value in found.items()
    ]  # fmt: skip
    table(f"startup: CPU seconds, median of {TIMES}; 3 models, 9 versions", ["command", "seconds", "target", ""], rows)


if __name__ == "__main__":
    main()
