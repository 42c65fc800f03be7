"""Models of another registry as plain values, and the names and stages they get in this one.

A name that fits is kept. Any other is spelled so that it fits, can be read, and can be read back: `my model/v2` becomes
`my_x20_model_x2F_v2`. Numbers are never changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gitops_registry.manifest.kinds import Constitution
from gitops_registry.paths import name_problem

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HIGHEST = 1_000_000_000
"""No number of a version is that high."""
MOST_SPENT = 10_000
"""As many numbers of one model may be missing; more are no history but an attack on whoever lists them."""

_TOKEN = re.compile(r"_x([0-9A-F]*)_")
_MARK = "m_x_"
"""Stands before what could not be a name's beginning."""
_TWIN = "_x_"
"""Stands after that mark in the twin of another name, and in no other."""
_PLAIN = re.compile(r"[A-Za-z0-9._-]")
_LONGEST = 128
_CODES, _SURROGATES = 0x110000, range(0xD800, 0xE000)
"""So many codes of characters there are; and those of them that stand for half of one."""


@dataclass(frozen=True)
class ForeignModel:
    """A registered model: `aliases` name versions, `spent` are numbers that were given once and are gone."""

    name: str
    created: datetime = EPOCH
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    spent: tuple[int, ...] = ()


@dataclass(frozen=True)
class ForeignVersion:
    """One version of a registered model; `location` is where its artifacts are, as that registry says it."""

    model: str
    number: int
    created: datetime = EPOCH
    user: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    stage: str = ""
    run: str = ""
    location: str = ""


@dataclass(frozen=True)
class ForeignRun:
    """What was recorded while a version was trained."""

    user: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


# ── names


def our_names(models: Sequence[ForeignModel]) -> dict[str, str]:
    """Return the name each model gets here, by its own; no two of them differ only in case.

    Of models whose names do, the oldest keeps the plain one, so that a younger model renames nobody.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for model in sorted(models, key=lambda model: (model.created, model.name)):
        name = our_name(model.name)
        if name.lower() in taken:
            name = our_name(model.name, twin=True)
        taken.add(name.lower())
        found[model.name] = name
    return found


def our_name(name: str, *, twin: bool = False) -> str:
    """Return a name that our grammar takes: the same one where it does, else one that `their_name` reads back.

    Only names of more than 128 characters, as we spell them, cannot be read back: they end in a digest.
    """
    if not twin and not name_problem(name) and not _TOKEN.search(name):
        return name
    spelled = "".join(_spelled(name, place, twin=twin) for place in range(len(name)))
    if twin:
        spelled = _MARK + _TWIN + spelled
    elif not spelled[:1].isalnum() or name_problem(spelled):
        spelled = _MARK + spelled
    if len(spelled) > _LONGEST:
        head = re.sub(r"[._-]+$", "", spelled[:100].replace("..", "_"))
        return f"{head}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"
    return spelled


def _spelled(name: str, place: int, *, twin: bool) -> str:
    """Return one sign of a name, escaped where it cannot stand there or would read as an escape."""
    sign, rest = name[place], name[place:]
    is_odd = (
        not _PLAIN.fullmatch(sign)
        or rest.startswith("_x")
        or (sign == "." and (rest in {".", ".lock"} or name[place - 1 : place] == "."))
        or (twin and sign.isupper())
    )
    return f"_x{ord(sign):X}_" if is_odd else sign


def their_name(name: str) -> str:
    """Return the name that `our_name` spelled so; the same one where it has a code that is no character's."""
    codes = [int(token[1], 16) for token in _TOKEN.finditer(name) if token[1]]
    if not _TOKEN.search(name) or any(code >= _CODES or code in _SURROGATES for code in codes):
        return name
    return _TOKEN.sub(lambda match: chr(int(match[1], 16)) if match[1] else "", name.removeprefix(_MARK))


# ── stages


def our_stages(law: Constitution, held: Mapping[int, str]) -> tuple[dict[int, str], dict[int, str]]:
    """Return version → the stage it gets here, and version → why that is not the one it had.

    Stages are found without regard to case; none, and one that this registry has not, is the first stage. Where an
    exclusive stage has several holders the newest keeps it and the others go where that stage says.
    """
    stages: dict[int, str] = {}
    notes: dict[int, str] = {}
    for number, name in held.items():
        stage = law.stage(name) if name not in {"", "None"} else law.stages[0]
        stages[number] = stage.name if stage else law.first_stage
        if stage is None:
            notes[number] = f"there is no stage {name!r} here; it is in {law.first_stage}"
    for stage in law.stages:
        holders = sorted(number for number, name in stages.items() if name == stage.name)
        for number in holders[:-1] if stage.exclusive else ():
            away = law.stage(stage.replaced_to)
            stages[number] = law.first_stage if away is None or away.exclusive else away.name
            notes[number] = f"{stage.name} takes one version, and {holders[-1]} is newer; it is in {stages[number]}"
    return stages, notes


def stops(law: Constitution, stage: str) -> tuple[str, ...]:
    """Return the stages to try for a new version that is wanted in `stage`, best first; the first stage ends it.

    A version that is to serve waits in a stage it can serve from.
    """
    wanted = law.stage(stage)
    if wanted is None or wanted.name == law.first_stage:
        return (law.first_stage,)
    if not wanted.serving:
        return (wanted.name, law.first_stage)
    known = [law.stage(name) for name in wanted.from_ or ()]
    waiting = [stop.name for stop in known if stop and not stop.serving and stop.name != law.first_stage]
    return (*waiting[:1], law.first_stage)


def following(number: int, spent: Sequence[int]) -> tuple[int, ...]:
    """Return the spent numbers that come right after a number, in order, at most 10,000."""
    gone = set(spent)
    found: list[int] = []
    while number + len(found) + 1 in gone and len(found) < MOST_SPENT:
        found.append(number + len(found) + 1)
    return tuple(found)
