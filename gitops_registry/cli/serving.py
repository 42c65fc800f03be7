"""hook install: what the server of a registry has."""

from __future__ import annotations

from pathlib import Path

import click

from gitops_registry.cli.output import clean, dry_run_option, json_option, print_json


@click.group("hook")
def hook_command() -> None:
    """Let a bare repository on a server judge every push before it takes it."""


@hook_command.command("install")
@click.argument("repository", type=click.Path(path_type=Path))
@click.option(
    "--root",
    default="",
    metavar="SHA256:…|FILE",
    help="Whose key may start the registry: its fingerprint or .pub file.",
)
@click.option("--branch", default="", help="Where decisions land; without it, as the repository says, else main.")
@click.option(
    "--authorized-keys", type=click.Path(path_type=Path), metavar="FILE",
    help="Keep the members' keys in this file, each allowed to do git on this repository and nothing else.",
)  # fmt: skip
@click.option(
    "--without-store", is_flag=True, help="This server cannot reach the store: do not ask whether bytes are there."
)
@json_option
@dry_run_option
def _install(
    repository: Path,
    root: str,
    branch: str,
    authorized_keys: Path | None,
    without_store: bool,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Set up REPOSITORY (bare) so that it takes only what its registry's rules let through.

    Run again after an update of gitops-registry. The hook is a boundary where members reach the account through
    --authorized-keys alone; over file://, or with a shell on the server, it is logic that they can walk around.
    """
    from gitops_registry.receiving.installing import install

    done = install(
        repository, root=root, branch=branch, authorized_keys=authorized_keys, is_blind=without_store, dry_run=dry_run
    )
    if as_json:
        print_json({**done.__dict__, "path": str(done.path), "dry_run": dry_run})
        return
    click.secho(
        f"{clean(done.path)} {'would judge' if dry_run else 'judges'} every push to {clean(done.branch)}", bold=True
    )
    for file in done.files:
        click.echo(f"  {clean(file)}")
    if done.root:
        click.echo(f"root key  {done.root}")
    for note in done.notes:
        click.echo(click.style("note: ", fg="cyan") + clean(note))
    if dry_run:
        click.echo("dry run: nothing was written")
