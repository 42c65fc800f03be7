"""approve."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gitops_registry.cli.completing import branches
from gitops_registry.cli.output import clean, command, dry_run_option, json_option, opened, print_json
from gitops_registry.cli.reporting import print_lines
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from gitops_registry.reviewing import Review


@click.command("approve")
@click.argument("branch", shell_complete=branches)
@click.option("--comment", default="", metavar="TEXT", help="Why; kept in the commit.")
@click.option("--reject", is_flag=True, help="Say that it should not land; it then does not, until you approve it.")
@click.option("--plan", default="", metavar="DIGEST", help="Only if it is still the plan with this digest.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@dry_run_option
@click.pass_context
def approve_command(
    ctx: click.Context, branch: str, comment: str, reject: bool, plan: str, yes: bool, as_json: bool, dry_run: bool
) -> None:
    """Look at what BRANCH would change, and sign that it should land.

    An approval is an empty commit on the branch, signed with your key. It counts for this very plan, from a person who may
    decide it and wrote none of it, as long as nobody decides about the same models first.
    """
    registry = opened(ctx)
    if not as_json:
        plan = _shown(registry.approve(branch, reject=reject, plan=plan, dry_run=True), branch)
        if (
            not (yes or dry_run)
            and sys.stdin.isatty()
            and not click.confirm(f"{'reject' if reject else 'approve'} it?")
        ):
            raise RegistryError("nothing was said", hint=f"look again: {command(f'plan {branch}')}")
    if dry_run and not as_json:
        click.echo("dry run: nothing was written")
        return
    review = registry.approve(branch, reject=reject, comment=comment, plan=plan, dry_run=dry_run)
    if as_json:
        print_json(review.to_json())
        return
    for note in review.notes:
        click.echo(click.style("note: ", fg="cyan") + clean(note))
    done = "rejected" if reject else "approved"
    click.secho(f"{done} by {clean(review.member)}, as {(review.commit or '')[:12]}", fg="red" if reject else "green")
    if not reject:
        click.echo(f"next: {command(f'merge {review.branch}')}")


def _shown(review: Review, branch: str) -> str:
    """Print the plan that is about to be signed, with what the check says of it, and return its digest."""
    from gitops_registry.policy.report import DECISION
    from gitops_registry.reporting import text
    from gitops_registry.reporting.review import Review as Look

    click.secho(clean(branch), bold=True)
    print_lines(text.plan(review.report.changes), indent="  ")
    look = Look.at(DECISION, review.report, base="", head=branch)
    print_lines(text.contests(look, program=command("").rstrip()), indent="  ")
    print_lines(text.findings(look))
    print_lines(text.policies(look))
    click.echo(f"plan {review.plan[:12]}")
    return review.plan
