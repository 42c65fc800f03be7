"""register."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.evaluating import print_slice
from gitops_registry.cli.output import (
    FINDINGS,
    clean,
    command,
    dry_run_option,
    forge_for,
    json_option,
    opened,
    pairs,
    print_json,
    print_outcome,
    pull_request_option,
)
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from gitops_registry.manifest.columns import Signature
    from gitops_registry.registering import Registered, Submission


@click.command("register")
@click.argument("name", shell_complete=references)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="Evaluation rows (CSV or Parquet): metrics are measured on them."
)
@click.option("--target", metavar="COLUMN", help="The column of the truth in the evaluation rows.")
@click.option(
    "--trained-on",
    type=click.Path(path_type=Path),
    help="The table it was trained on: its name, size and digest are kept.",
)
@click.option("--param", "params", multiple=True, metavar="K=V", help="A parameter to record.")
@click.option("--metric", "metrics", multiple=True, metavar="K=V", help="A metric that cannot be measured here.")
@click.option("--tag", "tags", multiple=True, metavar="K=V", help="A tag of this version.")
@click.option("--card", type=click.Path(path_type=Path), help="The words of its model card (card.yaml).")
@click.option("--release", metavar="VERSION", help="A semantic version to show beside the number.")
@click.option(
    "--labels", metavar="A,B,…", help="The classes in order, of a model that gives scores and does not say of what."
)
@click.option(
    "--signature",
    type=click.Path(path_type=Path),
    help="What goes in and comes out (a YAML file), instead of what the rows show.",
)
@click.option("--slice-by", "slices", multiple=True, metavar="COLUMN", help="Measure by group of this column, too.")
@click.option(
    "--keep-data", is_flag=True, help="Keep the evaluation rows with the version, so that anybody can measure it again."
)
@click.option(
    "--example", type=int, metavar="ROWS", help="Keep so many of the evaluation rows as an example of its input."
)
@click.option("--lock", is_flag=True, help="Keep a lock of the packages it needs, with hashes (pylock.toml).")
@click.option("--no-onnx", is_flag=True, help="Do not convert to ONNX.")
@click.option(
    "--opset", type=click.IntRange(12, 22), default=18, show_default=True, help="The operator set of the ONNX file."
)
@click.option(
    "--allow-pickle", is_flag=True, help="Open a pickle, which runs the code in it: only for files of your own."
)
@pull_request_option
@json_option
@dry_run_option
@click.pass_context
def register_command(ctx: click.Context, /, name: str, file: Path, as_json: bool, dry_run: bool, **given: Any) -> int:
    """Measure the model in FILE (.skops, .onnx, .pt, .pt2; pickles on terms) and make it NAME's next version.

    A folder of MLflow or BentoML is measured where the model in it can be opened safely; any other is stored as it is: give
    what you measured with --metric.
    """
    from gitops_registry.appraisal import model_in, rows_of
    from gitops_registry.registering import register

    registry = opened(ctx)
    if (given["data"] is None) != (given["target"] is None):
        raise RegistryError("--data and --target go together", hint="--data eval.csv --target COLUMN")
    submission = _submission(given)
    rows = rows_of(given["data"], given["target"]) if given["data"] else None
    model = model_in(registry.place, file, allow_pickle=given["allow_pickle"])
    forge = forge_for(registry, given["pull_request"])
    registered = register(registry.place, name, model, rows=rows, submission=submission, dry_run=dry_run, forge=forge)
    if as_json:
        from gitops_registry.manifest.parts import plain

        print_json(
            {"version": registered.reference, "facts": plain(registered.version), **registered.outcome.to_json()}
        )
        return FINDINGS if registered.outcome.is_refused else 0
    claimed = submission.metrics
    measured = "  ".join(
        f"{name} {value:.4f}" for name, value in registered.version.metrics.items() if name not in claimed
    )
    if measured and rows:
        click.echo(f"measured on {rows.dataset}: {measured}")
    labels = registered.version.confusion_matrix.labels if registered.version.confusion_matrix else ()
    if len(labels) == 2 and rows:
        click.echo(f"precision, recall and the rates are those of {rows.target} = {clean(labels[1])}")
    elif len(labels) > 2 and rows:
        click.echo(f"precision, recall, f1 and the rates are unweighted means over the {len(labels)} classes")
    if claimed:
        click.echo("claimed, not measured: " + "  ".join(f"{name} {value:.4f}" for name, value in claimed.items()))
    for part in registered.version.slices:
        print_slice(part)
    return print_outcome(
        registered.outcome,
        dry_run=dry_run,
        what_next=[_next(registered)],
    )


def _next(registered: Registered) -> str:
    proposal = registered.outcome.proposal
    return command(f"merge {proposal}" if proposal else f"promote {registered.name} {registered.number} --to staging")


def _submission(given: dict[str, Any]) -> Submission:
    from gitops_registry.appraisal import Handling, trained_on
    from gitops_registry.manifest.kinds import Card
    from gitops_registry.manifest.reading import parse
    from gitops_registry.registering import Submission

    card = None
    if given["card"] is not None:
        card = parse(_bytes(given["card"], "a card.yaml"), str(given["card"]), Card).document
    metrics = {}
    for key, value in pairs(given["metrics"], "--metric").items():
        try:
            metrics[key] = float(value)
        except ValueError as error:
            raise RegistryError(f"--metric {key}={value}: not a number", hint="write --metric name=0.93") from error
        if not abs(metrics[key]) < float("inf"):
            raise RegistryError(
                f"--metric {key}={value}: not a finite number", hint="leave out a metric that is not defined"
            )
    trained = trained_on(given["trained_on"], given["target"] or "") if given["trained_on"] else None
    params = {key: _scalar(value) for key, value in pairs(given["params"], "--param").items()}
    return Submission(
        params=params,
        metrics=metrics,
        tags=pairs(given["tags"], "--tag"),
        training=trained,
        card=card,
        release=given["release"],
        how=Handling(not given["no_onnx"], given["opset"], _labels(given["labels"])),
        signature=_signature(given["signature"]),
        slices=given["slices"],
        example=given["example"],
        keep_rows=given["keep_data"],
        lock=given["lock"],
    )


def _labels(text: str | None) -> tuple[Any, ...] | None:
    return None if text is None else tuple(_scalar(label.strip()) for label in text.split(","))


def _signature(file: Path | None) -> Signature | None:
    """Return the signature that somebody wrote in a file."""
    if file is None:
        return None
    from gitops_registry.manifest.columns import Signature, SignatureFile
    from gitops_registry.manifest.reading import parse

    told = parse(_bytes(file, "a signature: gitops-registry signature infer DATA"), str(file), SignatureFile).document
    return Signature(inputs=told.inputs, outputs=told.outputs, parameters=told.parameters)


def _bytes(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RegistryError(f"cannot read {file}: {error.strerror}", hint=f"name {what}") from error


def _scalar(text: str) -> Any:
    """Read a parameter's value as a person means it: a number, true, false or null, else text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return (
        value
        if isinstance(value, bool | int | str | None) or (isinstance(value, float) and abs(value) < float("inf"))
        else text
    )
