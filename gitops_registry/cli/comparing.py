"""compare."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import json_option, opened, print_json, table, versions_in
from gitops_registry.errors import RegistryError
from gitops_registry.reporting.values import difference

if TYPE_CHECKING:
    from gitops_registry.comparison import Compared, Row


@click.command("compare")
@click.argument(
    "words", nargs=-1, required=True, metavar="NAME@A NAME@B | NAME A B | NAME@B | NAME", shell_complete=references
)
@click.option("--all", "everything", is_flag=True, help="Also what is the same.")
@click.option("--format", "how", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True)
@json_option
@click.pass_context
def compare_command(ctx: click.Context, words: tuple[str, ...], everything: bool, how: str, as_json: bool) -> None:
    """Compare two versions: metrics, parameters, signature, environment, artifacts.

    One version is compared with the champion of its model, a bare NAME means champion and challenger. The champion is the
    alias of that name, else what serves; the challenger is the alias of that name, else the newest that waits before it.
    """
    named = versions_in(words)
    if len(named) > 2:
        raise RegistryError("name two versions", hint="NAME@2 NAME@3, or three words: NAME 2 3")
    found = opened(ctx).compare(*named)
    if as_json or how == "json":
        print_json(found.to_json())
        return
    shown = [row for row in found.rows if everything or not row.is_same]
    left_out = len(found.rows) - len(shown)
    more = f"{left_out} more are the same (--all shows them)" if not everything else ""
    if how == "markdown":
        _print_markdown(found, shown, more)
        return
    lines = [[row.section, row.name, row.left, row.right, difference(row), row.verdict] for row in shown]
    table(["", "", str(found.left), str(found.right), "difference", ""], lines, numbers=(2, 3))
    if more:
        click.echo(more)


def _print_markdown(found: Compared, shown: list[Row], more: str) -> None:
    """Print one table for each section, as a comment on a pull request wants it."""
    from gitops_registry.reporting.markdown import comparison, escaped

    click.echo(f"## {escaped(found.left)} and {escaped(found.right)}")
    for section, rows in groupby(shown, key=lambda row: row.section):
        click.echo(f"\n### {section.capitalize()}\n")
        click.echo(comparison(list(rows), str(found.left), str(found.right)))
    if more:
        click.echo(f"\n{more}")
