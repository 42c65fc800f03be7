"""The list of pages: where each lies, what it is made of (its key), and how to get what it shows.

A key names the objects of git that a page is a function of, and never their meaning: telling that a page is as it was
costs no parsing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitops_registry import paths
from gitops_registry.audit.decision import Event
from gitops_registry.drawing import Picture
from gitops_registry.governing import waivers_of
from gitops_registry.printing.templates import FOLDER as TEMPLATES
from gitops_registry.reference import Reference
from gitops_registry.site import figures, views
from gitops_registry.site.contents import Contents, ModelContents
from gitops_registry.site.rules import policies_page
from gitops_registry.site.version import pictures as version_pictures
from gitops_registry.site.version import version_page
from gitops_registry.workplace import Workplace

EACH = 200
"""Decisions on one page of the log."""

Pictures = Mapping[str, Picture]


@dataclass(frozen=True)
class Page:
    """One page, `path` without its suffix. `show` returns its data; `draw` the charts that data has, by where they stand."""

    path: str
    template: str
    key: str
    show: Callable[[], dict[str, Any]]
    draw: Callable[[dict[str, Any]], Pictures] = lambda _: {}

    @property
    def root(self) -> str:
        """The way back to the folder of the site, relative."""
        return "../" * self.path.count("/")


def pages(place: Workplace, site: Contents, made_by: str, words: Mapping[str, str]) -> Iterator[Page]:
    """Yield every page of the site; `made_by` tells templates and program, a part of every key."""
    law = site.objects.get(paths.CONSTITUTION, "")
    common = (made_by, law, site.commit_page)
    own = sorted((path, oid) for path, oid in site.objects.items() if path.startswith(f"{TEMPLATES}/"))
    states = [views.policy_state(model) for model in site.models]
    yield Page("index", "index", _key(common, site.commit, states), lambda: views.index(site))
    for model in site.models:
        yield _model(site, model, common, words)
        yield _compare(site, model, common)
        for version in model.versions:
            yield _version(site, model, version.reference, (*common, own), words)
    yield from _log(site, common)
    ruled = sorted((path, oid) for path, oid in site.objects.items() if path.startswith(f"{paths.POLICIES}/"))
    key = _key(common, ruled, waivers_of(site.snapshot))
    yield Page("policies", "policies", key, lambda: policies_page(place, site, words))


def _model(site: Contents, model: ModelContents, common: Sequence[Any], words: Mapping[str, str]) -> Page:
    files = [_facts_of(site, one.reference) for one in model.versions]
    made_of = (
        site.objects.get(paths.model_path(model.name), ""),
        files,
        _ids(model.decisions),
        views.policy_state(model),
    )
    draw = lambda _: _some(history=figures.history(model.versions, model.headline, words))  # noqa: E731
    return Page(
        f"models/{model.name}/index", "model", _key(common, made_of), lambda: views.model_page(site, model), draw
    )


def _compare(site: Contents, model: ModelContents, common: Sequence[Any]) -> Page:
    stages = [(one.reference.number, one.stage, _facts_of(site, one.reference)) for one in model.versions]

    def show() -> dict[str, Any]:
        pair = views.pair_of(model) or ()
        known = {number: site.snapshot.version(model.name, number) for number in pair}
        return views.compare_page(model, {number: one for number, one in known.items() if one is not None})

    made_of = (model.title, model.champion, model.challenger, stages)
    return Page(f"models/{model.name}/compare", "compare", _key(common, made_of), show)


def _version(
    site: Contents,
    model: ModelContents,
    reference: Reference,
    common: Sequence[Any],
    words: Mapping[str, str],
) -> Page:
    found = model.by_number[reference.number]
    numbers = [one.reference.number for one in model.versions]
    at = numbers.index(reference.number)
    beside = (numbers[at - 1] if at else None, numbers[at + 1] if at + 1 < len(numbers) else None)
    rival = Reference(model.name, model.champion) if model.champion and model.champion != reference.number else None
    rival_facts = (rival, _facts_of(site, rival)) if rival else None
    lived = _ids(model.decisions_about(reference.number))
    standing = (found.stage, found.aliases, model.champion == reference.number)
    made_of = (
        sorted(site.files_of(reference).items()), standing, model.title, model.state["owners"], beside, rival_facts, lived,
    )  # fmt: skip
    return Page(
        f"models/{model.name}/v{reference.number}", "version", _key(common, made_of),
        lambda: version_page(site, model, reference, beside, rival), lambda data: version_pictures(data, words),
    )  # fmt: skip


def _log(site: Contents, common: Sequence[Any]) -> Iterator[Page]:
    """Yield the log: the newest decisions first, the older ones on pages whose decisions never change; and each decision."""
    oldest_first = site.decisions[::-1]
    full = len(oldest_first) // EACH
    for number in range(1, full + 1):
        part = oldest_first[(number - 1) * EACH : number * EACH]
        yield _part(site, f"audit/page-{number}", part, common, (number, full))
    yield _part(site, "audit/index", oldest_first[-EACH:], common, (0, full))
    yield from (_decision(site, event, common) for event in site.decisions)


def _decision(site: Contents, event: Event, common: Sequence[Any]) -> Page:
    key = _key(common, event.commit.oid, _told(event))
    return Page(f"decisions/{event.commit.oid}", "decision", key, lambda: views.decision_page(event, site))


def _part(site: Contents, path: str, part: Sequence[Event], common: Sequence[Any], at: tuple[int, int]) -> Page:
    number, full = at
    older = (f"page-{number - 1}" if number > 1 else "") if number else (f"page-{full}" if full else "")
    newer = (f"page-{number + 1}" if number < full else "index") if number else ""

    def show() -> dict[str, Any]:
        told = [views.decision(event, site) for event in reversed(part)]
        return {"page": number, "newer": newer or None, "older": older or None, "decisions": told}

    return Page(path, "audit", _key(common, _ids(part), newer, older), show)


def _told(event: Event) -> str:
    """Return what of a decision does not follow from its commit alone: how its signature was judged, and what it meant."""
    return f"{event.signature}|{event.attested}|{event.problem}"


def _ids(decisions: Sequence[Event]) -> list[str]:
    return [f"{event.commit.oid} {_told(event)}" for event in decisions]


def _facts_of(site: Contents, reference: Reference) -> str:
    return site.objects.get(paths.version_path(*reference), "")


def _some(**found: Picture | None) -> Pictures:
    return {name: picture for name, picture in found.items() if picture is not None}


def _key(*made_of: Any) -> str:
    return hashlib.sha256(json.dumps(made_of, default=str, sort_keys=True).encode(errors="surrogatepass")).hexdigest()
