"""evaluation, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import (
    FINDINGS,
    at_once,
    clean,
    dry_run_option,
    facts,
    json_option,
    one_version,
    opened,
    print_json,
    propose_option,
    reason_option,
    table,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_registry.evaluating import Evaluated
    from gitops_registry.manifest.figures import Slice


@click.group("evaluation")
def evaluation_command() -> None:
    """Say on what data the versions of a model are measured: a table tracked by DVC and pinned by its SHA-256."""


@evaluation_command.command("set")
@click.argument("name", shell_complete=references)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", required=True, metavar="COLUMN", help="The column of the truth.")
@click.option("--dataset", default="", metavar="TEXT", help="What people call the data; without it, the file's name.")
@click.option("--slice-by", "slices", multiple=True, metavar="COLUMN", help="Measure by group of this column, too.")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _set(
    ctx: click.Context,
    name: str,
    data: Path,
    target: str,
    dataset: str,
    slices: tuple[str, ...],
    propose: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Pin DATA (CSV or Parquet) as what the versions of NAME are measured on."""
    outcome = opened(ctx).set_evaluation(
        name,
        data,
        target=target,
        dataset=dataset,
        slices=slices,
        direct=at_once(propose),
        reason=reason,
        dry_run=dry_run,
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)


@evaluation_command.command("remove")
@click.argument("name", shell_complete=references)
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _remove(ctx: click.Context, name: str, propose: bool, reason: str, as_json: bool, dry_run: bool) -> int:
    """Measure the versions of NAME on no data of the registry any more."""
    outcome = opened(ctx).set_evaluation(name, None, direct=at_once(propose), reason=reason, dry_run=dry_run)
    return told(outcome, as_json=as_json, dry_run=dry_run)


@evaluation_command.command("show")
@click.argument("name", shell_complete=references)
@json_option
@click.pass_context
def _show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show the data that the versions of NAME are measured on."""
    from gitops_registry.manifest.parts import plain

    snapshot = opened(ctx).snapshot
    pinned = snapshot.known_model(snapshot.present_name(name)).evaluation
    if as_json:
        print_json(plain(pinned) if pinned else None)
    elif pinned is None:
        click.echo(f"{name} pins no evaluation data: gitops-registry evaluation set {name} FILE --target COLUMN")
    else:
        facts(plain(pinned))


@click.command("evaluate")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF [DATA]", shell_complete=references)
@click.option(
    "--target", default="", metavar="COLUMN", help="The column of the truth; without it, that of the pinned data."
)
@click.option("--slice-by", "slices", multiple=True, metavar="COLUMN", help="Measure by group of this column, too.")
@click.option("--dry-run", is_flag=True, help="Measure, and record nothing.")
@propose_option
@reason_option
@json_option
@click.pass_context
def evaluate_command(
    ctx: click.Context,
    words: tuple[str, ...],
    target: str,
    slices: tuple[str, ...],
    dry_run: bool,
    propose: bool,
    reason: str,
    as_json: bool,
) -> int:
    """Measure a version on DATA (CSV or Parquet), or on the data its model pins, and append what was measured."""
    is_table = len(words) > 1 and Path(words[-1]).suffix.lower() in {".csv", ".parquet"}
    data = Path(words[-1]) if is_table else None
    registry = opened(ctx)
    found = registry.evaluate(one_version(words[:-1] if is_table else words), data=data, target=target, slices=slices)
    outcome = registry.record([found], direct=at_once(propose), reason=reason, dry_run=dry_run)
    if as_json:
        print_json({"measured": found.to_json(), **outcome.to_json()})
        return FINDINGS if outcome.is_refused else 0
    print_measured([found])
    return told(outcome, as_json=False, dry_run=dry_run)


def print_measured(found: Sequence[Evaluated]) -> None:
    """Print what was measured, beside what was registered where both can be compared; then by group."""
    for one in found:
        click.secho(clean(f"{one.reference} on {one.data.dataset or 'given rows'}, {one.data.rows} rows"), bold=True)
        was = {difference.name: difference for difference in one.differences}
        rows: list[tuple[Any, ...]] = [
            (
                name,
                value,
                was[name].registered if name in was else None,
                "differs"
                if name in was and was[name].is_far
                else "claimed"
                if name in was and was[name].is_claim
                else "",
            )
            for name, value in one.metrics.items()
        ]
        rows += [(d.name, None, d.registered, "not measured") for d in one.differences if d.measured is None]
        table(["metric", "measured", "registered", ""], rows, numbers=(1, 2))
        for part in one.slices:
            print_slice(part)


def print_slice(part: Slice) -> None:
    """Print the metrics of each group of a column, a line for each group."""
    names = list(dict.fromkeys(name for group in part.groups for name in group.metrics))[:6]
    rows = [
        [
            "(none)" if group.value is None else str(group.value),
            group.rows,
            *(group.metrics.get(name) for name in names),
        ]
        for group in part.groups
    ]
    table([part.column, "rows", *names], rows, numbers=tuple(range(1, len(names) + 2)))
