"""search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.output import aliases_told, clean, json_option, opened, print_json, table
from gitops_registry.query import parse_filter, parse_order

if TYPE_CHECKING:
    from gitops_registry.query import Filter
    from gitops_registry.registry import Registry
    from gitops_registry.searching import FoundModel, FoundVersion

_AT_MOST = 100
_METRICS = 3
_LOOKED_AT = 500
"""Versions whose names are told to whoever asked for one that none has."""


@click.command("search")
@click.argument("wanted", required=False, default="", metavar="[FILTER]")
@click.option("--models", "of_models", is_flag=True, help="Find models instead of versions.")
@click.option(
    "--order-by", default="", metavar="FIELD [desc], …", help="Sort by fields: metrics.accuracy desc, created."
)
@click.option("-n", "--limit", type=click.IntRange(min=0), help=f"At most so many ({_AT_MOST} in a table); 0 for all.")
@json_option
@click.pass_context
def search_command(
    ctx: click.Context,
    wanted: str,
    of_models: bool,
    order_by: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Find versions, or models, by what is known of them.

    \b
    gitops-registry search "metrics.accuracy > 0.9 and tags.domain = 'credit'"
    gitops-registry search "stage = production" --order-by "metrics.f1 desc"
    gitops-registry search "author = alice and created >= 2026-11-01"
    gitops-registry search "name like 'credit%' and not alias is null" --models

    Fields: name, number, stage, alias, release, task, type, framework, framework_version, author, created,
    description, title, owner, and metrics.NAME, params.NAME, tags.NAME. Comparisons: = != < <= > >=, like and ilike
    (% stands for any letters), in (…), is null; joined by and, or, not and brackets.
    """
    registry = opened(ctx)
    at_most = (None if as_json else _AT_MOST) if limit is None else limit or None
    find = registry.search_models if of_models else registry.search
    found = find(wanted, order_by=order_by, limit=None if at_most is None else at_most + 1)
    is_cut = at_most is not None and len(found) > at_most
    found = found[:at_most]
    if as_json:
        print_json([one.to_json() for one in found])
        return
    if not found:
        click.echo("nothing found")
        _print_unknown(registry, wanted)
    elif of_models:
        _print_models(found)  # type: ignore[arg-type]
    else:
        _print_versions(found, _asked_for(wanted, order_by))  # type: ignore[arg-type]
    if is_cut:
        click.echo(f"more than {at_most} were found; -n 0 shows all")


def _print_unknown(registry: Registry, wanted: str) -> None:
    """Say which metrics and parameters of a search no version has at all: it was likely another name that was meant."""
    from gitops_registry.reference import did_you_mean

    quoted = [(kind, key, key.replace('"', '""')) for kind, key in _asked_for(wanted, "") if kind != "tags"]
    unknown = [
        (kind, key) for kind, key, inner in quoted if not registry.search(f'not {kind}."{inner}" is null', limit=1)
    ]
    there = registry.search(limit=_LOOKED_AT) if unknown else []
    for kind, key in unknown:
        known = sorted({name for one in there for name in getattr(one, kind)})
        click.echo(clean(f"no version has {kind}.{key}; {did_you_mean(key, tuple(known))}"))


def _print_models(found: list[FoundModel]) -> None:
    rows = []
    for model in found:
        data = model.to_json()
        held = ", ".join(
            f"{stage} {' '.join(map(str, numbers))}" for stage, numbers in data["stages"].items() if numbers
        )
        rows.append(
            [
                model.name,
                data["versions"],
                data["latest"],
                held or None,
                aliases_told(data["aliases"]),
                data["title"] or None,
            ]
        )
    table(["model", "versions", "latest", "stages", "aliases", "title"], rows, numbers=(1, 2))


def _print_versions(found: list[FoundVersion], asked: list[tuple[str, str]]) -> None:
    metrics = [key for kind, key in asked if kind == "metrics"]
    for version in found:
        metrics += [name for name in version.metrics if name not in metrics][: max(0, _METRICS - len(metrics))]
    others = [(kind, key) for kind, key in asked if kind != "metrics"]
    rows: list[list[Any]] = []
    for version in found:
        keyed = [(version.params if kind == "params" else version.tags).get(key) for kind, key in others]
        facts = version.facts
        rows.append(
            [str(version.reference), version.stage, ", ".join(version.aliases) or None, *map(version.metrics.get, metrics), *keyed, facts["created"][:10], facts["author"]["name"]]
        )  # fmt: skip
    headings = ["version", "stage", "aliases", *metrics, *(key for _, key in others), "created", "author"]
    table(headings, rows, numbers=tuple(range(3, 3 + len(metrics))))


def _asked_for(text: str, order: str) -> list[tuple[str, str]]:
    """Return the metrics, parameters and tags that a search names, each once: who asks for one wants to see it."""
    found = [
        *_keys(parse_filter(text)),
        *((one.field.name, one.field.key) for one in parse_order(order) if one.field.key),
    ]
    return list(dict.fromkeys(found))


def _keys(found: Filter) -> list[tuple[str, str]]:
    from gitops_registry.query import Compare, Opposite

    if isinstance(found, Compare):
        return [(found.field.name, found.field.key)] if found.field.key else []
    parts = (found.part,) if isinstance(found, Opposite) else found.parts
    return [key for part in parts for key in _keys(part)]
