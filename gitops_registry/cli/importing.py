"""import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops_registry.cli.output import FINDINGS, clean, dry_run_option, json_option, opened, print_json

if TYPE_CHECKING:
    from gitops_registry.importing import Entry, Imported

_COLOURS = {"imported": "green", "present": None, "left out": "yellow", "refused": "red"}


@click.command("import")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--model", "models", multiple=True, metavar="PATTERN", help="Only models whose name there fits, like 'fraud*'."
)
@click.option(
    "--artifacts",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder that holds artifacts, beside the folder of the database; nothing else on this machine is read.",
)
@click.option(
    "--keep-stages",
    is_flag=True,
    help="Take the stages over as they are, also where the rules refuse; the commits say so.",
)
@json_option
@dry_run_option
@click.pass_context
def import_command(
    ctx: click.Context,
    source: str,
    models: tuple[str, ...],
    folders: tuple[Path, ...],
    keep_stages: bool,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Import the models of an MLflow registry: versions, stages, aliases, tags, words and bytes.

    SOURCE is mlflow: and the path of its database (mlflow:/path/mlflow.db, mlflow:sqlite:////path/mlflow.db), or
    mlflow: and the address of its server (mlflow:https://HOST). Nothing is written there. Numbers are kept; running it
    again goes on where it stopped and adds what is new. A stage that serves is not taken over unless the rules here
    accept the version; the command to promote it is printed.
    """
    registry = opened(ctx)
    imported = registry.import_mlflow(source, models=models, folders=folders, keep_stages=keep_stages, dry_run=dry_run)
    if as_json:
        print_json(imported.to_json())
    else:
        _print(imported)
    return 0 if imported else FINDINGS


def _print(imported: Imported) -> None:
    for entry in imported.entries:
        if entry.state != "present" or entry.notes:
            _print_entry(entry, dry_run=imported.dry_run)
    for note in imported.notes:
        click.echo(click.style("note: ", fg="cyan") + clean(note))
    what = "would be imported" if imported.dry_run else "imported"
    told = [f"{imported.count('imported')} {what}", f"{imported.count('present')} here already"]
    told += [f"{count} {state}" for state in ("left out", "refused") if (count := imported.count(state))]
    click.secho(f"{', '.join(told)}, of {clean(imported.source)}", bold=True)
    if imported.dry_run:
        click.echo("dry run: nothing was written")


def _print_entry(entry: Entry, *, dry_run: bool) -> None:
    state = "would come" if dry_run and entry.state == "imported" else entry.state
    name = f"{entry.name}@{entry.number}" if entry.number else entry.name
    where = f" in {clean(entry.stage)}" if entry.stage else ""
    theirs = f" (there: {clean(entry.theirs)})" if entry.theirs != entry.name else ""
    if entry.state == "present" and not entry.number:  # a model with notes; what became of its versions follows
        click.echo(f"{clean(name)}{theirs}")
    else:
        click.echo(click.style(state, fg=_COLOURS[entry.state]) + f" {clean(name)}{where}{theirs}")
    for note in entry.notes:
        click.echo(f"    {clean(note)}")
