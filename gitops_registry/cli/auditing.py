"""audit: export, report, comply, verify, and what a server recorded of pushes."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import FINDINGS, clean, json_option, opened, print_json, table

if TYPE_CHECKING:
    from gitops_registry.auditing.checkpoint import Checkpoint
    from gitops_registry.auditing.verification import Verification

_CHECKPOINT = "audit-checkpoint.json"
root_option = click.option(
    "--root",
    default="",
    metavar="SHA256:…",
    help="The key that must have started the registry; else the one in git's configuration.",
)
output_option = click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there, whole or not at all."
)


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
    from gitops_registry.audit.instants import instant
    from gitops_registry.audit.proof import spelled
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


@audit_command.command("export")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "cloudevents", "intoto"]),
    default="jsonl",
    show_default=True,
    help="JSON Lines, CSV for spreadsheets, CloudEvents 1.0 or in-toto statements, one on each line.",
)
@click.option("--since-last", is_flag=True, help="Only what came after the checkpoint, which is then moved on.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write how far this went there, signed with the key that git signs with; --since-last keeps one in the git directory.",
)
@click.option("--policies", is_flag=True, help="Judge each decision again by the policies of its time: slow.")
@root_option
@output_option
@click.pass_context
def _export(
    ctx: click.Context,
    /,
    form: Any,
    since_last: bool,
    checkpoint: Path | None,
    policies: bool,
    root: str,
    output: Path | None,
) -> None:
    """Write every event, oldest first, with an id that is the same wherever and whenever it is read.

    The checkpoint names the last decision, the number of events and a digest of all of them; keep it somewhere else, and a
    later export or audit verify is held to it.
    """
    registry = opened(ctx)
    kept = checkpoint or (
        registry.place.repository.common_dir / "gitops-registry" / _CHECKPOINT if since_last else None
    )
    since = kept if since_last and kept is not None and kept.exists() else None
    export = registry.export_log(form, since=since, root=root, judges=policies)
    with _written_to(output) as write:
        for line in export.lines():
            write(line)
    if kept is not None:
        _keep(export.checkpoint(), kept)


def _keep(made: Checkpoint, file: Path) -> None:
    from gitops_registry.auditing.checkpoint import write

    write(made, file)
    note = click.style("note: ", fg="cyan")
    click.echo(f"{note}checkpoint at {made.head[:12]}, {made.events.count} events, in {clean(file)}", err=True)
    if b"\ngpgsig " not in made.signed:
        hint = "git config gpg.format ssh; git config user.signingKey KEY.pub"
        click.echo(f"{note}the checkpoint is not signed, so it is a claim: {hint}", err=True)


@contextmanager
def _written_to(output: Path | None) -> Iterator[Any]:
    """Give what writes text to standard output, or to a file that is there whole or not at all.

    A device or a pipe is written to as it is: nothing is put in the place of /dev/null.
    """
    from gitops_registry.auditing.checkpoint import behind

    if output is None:
        yield lambda text: click.echo(text, nl=False)
        sys.stdout.flush()
        return
    if output.exists() and not output.is_file():
        with output.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file.write
        return
    output = behind(output)
    draft = output.with_name(f".{output.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file.write
        draft.replace(output)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@audit_command.command("verify")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare it with what audit export --checkpoint wrote.",
)
@root_option
@click.option("--no-objects", is_flag=True, help="Do not have git look at every object's bytes.")
@click.option("--policies", is_flag=True, help="Have the policies of its time judge each decision again: slow.")
@click.option("--strict", "is_strict", is_flag=True, help="What a forge alone attests is a breach too.")
@json_option
@click.pass_context
def _verify(
    ctx: click.Context, /, checkpoint: Path | None, root: str, no_objects: bool, as_json: bool, **how: bool
) -> int:
    """Say whether the history holds: the chain of commits, every signature, who might decide, approvals, what must never change.

    Exit code 1 where it breaks a promise; each breach is told with its commit. Nothing is read from a cache.
    """
    looked = opened(ctx).verify_log(checkpoint=checkpoint, root=root, objects=not no_objects, **how)
    if as_json:
        found = list(looked.breaches())
        print_json(looked.to_json(found))
        return FINDINGS if found else 0
    count = 0
    for one in looked.breaches():
        count += 1
        where = f", commit {one.commit[:12]}" if one.commit else ""
        click.echo(f"{click.style(f'{one.rule}:', fg='red')} {clean(one.message)}{where}")
    _tell(looked, count)
    return FINDINGS if count else 0


def _tell(looked: Verification, count: int) -> None:
    grades = ", ".join(f"{number} {grade}" for grade, number in sorted(looked.grades.items())) or "none"
    click.echo(f"{looked.commits} commits to {looked.head[:12]}, decisions: {grades}; {looked.events.count} events")
    if looked.anchor.is_there:
        click.echo(clean(looked.anchor))
    for note in looked.notes:
        click.echo(f"{click.style('note: ', fg='cyan')}{clean(note.message)}")
    if count:
        click.secho(f"the history does not hold: {count} breach{'es' if count > 1 else ''}", fg="red")
    else:
        click.secho("the history holds", fg="green")


@audit_command.command("report")
@click.argument("name", metavar="MODEL", shell_complete=references)
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "html", "json"]),
    default="markdown",
    show_default=True,
    help="As what.",
)
@output_option
@json_option
@click.pass_context
def _report(ctx: click.Context, /, name: str, form: str, output: Path | None, as_json: bool) -> None:
    """Report on MODEL: the life of each version, who did what in which role, what speaks for it, and what is not known."""
    from gitops_registry.reporting.values import json_text

    data = opened(ctx).audit_report(name)
    if as_json or form == "json":
        text = json_text(data, ascii_only=False) + "\n"
    else:
        from gitops_registry.auditing import rendering

        text = rendering.html(data) if form == "html" else rendering.markdown(data)
    with _written_to(output) as write:
        write(text)


@audit_command.command("comply")
@click.argument("name", metavar="MODEL", shell_complete=references)
@click.option(
    "--profile",
    required=True,
    metavar="NAME|FILE",
    help="registered-staged-approved-deployed, four-eyes, eu-ai-act-documentation, or a file of your own (see docs/audit.md).",
)
@json_option
@click.pass_context
def _comply(ctx: click.Context, /, name: str, profile: str, as_json: bool) -> int:
    """Hold MODEL to a profile: what is met, not met, or not checked. Exit code 1 where something is not met."""
    from gitops_registry.auditing.compliance import profile as read

    asked = read(profile)
    registry = opened(ctx)
    found = registry.comply(name, profile)
    is_unmet = any(one.outcome == "not met" for one in found)
    anchor = registry.anchor()
    if as_json:
        told = {
            "profile": asked.name,
            "title": asked.title,
            "disclaimer": asked.disclaimer or None,
            "anchor": anchor.to_json(),
        }
        print_json({**told, "model": name, "met": not is_unmet, "answers": [one.to_json() for one in found]})
        return FINDINGS if is_unmet else 0
    click.secho(clean(f"{name}: {asked.title or asked.name}"), bold=True)
    colours = {"met": "green", "not met": "red", "not checked": "yellow"}
    for one in found:
        which = f"{clean(name)}@{one.version}  " if one.version else ""
        source = f" ({one.requirement.source})" if one.requirement.source else ""
        click.echo(
            f"{click.style(f'{one.outcome:11}', fg=colours[one.outcome])}  {which}{clean(one.requirement.title)}{clean(source)}"
        )
        click.echo(f"             {clean(one.found)}")
    counts = ", ".join(f"{sum(one.outcome == outcome for one in found)} {outcome}" for outcome in colours)
    click.echo(counts)
    if asked.disclaimer:
        click.echo(click.style("note: ", fg="cyan") + clean(asked.disclaimer.strip()))
    click.echo(click.style("note: ", fg="cyan") + clean(anchor))
    return FINDINGS if is_unmet else 0
