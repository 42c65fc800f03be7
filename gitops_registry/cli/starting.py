"""init, doctor, schema, migrate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops_registry import __version__
from gitops_registry.cli.output import (
    FINDINGS,
    at_once,
    clean,
    dry_run_option,
    json_option,
    opened,
    print_json,
    print_outcome,
    propose_option,
    reason_option,
    told,
)
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from gitops_registry.registry import Registry
    from gitops_registry.starting import Started

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=Path(), required=False)
@click.option("--name", default="", help="What the registry is called; without it, as its folder.")
@click.option(
    "--storage",
    default="",
    metavar="URL",
    help="A DVC remote for the bytes (a folder, ssh://, s3://); without it, they are committed with git.",
)
@click.option(
    "--language", metavar="TAG", default="en", show_default=True, help="The language of model cards: en or ja."
)
@click.option(
    "--team", is_flag=True, help="Stage changes come as proposals only, and serving needs another person's approval."
)
@click.option(
    "--key",
    default="",
    metavar="FILE",
    help="The SSH key that signs what you commit there; without it, the one git has.",
)
@click.option("--bare", is_flag=True, help="Make a bare repository.")
@click.option(
    "--forge",
    type=click.Choice(["github", "gitlab", "gitea"]),
    help="Write the jobs that judge pull requests on that forge (Forgejo: gitea).",
)
@json_option
@dry_run_option
@click.pass_context
def init_command(
    ctx: click.Context,
    folder: Path,
    name: str,
    storage: str,
    language: str,
    team: bool,
    key: str,
    bare: bool,
    forge: str | None,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Make a registry in FOLDER (here, without one), or join the git repository that is there."""
    from gitops_registry.address import address
    from gitops_registry.starting import Start, init
    from gitops_registry.workflows import requirement

    where = ctx.obj["path"]
    if address(where).url:
        raise RegistryError(
            f"a registry is made on this machine first, not at {where}",
            hint="gitops-registry init FOLDER, then in it: git remote add origin URL; git push -u origin main",
        )
    folder = Path(where) / folder
    how = Start(
        name=name, storage=storage, language=language, bare=bare, team=team, key=key,
        forge=forge or "", requirement=requirement(__version__, storage),
    )  # fmt: skip
    started = init(folder, how, dry_run=dry_run)
    if as_json:
        print_json(_as_json(started))
        return
    what = "would be" if dry_run else "is"
    click.secho(
        f"{clean(name or folder.resolve().name)} {what} a registry; decisions land on {started.branch}", bold=True
    )
    for file in started.files:
        click.echo(f"  {file}")
    for note in started.notes:
        click.echo(f"note: {note}")
    if dry_run:
        click.echo("dry run: nothing was written")
        return
    _say_who_decides(started.key.fingerprint if started.key else "", team=team)
    _say_next(started, folder, forge=forge or "")


def _say_next(started: Started, folder: Path, *, forge: str) -> None:
    there = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    click.echo(f"next: {there}gitops-registry register NAME model.skops --data eval.csv --target COLUMN")
    click.echo("next: gitops-registry promote NAME 1 --to staging")
    if forge:
        push = f"git remote add origin URL; git push -u origin {started.branch}"
        click.echo(f"next: {push}; gitops-registry doctor --forge says what its settings let through")


def _as_json(started: Started) -> dict[str, object]:
    return {
        "path": str(started.path),
        "commit": started.commit,
        "branch": started.branch,
        "files": list(started.files),
        "key": started.key.fingerprint if started.key else None,
        "notes": list(started.notes),
    }


def _say_who_decides(key: str, *, team: bool) -> None:
    """Say what the registry asks of people, and what is missing before anybody can prove who they are."""
    if not team:
        note = "this is one person's registry: approvals: 0 and direct: true in registry.yaml; --team asks for a second person"
    elif key:
        note = "production waits for another person's approval; give them a place first: gitops-registry access add NAME --role ml_engineer --key FILE"
    else:
        note = "production waits for another person's approval, and an approval is a signature: git config --global gpg.format ssh; git config --global user.signingKey ~/.ssh/id_ed25519.pub; then put that key into policies/access.yaml"
    click.echo(f"note: {note}")
    if key:
        click.echo(f"note: commits here are signed with {key}")


@click.command("doctor")
@click.option("--forge", "of_forge", is_flag=True, help="Say how the forge guards the branch of decisions instead.")
@click.option("--repair", is_flag=True, help="Write dvc.yaml and GTO's tags anew where they disagree (interop: gto).")
@json_option
@dry_run_option
@click.pass_context
def doctor_command(ctx: click.Context, of_forge: bool, repair: bool, as_json: bool, dry_run: bool) -> int:
    """Say what is wrong with this registry on this machine, and how to repair it.

    With --forge, what the settings of the repository on the forge let through: everything that the check cannot see.
    """
    from gitops_registry.doctor import examine
    from gitops_registry.guarding import guards

    registry = opened(ctx)
    if repair:
        return _repair(registry, as_json=as_json, dry_run=dry_run)
    symptoms = guards(registry.place, registry.forge(os.environ)) if of_forge else examine(registry.place)
    if as_json:
        print_json([symptom.to_json() for symptom in symptoms])
    else:
        for symptom in symptoms:
            mark, colour = _MARKS[symptom.state]
            click.echo(click.style(f"{mark} {symptom.what}: ", fg=colour) + clean(symptom.message))
            if symptom.repair:
                click.echo(f"    {clean(symptom.repair)}")
    return FINDINGS if any(symptom.state == "error" for symptom in symptoms) else 0


def _repair(registry: Registry, *, as_json: bool, dry_run: bool) -> int:
    from gitops_registry.agreeing import repair

    done = repair(registry.place, dry_run=dry_run)
    is_refused = done.outcome is not None and done.outcome.is_refused
    if as_json:
        print_json({"dvc_yaml": done.outcome.to_json() if done.outcome else None, "tags": list(done.tags)})
        return FINDINGS if is_refused else 0
    if done.outcome is not None:
        print_outcome(done.outcome, dry_run=dry_run)
    for tag in done.tags:
        click.echo(f"{'would make' if dry_run else 'made'} {clean(tag)}")
    if done.is_waiting:
        click.echo("tags wait for: gitops-registry push")
    elif done.outcome is None and not done.tags:
        click.echo("nothing to mend")
    return FINDINGS if is_refused else 0


@click.command("schema")
@click.argument("kind", required=False)
def schema_command(kind: str | None) -> None:
    """Print the JSON Schema of a KIND of manifest; without one, list the kinds."""
    from gitops_registry.errors import NotFound
    from gitops_registry.manifest.kinds import KINDS
    from gitops_registry.manifest.schema import json_schema
    from gitops_registry.reference import did_you_mean

    if kind is None:
        for name, found in KINDS.items():
            click.echo(f"{name:14}{(found.__doc__ or '').splitlines()[0]}")
        return
    wanted = next((found for name, found in KINDS.items() if kind.lower() in {name.lower(), found.schema_name}), None)
    if wanted is None:
        raise NotFound(f"no kind {kind!r}", hint=did_you_mean(kind, tuple(KINDS)))
    print_json(json_schema(wanted))


@click.command("migrate")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def migrate_command(ctx: click.Context, propose: bool, reason: str, as_json: bool, dry_run: bool) -> int:
    """Bring what an older release wrote to the formats of this one, in one commit.

    Older files are read as they are, so nothing waits for this. Facts of versions are never rewritten.
    """
    outcome = opened(ctx).migrate(direct=at_once(propose), reason=reason, dry_run=dry_run)
    return told(outcome, as_json=as_json, dry_run=dry_run)
