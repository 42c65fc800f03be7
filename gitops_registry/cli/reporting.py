"""How a review is delivered: to the terminal in colours, to a file, to GitHub's log and summary."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.errors import RegistryError
from gitops_registry.reporting.values import json_text

if TYPE_CHECKING:
    from gitops_registry.reporting.review import Review
    from gitops_registry.reporting.text import Line

FORMATS = ("text", "json", "github", "sarif", "junit", "markdown")
_STYLES: dict[str, dict[str, Any]] = {
    "": {},
    "heading": {"bold": True},
    "passed": {"fg": "green"},
    "refused": {"fg": "red"},
    "warning": {"fg": "yellow"},
    "unchecked": {"fg": "cyan"},
    "better": {"fg": "green"},
    "worse": {"fg": "red"},
}

output_option = click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there; print the text."
)


def format_option(*formats: str) -> Callable[[Any], Any]:
    """Return the option `--format` of a command that knows these formats."""
    return click.option(
        "--format", "how", type=click.Choice(formats), default=None, help="text, where nothing else is said."
    )


def chosen(how: str | None, *, as_json: bool) -> str:
    """Return the format that a command line asks for. Raises RegistryError where it asks for two."""
    if as_json and how not in (None, "json"):
        raise RegistryError(f"--json and --format {how} are two formats", hint="keep one of them")
    return "json" if as_json else how or "text"


def print_lines(lines: Iterable[Line], *, indent: str = "", to_stderr: bool = False) -> None:
    """Print lines, with colours on a terminal."""
    for line in lines:
        text = "".join(click.style(span.text, **_STYLES[span.style]) if span.style else span.text for span in line)
        click.echo(indent + text, err=to_stderr)


def deliver(review: Review, how: str, *, output: Path | None, program: str) -> None:
    """Write a review as `how` to a file or to standard output; a file leaves the text for whoever reads the log.

    As `github`, the text goes into the log and the Markdown to the step's summary, where there is one.
    """
    from gitops_registry.reporting import text

    lines = text.terminal(review, program=program)
    summary = os.environ.get("GITHUB_STEP_SUMMARY") if how == "github" else None
    if output is not None:
        document = text.as_text(lines) if how == "text" else _document(review, how)
        output.write_text(document, encoding="utf-8", errors="backslashreplace")
    if how == "text" or output is not None:
        print_lines(lines)
    else:
        if summary:
            print_lines(lines, to_stderr=True)
        click.echo(_document(review, how, ascii_only=not is_utf8()), nl=False)
    if summary:
        _append(review, Path(summary))


def write_sarif(review: Review, file: Path) -> None:
    """Write a review as SARIF, beside whatever else is made of it."""
    file.write_text(_document(review, "sarif"), encoding="utf-8", errors="backslashreplace")


def _document(review: Review, how: str, *, ascii_only: bool = False) -> str:
    if how == "json":
        return json_text(review.to_json(), ascii_only=ascii_only) + "\n"
    if how == "github":
        from gitops_registry.reporting.github import commands

        return "".join(f"{command}\n" for command in commands(review))
    if how == "sarif":
        from gitops_registry import __version__
        from gitops_registry.reporting.sarif import sarif

        return json_text(sarif(review, release=__version__), ascii_only=ascii_only) + "\n"
    if how == "junit":
        from gitops_registry.reporting.junit import junit

        return junit(review, ascii_only=ascii_only)
    from gitops_registry.reporting.markdown import markdown

    return markdown(review)


def is_utf8() -> bool:
    """Whether standard output shows every language."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"


def _append(review: Review, summary: Path) -> None:
    """Append the Markdown to the summary of the step, as far as it has room: GitHub drops one that is too long."""
    from gitops_registry.reporting.github import SUMMARY_LIMIT
    from gitops_registry.reporting.markdown import markdown

    room = SUMMARY_LIMIT - (summary.stat().st_size if summary.exists() else 0) - 1
    text = markdown(review, limit=room)
    if len(text.encode()) > room:
        click.echo("note: the summary of this step is full; nothing was added to it", err=True)
        return
    with summary.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{text}\n")
