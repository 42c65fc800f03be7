"""show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.looking import aliases_of, list_versions
from gitops_registry.cli.output import (
    aliases_told,
    clean,
    facts,
    json_option,
    note_anchor,
    one_version,
    opened,
    print_json,
    table,
)
from gitops_registry.errors import RegistryError
from gitops_registry.reference import split_reference

if TYPE_CHECKING:
    from gitops_registry.audit.anchors import Anchor
    from gitops_registry.audit.decision import Event
    from gitops_registry.manifest.facts import Evaluation, Signature, Version
    from gitops_registry.reference import Reference
    from gitops_registry.registry import Registry
    from gitops_registry.snapshot import Snapshot

_OF_MLFLOW = "models:/"


@click.command("show")
@click.argument("words", nargs=-1, required=True, metavar="NAME[@REF]", shell_complete=references)
@click.option(
    "--at", "moment", default="", metavar="DATE", help="As it was then: 2026-11-25 (its end), or with a time; UTC."
)
@json_option
@click.pass_context
def show_command(ctx: click.Context, words: tuple[str, ...], moment: str, as_json: bool) -> None:
    """Show a model, or one version of it; with --at, what there was on a day: show NAME@production --at 2026-11-25."""
    registry = opened(ctx)
    if moment:
        from gitops_registry.audit.instants import instant

        now, registry = registry, registry.at(instant(moment, "--at", is_end=True))
        words = (_as_then(now, registry, words[0]), *words[1:])
    snapshot = registry.snapshot
    if len(words) == 1 and "@" not in words[0] and not words[0].startswith(_OF_MLFLOW):
        anchor = registry.anchor() if moment else None
        _show_model(snapshot, words[0], anchor, as_json)
    else:
        reference = snapshot.resolve(one_version(words))
        past = _past(registry, reference)
        anchor = None if isinstance(past, str) else registry.anchor()
        _show_version(snapshot, reference, past, anchor, as_json)
    if anchor is not None and not as_json:
        note_anchor(anchor)


def _as_then(now: Registry, then: Registry, word: str) -> str:
    """Return a model, or a version of it, by the name that the model had on a day."""
    name = split_reference(word)[0] if "@" in word or word.startswith(_OF_MLFLOW) else word
    called = now.name_at(name, then)
    if called == name:
        return word
    note = click.style("note: ", fg="cyan")
    click.echo(f"{note}{clean(name)} was called {clean(called)} then", err=True)
    begin = _OF_MLFLOW if word.startswith(_OF_MLFLOW) else ""
    return begin + called + word[len(begin + name) :]


def _past(registry: Registry, reference: Reference) -> list[Event] | str:
    """Return the decisions about a version, newest first; or why they are not known."""
    try:
        return list(registry.history(str(reference)))
    except RegistryError as error:
        return error.message


def _show_model(snapshot: Snapshot, name: str, anchor: Anchor | None, as_json: bool) -> None:
    from gitops_registry.manifest.parts import plain

    model = snapshot.known_model(name)
    if as_json:
        told = {"anchor": anchor.to_json()} if anchor else {}  # of a day, for it was found in the history
        print_json(plain(model) | {"versions": list(snapshot.versions(name))} | told)
        return
    click.secho(name, bold=True)
    facts({
        "title": model.title, "description": model.description, "owners": model.owners,
        "evaluation data": f"{model.evaluation.dataset} ({model.evaluation.file}), {model.evaluation.rows} rows, truth in {model.evaluation.target}" if model.evaluation else None,
        "tags": [f"{key}={value}" for key, value in model.tags.items()], "aliases": aliases_told(model.aliases), "deleted": model.deleted,
    })  # fmt: skip
    click.echo()
    list_versions(snapshot, [name], None, as_json)


def _show_version(
    snapshot: Snapshot, reference: Reference, past: list[Event] | str, anchor: Anchor | None, as_json: bool
) -> None:
    from gitops_registry.manifest.parts import plain
    from gitops_registry.policy.data import measurements

    version = snapshot.known_version(reference)
    data = plain(version)
    aliases = aliases_of(snapshot, reference)
    if as_json:
        print_json(
            {
                "name": reference.name,
                "number": reference.number,
                "stage": snapshot.stage_of(reference),
                "aliases": aliases,
                **data,
                "card": plain(snapshot.card(*reference)),
                "evaluations": [plain(evaluation) for evaluation in measurements(snapshot, reference)],
                "history": None if isinstance(past, str) else [event.to_json() for event in past],
                "anchor": anchor.to_json() if anchor else None,
            }
        )
        return
    click.secho(str(reference), bold=True)
    framework, evaluation, environment = version.framework, version.evaluation, version.environment
    facts({
        "stage": snapshot.stage_of(reference), "aliases": aliases, "release": version.release, "task": version.task, "type": version.model_type,
        "framework": f"{framework.name} {framework.version}" if framework else None, "created": data["created"],
        "author": f"{version.author.name} <{version.author.email}>", "description": snapshot.card(*reference).description,
        "evaluated on": f"{evaluation.dataset or 'given rows'}, {evaluation.rows} rows" if evaluation else None,
        "environment": f"Python {environment.python}, {environment.platform}, {len(environment.requirements)} pinned packages" if environment else None,
        "tags": [f"{key}={value}" for key, value in snapshot.card(*reference).tags.items()],
    })  # fmt: skip
    _print_measurements(measurements(snapshot, reference))
    _print_numbers(version)
    if version.signature:
        click.echo()
        _print_signature(version.signature)
    click.echo()
    table(
        ["file", "format", "bytes", "sha256"],
        [
            (a.file, a.format if a.files is None else f"{a.format}, {a.files:,} files", a.size, a.sha256)
            for a in version.artifacts
        ],
        numbers=(2,),
    )
    click.echo()
    _print_past(past, reference)


def _print_numbers(version: Version) -> None:
    metrics = [(name, value, "claimed" if name in version.claimed else "") for name, value in version.metrics.items()]
    for title, rows in (("metric", metrics), ("parameter", list(version.params.items()))):
        if rows:
            click.echo()
            table([title, "value", *[""] * (len(rows[0]) - 2)], rows, numbers=(1,))


def _print_measurements(found: list[Evaluation]) -> None:
    for one in found:
        if one.formats:
            names = ", ".join(clean(told.format) for told in one.formats)
            click.echo(f"formats compared {one.created:%Y-%m-%d} by {clean(one.author.name)}: {names}")
            if not one.metrics:
                continue
        metrics = "  ".join(f"{name} {value:.4f}" for name, value in one.metrics.items())
        click.echo(
            f"measured {one.created:%Y-%m-%d} on {clean(one.dataset.dataset)} by {clean(one.author.name)}: {clean(metrics)}"
        )


def _print_signature(signature: Signature) -> None:
    inputs = [(c.name, c.type, "required" if c.required else "optional") for c in signature.inputs]
    table(["column", "type", ""], [*inputs, *((f"→ {c.name}", c.type, "") for c in signature.outputs)])


def _print_past(past: list[Event] | str, reference: Reference) -> None:
    if isinstance(past, str):
        click.echo(f"history: {past}")
        return
    rows = []
    for event in past:
        did = ", ".join(_without_name(str(change), reference) for change in event.changes)
        rows.append(
            (
                f"{event.time:%Y-%m-%d %H:%M}",
                did,
                event.signer or event.commit.author,
                event.grade,
                event.reason or None,
                event.commit.oid[:9],
            )
        )
    table(["when", "what", "who", "proof", "why", "commit"], rows)


def _without_name(text: str, reference: Reference) -> str:
    """Return a change in the words of a table that is about one version."""
    told = text.partition(": ")[2].replace(f"of version {reference.number} ", "", 1)
    return told.removeprefix(f"version {reference.number} ")
