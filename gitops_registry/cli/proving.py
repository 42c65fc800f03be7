"""verify --changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitops_registry.cli.evaluating import print_measured
from gitops_registry.cli.output import FINDINGS, clean, print_json, table

if TYPE_CHECKING:
    from gitops_registry.registry import Registry


def verify_changed(registry: Registry, *, base: str, head: str, measure: bool, as_json: bool) -> int:
    """Verify, or measure, what a change is about; return the exit code."""
    told = _measured if measure else _fetched
    return told(registry, base, head, as_json=as_json)


def _fetched(registry: Registry, base: str, head: str, *, as_json: bool) -> int:
    found = registry.fetch_changed(base=base, head=head)
    if as_json:
        print_json({"base": base, "head": head, "artifacts": [dict(one.__dict__) for one in found]})
    elif found:
        rows = [[one.what, one.file, f"{one.size:,}", one.sha256[:12], clean(one.problem or "ok")] for one in found]
        table(["version", "file", "bytes", "sha256", ""], rows)
    else:
        click.echo("the change brings no bytes and lets none serve")
    return FINDINGS if any(one.problem for one in found) else 0


def _measured(registry: Registry, base: str, head: str, *, as_json: bool) -> int:
    found = registry.measure_changed(base=base, head=head)
    if as_json:
        print_json({"base": base, "head": head, "versions": [one.to_json() for one in found]})
    else:
        print_measured([one.found for one in found if one.found is not None])
        for one in found:
            said = "as registered" if one.found and not one.reason else one.reason
            said = said if one.found else f"not measured: {said}"
            click.echo(
                click.style("✗ " if one.is_wrong else "· ", fg="red" if one.is_wrong else None)
                + clean(f"{one.reference}: {said}")
            )
        if not found:
            click.echo("the change is about no version that could be measured")
    return FINDINGS if any(one.is_wrong for one in found) else 0
