"""Runs of a model in its formats: the child processes that do them, in an environment without secrets and under limits.

Whatever becomes of a process, and whatever it says, it is one format that could not be measured.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gitops_registry import stopwatch
from gitops_registry.child import Ended, ending, import_path, talk
from gitops_registry.clocking import Job
from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import Trust
from gitops_registry.manifest.figures import FormatFigures

_TO_START = 120.0
_CLEAN = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"),
    "LC_ALL": "C.UTF-8", "DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "ORT_DISABLE_TELEMETRY": "1",
}  # fmt: skip
"""The whole environment of a child: one thread of linear algebra, and nothing is sent anywhere."""
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What a child has of ours: where programs and libraries are."""


@dataclass(frozen=True)
class Limits:
    """What one run may take: bytes of memory, and seconds, both of the clock and of the processor."""

    memory: int = 8 << 30
    seconds: float = 300.0
    answers: int = 4 << 20


def run(
    jobs: Sequence[Job],
    folder: Path,
    trust: Trust,
    tell: Callable[[str], None],
    limits: Limits = Limits(),
) -> dict[str, FormatFigures | str]:
    """Do the jobs, and return the figures of each format, or why there are none; `folder` is theirs to write in.

    A format whose job ends the child that does it is tried no more, and the others are. Raises RegistryError where no
    process can be started.
    """
    said: dict[str, list[Any]] = {job.format: [] for job in jobs}
    left = list(jobs)
    while left:
        batch = left if sys.platform == "linux" else left[:1]  # elsewhere libraries do not survive a fork
        answers, why = _child(batch, folder, trust, tell, limits)
        for job, told in zip(batch, answers, strict=False):
            said[job.format].append(told)
        left = left[len(answers) :]
        if len(answers) < len(batch):
            over = left[0].format
            said[over].append({"error": why})
            left = [job for job in left if job.format != over]
    tell("")
    return {name: figures_of(name, answers) for name, answers in said.items()}


def _child(
    jobs: Sequence[Job], folder: Path, trust: Trust, tell: Callable[[str], None], limits: Limits
) -> tuple[list[Any], str]:
    """Run one child and return its answers in the order of the jobs, and why there are no more of them."""
    start = stopwatch.Start(
        path=import_path(), folder=str(folder), memory=limits.memory, seconds=limits.seconds, types=list(trust.types),
        formats=sorted(trust.formats),
    )  # fmt: skip
    told = "".join(json.dumps(one) + "\n" for one in (asdict(start), *map(asdict, jobs)))
    heard = 0

    def hears(piece: bytes) -> None:
        nonlocal heard
        heard += piece.count(b"\n")
        if heard < len(jobs):
            tell(f"measuring {jobs[heard].format}, {len(jobs) - heard} to go")

    hears(b"")
    wait = _TO_START + limits.seconds * len(jobs) if len(jobs) > 1 else limits.seconds
    command = [sys.executable, "-I", "-S", str(Path(stopwatch.__file__))]
    environment = {**_CLEAN, **{name: os.environ[name] for name in _KEPT if name in os.environ}}
    environment |= {"HOME": str(folder), "TMPDIR": str(folder)}
    try:
        done = talk(
            command, told.encode(), until=time.monotonic() + wait, longest=limits.answers, environment=environment,
            folder=folder, hears=hears,
        )  # fmt: skip
    except OSError as error:
        raise RegistryError(
            f"the process that measures cannot be started: {error.strerror}", hint="see: gitops-registry doctor"
        ) from error
    return done.answers(lambda _, told: isinstance(told, dict)), _why(done, limits, wait)


def _why(done: Ended, limits: Limits, wait: float) -> str:
    if done.is_late:
        return f"took more than {wait:g} s"
    if done.is_long:
        return f"said more than {limits.answers >> 20} MB"
    if b"MemoryError" in done.errors:
        return f"needs more than {limits.memory >> 20:,} MB of memory"
    if done.code < 0:
        return f"its process was ended by {ending(done.code)}"
    words = done.last_words
    return f"its process failed: {words}" if words else "its process ended without an answer"


def figures_of(format: str, said: Sequence[Any]) -> FormatFigures | str:  # noqa: A002
    """Return the medians of what was said of a format, or why there are none."""
    failed = next((str(told["error"]) for told in said if "error" in told), None)
    if failed is not None:
        return failed
    try:
        medians = {
            name: round(statistics.median([told[name] for told in said]), 4)
            for name in ("save_ms", "load_ms", "predict_1_ms", "predict_100_ms")
            if all(told.get(name) is not None for told in said)
        }
        return FormatFigures(
            format=format, size=int(statistics.median([told["size"] for told in said])),
            agreement=said[0].get("agreement"), runs=len(said), **medians,
        )  # fmt: skip
    except (ValidationError, TypeError, KeyError, ValueError, OverflowError):
        return "its process said what is no measurement"
