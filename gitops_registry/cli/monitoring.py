"""monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitops_registry.cli.output import (
    FINDINGS,
    clean,
    dry_run_option,
    forge_for,
    json_option,
    opened,
    print_json,
    pull_request_option,
)

if TYPE_CHECKING:
    from gitops_registry.monitoring import Watched


@click.command("monitor")
@pull_request_option
@dry_run_option
@json_option
@click.pass_context
def monitor_command(ctx: click.Context, pull_request: bool, dry_run: bool, as_json: bool) -> int:
    """Measure what serves again, on the data its model pins, and judge it by the policies of today.

    A version that holds no more gets a proposal: its stage goes back to who held it before, where that one holds, else it
    is archived. Exit code 1 where something holds no more, or its bytes are damaged.
    """
    registry = opened(ctx)
    found = registry.monitor(forge=forge_for(registry, pull_request), dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "serving": [one.to_json() for one in found]})
    else:
        _tell(found, dry_run=dry_run)
    return 0 if all(one.holds for one in found) else FINDINGS


def _tell(found: list[Watched], *, dry_run: bool) -> None:
    for one in found:
        mark, colour = ("✓", "green") if one.holds else ("✗", "red")
        measured = one.measured.metrics if one.measured else {}
        values = ", ".join(f"{name} {value:.4f}" for name, value in measured.items())
        told = values or f"not measured: {one.unmeasured}"
        click.echo(click.style(mark, fg=colour) + clean(f" {one.reference} in {one.stage}: {told}"))
        for verdict in one.failed:
            click.echo(clean(f"    {verdict.policy}/{verdict.rule}: {verdict.message}"))
        _tell_demotion(one, dry_run=dry_run)
    click.echo(f"{len(found)} serve; {sum(not one.holds for one in found)} hold no more")
    if dry_run:
        click.echo("dry run: nothing was written")


def _tell_demotion(one: Watched, *, dry_run: bool) -> None:
    outcome = one.outcome
    if not one.holds and not one.is_worse:
        click.echo("    not proposed: it could not be measured, so nobody knows that it is worse")
    elif one.note:
        click.echo(clean(f"    not proposed: {one.note}"))
    elif outcome is not None and outcome.is_refused:
        click.echo(clean(f"    {outcome.subject} is refused: {outcome.refusals[0].message}"))
    elif outcome is not None:
        url = f" {outcome.request.url}" if outcome.request else ""
        said = "would be proposed" if dry_run else f"proposed as {outcome.proposal}{url}"
        click.secho(clean(f"    {outcome.subject}: {said}"), fg="yellow")
