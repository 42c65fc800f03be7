"""alias, tag, describe, rename, delete."""

from __future__ import annotations

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import (
    at_once,
    dry_run_option,
    forge_for,
    json_option,
    one_version,
    opened,
    pairs,
    propose_option,
    pull_request_option,
    reason_option,
    told,
)
from gitops_registry.errors import RegistryError


@click.group("alias")
def alias_command() -> None:
    """Give versions names of their own (champion, challenger, …): free, movable, one version each."""


@alias_command.command("set")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF ALIAS", shell_complete=references)
@propose_option
@pull_request_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _set(
    ctx: click.Context,
    words: tuple[str, ...],
    propose: bool,
    pull_request: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Let ALIAS name a version, whatever it named before."""
    registry = opened(ctx)
    if len(words) < 2:
        raise RegistryError("name a version and an alias", hint="gitops-registry alias set NAME@3 champion")
    outcome = registry.set_alias(
        one_version(words[:-1]),
        words[-1],
        direct=at_once(propose),
        reason=reason,
        dry_run=dry_run,
        forge=forge_for(registry, pull_request),
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)


@alias_command.command("remove")
@click.argument("name", shell_complete=references)
@click.argument("alias")
@propose_option
@pull_request_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _remove(
    ctx: click.Context,
    name: str,
    alias: str,
    propose: bool,
    pull_request: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Take ALIAS of the model NAME away."""
    registry = opened(ctx)
    outcome = registry.remove_alias(
        name, alias, direct=at_once(propose), reason=reason, dry_run=dry_run, forge=forge_for(registry, pull_request)
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)


@click.command("tag")
@click.argument("name", metavar="NAME[@REF]", shell_complete=references)
@click.argument("tags", nargs=-1, metavar="KEY=VALUE ...")
@click.option("--remove", multiple=True, metavar="KEY", help="A tag to take away.")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def tag_command(
    ctx: click.Context,
    name: str,
    tags: tuple[str, ...],
    remove: tuple[str, ...],
    propose: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Tag a model, or one version of it."""
    wanted: dict[str, str | None] = {**pairs(tags, "tag"), **dict.fromkeys(remove)}
    outcome = opened(ctx).describe(name, tags=wanted, direct=at_once(propose), reason=reason, dry_run=dry_run)
    return told(outcome, as_json=as_json, dry_run=dry_run)


@click.command("describe")
@click.argument("name", metavar="NAME[@REF]", shell_complete=references)
@click.argument("text", required=False)
@click.option("--title", help="What the model is called for people, in any language.")
@click.option("--owner", "owners", multiple=True, help="Who answers for the model; all of them, each with an option.")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def describe_command(
    ctx: click.Context,
    name: str,
    text: str | None,
    title: str | None,
    owners: tuple[str, ...],
    propose: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Say in TEXT what a model, or one version of it, is."""
    outcome = opened(ctx).describe(
        name,
        description=text,
        title=title,
        owners=owners or None,
        direct=at_once(propose),
        reason=reason,
        dry_run=dry_run,
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)


@click.command("rename")
@click.argument("name", shell_complete=references)
@click.argument("new")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def rename_command(
    ctx: click.Context, name: str, new: str, propose: bool, reason: str, as_json: bool, dry_run: bool
) -> int:
    """Give the model NAME the name NEW; the old one stays its name too, and is given to nobody else."""
    outcome = opened(ctx).rename(name, new, direct=at_once(propose), reason=reason, dry_run=dry_run)
    return told(outcome, as_json=as_json, dry_run=dry_run)


@click.command("delete")
@click.argument("words", nargs=-1, required=True, metavar="NAME[@REF]", shell_complete=references)
@click.option("--force", is_flag=True, help="Also what serves customers.")
@propose_option
@pull_request_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def delete_command(
    ctx: click.Context,
    words: tuple[str, ...],
    force: bool,
    propose: bool,
    pull_request: bool,
    reason: str,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Delete a version with its stage and aliases, or a model with all its versions. Git history keeps them.

    The bytes stay in the store until `gc` takes those that nothing needs any more.
    """
    registry = opened(ctx)
    name = words[0] if len(words) == 1 else one_version(words)
    outcome = registry.delete(
        name,
        force=force,
        direct=at_once(propose),
        reason=reason,
        dry_run=dry_run,
        forge=forge_for(registry, pull_request),
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)
