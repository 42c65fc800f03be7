"""Models of others, opened and measured in a child process under limits, which holds nothing worth having.

The child has no environment, no credentials and no way to write a file; it may take so much memory and processor time and
no more. It is told which files to open and their SHA-256, compares that itself, and answers in JSON. Whatever happens to it
is an answer about one model, never the end of whoever asked.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_registry.child import Ended, ending, import_path, talk
from gitops_registry.errors import RegistryError

python = sys.executable
"""The interpreter that the child is."""
_LONGEST_ANSWER = 64 << 20
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "2",
    "MKL_NUM_THREADS": "2",
    "ORT_DISABLE_TELEMETRY": "1",
    "MPLCONFIGDIR": "/nonexistent",
    "TORCHINDUCTOR_CACHE_DIR": "/",  # torch makes the folder when a .pt2 is opened; this one is there, and takes no file
}


@dataclass(frozen=True)
class Limits:
    """What one child may take: bytes of memory, seconds of processor time for each model, and seconds of waiting for all."""

    memory: int = 12 << 30
    seconds: int = 600
    wait: int = 3600


@dataclass(frozen=True)
class Examined:
    """What the child says of one model: its findings (see `examination.examined`), or why there are none."""

    found: Mapping[str, Any]
    error: str = ""
    hint: str = ""


def examine(
    tasks: Sequence[Mapping[str, Any]],
    *,
    limits: Limits | None = None,
    tell: Callable[[str], None] | None = None,
    apart: bool = False,
) -> list[Examined]:
    """Return what was found out about each model, in order; see `examination.examined` for what a task says.

    One child does them all, unless a model ends it; then another one goes on behind that model. `apart`: each has a child of
    its own, so that a model that takes one over says nothing of the others. Raises RegistryError where no child can be started.
    """
    bounds = limits or Limits()
    until = time.monotonic() + bounds.wait
    answers: list[Examined] = []
    while len(answers) < len(tasks):
        if tell is not None:
            tell(f"measuring {tasks[len(answers)].get('name', '')}")
        rest = tasks[len(answers) :][: 1 if apart else None]
        ended = _child(rest, bounds, until)
        told = ended.answers(lambda place, one: isinstance(one, dict) or (place == 0 and one is True))
        if not told and ended.code > 0:
            words = ended.last_words or "no reason given"
            raise RegistryError(f"what measures models cannot be started: {words}", hint="see: gitops-registry doctor")
        done = [_answer(one) for one in told[1 : len(rest) + 1]]
        answers += done
        if len(done) < len(rest):
            answers.append(Examined({}, _end(ended, bounds), "nothing is known of it; look at the file with care"))
        if ended.is_late:
            late = Examined({}, f"was not tried: all together took more than {bounds.wait} s", "measure fewer at once")
            answers += [late] * (len(tasks) - len(answers))
    return answers


def _child(tasks: Sequence[Mapping[str, Any]], limits: Limits, until: float) -> Ended:
    start = {"path": import_path(), "memory": limits.memory, "seconds": limits.seconds}
    told = "\n".join(json.dumps(line) for line in (start, *tasks)) + "\n"
    command = [python, "-I", str(Path(__file__).with_name("worker.py"))]
    try:
        return talk(command, told.encode(), until=until, longest=_LONGEST_ANSWER, environment=_ENVIRONMENT)
    except OSError as error:
        raise RegistryError(
            f"what measures models cannot be started: {error.strerror}", hint="see: gitops-registry doctor"
        ) from error


def _answer(told: Mapping[str, Any]) -> Examined:
    return Examined(told, str(told.get("error") or ""), str(told.get("hint") or ""))


def _end(ended: Ended, limits: Limits) -> str:
    """Say what ended a child before it had answered."""
    if ended.is_late:
        return f"it took more than {limits.wait} s"
    if ended.is_long:
        return "it said more than it may"
    if -ended.code in {signal.SIGXCPU, signal.SIGPROF}:
        return f"it took more than {limits.seconds} s of processor time"
    if ended.code < 0:
        return f"opening or using it crashed the process ({ending(ended.code)})"
    words = ended.last_words
    if "MemoryError" in words:
        return f"it needs more than {limits.memory >> 20} MB"
    return f"it failed: {words}" if words else "what it said is no answer"
