"""validate, signature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import FINDINGS, clean, json_option, one_version, opened, print_json, table
from gitops_registry.errors import NotFound, RegistryError

if TYPE_CHECKING:
    from gitops_registry.manifest.columns import Signature, SignatureFile
    from gitops_registry.signature import Misfit

_SUFFIXES = (".yaml", ".yml")
SYSTEMS = ("yaml", "mlflow", "onnx", "openinference", "json-schema")


@click.command("validate")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF DATA", shell_complete=references)
@click.option("--strict", is_flag=True, help="Let unexpected columns and another order count, too.")
@json_option
@click.pass_context
def validate_command(ctx: click.Context, words: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Say in what the rows of DATA (CSV, Parquet, or .npy) do not fit a version, everything at once.

    Rows are counted from 0. Instead of a version, the file of a signature may be named: signature.yaml DATA.
    """
    from gitops_registry.using import validate

    if len(words) < 2:
        raise RegistryError("name a version and its data", hint="gitops-registry validate NAME@production rows.csv")
    told, signature = _named(ctx, words[:-1])
    found, rows = validate(signature, Path(words[-1]))
    counting = [misfit for misfit in found if strict or misfit.is_error]
    if as_json:
        misfits = [misfit.to_json() for misfit in found]
        print_json({"signature": told, "rows": rows, "fits": not counting, "misfits": misfits})
    else:
        _print_misfits(found)
        _print_verdict(told, rows, found, counting)
    return FINDINGS if counting else 0


def _named(ctx: click.Context, words: Sequence[str]) -> tuple[str, Signature]:
    """Return the signature that the words name, a version's or a file's, and what it is called."""
    from gitops_registry.using import signature_of

    if len(words) == 1 and words[0].lower().endswith(_SUFFIXES) and "@" not in words[0]:
        return words[0], _read(Path(words[0])).signature
    snapshot = opened(ctx).snapshot
    reference = snapshot.resolve(one_version(words))
    return str(reference), signature_of(snapshot, reference)


def _read(path: Path) -> SignatureFile:
    from gitops_registry.manifest.columns import SignatureFile
    from gitops_registry.manifest.reading import parse

    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file {path}", hint="write one: gitops-registry signature infer DATA > FILE"
        ) from error
    return parse(data, str(path), SignatureFile).document


def _print_misfits(found: Sequence[Misfit]) -> None:
    if found:
        table(
            ["column", "", "problem", "rows", "first rows"],
            [
                [one.column or "(all)", one.severity, one.message, f"{one.count:,}" if one.count else "", _rows(one)]
                for one in found
            ],
            numbers=(3,),
        )


def _rows(misfit: Misfit) -> str:
    more = ", …" if misfit.count > len(misfit.rows) else ""
    return ", ".join(map(str, misfit.rows)) + more


def _print_verdict(told: str, rows: int, found: Sequence[Misfit], counting: Sequence[Misfit]) -> None:
    many = f"{rows:,} row{'' if rows == 1 else 's'}"
    if counting:
        what = "problem" if len(counting) == 1 else "problems"
        click.secho(f"{many} do{'es' if rows == 1 else ''} not fit {clean(told)}: {len(counting):,} {what}", fg="red")
        return
    warnings = f", with {len(found)} warning{'' if len(found) == 1 else 's'}" if found else ""
    click.secho(f"{many} fit{'s' if rows == 1 else ''} {clean(told)}{warnings}", fg="green")


@click.group("signature")
def signature_command() -> None:
    """What goes into a model and comes out of it."""


@signature_command.command("infer")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", metavar="COLUMN", help="The column of truth: an output, and no input.")
@click.option("--ranges", is_flag=True, help="Let the least and the greatest value of each column be its limits.")
@json_option
def infer_command(data: Path, target: str | None, ranges: bool, as_json: bool) -> None:
    """Print a signature that DATA (CSV, Parquet, or .npy) fits, to be kept in a file and improved by hand."""
    from gitops_registry.manifest.columns import SignatureFile
    from gitops_registry.manifest.parts import plain
    from gitops_registry.manifest.writing import dump
    from gitops_registry.using import inferred

    found = inferred(data, target=target, ranges=ranges)
    document = SignatureFile(inputs=found.inputs, outputs=found.outputs)
    if as_json:
        print_json(plain(document))
    else:
        click.echo(dump(document, "signature.yaml"), nl=False)


@signature_command.command("show")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF", shell_complete=references)
@click.option("--as", "system", type=click.Choice(SYSTEMS), default="yaml", show_default=True, help="In whose words.")
@json_option
@click.pass_context
def show_command(ctx: click.Context, words: tuple[str, ...], system: str, as_json: bool) -> None:
    """Print the signature of a version (or of a file) in a system's words; what these cannot say goes to standard error."""
    told, signature = _named(ctx, words)
    value, notes = projected(signature, system, told)
    if as_json:
        print_json({"signature": told, "as": system, "value": value, "notes": notes})
        return
    if system == "yaml":
        from gitops_registry.manifest.writing import dump

        click.echo(dump(_document(signature), "signature.yaml"), nl=False)
    else:
        print_json(value)
    for note in notes:
        click.echo(click.style("note: ", fg="cyan") + clean(note), err=True)


def _document(signature: Signature) -> SignatureFile:
    from gitops_registry.manifest.columns import SignatureFile

    parts = {"inputs": signature.inputs, "outputs": signature.outputs, "parameters": signature.parameters}
    return SignatureFile(**parts)  # type: ignore[arg-type]


def projected(signature: Signature, system: str, told: str) -> tuple[Any, list[str]]:
    """Return a signature in a system's words, as JSON-ready data, and what these cannot say."""
    if system == "mlflow":
        from gitops_registry.signature.projecting.mlflow import model_signature

        return model_signature(signature)
    if system == "onnx":
        from gitops_registry.signature.projecting.onnx import tensors

        return tensors(signature)
    if system == "openinference":
        from gitops_registry.signature.projecting.openinference import metadata

        name, _, number = told.partition("@")
        return metadata(signature, name=name if number else Path(told).stem, version=number)
    if system == "json-schema":
        from gitops_registry.signature.projecting.jsonschema import body

        return body(signature)
    from gitops_registry.manifest.parts import plain

    return plain(_document(signature)), []
