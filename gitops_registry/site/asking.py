"""What the policies say of what serves, asked again of those models alone that something changed for.

What was said is remembered in the git directory by the objects of git that it followed from: all files of the model, the policies
with their waivers, and `registry.yaml`; and by what history says of who was put back. It holds until a waiver begins or ends, or
time may change what a rule says (`policy.lasting`). The pages show it; nothing decides by it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_args

from gitops_registry import paths
from gitops_registry.audit.decision import Event
from gitops_registry.errors import ManifestError, RegistryError
from gitops_registry.git.landing import state_folder
from gitops_registry.manifest.policies import Enforcement
from gitops_registry.policy.gate import ruling
from gitops_registry.policy.lasting import ends
from gitops_registry.policy.report import Came, Facts, Judgement, Verdict
from gitops_registry.policy.rulebook import rulebook
from gitops_registry.policy.subjects import Subject, subjects
from gitops_registry.sealed import load, save
from gitops_registry.snapshot import PathChange, Snapshot
from gitops_registry.workplace import Workplace

MEMORY = "site.verdicts"


@dataclass(frozen=True)
class Said:
    """What the policies say of one model's versions that serve, were they to come there today.

    `problem` is why they could not be asked, or one of them cannot say. All of it holds from `since` until before `until`.
    """

    verdicts: tuple[Verdict, ...]
    problem: str
    since: datetime
    until: datetime


def said_of(
    place: Workplace,
    snapshot: Snapshot,
    files: Sequence[PathChange],
    lives: Mapping[str, Sequence[Event]],
    *,
    is_anew: bool,
) -> Mapping[str, Said]:
    """Return what the policies say of each model in `lives`, which are their decisions; `files` are all files of the revision.

    What only a store, a forge or people could tell is not known here. A version that was put back into its stage is not asked
    what rollbacks are not. Nothing that was remembered is used where it is asked for `anew`.
    """
    now = datetime.now(UTC)
    back = {name: _came_back(lived) for name, lived in lives.items()}
    keys = _keys(files, back)
    file = place.repository.common_dir / "gitops-registry" / MEMORY
    held = b"" if is_anew else load(file)
    known = {name: said for name, said in _recalled(held, keys).items() if said.since <= now < said.until}
    if held and len(known) == len(keys):
        return known
    found = known | _asked(place, snapshot, now, {name: back[name] for name in keys if name not in known})
    kept = json.dumps(
        {name: _noted(keys[name], said) for name, said in sorted(found.items()) if said.until > now}
    ).encode()
    if kept != held:
        with suppress(OSError, RegistryError):  # nobody may write there; then all is asked again
            save(state_folder(place.repository) / MEMORY, kept)
    return found


def _came_back(decisions: Iterable[Event]) -> list[tuple[int, str]]:
    """Return which versions decisions brought into a stage more than once, and that stage."""
    moves = (change for event in decisions for change in event.changes if change.kind == "stage_transition")
    counts = Counter((change.version, str(change.after)) for change in moves)
    return sorted(move for move, count in counts.items() if count > 1)


def _asked(
    place: Workplace, snapshot: Snapshot, now: datetime, back: Mapping[str, Sequence[tuple[int, str]]]
) -> dict[str, Said]:
    if not back:
        return {}
    law, book = snapshot.constitution, rulebook(snapshot)
    judgement = Judgement(None, snapshot, (), (), Facts(now=now), law, snapshot.access)
    broken = [one for one in book.broken if one.result == "error" and paths.place_of(one.path).role == "policy"]
    unread = f"{broken[0].path}: {broken[0].message}" if broken else ""
    asked: list[Subject] = []
    lasting = datetime.max.replace(tzinfo=UTC)
    found = {name: Said((), unread, now, lasting) for name in back}
    for name in back:
        try:
            mine = subjects(replace(judgement, models=(name,)))
        except ManifestError as error:
            found[name] = replace(found[name], problem=error.message)
            continue
        asked += [replace(one, came_back=(one.reference.number, one.stage) in back[name]) for one in mine]
    try:
        told = ruling(judgement, place.engine, asked, is_tried=False)
        until = ends(judgement, place.engine, asked) if told.is_whole else [now] * len(asked)
    except RegistryError as error:
        return {name: Said((), error.message, now, now) for name in back}
    for one, end in zip(asked, until, strict=True):
        name = one.reference.name
        found[name] = replace(found[name], until=min(found[name].until, end))
    for finding in told.findings:
        if finding.rule == "policies" and finding.model in found:
            found[finding.model] = replace(found[finding.model], problem=finding.message)
    said: dict[str, list[Verdict]] = {}
    for verdict in told.verdicts:
        said.setdefault(verdict.model, []).append(verdict)
    return {name: replace(one, verdicts=tuple(said.get(name, ()))) for name, one in found.items()}


# ── what is remembered


def _keys(files: Sequence[PathChange], back: Mapping[str, Sequence[tuple[int, str]]]) -> dict[str, str]:
    """Return by model a digest of everything that what is said of it follows from, but the moment."""
    law = [file for file in files if file.path == paths.CONSTITUTION or file.path.startswith(f"{paths.POLICIES}/")]
    own: dict[str, list[PathChange]] = {name: [] for name in back}
    for file in files:
        folder, _, rest = file.path.partition("/")
        if folder == paths.MODELS and (name := rest.partition("/")[0]) in own:
            own[name].append(file)
    common = _digest(law)
    return {name: _digest(own[name], common, repr(came)) for name, came in back.items()}


def _digest(files: Iterable[PathChange], *more: str) -> str:
    told = [f"{file.new_mode} {file.new_oid} {file.path}" for file in sorted(files)]
    return hashlib.sha256("\0".join([*more, *told]).encode(errors="surrogateescape")).hexdigest()


def _noted(key: str, said: Said) -> list[Any]:
    times = said.since.isoformat(), said.until.isoformat()
    return [key, *times, said.problem, [[*vars(verdict).values()] for verdict in said.verdicts]]


def _recalled(held: bytes, keys: Mapping[str, str]) -> dict[str, Said]:
    """Return what was remembered of models that are as they were; nothing where any of it cannot be read."""
    try:
        told = json.loads(held) if held else {}
        return {
            name: Said(
                tuple(_verdict(name, one) for one in verdicts),
                str(problem),
                *map(datetime.fromisoformat, (since, until)),
            )
            for name, (key, since, until, problem, verdicts) in told.items()
            if keys.get(name) == key
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def _verdict(name: str, told: Sequence[Any]) -> Verdict:
    verdict = Verdict(*told)
    if (
        verdict.model != name
        or verdict.result not in get_args(Came)
        or verdict.enforcement not in get_args(Enforcement)
    ):
        raise ValueError(name)
    return verdict
