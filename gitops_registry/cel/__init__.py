"""The engine of expressions (Common Expression Language): one child process for a whole check, under limits.

Nothing that a policy or a manifest says can stall or end the check: the child has a budget of memory, and of processor time
for each program and each case. What exceeds it gets an error for an answer, and the rest is worked out by a new child.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from secrets import token_hex
from signal import Signals
from typing import IO, Any

from gitops_registry.errors import RegistryError
from gitops_registry.policy.engine import Answer, Case, Run, Trouble

_VARIABLES = {
    "candidate": "map", "champion": "dyn", "model": "map", "change": "map", "params": "map", "variables": "map", "registry": "map",
    "now": "timestamp",
}  # fmt: skip
_KNOWN_ENDS = {
    Signals.SIGPROF: "took more than {seconds:g} s of processor time",
    Signals.SIGKILL: "was ended from outside",
}
_TOO_MUCH = "needed more than {memory} MB of memory"
_LARGEST_FACTS = 4 << 20


@dataclass(frozen=True)
class Limits:
    """What one piece of work may take: processor seconds, bytes of memory, and how many may fail before all is given up."""

    seconds: float = 2.0
    memory: int = 1 << 30
    failures: int = 8
    wait: float = 120.0


@dataclass
class _Work:
    """A run that is under way: what was answered, and what must not be tried again."""

    programs: Sequence[str]
    facts: Sequence[str]
    cases: Sequence[Case]
    mark: str
    types: list[str] = field(default_factory=list)
    troubles: dict[int, Trouble] = field(default_factory=dict)
    answers: list[Sequence[Answer]] = field(default_factory=list)
    stuck: dict[int, str] = field(default_factory=dict)
    failures: int = 0

    def is_too_large(self, case: Case) -> bool:
        return len(self.facts[case.facts]) > _LARGEST_FACTS


class CommonExpressions:
    """Google's engine of the Common Expression Language behind the interface that policies know."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    def run(self, programs: Sequence[str], facts: Sequence[Mapping[str, Any]], cases: Sequence[Case]) -> Run:
        """Return what the programs come to, in one child process as long as none of them exceeds the limits.

        Raises RegistryError where the engine is not installed or cannot be started.
        """
        mark = token_hex(16)  # nothing that a manifest says can look like a moment
        told = [json.dumps(one, default=_told_by(mark), allow_nan=False) for one in facts]
        work = _Work(programs, told, cases, mark)
        while programs and (len(work.types) < len(programs) or len(work.answers) < len(cases)):
            if work.failures > self._limits.failures:
                self._give_up(work)
                break
            self._go_on(work)
        return Run(work.types, work.troubles, work.answers)

    def _go_on(self, work: _Work) -> None:
        """Work on in a new child until all is answered, or something ends it; then answer that with an error."""
        done, total = len(work.answers), len(work.programs)
        while done < len(work.cases) and work.is_too_large(work.cases[done]):
            work.answers.append(_errors(work.cases[done], f"there are more facts than {_LARGEST_FACTS >> 20} MB"))
            done += 1
        rest = list(takewhile(lambda case: not work.is_too_large(case), work.cases[done:]))
        if not rest and len(work.types) == total:
            return
        lines, ended = self._child(work, rest, is_careful=False)
        work.types, work.troubles = [], {}
        for at, line in enumerate(lines[:total]):
            work.types.append(line[0])
            if not line[0]:
                work.troubles[at] = Trouble(work.stuck[at]) if at in work.stuck else _trouble(line[1])
        work.answers += [[Answer(*answer) for answer in line] for line in lines[total:]]
        if len(lines) < total:
            work.stuck[len(lines)] = ended
        elif len(lines) - total < len(rest):
            work.answers += self._carefully(work, rest[len(lines) - total :], ended)
        else:
            return
        work.failures += 1

    def _carefully(self, work: _Work, cases: Sequence[Case], ended: str) -> list[list[Answer]]:
        """Return the answers of cases up to the one that ends a child, and of that those before the step that does it.

        A child that is ended takes with it what it had not told yet, so one that tells everything at once goes over them.
        """
        lines, ended_again = self._child(work, cases, is_careful=True)
        found: list[list[Answer]] = []
        at = len(work.programs)
        for case in cases:
            count = len(case.steps)
            steps = [Answer(*line) for line in lines[at : at + count]]
            at += count + 1  # its steps, then all of them once more
            if at > len(lines):
                errors = [Answer("error", ended_again or ended)]
                errors += [Answer("error", "was not tried: a rule before it took too much")] * count
                return [*found, [*steps, *errors][:count]]
            found.append(steps)
        return found

    def _give_up(self, work: _Work) -> None:
        message = f"was not tried: {work.failures} others took too much"
        while len(work.types) < len(work.programs):
            work.troubles[len(work.types)] = Trouble(message)
            work.types.append("")
        work.answers += [_errors(case, message) for case in work.cases[len(work.answers) :]]

    def _child(self, work: _Work, cases: Sequence[Case], *, is_careful: bool) -> tuple[list[Any], str]:
        """Run a child over some cases and return the lines it told, and what ended it before its time (empty: nothing)."""
        needed = sorted({case.facts for case in cases})
        place = {old: new for new, old in enumerate(needed)}
        limits = self._limits
        start = json.dumps({"path": _where(), "memory": limits.memory, "seconds": limits.seconds, "moment": work.mark})
        head = {
            "careful": is_careful, "variables": _VARIABLES, "programs": list(work.programs), "skip": sorted(work.stuck),
            "cases": [{"facts": place[case.facts], "params": case.params, "steps": case.steps} for case in cases],
        }  # fmt: skip
        text = (
            start
            + "\n"
            + json.dumps(head, default=_told_by(work.mark))[:-1]
            + ', "facts": ['
            + ", ".join(work.facts[at] for at in needed)
            + "]}"
        )
        script = str(Path(__file__).with_name("worker.py"))
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", script],
                input=text.encode(),
                capture_output=True,
                timeout=self._limits.wait,
                check=False,
                env={},
            )
        except subprocess.TimeoutExpired as late:
            return _lines(late.stdout or b""), f"did not end within {self._limits.wait:g} s"
        except OSError as error:
            raise RegistryError(
                f"the engine of policies cannot be started: {error.strerror}", hint="see: gitops-registry doctor"
            ) from error
        if done.returncode > 0 and b"MemoryError" not in done.stderr:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise RegistryError(
                f"the engine of policies failed: {' '.join(last) or 'no reason given'}",
                hint="install it: pip install cel-expr-python",
            )
        return _lines(done.stdout), self._end_told(done.returncode)

    def _end_told(self, code: int) -> str:
        if code == 0:
            return ""
        told = _KNOWN_ENDS.get(Signals(-code), _TOO_MUCH) if code < 0 else _TOO_MUCH
        return told.format(seconds=self._limits.seconds, memory=self._limits.memory >> 20)


def _where() -> list[str]:
    """The folders that the engine and what it needs are in."""
    found = []
    for package in ("cel_expr_python", "google.protobuf"):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise RegistryError(
                f"the package {package} is not installed", hint="install it: pip install cel-expr-python"
            )
        levels = package.count(".") + 1
        found.append(str(Path(next(iter(spec.submodule_search_locations))).parents[levels - 1]))
    return list(dict.fromkeys(found))


def _lines(output: bytes | IO[bytes]) -> list[Any]:
    """Return the answers that were told whole."""
    assert isinstance(output, bytes)
    return [json.loads(line) for line in output.split(b"\n")[:-1]]


def _trouble(text: str) -> Trouble:
    """Return the first thing that the compiler says, without the copy of the expression below it."""
    match = re.search(r"<input>:(-?\d+):(-?\d+): ([^\n]*)", text)
    if match is None:
        return Trouble(text.splitlines()[0] if text else "does not compile")
    return Trouble(match[3].replace(" (in container '')", ""), max(int(match[1]), 1), max(int(match[2]), 1))


def _errors(case: Case, message: str) -> list[Answer]:
    return [Answer("error", message)] * len(case.steps)


def _told_by(mark: str) -> Callable[[Any], Any]:
    """Return how JSON says moments: as a mapping whose only key is the mark of this run."""

    def told(value: Any) -> Any:
        if isinstance(value, datetime):
            return {mark: value.isoformat()}
        raise TypeError(type(value).__name__)

    return told
