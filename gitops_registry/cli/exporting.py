"""export."""

from __future__ import annotations

from pathlib import Path

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import clean, json_option, one_version, opened, print_json
from gitops_registry.errors import RegistryError


@click.command("export")
@click.argument("words", nargs=-1, metavar="NAME@REF", shell_complete=references)
@click.option("--to", "target", metavar="TARGET", help="What to make of it: bentoml, mlflow, onnx, …")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where; without it, NAME-v3-TARGET in the current folder.",
)
@click.option("--key", metavar="FILE", help="With sigstore: the private key that signs (PEM, an elliptic curve).")
@click.option(
    "--language", metavar="CODE", help="With huggingface: the language that its words are in, such as en or ja."
)
@click.option("--list", "is_list", is_flag=True, help="List the targets.")
@json_option
@click.pass_context
def export_command(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    target: str | None,
    output: Path | None,
    is_list: bool,
    as_json: bool,
    **given: str | None,
) -> None:
    """Write a version as what another system takes; see --list."""
    from gitops_registry.exporting import targets

    if is_list:
        _print_targets(targets(), as_json=as_json)
        return
    if target is None:
        raise RegistryError("say what to export to", hint=f"--to TARGET, one of {', '.join(targets())}")
    options = {name: value for name, value in given.items() if value is not None}
    done = opened(ctx).export(one_version(words), to=target, path=output, **options)
    if as_json:
        print_json(done.to_json())
        return
    click.secho(clean(f"{done.path}  {done.reference} for {done.target}"), fg="green")
    for note in done.notes:
        click.echo(clean(f"note: {note}"))


def _print_targets(there: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(there)
        return
    for name, what in there.items():
        click.echo(f"{name:14} {what}")
