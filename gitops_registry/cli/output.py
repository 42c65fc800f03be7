"""How things are printed: tables, colours on a terminal only, JSON, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.reporting import is_utf8, print_lines
from gitops_registry.errors import RegistryError
from gitops_registry.reporting.values import clean as clean
from gitops_registry.reporting.values import columns, json_text

if TYPE_CHECKING:
    from gitops_registry.audit.anchors import Anchor
    from gitops_registry.deciding import Outcome
    from gitops_registry.forge.interface import Forge
    from gitops_registry.policy.report import Finding
    from gitops_registry.registry import Registry

FINDINGS = 1

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Print the plan; write nothing.")
direct_option = click.option("--direct", is_flag=True, help="Commit at once, where registry.yaml allows it.")
reason_option = click.option(
    "-m",
    "--reason",
    default="",
    metavar="TEXT",
    help="Why; kept in the commit.",
    callback=lambda _ctx, _option, text: _as_typed(text),
)


pull_request_option = click.option(
    "--pull-request", is_flag=True, help="Push it and open a pull request, or bring the open one up to date."
)
propose_option = click.option("--propose", is_flag=True, help="Propose it, also where the registry takes it at once.")


def at_once(propose: bool) -> bool | None:
    """Return whether a change is committed at once: as the registry says, unless somebody wants it proposed."""
    return False if propose else None


def forge_for(registry: Registry, is_wanted: bool) -> Forge | None:
    """Return the forge of a registry, with the token of this environment, where a pull request is wanted."""
    import os

    return registry.forge(os.environ) if is_wanted else None


def _as_typed(text: str) -> str:
    """Return words of the command line as UTF-8, which they are nearly everywhere, whatever the locale says."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def opened(ctx: click.Context) -> Registry:
    """Return the registry the command line names."""
    from gitops_registry.registry import Registry

    return Registry.open(**ctx.obj, progress=progress())


def versions_in(words: Sequence[str]) -> list[str]:
    """Return references from the words of a command line: `NAME@REF` …, or a `NAME` followed by one or more `REF`."""
    if not words:
        return []
    first, *rest = words
    if "@" in first or first.startswith("models:/") or not rest:
        name = first.split("@")[0]
        return [first, *(word if "@" in word or word.startswith("models:/") else f"{name}@{word}" for word in rest)]
    return [word if "@" in word else f"{first}@{word}" for word in rest]


def one_version(words: Sequence[str]) -> str:
    """Return the one reference that the words name. Raises RegistryError."""
    found = versions_in(words)
    if len(found) != 1:
        raise RegistryError("name one version", hint="NAME@3, NAME@production, or two words: NAME 3")
    return found[0]


def pairs(values: Iterable[str], option: str) -> dict[str, str]:
    """Return KEY=VALUE words as a mapping. Raises RegistryError for anything else."""
    found = {}
    for value in values:
        key, sign, rest = value.partition("=")
        if not sign or not key:
            raise RegistryError(f"{option} {value!r} is not KEY=VALUE", hint=f"write {option} name=value")
        found[key] = rest
    return found


def print_json(data: Any) -> None:
    """Print data as JSON; text stays readable in any language, and cannot move the cursor."""
    click.echo(json_text(data, ascii_only=not is_utf8()))


def print_json_list(items: Iterable[Any]) -> None:
    """Print a list as JSON, as `print_json` does, each item when it comes: none of them is held."""
    before = "[\n"
    for item in items:
        text = json_text(item, ascii_only=not is_utf8()).replace("\n", "\n  ")
        click.echo(f"{before}  {text}", nl=False)
        before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, numbers: Sequence[int] = ()) -> None:
    """Print rows in columns as wide as they must be; columns in `numbers` are set to the right."""
    heading, *lines = columns([headings, *rows], numbers=numbers)
    click.secho(heading, bold=True)
    for line in lines:
        click.echo(line)


def facts(values: Mapping[str, Any]) -> None:
    """Print names and values in two columns, leaving out what is empty."""
    shown = {name: value for name, value in values.items() if value not in (None, "", (), [], {})}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"{click.style(name.ljust(width), fg='cyan')}  {clean(value)}")


def aliases_told(aliases: Mapping[str, int]) -> str | None:
    """Return the aliases of a model as one cell of a table."""
    return ", ".join(f"{alias} → {number}" for alias, number in aliases.items()) or None


def print_findings(findings: Iterable[Finding]) -> None:
    """Print findings that belong to no gate, each with its place and the next step."""
    from gitops_registry.policy.report import Report
    from gitops_registry.reporting import text
    from gitops_registry.reporting.review import Review

    print_lines(text.findings(Review(Report(tuple(findings)))))


def print_outcome(outcome: Outcome, *, dry_run: bool, what_next: Sequence[str] = ()) -> int:
    """Print what became of a change and return the exit code."""
    click.secho(clean(outcome.subject), bold=True)
    for change in outcome.changes:
        click.echo(f"  {clean(change)}")
    if not outcome.changes and not outcome.is_refused and outcome.commit is None:
        click.echo("  nothing changes")
    _print_report(outcome)
    for note in outcome.notes:
        click.echo(click.style("note: ", fg="cyan") + clean(note))
    if outcome.is_refused:
        refused = "refused" if not outcome.proposal else f"refused; {outcome.proposal} stays open"
        count = len(outcome.refusals)
        click.secho(f"{refused}: {count} finding{'s stand' if count > 1 else ' stands'} in the way", fg="red")
        return FINDINGS
    if dry_run:
        click.echo("dry run: nothing was written")
        return 0
    if outcome.proposal:
        number = f"pull request {outcome.request.number}, " if outcome.request and outcome.request.number else ""
        click.secho(f"proposed as {number}{clean(outcome.proposal)}", fg="green")
        if number and outcome.request:
            click.echo(clean(outcome.request.url))
    elif outcome.commit:
        click.secho(f"committed as {outcome.commit[:12]}", fg="green")
    for step in what_next:
        click.echo(f"next: {step}")
    return 0


def _print_report(outcome: Outcome) -> None:
    """Print, below the plan, champion and challenger of each move, the findings, and what policies came to."""
    from gitops_registry.reporting import text
    from gitops_registry.reporting.review import Review

    review = Review(outcome.report, outcome.refusals)
    print_lines(text.contests(review, program=command("").rstrip()), indent="  ")
    print_lines(text.findings(review))
    print_lines(text.policies(review))


def command(words: str) -> str:
    """Return what to type next, for the registry that this command line named."""
    import shlex

    path = click.get_current_context().find_root().params["path"]
    return f"gitops-registry {'' if path == '.' else f'-C {shlex.quote(path)} '}{words}"


def told(outcome: Outcome, *, as_json: bool, dry_run: bool) -> int:
    """Print what became of a change that may be a proposal, with what to do next, and return the exit code."""
    if as_json:
        print_json(outcome.to_json())
        return FINDINGS if outcome.is_refused else 0
    steps = (
        [command(f"check --head {outcome.proposal}"), command(f"merge {outcome.proposal}")] if outcome.proposal else []
    )
    return print_outcome(outcome, dry_run=dry_run, what_next=steps)


def note_anchor(anchor: Anchor) -> None:
    """Say what outside of the history says how it begins, or that nothing does."""
    click.echo(click.style("note: ", fg="cyan") + clean(anchor))


def progress() -> Callable[[str, int, int], None] | None:
    """Return what draws progress on a terminal's standard error; None in a pipe."""
    if not sys.stderr.isatty():
        return None
    last = ""

    def draw(what: str, done: int, total: int) -> None:
        nonlocal last
        share = f"{100 * done // total:3d} %" if total else f"{done / 1e6:.1f} MB" if done else "…"
        line = "" if total and done >= total else f"{what} {share}"
        if line != last:
            click.echo(f"\r\033[K{line}", nl=False, err=True)
            last = line

    return draw
