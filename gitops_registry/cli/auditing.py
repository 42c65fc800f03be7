"""audit: export, report, comply, verify, and what a server recorded of pushes."""

from __future__ import annotations

from typing import Any

import click

from gitops_registry.cli.output import clean, json_option, opened, print_json, table


@click.group("audit")
def audit_command() -> None:
    """Read the history as an auditor does, and what was recorded beside it."""


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
    from gitops_registry.audit.decision import spelled
    from gitops_registry.audit.instants import instant
    from gitops_registry.receiving.records import pushes

    first = spelled(instant(since, "--since")) if since else ""
    found = [
        entry
        for entry in pushes(opened(ctx).place.repository, is_refused=refused)
        if str(entry.get("time", "")) >= first
        and by in f"{entry.get('key')} {entry.get('account')} {entry.get('signer')}"
    ]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no such push was recorded")
        return
    table(["time", "result", "who", "refs", "why"], [_row(entry) for entry in found])


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
