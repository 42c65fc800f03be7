"""The process that measures the formats of a model, job by job, each by the clock of a process of its own.

Run as a script: jobs come as JSON on standard input, and each is answered by a line of JSON. The process of a job is forked
from this one when all that it takes was imported and used once: what is measured is the work on the model, never the start
of Python. A process that has one job alone does it itself, which is how it is done where forks are not safe.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitops_registry.clocking import Job

_LONGEST_ANSWER = 1 << 15


@dataclass(frozen=True)
class Start:
    """What all jobs share: where packages are and where to write, what one job may take (bytes, seconds), what is trusted."""

    path: list[str]
    folder: str
    memory: int
    seconds: float
    types: list[str]
    formats: list[str]


def main() -> None:
    """Answer the jobs on standard input: a line of what they share, then a line for each.

    Of a format that failed once nothing more is tried.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    lines = sys.stdin.buffer.read().splitlines()
    start = Start(**json.loads(lines[0]))
    _limit(resource.RLIMIT_DATA, start.memory)
    _limit(resource.RLIMIT_CORE, 0)
    sys.path += start.path
    from gitops_registry.clocking import Job, prepare

    jobs = [Job(**json.loads(line)) for line in lines[1:]]
    known: dict[str, dict[str, Any]] = {}
    for job in jobs:
        told = known.get(job.format, {})
        if len(jobs) == 1:
            told = _told(job, start)
        elif "error" not in told:
            if job.format not in known:
                with suppress(Exception), _room(start) as folder:  # what fails here fails in the job, and is told there
                    prepare(job, folder)
            told = _apart(job, start)
        known[job.format] = told
        answers.write(json.dumps(told) + "\n")
        answers.flush()


def _told(job: Job, start: Start) -> dict[str, Any]:
    """Return what was measured, or why nothing was, whatever a library raises."""
    from gitops_registry.clocking import measured
    from gitops_registry.errors import RegistryError
    from gitops_registry.formats.loaded import Trust, reason

    _limit(resource.RLIMIT_CPU, int(start.seconds) + 1)
    try:
        with _room(start) as folder:
            return measured(job, folder, Trust(tuple(start.types), frozenset(start.formats)))
    except RegistryError as error:
        return {"error": error.message}
    except MemoryError:
        return {"error": f"needs more than {start.memory >> 20:,} MB of memory"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {reason(error)}"}


def _apart(job: Job, start: Start) -> dict[str, Any]:
    """Return what a process of its own says of a job; it is ended where that takes too long."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        with suppress(BaseException):
            os.write(writer, json.dumps(_told(job, start)).encode()[:_LONGEST_ANSWER])
        os._exit(0)
    os.close(writer)
    said = _heard(reader, time.monotonic() + start.seconds)
    if said is None:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    shutil.rmtree(_name(start, pid), ignore_errors=True)  # what somebody who was ended left there
    if said is None:
        return {"error": f"took more than {start.seconds:g} s"}
    if os.WIFSIGNALED(status):
        return {"error": f"its process was ended by {_signal(os.WTERMSIG(status))}"}
    with suppress(ValueError):
        told = json.loads(said)
        if isinstance(told, dict):
            return told
    return {"error": "its process ended without an answer"}


def _signal(number: int) -> str:
    """Return the name of a signal; not every one has one."""
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _heard(reader: int, until: float) -> bytes | None:
    """Return all that is said; None where it is not all said in time."""
    said = b""
    try:
        while (rest := until - time.monotonic()) > 0:
            if select.select([reader], [], [], rest)[0]:
                piece = os.read(reader, _LONGEST_ANSWER)
                if not piece:
                    return said
                said += piece
        return None
    finally:
        os.close(reader)


def _name(start: Start, pid: int) -> Path:
    return Path(start.folder) / f"job-{pid}"


@contextmanager
def _room(start: Start) -> Iterator[Path]:
    """Yield an empty folder that is gone afterwards."""
    folder = _name(start, os.getpid())
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _limit(what: int, most: int) -> None:
    with suppress(ValueError, OSError):  # a system, or an administrator, that allows less
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    main()
