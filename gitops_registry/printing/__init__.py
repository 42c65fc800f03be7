"""Cards put on paper: by the packaged templates here, by a registry's own in a child process under limits.

What a registry wrote into `cards/templates/` may hold anything. The child that renders it has no environment, no file to
write and no more than so much memory, processor time and output; whatever happens to it is an error about a card, in one
line. One child renders all the cards that are asked for together.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from signal import Signals
from typing import Any

from gitops_registry.card.content import Content
from gitops_registry.card.rendering import HINT, LARGEST, Templates, rendered
from gitops_registry.child import Ended, ending, import_path, talk
from gitops_registry.errors import RegistryError

python = sys.executable
"""The interpreter that the child is."""
_SAID_TWICE = 8
"""Bytes that JSON may make of one sign, with room to spare."""


@dataclass(frozen=True)
class Limits:
    """What a child may take: bytes of memory, processor seconds for each card and for all, seconds of waiting for all."""

    memory: int = 512 << 20
    seconds: float = 2.0
    total: float = 120.0
    wait: float = 300.0


@dataclass(frozen=True)
class Job:
    """One card to print: its content and, for a page, the words and drawings on it as safe HTML."""

    content: Content
    html: Mapping[str, str] | None = None
    charts: Mapping[str, str] | None = None


def printed(
    name: str, templates: Templates, jobs: Sequence[Job], *, limits: Limits | None = None
) -> list[str | RegistryError]:
    """Return what a template makes of each content, in order, or why it makes nothing of it.

    Where a card ends its child, the others are tried in a new one, as long as there is time for all of them together.
    """
    if templates.is_own(name):
        return _by_child(name, templates, jobs, limits or Limits())
    found: list[str | RegistryError] = []
    for job in jobs:
        try:
            found.append(rendered(name, templates, job.content, html=job.html, charts=job.charts))
        except RegistryError as error:
            found.append(error)
    return found


def problems(templates: Templates, *, limits: Limits | None = None) -> list[tuple[str, str]]:
    """Return which of a registry's own templates cannot be read as one, and why. They are read, in a child, and not run."""
    own = sorted(templates.own)
    if not own:
        return []
    lines = _ask(templates, [{"read": name} for name in own], limits or Limits())
    return [(name, line.message) for name, line in zip(own, lines, strict=True) if isinstance(line, RegistryError)]


def _by_child(name: str, templates: Templates, jobs: Sequence[Job], limits: Limits) -> list[str | RegistryError]:
    told = [{"render": name, "content": one.content, "html": one.html, "charts": one.charts} for one in jobs]
    return _ask(templates, told, limits) if told else []


def _ask(templates: Templates, tasks: Sequence[Mapping[str, Any]], limits: Limits) -> list[str | RegistryError]:
    """Return what becomes of each task, in order. What ends a child is not tried again, and what comes after it once.

    All the children together have the processor time and the waiting of the limits; what is left then is not tried.
    """
    found: list[str | RegistryError] = []
    until, seconds = time.monotonic() + limits.wait, 0.0
    while len(found) < len(tasks):
        left = tasks[len(found) :]
        told, ended = _child(templates, left, replace(limits, total=limits.total - seconds), until)
        found += told
        if len(told) < len(left):
            name = str(next(iter(left[len(told)].values())))
            found.append(RegistryError(f"{name}: {_end(ended, limits)}", hint=HINT))
            seconds += max(ended.seconds, 0.05)
            if seconds >= limits.total or time.monotonic() >= until or ended.is_late:
                untried = RegistryError(f"{name} was not tried: others took too long", hint=HINT)
                found += [untried] * (len(tasks) - len(found))
    return found


def _child(
    templates: Templates, tasks: Sequence[Mapping[str, Any]], limits: Limits, until: float
) -> tuple[list[str | RegistryError], Ended]:
    """Return what one child made of the first tasks, and how it ended. Raises RegistryError where it did not start."""
    start = {
        "path": import_path(), "memory": limits.memory, "seconds": limits.seconds, "total": limits.total,
        "sources": dict(templates.sources), "labels": dict(templates.labels), "language": templates.language,
        "own": sorted(templates.own),
    }  # fmt: skip
    told = "\n".join(json.dumps(line) for line in (start, *tasks)) + "\n"
    command = [python, "-I", str(Path(__file__).with_name("worker.py"))]
    longest = LARGEST * _SAID_TWICE + 4096 * len(tasks) + min(len(tasks), 64) * LARGEST
    try:
        ended = talk(command, told.encode(), until=until, longest=longest)
    except OSError as error:
        raise RegistryError(
            f"what renders cards cannot be started: {error.strerror}", hint="see: gitops-registry doctor"
        ) from error
    is_ready, *lines = ended.answers(_is_answer) or [False]
    if is_ready is not True:
        words = ended.last_words or "no reason given"
        raise RegistryError(f"what renders cards cannot be started: {words}", hint="see: gitops-registry doctor")
    found: list[str | RegistryError] = [
        line["text"] if "text" in line else RegistryError(str(line["error"]), hint=HINT) for line in lines[: len(tasks)]
    ]
    return found, ended


def _is_answer(place: int, told: Any) -> bool:
    """Whether a line is one: first that it is ready, then what became of each task."""
    if place == 0:
        return told is True
    return isinstance(told, dict) and ("text" in told or "error" in told)


def _end(ended: Ended, limits: Limits) -> str:
    """Say what ended a child before it had answered."""
    if ended.is_late:
        return f"it took more than {limits.wait:g} s"
    if ended.is_long:
        return "it writes too much"
    if -ended.code in {Signals.SIGPROF, Signals.SIGXCPU}:
        return f"it takes more than {limits.seconds:g} s of processor time"
    if "MemoryError" in ended.last_words or -ended.code == Signals.SIGKILL:
        return f"it takes more than {limits.memory >> 20} MB of memory"
    if ended.code < 0:
        return f"it ended the process ({ending(ended.code)})"
    return ended.last_words or "it gave no answer"
