"""verify --changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitops_registry.cli.evaluating import print_measured
from gitops_registry.cli.output import FINDINGS, clean, print_json, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_registry.evaluating import Evaluated, Remeasured
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
        print_remeasured(found)
        if not found:
            click.echo("the change is about no version that could be measured")
    return FINDINGS if any(one.is_wrong for one in found) else 0


def print_remeasured(found: Sequence[Remeasured]) -> None:
    """Print what was measured of each version, then a line each that says what came of it."""
    print_measured([one.found for one in found if one.found is not None])
    for one in found:
        mark = click.style("✗ ", fg="red") if one.is_wrong else click.style("✓ ", fg="green") if _agrees(one) else "· "
        click.echo(mark + clean(f"{one.reference}: {_said(one)}"))


def _agrees(one: Remeasured) -> bool:
    """Whether anything that somebody said was measured again; a version of which nothing could be compared is not verified."""
    return one.found is not None and bool(one.found.differences)


def _said(one: Remeasured) -> str:
    if one.found is None:
        return f"not measured: {one.reason}"
    told = [one.reason] if one.reason else _agreements(one.found)
    return "; ".join([*told, *one.found.notes])


def _agreements(found: Evaluated) -> list[str]:
    """Say what was compared and is right."""
    same = len(found.differences)
    told = [
        f"{same} metric{'' if same == 1 else 's'} as registered" if same else "the registered metrics are of other rows"
    ]
    told += [f"{name} agrees on {one.agreement:.2%} of {one.rows} rows" for name, one in found.parities.items()]
    return [*told, *([f"its input example of {found.example} rows fits"] if found.example is not None else [])]
