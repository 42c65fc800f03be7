"""gc."""

from __future__ import annotations

import click

from gitops_registry.cli.output import clean, json_option, opened, print_json, table

_SHOWN = 50


@click.command("gc")
@click.option("--cache", is_flag=True, help="Also in DVC's cache on this computer.")
@click.option("--yes", "remove", is_flag=True, help="Remove what is listed; without it, nothing is.")
@json_option
@click.pass_context
def gc_command(ctx: click.Context, cache: bool, remove: bool, as_json: bool) -> None:
    """List, and with --yes remove, the bytes in the default remote that no version and no proposal needs.

    Needed is what any branch, tag or checkout names, here or at git's remotes, which are fetched first. Bytes of versions
    that were deleted go: their facts stay in history. Whatever is younger than 14 days stays. The store inside the
    repository is never touched: it is committed with git and only grows.

    Only for a remote (and a cache) of this registry alone: the bytes of another registry or project in the same place
    are named by nobody here, and would go.
    """
    found = opened(ctx).gc(cache=cache, remove=remove)
    if as_json:
        print_json([one.to_json() for one in found])
        return
    for one in found:
        if one.note:
            click.echo(clean(f"{one.location}: {one.note}"))
            continue
        count = len(one.garbage) if one.removed is None else one.removed
        verb = "would remove" if one.removed is None else "removed"
        objects = f"{count:,} object{'' if count == 1 else 's'}"
        click.echo(clean(f"{verb} {objects}, {one.size:,} bytes, from {one.location}"))
        rows = [
            [g.name, f"{g.size:,}", f"{g.written:%Y-%m-%d}" if g.written else "", ", ".join(g.once)]
            for g in one.garbage
        ]
        if rows:
            table(["object", "bytes", "written", "once"], rows[:_SHOWN])
        if len(rows) > _SHOWN:
            click.echo(f"… and {len(rows) - _SHOWN:,} more (all of them: --json)")
        click.echo(f"{one.needed:,} needed; {one.young:,} not needed, but younger than 14 days")
    if not remove and any(one.garbage for one in found):
        click.echo(f"nothing was removed; next: gitops-registry gc {'--cache ' if cache else ''}--yes")
