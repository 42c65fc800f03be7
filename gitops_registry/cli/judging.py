"""plan, merge, push, proposals."""

from __future__ import annotations

import os

import click

from gitops_registry.cli.checking import WORK_TREE
from gitops_registry.cli.completing import branches
from gitops_registry.cli.output import (
    FINDINGS,
    clean,
    command,
    dry_run_option,
    forge_for,
    json_option,
    opened,
    print_json,
    print_outcome,
    reason_option,
    table,
)
from gitops_registry.cli.reporting import chosen, format_option, print_lines


@click.command("plan")
@click.argument("branch", required=False, shell_complete=branches)
@click.option("--base", metavar="REV", help="What it is compared with; without it, the branch of decisions.")
@format_option("text", "json", "markdown")
@json_option
@click.pass_context
def plan_command(ctx: click.Context, branch: str | None, base: str | None, how: str | None, as_json: bool) -> None:
    """Print what BRANCH would change if it landed; without one, what the work tree changes."""
    from gitops_registry.changes import plan_digest, to_json
    from gitops_registry.reporting import markdown, text

    how = chosen(how, as_json=as_json)
    registry = opened(ctx)
    changes = registry.plan(base=base, head=branch)
    if how == "json":
        print_json({"digest": plan_digest(changes), "changes": [to_json(change) for change in changes]})
    elif how == "markdown":
        is_work_tree = branch is None and registry.place.repository.work_tree is not None
        onto = base or ("HEAD" if is_work_tree else registry.place.branch)
        head = WORK_TREE if is_work_tree else branch or "HEAD"
        click.echo(markdown.plan(changes, base=onto, head=head), nl=False)
    else:
        print_lines(text.plan(changes))


@click.command("merge")
@click.argument("branch", shell_complete=branches)
@click.option(
    "--forge/--no-forge",
    default=None,
    help="Take reviews on the forge for approvals; so it is where registry.yaml names one.",
)
@click.option(
    "--by-forge", is_flag=True, help="Let the forge make the merge, as its button does; it only attests who did."
)
@reason_option
@json_option
@dry_run_option
@click.pass_context
def merge_command(
    ctx: click.Context, branch: str, forge: bool | None, by_forge: bool, reason: str, as_json: bool, dry_run: bool
) -> int:
    """Land a proposal: judged again on the present tip, then one merge commit.

    Where its pull request is on a forge, reviews by members count as approvals, and the commit, signed by whoever merges,
    says which did.
    """
    registry = opened(ctx)
    wanted = registry.is_on_forge if forge is None else forge
    if by_forge:
        outcome = registry.merge_there(branch, registry.forge(os.environ), reason=reason, dry_run=dry_run)
    else:
        outcome = registry.merge(branch, reason=reason, dry_run=dry_run, forge=forge_for(registry, wanted))
    if as_json:
        print_json(outcome.to_json())
        return FINDINGS if outcome.is_refused else 0
    return print_outcome(outcome, dry_run=dry_run)


@click.command("push")
@json_option
@dry_run_option
@click.pass_context
def push_command(ctx: click.Context, as_json: bool, dry_run: bool) -> None:
    """Bring decisions and open proposals to the remote, on top of what others decided meanwhile."""
    published = opened(ctx).push(dry_run=dry_run)
    if as_json:
        print_json({**published.__dict__, "dry_run": dry_run})
        return
    for note in published.notes:
        click.echo(clean(note))
    for word, names in (("proposed there", published.proposals), ("landed, taken away there", published.closed)):
        for name in names:
            click.echo(f"  {clean(name)}: {word}")
    count = f"{published.decisions} decision{'' if published.decisions == 1 else 's'}"
    click.echo(f"{'would push' if dry_run else 'pushed'} {count} to {clean(published.remote)}")


@click.group("proposals", invoke_without_command=True)
@json_option
@click.pass_context
def proposals_command(ctx: click.Context, as_json: bool) -> None:
    """List, show or close proposals."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(_list, as_json=as_json)


@proposals_command.command("list")
@json_option
@click.pass_context
def _list(ctx: click.Context, as_json: bool = False) -> None:
    """List the open proposals."""
    found = list(opened(ctx).proposals())
    if as_json:
        print_json([proposal.to_json() for proposal in found])
        return
    if not found:
        click.echo("no proposal is open")
        return
    rows = [[p.branch, p.head.author, "; ".join(map(str, p.changes)) or "nothing", p.state] for p in found]
    table(["proposal", "author", "plan", "state"], rows)


@proposals_command.command("show")
@click.argument("branch", shell_complete=branches)
@json_option
@click.pass_context
def _show(ctx: click.Context, branch: str, as_json: bool) -> int:
    """Show one proposal: its plan, and what the check says of it as it would land."""
    from gitops_registry.proposals import proposal
    from gitops_registry.reporting import text
    from gitops_registry.reporting.review import Review

    found = proposal(opened(ctx).place, branch)
    if as_json:
        print_json(found.to_json())
    else:
        click.secho(f"{clean(found.head.subject)}, by {clean(found.head.author)}", bold=True)
        for change in found.changes:
            click.echo(f"  {clean(change)}")
        if found.reason:
            click.echo(f"  why: {clean(found.reason)}")
        if found.report:
            review = Review(found.report, found.refusals)
            print_lines(text.contests(review, program=command("").rstrip()), indent="  ")
            print_lines(text.findings(review))
            print_lines(text.policies(review))
        click.echo(clean(found.state))
    return FINDINGS if found.problem or found.refusals else 0


@proposals_command.command("close")
@click.argument("branch", shell_complete=branches)
@dry_run_option
@click.pass_context
def _close(ctx: click.Context, branch: str, dry_run: bool) -> None:
    """Close a proposal without landing it."""
    from gitops_registry.proposals import close

    head = close(opened(ctx).place, branch, dry_run=dry_run)
    click.echo(
        f"{'would close' if dry_run else 'closed'} {branch}; bring it back with: git branch {branch} {head[:12]}"
    )
