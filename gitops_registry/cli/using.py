"""pull, predict, verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import FINDINGS, json_option, one_version, opened, print_json, table, told, versions_in
from gitops_registry.cli.proving import print_remeasured, verify_changed
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from gitops_registry.registry import Registry


@click.command("pull")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF", shell_complete=references)
@click.option(
    "-o",
    "--to",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where; without it, beside the pointers, as `dvc pull` does.",
)
@json_option
@click.pass_context
def pull_command(ctx: click.Context, words: tuple[str, ...], to: Path | None, as_json: bool) -> None:
    """Get the files of a version, their SHA-256 checked."""
    files = opened(ctx).pull(one_version(words), to=to)
    if as_json:
        print_json([str(file) for file in files])
        return
    for file in files:
        click.echo(f"{file}  {_amount(file)}, verified")


def _amount(path: Path) -> str:
    if not path.is_dir():
        return f"{path.stat().st_size:,} bytes"
    sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
    return f"{sum(sizes):,} bytes in {len(sizes):,} file{'' if len(sizes) == 1 else 's'}"


@click.command("predict")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF TABLE", shell_complete=references)
@click.option("--proba", is_flag=True, help="Print the probability of each class too.")
@click.option("--format", "stored", metavar="FORMAT", help="Which of its formats to use: onnx, skops, torchscript, …")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A CSV file; without it, standard output.")
@json_option
@click.pass_context
def predict_command(
    ctx: click.Context, words: tuple[str, ...], proba: bool, stored: str | None, output: Path | None, as_json: bool
) -> None:
    """Predict the rows of TABLE (CSV or Parquet) with a version."""
    from gitops_registry.using import predictions

    if len(words) < 2:
        raise RegistryError("name a version and a table", hint="gitops-registry predict NAME@production rows.csv")
    model = opened(ctx).load(one_version(words[:-1]), format=stored)
    frame = predictions(model, Path(words[-1]), proba=proba)
    if as_json:
        print_json({"version": str(model.reference), "predictions": frame.to_dict(orient="list")})
        return
    frame.to_csv(sys.stdout if output is None else output, index=False)
    where = f" in {output}" if output is not None else ""
    click.echo(f"{len(frame)} predictions of {model.reference}{where}", err=True)


@click.command("verify")
@click.argument("words", nargs=-1, metavar="[NAME@REF ...]", shell_complete=references)
@click.option(
    "--measure/--bytes-only",
    default=None,
    help="Measure again on the data that the model pins and on the rows that the version keeps; versions that are named are, where there are any.",
)
@click.option("--record", is_flag=True, help="Append what was measured to the versions.")
@click.option(
    "--changed",
    is_flag=True,
    help="What a change brings or lets serve: its bytes; with --measure, from the cache alone.",
)
@click.option("--base", default=None, metavar="REV", help="With --changed: where the change is to land.")
@click.option("--head", default="HEAD", metavar="REV", show_default=True, help="With --changed: what is to land.")
@click.option("--deep", is_flag=True, help="Read every byte of a store on another machine too, not only the sizes.")
@json_option
@click.pass_context
def verify_command(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    measure: bool | None,
    changed: bool,
    base: str | None,
    head: str,
    **more: bool,
) -> int:
    """Check the bytes of versions (of all, without any): pointer, cache, store, SHA-256; and measure them again."""
    registry, as_json = opened(ctx), more["as_json"]
    if changed and "" in (base, head):  # a variable that a job did not set must not pass for what is checked out
        raise RegistryError("--base and --head must name a revision", hint="leave out --head where HEAD is meant")
    if changed != (base is not None) or (changed and (words or more["record"] or more["deep"])):
        raise RegistryError(
            "--changed looks at a whole change, and goes with --base",
            hint="gitops-registry verify --changed --base main --head BRANCH",
        )
    if changed and base is not None:
        return verify_changed(registry, base=base, head=head, measure=bool(measure), as_json=as_json)
    return _verify(registry, words, measure, record=more["record"], deep=more["deep"], as_json=as_json)


def _verify(
    registry: Registry, words: tuple[str, ...], measure: bool | None, *, record: bool, deep: bool, as_json: bool
) -> int:
    found = registry.verify(versions_in(words), deep=deep)
    sound = list(dict.fromkeys(a.reference for a in found)) if measure or record or (measure is None and words) else []
    bad = {a.reference for a in found if a.problem and a.cache != "present"}
    measured = registry.remeasure(
        [reference for reference in sound if reference not in bad], insist=bool(measure or record)
    )
    there = [one.found for one in measured if one.found is not None]
    outcome = registry.record(there) if record and there else None
    if as_json:
        print_json(
            {
                "artifacts": [artifact.to_json() for artifact in found],
                "measured": [one.found.to_json() for one in measured if one.found is not None],
                "unmeasured": [
                    {"version": str(one.reference), "reason": one.reason} for one in measured if one.found is None
                ],
                "recorded": outcome.to_json() if outcome else None,
            }
        )
    elif found:
        table(
            ["version", "file", "cache", "store", ""],
            [[str(a.reference), a.file, a.cache, a.store or "unknown", a.problem or "ok"] for a in found],
        )
        print_remeasured(measured)
        if outcome:
            told(outcome, as_json=False, dry_run=False)
    else:
        click.echo("no version yet")
    is_wrong = any(a.problem for a in found) or any(one.is_wrong for one in measured)
    return FINDINGS if is_wrong or (outcome is not None and outcome.is_refused) else 0
