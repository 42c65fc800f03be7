"""formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import (
    FINDINGS,
    at_once,
    clean,
    json_option,
    one_version,
    opened,
    print_json,
    propose_option,
    reason_option,
    table,
    told,
)
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from gitops_registry.timing import Timed


@click.command("formats")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF", shell_complete=references)
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Rows to predict (CSV or Parquet); without it, the data that the model pins, the rows that the version keeps, or its input example.")  # fmt: skip
@click.option("--runs", default=5, show_default=True, metavar="N", help="How often each format is measured, every time in a process of its own.")  # fmt: skip
@click.option("--only", "formats", multiple=True, metavar="FORMAT", help="Measure this format alone; may be repeated.")
@click.option("--markdown", is_flag=True, help="Print Markdown in the language of the cards.")
@click.option("--chart", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw the figures, too.")
@click.option("--record", is_flag=True, help="Append the figures to the version; they count as no measurement of it.")
@click.option("--dry-run", is_flag=True, help="With --record: print the plan; write nothing.")
@propose_option
@reason_option
@json_option
@click.pass_context
def formats_command(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    data: Path | None,
    runs: int,
    formats: tuple[str, ...],
    markdown: bool,
    chart: Path | None,
    **more: bool | str,
) -> int:
    """Compare the formats a version can be stored in: size, saving, loading, prediction, agreement with the original.

    A scikit-learn model is written as pickle, joblib, skops, MLflow and ONNX in a temporary folder and read back. The clock
    starts when everything was imported. Of other models the files they have are measured.
    """
    record, dry_run, as_json = bool(more["record"]), bool(more["dry_run"]), bool(more["as_json"])
    if not record and (dry_run or more["propose"] or more["reason"]):
        raise RegistryError("--dry-run, --propose and --reason say how to record", hint="add --record")
    if chart is not None:
        _require_drawing(chart)
    registry = opened(ctx)
    found = registry.compare_formats(one_version(words), data=data, runs=runs, formats=formats)
    language = registry.snapshot.constitution.card.language
    if chart is not None and found.figures:
        _draw(found, chart, language)
    outcome = None
    if record:
        reason = str(more["reason"])
        outcome = registry.record([found], direct=at_once(bool(more["propose"])), reason=reason, dry_run=dry_run)
    if as_json:
        print_json({**found.to_json(), "recorded": outcome.to_json() if outcome else None})
        return FINDINGS if not found.figures or (outcome is not None and outcome.is_refused) else 0
    _print(found, language if markdown else "")
    if outcome is not None:
        return told(outcome, as_json=False, dry_run=dry_run)
    return 0 if found.figures else FINDINGS


def _require_drawing(target: Path) -> None:
    """Raise RegistryError, before minutes are spent, where no chart can be drawn there."""
    from gitops_registry.reporting.figures import require_charts

    if target.suffix.lower() != ".svg":
        raise RegistryError(f"{target} is no .svg file", hint="--chart formats.svg")
    if not target.parent.is_dir():
        raise RegistryError(f"there is no folder {target.parent}", hint="make it first")
    require_charts()


def _draw(found: Timed, target: Path, language: str) -> None:
    from gitops_registry.reporting.figures import chart

    drawing = chart(found.reference, found.figures, language=language)
    try:
        target.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise RegistryError(f"cannot write {target}: {error.strerror}", hint="name another file") from error
    click.echo(f"drawn in {clean(target)}", err=True)


def _print(found: Timed, language: str) -> None:
    """Print the figures: a table, or Markdown in a language."""
    from gitops_registry.reporting import figures

    if language:
        click.echo(figures.markdown(found.reference, found.figures, found.left_out, language=language))
        return
    rows = f"on {found.data.dataset or 'given rows'}, {found.data.rows} rows" if found.data else "without rows"
    click.secho(f"{found.reference} as {found.original}, {clean(rows)}", bold=True)
    if found.figures:
        headings = ["format", "bytes", "save ms", "load ms", "1 row ms", "100 rows ms"]
        headings = [*headings[:1], *(f"{text}  " for text in headings[1:]), "agreement"]
        table(headings, figures.cells(found.figures), numbers=range(1, 7))
        best = "* smallest or fastest; " if figures.differing(found.figures) else ""
        click.echo(f"{best}{figures.note(found.figures)}, its imports done before the clock starts")
    for name, why in found.left_out.items():
        click.echo(f"{name}: {clean(why)}")
    if found.data is None and found.figures:
        click.echo("nothing was predicted, for there are no rows: give --data FILE")
