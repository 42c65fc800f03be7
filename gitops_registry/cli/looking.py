"""list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.completing import references, stages
from gitops_registry.cli.output import (
    aliases_told,
    json_option,
    opened,
    print_json,
    table,
)

if TYPE_CHECKING:
    from gitops_registry.reference import Reference
    from gitops_registry.snapshot import Snapshot

_MAIN_METRICS = ("accuracy", "roc_auc", "f1", "r2", "rmse")


@click.command("list")
@click.argument("name", required=False, shell_complete=references)
@click.option("--stage", metavar="STAGE", help="Only versions in this stage.", shell_complete=stages)
@json_option
@click.pass_context
def list_command(ctx: click.Context, name: str | None, stage: str | None, as_json: bool) -> None:
    """List all models, or the versions of one."""
    snapshot = opened(ctx).snapshot
    if name is not None or stage is not None:
        names = [snapshot.present_name(name)] if name else list(snapshot.live_models())
        list_versions(snapshot, names, stage, as_json)
        return
    rows = [_model_row(snapshot, model) for model in snapshot.live_models()]
    stages = [stage.name for stage in snapshot.constitution.stages[1:-1]]  # raises where this is no registry
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no model yet; register one: gitops-registry register NAME FILE --data eval.csv --target COLUMN")
    else:
        table(
            ["model", "versions", "latest", *stages, "aliases", "title"],
            [
                [row["name"], row["versions"], row["latest"], *(row["stages"].get(s) for s in stages), aliases_told(row["aliases"]), row["title"] or None]
                for row in rows
            ],
            numbers=(1, 2),
        )  # fmt: skip


def _model_row(snapshot: Snapshot, name: str) -> dict[str, Any]:
    model = snapshot.known_model(name)
    numbers = snapshot.versions(name)
    return {
        "name": name, "title": model.title, "description": model.description, "owners": list(model.owners), "tags": model.tags,
        "versions": len(numbers), "latest": numbers[-1] if numbers else None,
        "stages": {stage: list(held) for stage, held in model.stages.items()}, "aliases": model.aliases,
    }  # fmt: skip


def list_versions(snapshot: Snapshot, names: list[str], stage: str | None, as_json: bool) -> None:
    """Print the versions of models, a line each."""
    from gitops_registry.reference import Reference

    known = snapshot.known_stage(stage).name if stage else None
    rows = []
    for name in names:
        snapshot.known_model(name)
        numbers = snapshot.in_stage(name, known) if known else snapshot.versions(name)
        rows += [_version_row(snapshot, Reference(name, number)) for number in numbers]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(f"no version{' in ' + known if known else ''}")
        return
    metrics = [m for m in _MAIN_METRICS if any(m in row["metrics"] for row in rows)][:3]
    table(
        ["version", "stage", "aliases", "type", *metrics, "created", "author"],
        [
            [f"{row['name']}@{row['number']}", row["stage"], ", ".join(row["aliases"]) or None, row["model_type"], *(row["metrics"].get(m) for m in metrics), row["created"][:10], row["author"]["name"]]
            for row in rows
        ],
        numbers=tuple(range(4, 4 + len(metrics))),
    )  # fmt: skip


def _version_row(snapshot: Snapshot, reference: Reference) -> dict[str, Any]:
    from gitops_registry.manifest.parts import plain

    facts_of = plain(snapshot.known_version(reference))
    kept = {key: facts_of[key] for key in ("release", "task", "model_type", "metrics", "created", "author")}
    return {
        "version": str(reference),
        "name": reference.name,
        "number": reference.number,
        "stage": snapshot.stage_of(reference),
        "aliases": aliases_of(snapshot, reference),
        **kept,
    }


def aliases_of(snapshot: Snapshot, reference: Reference) -> list[str]:
    """Return the aliases that name a version."""
    return [
        alias for alias, number in snapshot.known_model(reference.name).aliases.items() if number == reference.number
    ]
