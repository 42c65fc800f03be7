"""log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import clean, json_option, note_anchor, opened, print_json_list
from gitops_registry.errors import RegistryError
from gitops_registry.reference import split_reference

if TYPE_CHECKING:
    from gitops_registry.audit.decision import Event
    from gitops_registry.audit.entries import Entry
    from gitops_registry.audit.wanted import Wanted
    from gitops_registry.registry import Registry

_SHOWN = 100
_COLOURS = {"verified": "green", "attested": "yellow", "recorded": "yellow", "claimed": "red"}
C = TypeVar("C", bound=Callable[..., Any])


def filter_options(function: C) -> C:
    """Add the options that say which part of the log is meant."""
    for option in (
        click.option("--until", default="", metavar="DATE", help="Only up to then; a date alone means its end."),
        click.option("--since", default="", metavar="DATE", help="Only from then on: 2026-11-25, or with a time; UTC."),
        click.option("--stage", default="", metavar="STAGE", help="Only what moved into a stage or out of it."),
        click.option(
            "--event", default="", metavar="TYPE", help="Only one type of event: model_deployed, access_denied, …"
        ),
        click.option(
            "--actor", default="", metavar="NAME", help="Only by a signer, or a claimed author, with this in the name."
        ),
        click.option("--version", "number", type=click.IntRange(min=1), metavar="N", help="Only about this version."),
    ):
        function = option(function)
    return function


@click.command("log")
@click.argument("name", required=False, metavar="[NAME[@REF]]", shell_complete=references)
@click.option("--model", default="", metavar="NAME", help="The same as NAME.")
@filter_options
@click.option("-n", "--limit", type=click.IntRange(min=1), help=f"At most so many decisions; {_SHOWN} without --json.")
@click.option("--all", "is_all", is_flag=True, help="All of them.")
@click.option("--no-cache", is_flag=True, help="Read all of it from git, whatever was kept from before.")
@click.option("--policies", is_flag=True, help="Judge each decision shown again by the policies of its time: slow.")
@json_option
@click.pass_context
def log_command(
    ctx: click.Context,
    /,
    name: str | None,
    model: str,
    limit: int | None,
    is_all: bool,
    no_cache: bool,
    policies: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Show what was decided, newest first, read from git history and never from what a message claims.

    Each decision says how well it is proved who made it: verified (a member's signature), attested (a forge says so), claimed
    (nobody proved it); pushes that a server turned away are recorded by it. What changed between two dates: --since A
    --until B. What was in production on a day: gitops-registry show NAME@production --at DATE.
    """
    about = name or model
    wanted = wanted_of(**said)
    if name and model and split_reference(name)[0] != model:
        raise RegistryError(f"NAME says {name} and --model {model}", hint="name one of them")
    registry = opened(ctx)
    most = None if is_all or (as_json and limit is None) else limit or _SHOWN
    found = registry.log(about, limit=None if most is None else most + 1, wanted=wanted, anew=no_cache)
    everything = _with_denials(found, _denials(registry, about, wanted))
    if as_json:
        anchor = registry.anchor()
        beside = {
            "anchor": str(anchor) if anchor.is_there else None
        }  # as in an export: a list has no other place for it
        print_json_list(_told(one, registry if policies else None) | beside for one in islice(everything, most))
        return
    shown = 0
    for one in everything:
        if most is not None and shown >= most:
            click.echo(f"older ones follow: gitops-registry log{f' {clean(about)}' if about else ''} --all")
            break
        _show(one, registry if policies else None)
        shown += 1
    if not shown:
        _ = registry.snapshot.constitution  # raises where this is no registry
        click.echo("nothing of that kind was decided here")
    note_anchor(registry.anchor())
    if shown and not policies:
        click.echo(click.style("note: ", fg="cyan") + "policies: not checked (--policies asks them again)")


def wanted_of(*, number: int | None, actor: str, event: str, stage: str, since: str, until: str) -> Wanted:
    """Return the filter that options spell. Raises RegistryError for a date, NotFound for an event that there is none of."""
    from gitops_registry.audit.instants import instant
    from gitops_registry.audit.wanted import Wanted

    return Wanted(
        version=number, actor=actor, event=event.replace("-", "_"), stage=stage,
        since=instant(since, "--since") if since else None, until=instant(until, "--until", is_end=True) if until else None,
    )  # fmt: skip


def _denials(registry: Registry, about: str, wanted: Wanted) -> list[Entry]:
    name, version = split_reference(about)
    named = f"{name}@{wanted.version}" if name and wanted.version and not version else about
    return [entry for entry in registry.denials(named) if wanted.has(entry)][::-1]


def _with_denials(found: Iterable[Event], denials: list[Entry]) -> Iterator[Event | Entry]:
    """Yield decisions and refused pushes, newest first as their times say."""
    from gitops_registry.audit.proof import spelled

    for event in found:
        while denials and denials[0].time > spelled(event.time):
            yield denials.pop(0)
        yield event
    yield from denials


def _told(one: Event | Entry, judge: Registry | None) -> dict[str, Any]:
    """Return a decision as JSON-ready data; a registry that is to `judge` it asks the policies of its time again."""
    from gitops_registry.audit.decision import Event

    if not isinstance(one, Event):
        return one.to_json() | {"changes": [], "entries": [one.brief()], "subject": one.text}
    return one.to_json() | ({"entries": [entry.brief() for entry in judge.judge_again(one)]} if judge else {})


def _show(one: Event | Entry, judge: Registry | None) -> None:
    from gitops_registry.audit.decision import Event

    if not isinstance(one, Event):
        click.echo(f"{one.time[:16].replace('T', ' '):16}  {clean(one.actor or 'somebody')}")
        click.echo(f"    {clean(one.text)}")
        click.echo(f"    {click.style(one.grade, fg=_COLOURS[one.grade])}: {clean(one.proof)}")
        return
    from gitops_registry.audit.decision import entries_of

    through = f"  (through {clean(one.proposal)})" if one.proposal else ""
    click.echo(f"{one.time:%Y-%m-%d %H:%M}  {clean(one.commit.author)}{through}")
    for entry in entries_of(one):
        click.echo(f"    {clean(entry.text)}")
    if {author.name for author in one.authors} - {one.signer or one.commit.author}:
        click.echo(f"    proposed by {', '.join(clean(str(author)) for author in one.authors)}")
    for approval in one.approvals or ():
        click.echo(f"    {clean(str(approval))}")
    if one.approvals is None:
        click.echo("    who approved it cannot be read")
    if one.pull_request:
        click.echo(f"    pull request {clean(one.pull_request)}")
    if one.reason:
        click.echo(f"    {click.style('why:', fg='cyan')} {clean(one.reason)}")
    if judge is not None:
        from gitops_registry.auditing.rejudging import summary

        if told := summary(one, judge.judge_again(one)):
            click.echo(f"    {click.style('policies:', fg='cyan')} {clean(told)}")
    role = f" ({one.role})" if one.role else ""
    grade = click.style(one.grade, fg=_COLOURS[one.grade])
    click.echo(f"    {grade}: {clean(one.proof)}{clean(role)}, commit {click.style(one.commit.oid[:9], fg='yellow')}")
