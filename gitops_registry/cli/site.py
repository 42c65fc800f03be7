"""`site`: pages for people who look, built as files, or shown here while the registry changes."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from gitops_registry.cli.output import FINDINGS, clean, json_option, opened, print_json

_MOST_TOLD = 10
"""Pages without a card, and manifests without a page, that are named one by one."""


_ENDS = (signal.SIGTERM, signal.SIGHUP)
"""What ends a server of pages as Ctrl-C does: whoever runs services, and a terminal that is closed."""


@click.group("site")
def site_command() -> None:
    """Build pages of the registry: models, cards with charts, comparisons, the audit log, policies."""


@site_command.command("build")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("site"), show_default=True, metavar="FOLDER", help="Where; a folder that is empty, or holds the site of an earlier build.")  # fmt: skip
@click.option("--url", default="", metavar="URL", help="Where the site will be seen, for the addresses in the feed.")
@click.option("--fresh", is_flag=True, help="Make every page anew, not only those whose contents changed.")
@json_option
@click.pass_context
def _build(ctx: click.Context, out: Path, url: str, fresh: bool, as_json: bool) -> int:
    """Build the site as files that need no server: open FOLDER/index.html, or put the folder on any web host.

    Where the registry's own template of cards fails at a version, its page says so; a manifest that cannot be read is told on the
    index. All others are built, and the exit code is 1.
    """
    from gitops_registry.site.building import build

    built = build(opened(ctx).place, out, url=url, is_anew=fresh)
    if as_json:
        print_json(built.to_json())
        return 0 if built.is_whole else FINDINGS
    told = f"{built.made} of {built.pages} pages made"
    told += f", {built.removed} removed" if built.removed else ""
    click.echo(f"{built.folder / 'index.html'}  {told}, of {built.commit[:9]}")
    for path, why in list(built.problems.items())[:_MOST_TOLD]:
        click.echo(f"{clean(path)}.html has no card: {clean(why.message)}", err=True)
    if (more := len(built.problems) - _MOST_TOLD) > 0:
        click.echo(f"and {more} more: --json names all", err=True)
    for unread in built.unread[:_MOST_TOLD]:
        click.echo(f"not shown: {clean(unread)}", err=True)
    if (more := len(built.unread) - _MOST_TOLD) > 0:
        click.echo(f"and {more} more: --json names all", err=True)
    for hint in dict.fromkeys(why.hint for why in built.problems.values() if why.hint):
        click.echo(f"hint: {clean(hint)}", err=True)
    return 0 if built.is_whole else FINDINGS


@site_command.command("serve")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=None, metavar="FOLDER", help="Where to build; a temporary folder without it.")  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes any that is free."
)
@click.pass_context
def _serve(ctx: click.Context, out: Path | None, port: int) -> None:
    """Build the site and show it on this machine until Ctrl-C; after each decision it is built again."""
    from gitops_registry.site.serving import serve

    interrupt = signal.getsignal(signal.SIGINT)
    interrupt = interrupt if callable(interrupt) else signal.default_int_handler

    def end(number: int, frame: FrameType | None) -> None:
        for other in _ENDS:
            signal.signal(other, signal.SIG_IGN)  # the folder is cleared up; nothing interrupts that
        interrupt(number, frame)

    for number in _ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, end)
    serve(opened(ctx).place, out, port=port, says=lambda line: click.echo(line))
