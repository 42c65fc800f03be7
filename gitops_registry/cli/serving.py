"""hook install, audit pushes: what the server of a registry has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gitops_registry.cli.output import clean, dry_run_option, json_option, opened, print_json, table
from gitops_registry.errors import RegistryError


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


@click.group("audit")
def audit_command() -> None:
    """Read what was recorded beside the history."""


@audit_command.command("pushes")
@click.option("--refused", is_flag=True, help="Only those that were turned away.")
@click.option("--since", default="", metavar="DATE", help="Only from then on: 2026-11-25, or with a time.")
@click.option(
    "--by", default="", metavar="TEXT", help="Only by a key, an account or a claimed signer that holds this text."
)
@json_option
@click.pass_context
def _pushes(ctx: click.Context, refused: bool, since: str, by: str, as_json: bool) -> None:
    """List the pushes that this server's repository took and turned away, oldest first."""
    from gitops_registry.receiving.records import pushes

    _require_date(since)
    found = [
        entry
        for entry in pushes(opened(ctx).place.repository, is_refused=refused)
        if str(entry.get("time", "")) >= since
        and by in f"{entry.get('key')} {entry.get('account')} {entry.get('signer')}"
    ]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no such push was recorded")
        return
    table(["time", "result", "who", "refs", "why"], [_row(entry) for entry in found])


def _require_date(text: str) -> None:
    from datetime import datetime

    try:
        if text:
            datetime.fromisoformat(text)
    except ValueError as error:
        raise RegistryError(f"--since {text!r} is no date", hint="write it like 2026-11-25") from error


def _row(entry: dict[str, Any]) -> list[str]:
    reasons = entry.get("reasons") or []
    more = len(reasons) - 1 + int(entry.get("more", 0))
    first = f"{reasons[0].get('message', '')}" if reasons else ""
    refs = ", ".join(str(ref.get("ref", "")).removeprefix("refs/heads/") for ref in entry.get("refs") or ())
    who = " ".join(filter(None, (entry.get("signer"), entry.get("key") or entry.get("account"))))
    return [
        clean(entry.get("time")), clean(entry.get("result")), clean(who), clean(refs),
        clean(f"{first}{f' (and {more} more)' if more > 0 else ''}"),
    ]  # fmt: skip
