"""promote, archive, rollback."""

from __future__ import annotations

import click

from gitops_registry.cli.completing import references, stages
from gitops_registry.cli.output import (
    direct_option,
    dry_run_option,
    forge_for,
    json_option,
    one_version,
    opened,
    pull_request_option,
    reason_option,
    told,
)


@click.command("promote")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF", shell_complete=references)
@click.option("--to", "stage", required=True, metavar="STAGE", help="The stage to move to.", shell_complete=stages)
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
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF", shell_complete=references)
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
@click.argument("name", shell_complete=references)
@click.option("--stage", default="production", show_default=True, help="The stage to give back.", shell_complete=stages)
@click.option(
    "--to",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="To this version instead of the one before.",
    shell_complete=stages,
)
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
