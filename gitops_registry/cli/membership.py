"""access list, who-can, check, add, remove, rotate-key, codeowners."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import (
    FINDINGS,
    at_once,
    clean,
    command,
    dry_run_option,
    json_option,
    opened,
    print_json,
    propose_option,
    reason_option,
    table,
    told,
)
from gitops_registry.errors import NotFound, RegistryError

if TYPE_CHECKING:
    from gitops_registry.manifest.members import Access, Member

_NOBODY = "no members here: whoever can push decides"
not_after_option = click.option(
    "--not-after", metavar="DATE", help="When the key ends: 2027-01-31, or a time (UTC where it has no zone)."
)


@click.group("access")
def access_command() -> None:
    """Who may do what: the roles and members in policies/access.yaml.

    What is asked is read from the branch that decisions land on. Every change here writes docs/CODEOWNERS too.
    """


@access_command.command("list")
@json_option
@click.pass_context
def _list(ctx: click.Context, as_json: bool) -> None:
    """List members with their roles, keys and logins, what the roles may do, and the protected aliases."""
    access = opened(ctx).access
    now = datetime.now(UTC)
    if as_json:
        print_json(_as_json(access, now))
        return
    if access is None or not access.members:
        click.echo(f"{_NOBODY}; {command('access add NAME --role admin')}")
        return
    rows = [row for member in access.members for row in _rows(member, now)]
    table(["member", "role", "models", "key", "state", "called"], rows)
    click.echo("")
    table(["role", "may"], [[role, ", ".join(held)] for role, held in access.roles.items()])
    if access.protected_aliases:
        click.echo(f"\nprotected aliases: {clean(', '.join(access.protected_aliases))}")
    if not any(member.keys for member in access.members):
        step = command(f"access rotate-key {access.members[0].name} --key FILE.pub")
        click.echo(f"\nnobody has a key: nothing here proves who decides; {step}")


def _rows(member: Member, now: datetime) -> list[list[str]]:
    """Return the rows of a member: one, and one more for each further key."""
    from gitops_registry.standing import state

    called = [f"{one.forge}:{one.login}" for one in member.identities] + [member.email] * bool(member.email)
    role = member.role + (" (service)" if member.kind == "service" else "")
    keys = [(key.public.fingerprint, state(key, now)) for key in member.keys] or [("none", "")]
    head = [member.name, role, ", ".join(member.models) or "all"]
    rows = [[*head, *keys[0], ", ".join(called)]]
    return rows + [["", "", "", *key, ""] for key in keys[1:]]


def _as_json(access: Access | None, now: datetime) -> dict[str, Any]:
    from gitops_registry.manifest.parts import plain
    from gitops_registry.standing import state

    members = []
    for member in access.members if access else ():
        keys = [
            {
                "fingerprint": key.public.fingerprint,
                "type": key.public.kind,
                "state": "revoked" if key.revoked else "good" if key.is_good(now) else "expired",
                "told": state(key, now),
                **plain(key),
            }
            for key in member.keys
        ]
        held = access.roles[member.role] if access else ()
        members.append({**plain(member), "permissions": list(held), "keys": keys})
    return {
        "members": members,
        "roles": {role: list(held) for role, held in access.roles.items()} if access else {},
        "protected_aliases": list(access.protected_aliases) if access else [],
        "has_keys": any(member["keys"] for member in members),
    }


@access_command.command("who-can")
@click.argument("permission")
@click.argument("model", required=False, default="", shell_complete=references)
@json_option
@click.pass_context
def _who_can(ctx: click.Context, permission: str, model: str, as_json: bool) -> None:
    """Say who holds PERMISSION (or may do a verb) for MODEL, or for any model.

    Whoever holds it and has no key left that counts is named too, with the reason.
    """
    registry = opened(ctx)
    found = registry.who_can(permission, model)
    if as_json:
        print_json({"asked": permission, "model": model or None, "members": [one.to_json() for one in found]})
        return
    about = f"{permission} {model}".strip()
    if not found:
        click.echo(_NOBODY if registry.access is None else f"nobody may {clean(about)}")
        return
    rows = [[one.member.name, "yes" if one.may else "no", one.why] for one in found]
    table(["member", "may", "why"], rows)
    if not any(one.may for one in found):
        click.echo(f"nobody may {clean(about)} as their keys are")


@access_command.command("check")
@click.argument("member")
@click.argument("word", metavar="VERB|PERMISSION")
@click.argument("model", required=False, default="", metavar="[MODEL[@REF]]", shell_complete=references)
@json_option
@click.pass_context
def _check(ctx: click.Context, member: str, word: str, model: str, as_json: bool) -> int:
    """Say whether MEMBER may do something to MODEL now, and why. Exit code 0 for yes, 1 for no.

    A verb is one of this command line (promote, alias, delete, …); with @REF it is about one version, or for alias about one
    alias: NAME@champion.
    """
    found = opened(ctx).standing(member, word, model)
    if as_json:
        print_json({"asked": word, **found.to_json(), "model": model or None})
    else:
        mark, colour = ("yes", "green") if found.may else ("no", "red")
        click.echo(click.style(f"{mark}, ", fg=colour) + clean(f"{found.member.name}: {found.why}"))
    return 0 if found.may else FINDINGS


@access_command.command("add")
@click.argument("name")
@click.option("--role", required=True, help="One of the roles in policies/access.yaml.")
@click.option("--email", default="", help="Their address, as their commits have it.")
@click.option("--key", "keys", multiple=True, metavar="FILE|TEXT", help="An SSH public key: its .pub file or the line.")
@not_after_option
@click.option("--model", "models", multiple=True, metavar="PATTERN", help="Only models of such names: fraud-*.")
@click.option("--service", is_flag=True, help="A machine, which approves nothing.")
@click.option("--identity", "identities", multiple=True, metavar="FORGE:LOGIN[:ID]", help="What a forge calls them.")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _add(ctx: click.Context, /, name: str, propose: bool, as_json: bool, dry_run: bool, **said: Any) -> int:
    """Let NAME be a member. The first member must administer, and makes policies/access.yaml."""
    if said["not_after"] and not said["keys"]:
        raise RegistryError("--not-after is about a key, and none is given", hint="give it with --key FILE")
    kind: Literal["person", "service"] = "service" if said.pop("service") else "person"
    outcome = opened(ctx).add_member(
        name, said.pop("role"), kind=kind, direct=at_once(propose), dry_run=dry_run, **said
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)


@access_command.command("remove")
@click.argument("name")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _remove(ctx: click.Context, name: str, propose: bool, reason: str, as_json: bool, dry_run: bool) -> int:
    """Let NAME be a member no more. What they signed stays theirs in the history."""
    outcome = opened(ctx).remove_member(name, direct=at_once(propose), reason=reason, dry_run=dry_run)
    return told(outcome, as_json=as_json, dry_run=dry_run)


@access_command.command("rotate-key")
@click.argument("name")
@click.option("--key", required=True, metavar="FILE|TEXT", help="The new SSH public key: its .pub file or the line.")
@not_after_option
@click.option("--revoked", is_flag=True, help="The old key was lost: nothing it ever signed counts any more.")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _rotate_key(
    ctx: click.Context, /, name: str, key: str, revoked: bool, propose: bool, as_json: bool, dry_run: bool, **said: Any
) -> int:
    """Let NAME sign with another key from now on. What the old one signed until now still counts."""
    outcome = opened(ctx).rotate_key(name, key, is_lost=revoked, direct=at_once(propose), dry_run=dry_run, **said)
    return told(outcome, as_json=as_json, dry_run=dry_run)


@access_command.command("codeowners")
@click.pass_context
def _codeowners(ctx: click.Context) -> None:
    """Print docs/CODEOWNERS as policies/access.yaml gives it, as that lies here."""
    from gitops_registry.codeowners import codeowners
    from gitops_registry.governing import current

    access = current(opened(ctx).place).access
    if access is None:
        raise NotFound("no policies/access.yaml here", hint=command("access add NAME --role admin"))
    content = codeowners(access)
    if content is None:
        raise RegistryError(
            "nobody who decides has a login or an e-mail, so there are no owners to write",
            hint="add identities or e-mails in policies/access.yaml",
        )
    click.echo(content.decode(), nl=False)
