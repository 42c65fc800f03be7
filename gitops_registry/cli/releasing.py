"""release-tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitops_registry.cli.output import FINDINGS, json_option, opened, print_json

if TYPE_CHECKING:
    from gitops_registry.releasing import Released

_SHOWN = 20
_COMMAND = "release-tags"


@click.command(_COMMAND)
@click.option("--push", "to_remote", is_flag=True, help="Bring the tags to the remote of the branch of decisions.")
@click.option("--dry-run", is_flag=True, help="Say what would be tagged and pushed; ask the remote, write nothing.")
@json_option
@click.pass_context
def release_tags_command(ctx: click.Context, to_remote: bool, dry_run: bool, as_json: bool) -> int:
    """Tag the decision that registered each version as NAME@N, where that tag is missing.

    Tags are annotated, and signed where git signs your commits. One that stands elsewhere is told and never moved. With
    `interop: gto` in registry.yaml the tags that GTO reads come along.
    """
    found = opened(ctx).release_tags(push=to_remote, dry_run=dry_run)
    if as_json:
        print_json({**found.to_json(), "dry_run": dry_run})
    else:
        _tell(found, dry_run=dry_run)
    return FINDINGS if found.wrong or (found.of_gto and found.of_gto.wrong) else 0


def _tell(found: Released, *, dry_run: bool) -> None:
    commits = {str(one.reference): one.commit for one in found.releases}
    new = [*found.made, *(name for name in found.pushed if name not in found.made)]
    for name in new[:_SHOWN]:
        click.echo(f"  {name}  {commits[name][:12]}")
    if len(new) > _SHOWN:
        click.echo(f"  … and {len(new) - _SHOWN} more")
    for one in found.wrong:
        click.secho(
            f"✗ {one.reference} marks {one.found[:12]}{' at ' + one.where if one.where else ''},"
            f" and {one.commit[:12]} registered it; it was not moved",
            fg="red",
        )
    would = "would be " if dry_run else ""
    if found.of_gto:
        for name, tag in list(found.of_gto.wanted.items())[:_SHOWN]:
            click.echo(f"  {name}  {tag.commit[:12]}")
        for line in (*found.of_gto.wrong, *found.of_gto.unsaid):
            click.echo(f"! {line}")
    told = [f"{len(found.made)} {would}tagged"]
    if found.remote:
        told.append(f"{len(found.pushed)} {would}pushed to {found.remote}")
    told.append(f"{len(found.releases)} versions in all")
    if found.of_gto:
        told.append(f"{len(found.of_gto.wanted)} {would}tagged for GTO")
    click.echo("; ".join(told))
