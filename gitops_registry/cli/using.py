"""pull, predict, verify."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gitops_registry.cli.output import FINDINGS, json_option, one_version, opened, print_json, table, versions_in
from gitops_registry.errors import RegistryError


@click.command("pull")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF")
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
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF TABLE")
@click.option("--proba", is_flag=True, help="Print the probability of each class too.")
@click.option("--format", "stored", type=click.Choice(["onnx", "skops"]), help="Which stored format to use.")
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
@click.argument("words", nargs=-1, metavar="[NAME@REF ...]")
@json_option
@click.pass_context
def verify_command(ctx: click.Context, words: tuple[str, ...], as_json: bool) -> int:
    """Check the bytes of versions (of all, without any): pointer, cache, store, SHA-256."""
    found = opened(ctx).verify(versions_in(words))
    if as_json:
        print_json([artifact.to_json() for artifact in found])
    elif found:
        table(
            ["version", "file", "cache", "store", ""],
            [[str(a.reference), a.file, a.cache, a.store or "unknown", a.problem or "ok"] for a in found],
        )
    else:
        click.echo("no version yet")
    return FINDINGS if any(artifact.problem for artifact in found) else 0
