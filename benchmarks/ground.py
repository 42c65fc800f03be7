"""What every benchmark stands on: registries made in seconds, CPU time of processes, medians, one table.

Times are CPU seconds (user and system, children included), for the machine may be shared. What is compared is
measured in turns within one run, so that a slow minute hits both sides alike.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.update(
    GIT_AUTHOR_NAME="Alice", GIT_AUTHOR_EMAIL="alice@example.com",
    GIT_COMMITTER_NAME="Alice", GIT_COMMITTER_EMAIL="alice@example.com",
    GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", DVC_NO_ANALYTICS="1",
)  # fmt: skip

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is measured has been compiled, as where it is installed

from gitops_registry import edits, paths
from gitops_registry.git.landing import move_branches, write_commit, writer
from gitops_registry.manifest.facts import Version
from gitops_registry.manifest.kinds import Card
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry
from gitops_registry.starting import Start, init

COMMAND = (sys.executable, "-m", "gitops_registry")
FIRST = "credit-risk"
CARD = Card(
    description="Scores applications.",
    intended_use="Support for a person who decides.",
    limitations="Trained on one region.",
    training_data="Applications of 2025.",
)


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        yield Path(name)


# ── registries


def forest(trees: int) -> tuple[Any, Any, Any]:
    """Return a fitted forest as a credit score may have it, and its evaluation rows with their truth.

    3,000 rows with some noise of 20 columns make trees of some 400 nodes, 20 kB each as ONNX; on the tidy data sets that
    come with scikit-learn trees stay a tenth of that and loading would measure little but fixed costs.
    """
    import pandas
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    values, truth = make_classification(4000, 20, n_informative=8, flip_y=0.03, class_sep=1.2, random_state=0)
    X = pandas.DataFrame(values, columns=[f"column_{n}" for n in range(20)])  # noqa: N806
    y = pandas.Series(truth, name="label")
    return RandomForestClassifier(trees, max_depth=15, random_state=0).fit(X[:3000], y[:3000]), X[3000:], y[3000:]


def started(root: Path, *, trees: int = 10, storage: str = "") -> Version:
    """Make a registry with one real version of one model, and return the facts that `register` measured."""
    init(root, Start(name="benchmark", storage=storage))
    model, X, y = forest(trees)  # noqa: N806
    found: Version = Registry.open(root).register(FIRST, model, X=X, y=y, card=CARD).version
    return found


def fill(root: Path, facts: Version, counts: Mapping[str, int]) -> None:
    """Add versions to models until each has so many: one decision each, with real facts and the same bytes.

    The decisions are written as `register` would write them, but not judged, and the work tree comes along once.
    """
    place = Registry.open(root).place
    with writer(place.repository):
        first = tip = place.tip()
        scratch = ""
        for name, count in counts.items():
            for number in range(1, count + 1):
                before = place.snapshot(tip)
                if before.version(name, number) is not None:
                    continue
                files = {f"{artifact.file}.dvc": pointer(artifact) for artifact in facts.artifacts}
                written = dict(edits.register(before, name, facts, card=CARD, files=files, model={}))
                reference = Reference(name, number)
                card = place.card(before.with_edits(written), reference)
                written[paths.rendered_card_path(*reference)] = card
                tip, scratch = write_commit(
                    place.repository, written, parents=[tip], message=f"register {name} {number}\n"
                )
        if tip != first:
            move_branches(place.repository, {place.ref: (first, tip)}, scratch=scratch, follow=place.ref)
    subprocess.run(["git", "-C", str(root), "gc", "--quiet"], check=True)


# ── measuring


def cpu(command: Sequence[str], cwd: Path | None = None) -> float:
    """Run a command and return the CPU seconds it and the children it waited for took. Its exit code is not judged."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        print(f"  ! {' '.join(command)} ended with exit code {process.returncode}")
    return used.ru_utime + used.ru_stime


def in_turns(measures: Mapping[str, Callable[[], float]], *, times: int) -> dict[str, float]:
    """Take each measurement so often, in turns after one unmeasured round, and return the medians."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(times + 1):
        for name, measure in measures.items():
            value = measure()
            if turn:
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings, the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    print(title)
    for row in [headings, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())


def verdict(value: float, target: float) -> str:
    """Return whether a value is within its target, in a word."""
    return "within" if value <= target else "OVER"
