"""What runs expressions, as policies see it: programs, cases and answers. The engine itself is an adapter.

A case runs its steps in order over one set of facts; a step may keep its answer under `variables` for those after it, and
may wait for another not to be true. Answers are data: an error is an answer, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class Answer(NamedTuple):
    """What one step came to. `type` is CEL's name (`bool`, `double`, …), `error` for an error and `""` where it was not run."""

    type: str
    value: Any = None

    @property
    def is_true(self) -> bool:
        """Whether it is the boolean true, and nothing that looks like it."""
        return self.type == "bool" and self.value is True


class Trouble(NamedTuple):
    """Why a program does not compile, and where: line and column from 1."""

    message: str
    line: int = 1
    column: int = 1


class Step(NamedTuple):
    """One program of a case. `keep` is the variable its answer becomes; it runs unless step `unless` came to true.

    Of a variable only its type or its error is told, unless it `is_wanted`: it may be large, and few ask.
    """

    program: int
    keep: str = ""
    unless: int | None = None
    is_wanted: bool = False


@dataclass(frozen=True)
class Case:
    """Steps over `facts[facts]` of a run, with the parameters of their policy."""

    facts: int
    params: Mapping[str, Any]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Run:
    """What came of a run: per program its type or its trouble, per case the answers of its steps.

    `is_whole`: nothing was ended by a limit, so that another run would say the same.
    """

    types: Sequence[str]
    troubles: Mapping[int, Trouble]
    answers: Sequence[Sequence[Answer]]
    is_whole: bool = True


class Engine(Protocol):
    """Compiles and runs expressions within budgets of time and memory, those that come first first."""

    def run(self, programs: Sequence[str], facts: Sequence[Mapping[str, Any]], cases: Sequence[Case]) -> Run:
        """Return what the programs come to. Whatever they are, this ends and raises nothing that they caused."""
        ...
