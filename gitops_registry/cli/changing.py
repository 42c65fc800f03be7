"""register, promote, archive, rollback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.output import (
    FINDINGS,
    clean,
    command,
    direct_option,
    dry_run_option,
    forge_for,
    json_option,
    one_version,
    opened,
    pairs,
    print_json,
    print_outcome,
    pull_request_option,
    reason_option,
    told,
)
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from gitops_registry.registering import Registered, Submission

_CODE = {".pkl", ".pickle", ".joblib"}


@click.command("register")
@click.argument("name")
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
@click.option("--no-onnx", is_flag=True, help="Do not convert to ONNX.")
@click.option(
    "--allow-pickle", is_flag=True, help="Open a pickle, which runs the code in it: only for files of your own."
)
@pull_request_option
@json_option
@dry_run_option
@click.pass_context
def register_command(ctx: click.Context, /, name: str, file: Path, as_json: bool, dry_run: bool, **given: Any) -> int:
    """Measure the model in FILE (.skops, .onnx; .joblib or .pkl with --allow-pickle) and make it NAME's next version.

    A folder (an MLflow model, a SavedModel) is stored as it is and never opened: give what you measured with --metric.
    """
    from gitops_registry.appraisal import rows_of
    from gitops_registry.registering import register

    registry = opened(ctx)
    if (given["data"] is None) != (given["target"] is None):
        raise RegistryError("--data and --target go together", hint="--data eval.csv --target COLUMN")
    submission = _submission(given)
    rows = rows_of(given["data"], given["target"]) if given["data"] else None
    model = _model(file, allow_pickle=given["allow_pickle"])
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
    return print_outcome(
        registered.outcome,
        dry_run=dry_run,
        what_next=[_next(registered)],
    )


def _next(registered: Registered) -> str:
    proposal = registered.outcome.proposal
    return command(f"merge {proposal}" if proposal else f"promote {registered.name} {registered.number} --to staging")


def _submission(given: dict[str, Any]) -> Submission:
    from gitops_registry.appraisal import trained_on
    from gitops_registry.manifest.kinds import Card
    from gitops_registry.manifest.reading import parse
    from gitops_registry.registering import Submission

    card = Card()
    if given["card"] is not None:
        try:
            data = given["card"].read_bytes()
        except OSError as error:
            raise RegistryError(f"cannot read {given['card']}: {error.strerror}", hint="name a card.yaml") from error
        card = parse(data, str(given["card"]), Card).document
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
        onnx=not given["no_onnx"],
    )


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


def _model(file: Path, *, allow_pickle: bool) -> Any:
    if file.suffix.lower() not in _CODE or file.is_dir():
        return file
    if not allow_pickle:
        hint = "save it with skops.io.dump(model, 'model.skops'); or, for a file you made yourself: --allow-pickle"
        raise RegistryError(f"{file.name} is a pickle, and opening one runs the code in it", hint=hint)
    from gitops_registry.appraisal import from_pickle

    return from_pickle(file)


@click.command("promote")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF")
@click.option("--to", "stage", required=True, metavar="STAGE", help="The stage to move to.")
@click.option("--draft", is_flag=True, help="Write the proposal although the check refuses it.")
@direct_option
@pull_request_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def promote_command(
    ctx: click.Context,
    words: tuple[str, ...],
    stage: str,
    draft: bool,
    direct: bool,
    pull_request: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Propose to move a version to a stage."""
    registry = opened(ctx)
    outcome = registry.promote(
        one_version(words),
        to=stage,
        direct=direct,
        reason=reason,
        dry_run=dry_run,
        draft=draft,
        forge=forge_for(registry, pull_request),
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)


@click.command("archive")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF")
@direct_option
@pull_request_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def archive_command(
    ctx: click.Context,
    words: tuple[str, ...],
    direct: bool,
    pull_request: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Propose to take a version out of use."""
    registry = opened(ctx)
    return told(
        registry.archive(
            one_version(words), direct=direct, reason=reason, dry_run=dry_run, forge=forge_for(registry, pull_request)
        ),
        as_json=as_json,
        dry_run=dry_run,
    )


@click.command("rollback")
@click.argument("name")
@click.option("--stage", default="production", show_default=True, help="The stage to give back.")
@click.option("--to", type=click.IntRange(min=1), metavar="NUMBER", help="To this version instead of the one before.")
@direct_option
@pull_request_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def rollback_command(
    ctx: click.Context,
    name: str,
    stage: str,
    to: int | None,
    direct: bool,
    pull_request: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Propose to give a stage back to the version that held it before, read from history."""
    registry = opened(ctx)
    outcome = registry.rollback(
        name, stage=stage, to=to, direct=direct, reason=reason, dry_run=dry_run, forge=forge_for(registry, pull_request)
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)
