"""interop: status, on, off, dvc-yaml."""

from __future__ import annotations

from typing import Literal

import click

from gitops_registry.cli.output import (
    FINDINGS,
    at_once,
    clean,
    dry_run_option,
    json_option,
    opened,
    print_json,
    propose_option,
    reason_option,
    told,
)


@click.group("interop")
def interop_command() -> None:
    """Let DVC and GTO read the registry: `dvc.yaml` and annotated tags that say what it says.

    With `interop: gto` in registry.yaml each decision writes them; `doctor` finds what is missing and `doctor --repair` mends it.
    """


@interop_command.command("status")
@json_option
@click.pass_context
def _status(ctx: click.Context, as_json: bool) -> int:
    """Say what DVC and GTO would not find, and what they have no word for. Exit code 1 where something is to be mended."""
    from gitops_registry.agreeing import disagreement

    found = disagreement(opened(ctx).place)
    if as_json:
        print_json({"interop": "gto", **found.to_json()} if found else {"interop": None})
    elif found is None:
        click.echo("off: DVC and GTO find no artifacts here; gitops-registry interop on")
    else:
        click.echo("dvc.yaml is what models/ gives" if found.is_listed else "dvc.yaml is not what models/ gives")
        for name, tag in found.tags.wanted.items():
            click.echo(f"missing: {clean(name)}  {tag.commit[:12]}")
        for line in found.tags.wrong:
            click.secho(f"wrong: {clean(line)}", fg="red")
        for line in found.tags.unsaid:
            click.echo(f"cannot be said: {clean(line)}")
        click.echo("in agreement" if found.is_none else "mend it: gitops-registry doctor --repair")
    return 0 if found is None or found.is_none else FINDINGS


@interop_command.command("on")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _on(ctx: click.Context, propose: bool, reason: str, as_json: bool, dry_run: bool) -> int:
    """Keep dvc.yaml and GTO's tags in agreement from now on; the newest version of each model is tagged at once."""
    return _switch(ctx, "gto", propose=propose, reason=reason, as_json=as_json, dry_run=dry_run)


@interop_command.command("off")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _off(ctx: click.Context, propose: bool, reason: str, as_json: bool, dry_run: bool) -> int:
    """Take dvc.yaml away and write no more tags; those that are there stay."""
    return _switch(ctx, None, propose=propose, reason=reason, as_json=as_json, dry_run=dry_run)


def _switch(
    ctx: click.Context, to: Literal["gto"] | None, *, propose: bool, reason: str, as_json: bool, dry_run: bool
) -> int:
    outcome = opened(ctx).switch_interop(to, direct=at_once(propose), reason=reason, dry_run=dry_run)
    return told(outcome, as_json=as_json, dry_run=dry_run)


@interop_command.command("dvc-yaml")
@click.pass_context
def _dvc_yaml(ctx: click.Context) -> None:
    """Print dvc.yaml as the registry gives it, as its files lie here."""
    from gitops_registry.governing import current
    from gitops_registry.gto import dvc_yaml

    click.echo(dvc_yaml(current(opened(ctx).place)).decode(), nl=False)
