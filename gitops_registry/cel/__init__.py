"""The engine of expressions (Common Expression Language): one child process for a whole check, under limits.

Nothing that a policy or a manifest says can stall or end the check: the child has a budget of memory, and of processor time
for each program, each case and everything together. What exceeds it gets an error for an answer, and the rest is worked out by
a new child. Work is done in the order it is asked for, so what comes later takes nothing from what comes first.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from signal import Signals
from typing import Any

from gitops_registry.child import is_here, talk
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
_NOT_INSTALLED = 3
_INSTALL = "install it: pip install cel-expr-python"


@dataclass(frozen=True)
class Limits:
    """What one piece of work may take, in processor seconds and bytes of memory, and how many may fail before all is given up;
    and what a whole run may take: processor seconds, seconds of the clock, and bytes of answers.
    """

    seconds: float = 2.0
    memory: int = 1 << 30
    failures: int = 8
    total: float = 60.0
    wait: float = 120.0
    answers: int = 32 << 20


@dataclass
class _Work:
    """A run that is under way: what is asked, what was answered, and what must not be tried again.

    `texts` are the sets of facts and of parameters as JSON, each once; `places` says of each case which two are its own.
    """

    programs: Sequence[str]
    cases: Sequence[Case]
    limits: Limits
    mark: str
    texts: list[str] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    types: dict[int, str] = field(default_factory=dict)
    troubles: dict[int, Trouble] = field(default_factory=dict)
    answers: dict[int, Sequence[Answer]] = field(default_factory=dict)
    stuck: dict[int, str] = field(default_factory=dict)
    failures: int = 0
    seconds: float = 0.0
    said: int = 0
    over: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def is_open(self) -> bool:
        return len(self.types) < len(self.programs) or len(self.answers) < len(self.cases)

    def plan(self) -> Iterator[tuple[str, int]]:
        """Yield what is left in order: cases, each after the programs up to its own, and the other programs last."""
        reached = 0
        for at, case in enumerate(self.cases):
            needed = max((step.program + 1 for step in case.steps), default=0)
            if at not in self.answers:
                yield from (("program", number) for number in range(reached, needed))
                reached = max(reached, needed)
                yield "case", at
        if reached < len(self.programs) and len(self.types) < len(self.programs):
            yield from (("program", number) for number in range(reached, len(self.programs)))

    def learn(self, piece: tuple[str, int], line: Any) -> None:
        """Keep what was told of a piece."""
        kind, at = piece
        if kind == "case":
            self.answers[at] = [Answer(*answer) for answer in line]
            return
        self.types[at] = line[0]
        if not line[0]:
            self.troubles[at] = Trouble(self.stuck[at]) if at in self.stuck else _trouble(line[1])

    def fail(self, case: int, message: str) -> None:
        self.answers[case] = [Answer("error", message)] * len(self.cases[case].steps)

    def give_up(self, message: str) -> None:
        """Answer all that is left with an error."""
        for at in range(len(self.programs)):
            if at not in self.types:
                self.types[at], self.troubles[at] = "", Trouble(self.stuck.get(at, message))
        for at in range(len(self.cases)):
            if at not in self.answers:
                self.fail(at, message)


class CommonExpressions:
    """Google's engine of the Common Expression Language behind the interface that policies know."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    def run(self, programs: Sequence[str], facts: Sequence[Mapping[str, Any]], cases: Sequence[Case]) -> Run:
        """Return what the programs come to, in one child process as long as none of them exceeds the limits.

        Beyond the limits of a whole run, what is left is an error; cases are worked out in their order. Raises RegistryError
        where the engine is not installed or cannot be started.
        """
        mark = token_hex(16)  # nothing that a manifest says can look like a moment
        work = _Work(programs, cases, self._limits, mark)
        if programs:
            _hand_in(work, facts)
        while programs and work.is_open:
            if work.over or work.failures > self._limits.failures:
                work.give_up(work.over or f"was not tried: {work.failures} others took too much")
                break
            self._go_on(work)
        types = [work.types[at] for at in range(len(work.types))]
        answers = [work.answers[at] for at in range(len(work.answers))]
        return Run(types, work.troubles, answers, is_whole=not (work.failures or work.over))

    def _go_on(self, work: _Work) -> None:
        """Work on in a new child until all is answered, or something ends it; then answer that with an error."""
        plan = list(work.plan())
        lines, ended = self._child(work, plan, is_careful=False)
        for piece, line in zip(plan, lines, strict=False):
            work.learn(piece, line)
        if len(lines) == len(plan):
            return
        work.failures += 1
        kind, at = plan[len(lines)]
        if kind == "program":
            work.stuck[at] = ended
        elif work.over:
            work.fail(at, ended)
        else:
            work.answers[at] = self._carefully(work, at, ended)

    def _carefully(self, work: _Work, at: int, ended: str) -> list[Answer]:
        """Return the answers of a case that ends a child: those before the step that does it, and errors.

        A child tells a case when it is through with it, so one that tells every step goes over this one.
        """
        steps = work.cases[at].steps
        programs = [("program", number) for number in sorted({step.program for step in steps})]
        lines, ended_again = self._child(work, [*programs, ("case", at)], is_careful=True)
        found = [Answer(*line) for line in lines[len(programs) :]][: len(steps)]  # in the end they are told once more
        errors = [Answer("error", ended_again or ended)]
        errors += [Answer("error", "was not tried: a rule before it took too much")] * len(steps)
        return [*found, *errors][: len(steps)]

    def _child(self, work: _Work, plan: Sequence[tuple[str, int]], *, is_careful: bool) -> tuple[list[Any], str]:
        """Run a child over a plan and return the lines it told, and what ended it before its time (empty: nothing)."""
        limits = work.limits
        start = {
            "path": _where(), "memory": limits.memory, "seconds": limits.seconds, "total": max(limits.total - work.seconds, 0.01),
            "moment": work.mark, "variables": _VARIABLES,
        }  # fmt: skip
        needed = sorted({place for kind, at in plan if kind == "case" for place in work.places[at]})
        place = {old: new for new, old in enumerate(needed)}
        job = {
            "careful": is_careful, "programs": list(work.programs), "skip": sorted(work.stuck),
            "plan": [at if kind == "program" else _told_case(work, at, place) for kind, at in plan],
        }  # fmt: skip
        told = "\n".join([json.dumps(start), json.dumps(job), *(work.texts[at] for at in needed)])
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("worker.py"))]
        try:
            done = talk(
                command, told.encode(), until=work.began + limits.wait, longest=max(limits.answers - work.said, 0)
            )
        except OSError as error:
            raise RegistryError(
                f"the engine of policies cannot be started: {error.strerror}", hint="see: gitops-registry doctor"
            ) from error
        work.seconds, work.said = work.seconds + done.seconds, work.said + len(done.output)
        is_ready, *lines = done.answers(lambda *_: True) or [False]
        words = done.last_words or "no reason given"
        if not is_ready and done.code > 0:
            hint = _INSTALL if done.code == _NOT_INSTALLED else "see: gitops-registry doctor"
            raise RegistryError(f"the engine of policies failed: {words}", hint=hint)
        work.over = _over(limits, work, done.is_late, done.is_long, done.code)
        if work.over or done.code == 0:
            return lines, work.over
        if done.code > 0 and b"MemoryError" not in done.errors:
            return lines, f"cannot be worked out: {words}"
        ended = _KNOWN_ENDS.get(Signals(-done.code), _TOO_MUCH) if done.code < 0 else _TOO_MUCH
        return lines, ended.format(seconds=limits.seconds, memory=limits.memory >> 20)


def _over(limits: Limits, work: _Work, is_late: bool, is_long: bool, code: int) -> str:
    """Say which limit of a whole run is reached; empty where none is."""
    if is_late:
        return f"was not tried: the policies took more than {limits.wait:g} s"
    if is_long:
        return f"was not tried: the policies said more than {limits.answers / (1 << 20):g} MB"
    if work.seconds >= limits.total or code == -Signals.SIGXCPU:
        return f"was not tried: the policies took more than {limits.total:g} s of processor time"
    return ""


def _hand_in(work: _Work, facts: Sequence[Mapping[str, Any]]) -> None:
    """Write facts and parameters down as JSON, each once; a case with some that cannot be is answered with an error."""
    problems: dict[int, str] = {}
    numbers: dict[int | str, int] = {}

    def number(data: Mapping[str, Any]) -> int:
        if id(data) not in numbers:
            text, problem = _written(data, work.mark)
            numbers[id(data)] = numbers.setdefault(problem or text, len(work.texts))
            if numbers[id(data)] == len(work.texts):
                work.texts.append(text)
            if problem:
                problems[numbers[id(data)]] = problem
        return numbers[id(data)]

    for at, case in enumerate(work.cases):
        work.places.append((number(facts[case.facts]), number(case.params)))
        problem = next((problems[place] for place in work.places[at] if place in problems), "")
        if problem:
            work.fail(at, problem)


def _written(data: Mapping[str, Any], mark: str) -> tuple[str, str]:
    """Return facts as JSON, or why they cannot be handed in."""
    try:
        text = json.dumps(data, default=_told_by(mark), allow_nan=False)
    except (ValueError, TypeError, OverflowError) as error:
        return "", f"its facts cannot be handed in: {error}"
    except RecursionError:
        return "", "its facts are nested too deep"
    return ("", f"there are more facts than {_LARGEST_FACTS >> 20} MB") if len(text) > _LARGEST_FACTS else (text, "")


def _told_case(work: _Work, at: int, place: Mapping[int, int]) -> dict[str, Any]:
    facts, params = work.places[at]
    return {"facts": place[facts], "params": place[params], "steps": work.cases[at].steps}


def _where() -> list[str]:
    """The folders that the engine and what it needs are in, none of them in the current folder."""
    entries = [entry for entry in map(Path, sys.path) if not is_here(entry)]
    found = []
    for package in ("cel_expr_python", "google/protobuf"):
        place = next((entry for entry in entries if (entry / package).is_dir()), None)
        if place is None:
            name = package.replace("/", ".")
            raise RegistryError(f"the package {name} is not installed", hint=_INSTALL)
        found.append(str(place))
    return list(dict.fromkeys(found))


def _trouble(text: str) -> Trouble:
    """Return the first thing that the compiler says, without the copy of the expression below it."""
    match = re.search(r"<input>:(-?\d+):(-?\d+): ([^\n]*)", text)
    if match is None:
        return Trouble(text.splitlines()[0] if text else "does not compile")
    return Trouble(match[3].replace(" (in container '')", ""), max(int(match[1]), 1), max(int(match[2]), 1))


def _told_by(mark: str) -> Callable[[Any], Any]:
    """Return how JSON says moments: as a mapping whose only key is the mark of this run."""

    def told(value: Any) -> Any:
        if isinstance(value, datetime):
            return {mark: value.isoformat()}
        raise TypeError(type(value).__name__)

    return told
