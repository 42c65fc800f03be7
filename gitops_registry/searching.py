"""Search: which models and versions a filter finds, answered from the cache.

The cache shows one commit. Another one is reached by what git says differs, and only objects that were never parsed
are. What is found is shown, never trusted: who loads, checks or decides reads git.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from pydantic_core import from_json

from gitops_registry.catalog import sql
from gitops_registry.catalog.file import ask
from gitops_registry.catalog.rows import ROLES, VERSION_COLUMNS, Catalog, Move, Standing, Unusable, checked
from gitops_registry.errors import Damaged, ManifestError, NotFound, RegistryError
from gitops_registry.git.landing import state_folder
from gitops_registry.git.repository import EMPTY_TREE
from gitops_registry.manifest.reading import MAX_BYTES, parse
from gitops_registry.paths import MODELS, place_of
from gitops_registry.query import Filter, Order, parse_filter, parse_order
from gitops_registry.reference import Reference
from gitops_registry.snapshot import PathChange
from gitops_registry.workplace import Workplace

_AT_ONCE = 500
"""Documents that are parsed between two writes: whoever is killed has lost no more."""
_TRIES = 20
_MOST = (1 << 63) - 1
_T = TypeVar("_T")


@dataclass(frozen=True)
class FoundVersion:
    """A version that a search found. What its files say is read when it is asked for."""

    reference: Reference
    stage: str
    aliases: tuple[str, ...]
    model_tags: Mapping[str, str] = field(repr=False)
    version_body: str = field(repr=False)
    card_body: str = field(repr=False)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """version.yaml as plain data."""
        found: dict[str, Any] = from_json(self.version_body)
        return found

    @cached_property
    def _card(self) -> Mapping[str, Any]:
        found: dict[str, Any] = from_json(self.card_body) if self.card_body else {}
        return found

    @property
    def own_tags(self) -> Mapping[str, str]:
        """Its own tags, without those of its model."""
        found: Mapping[str, str] = self._card.get("tags", {})
        return found

    @property
    def tags(self) -> Mapping[str, str]:
        """Its own tags, and those of its model that it has not itself."""
        return {**self.model_tags, **self.own_tags}

    @property
    def description(self) -> str:
        """What people say it is; empty where nobody said."""
        return str(self._card.get("description", ""))

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics it was registered with."""
        return dict(self.facts["metrics"])

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters it was registered with."""
        return dict(self.facts["params"])

    @property
    def created(self) -> datetime:
        """When it was registered."""
        return datetime.fromisoformat(self.facts["created"])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        kept = ("release", "created", "author", "task", "model_type", "framework", "params", "metrics", "claimed")
        return {
            "version": str(self.reference), "name": self.reference.name, "number": self.reference.number, "stage": self.stage,
            "aliases": list(self.aliases), "description": self.description, "tags": dict(self.tags),
            **{key: self.facts[key] for key in kept},
        }  # fmt: skip


@dataclass(frozen=True)
class FoundModel:
    """A model that a search found, with the numbers of all its versions; `state` is model.yaml as plain data."""

    name: str
    versions: tuple[int, ...]
    state: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        kept = ("title", "description", "owners", "tags", "stages", "aliases")
        latest = self.versions[-1] if self.versions else None
        state = {key: self.state[key] for key in kept}
        return {"name": self.name, "versions": len(self.versions), "latest": latest, **state}


def find_versions(place: Workplace, wanted: str, *, order: str = "", limit: int | None = None) -> list[FoundVersion]:
    """Return the versions that a filter finds; in order of name and number, unless asked for another.

    Raises RegistryError where the filter or the order cannot be read, or a value does not fit its field.
    """
    found, orders = parse_filter(wanted), parse_order(order)
    return _asked(place, lambda catalog: _versions(catalog, found, orders, limit))


def find_models(place: Workplace, wanted: str, *, order: str = "", limit: int | None = None) -> list[FoundModel]:
    """Return the models that a filter finds, or that have a version it finds; in order of name, unless asked for another.

    Raises RegistryError where the filter or the order cannot be read, or a value does not fit its field.
    """
    found, orders = parse_filter(wanted), parse_order(order)
    return _asked(place, lambda catalog: _models(catalog, found, orders, limit))


def _asked(place: Workplace, question: Callable[[Catalog], _T]) -> _T:
    commit = place.commit()
    snapshot = place.snapshot(commit)
    to = Standing(commit, snapshot.constitution.first_stage)

    def answer(catalog: Catalog) -> _T:
        for _ in range(_TRIES):
            with catalog.reading():
                standing = catalog.standing()
                if standing == to:
                    return question(catalog)
            moves, is_anew = _moves(place, standing, to)
            _keep(place, catalog, moves)
            with catalog.writing():
                if catalog.standing() == standing:
                    catalog.move(to, moves, anew=is_anew)
                    return question(catalog)
        raise Unusable("others keep moving it")

    try:
        folder = state_folder(place.repository)
    except RegistryError:  # nobody may write there; then nothing is kept
        folder = place.repository.common_dir / "gitops-registry"
    return ask(folder, answer)


# ── bringing the cache to a commit


def _moves(place: Workplace, standing: Standing | None, to: Standing) -> tuple[list[Move], bool]:
    """Return what is to be applied, and whether that is all there is, not only what differs."""
    if standing is not None and standing.first_stage == to.first_stage:
        try:
            return _differing(place.repository.changed_paths(standing.revision, to.revision, MODELS)), False
        except (RegistryError, NotFound):
            pass  # the commit that is shown is gone
    return _differing(place.repository.changed_paths(EMPTY_TREE, to.revision, MODELS)), True


def _differing(changed: Sequence[PathChange]) -> list[Move]:
    places = ((place_of(change.path), change.new_oid) for change in changed)
    return [Move(at.role, at.model, at.version, oid) for at, oid in places if at.role in ROLES]


def _keep(place: Workplace, catalog: Catalog, moves: Sequence[Move]) -> None:
    """Parse the objects that never were, some at a time, so that nobody waits long for a write."""
    wanted = {(move.oid, move.role): move for move in moves if move.oid}
    missing = catalog.missing(list(wanted))
    for start in range(0, len(missing), _AT_ONCE):
        parsed = []
        for done, (oid, role) in enumerate(missing[start : start + _AT_ONCE], start):
            if place.progress is not None and done % 50 == 0:
                place.progress("reading manifests", done, len(missing))
            parsed.append((oid, role, *_parsed(place, oid, role)))
        with catalog.writing():
            for oid, role, document, problem in parsed:
                catalog.keep(oid, role, document, problem)
    if missing:
        place.tell("")


def _parsed(place: Workplace, oid: str, role: str) -> tuple[Any, str]:
    found = place.repository.objects.get(oid, limit=MAX_BYTES)
    if found is None:  # it may come back, so nothing is kept of it
        raise Damaged(f"git has lost an object of the registry, {oid[:12]}", hint="see: gitops-registry doctor")
    if found.data is None:
        return None, "is too large"
    try:
        return parse(found.data, role, ROLES[role]).document, ""
    except ManifestError as error:
        return None, error.message


# ── asking


def _versions(catalog: Catalog, wanted: Filter, orders: Sequence[Order], limit: int | None) -> list[FoundVersion]:
    condition, ordered = sql.where(wanted), sql.order(orders, of_models=False)
    rows = catalog.connection.execute(
        f"SELECT {VERSION_COLUMNS} FROM version v JOIN model m ON m.name = v.model "
        f"WHERE {condition.text} ORDER BY {ordered.text} LIMIT ?",
        (*condition.values, *ordered.values, _at_most(limit)),
    ).fetchall()
    models: dict[str, tuple[dict[int, list[str]], Mapping[str, str]]] = {}
    found = []
    for row in map(checked, rows):
        name, number = row["model"], row["number"]
        if name not in models:
            state = catalog.state(name)
            named: dict[int, list[str]] = {}
            for alias, one in state["aliases"].items():
                named.setdefault(one, []).append(alias)
            models[name] = (named, state["tags"])
        aliases, tags = models[name]
        bodies = (catalog.body(row[column], role) for column, role in (("document", "version"), ("card", "card")))
        found.append(FoundVersion(Reference(name, number), row["stage"], tuple(aliases.get(number, ())), tags, *bodies))
    return found


def _at_most(limit: int | None) -> int:
    return -1 if limit is None else min(limit, _MOST)


def _models(catalog: Catalog, wanted: Filter, orders: Sequence[Order], limit: int | None) -> list[FoundModel]:
    condition, ordered = sql.where(wanted), sql.order(orders, of_models=True)
    rows = catalog.connection.execute(
        "SELECT m.name FROM model m LEFT JOIN version v ON v.model = m.name "
        f"WHERE {condition.text} GROUP BY m.name ORDER BY {ordered.text} LIMIT ?",
        (*condition.values, *ordered.values, _at_most(limit)),
    ).fetchall()
    return [FoundModel(name, catalog.numbers(name), catalog.state(name)) for (name,) in rows]
