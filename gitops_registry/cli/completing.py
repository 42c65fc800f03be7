"""What a shell completes: models, references, stages and proposals of the registry that is here. It never fails, and asks no network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING

import click

from gitops_registry.address import address

if TYPE_CHECKING:
    from gitops_registry.workplace import Workplace

Completer = Callable[[click.Context, click.Parameter, str], list[str]]
_MOST = 200
_PLAIN = re.compile(r"[\w@./+-]*")
"""Words that mean nothing else to any shell: bash puts what is offered into the line as it is. git lets others call a branch
`change/$(…)`.
"""


def _found(look: Callable[[Workplace, list[str], str], Iterable[str]]) -> Completer:
    """Return a completer from a look at the registry: its place, the words before, and what is typed so far."""

    @wraps(look)
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            where = ctx.find_root().params.get("path") or "."
            if address(where).url:
                return []
            from pathlib import Path

            from gitops_registry.workplace import Workplace

            before = ctx.params.get(param.name or "") or ()
            words = [before] if isinstance(before, str) else list(before)
            found = look(Workplace.open(Path(where)), words, incomplete)
            return [word for word in found if word.startswith(incomplete) and _PLAIN.fullmatch(word)][:_MOST]
        except Exception:  # a shell shows what a completion prints in the middle of the line
            return []

    return complete


@_found
def references(place: Workplace, words: list[str], incomplete: str) -> Iterable[str]:
    """Models; behind `NAME@`, or as a second word, what names a version of it."""
    snapshot = place.snapshot()
    name, at, _ = incomplete.partition("@")
    if at or (words and snapshot.model(words[0])):
        start = f"{name}@" if at else ""
        model = snapshot.model(name if at else words[0])
        if model is None or model.is_gone:
            return []
        numbers = snapshot.versions(model.name)
        held = [stage for stage, there in model.stages.items() if there]
        return [f"{start}{word}" for word in (*map(str, reversed(numbers)), *held, *model.aliases, "latest")]
    return snapshot.live_models()


@_found
def stages(place: Workplace, _words: list[str], _incomplete: str) -> Iterable[str]:
    """The stages of the registry."""
    return [stage.name for stage in place.snapshot().constitution.stages]


@_found
def branches(place: Workplace, _words: list[str], _incomplete: str) -> Iterable[str]:
    """The proposals that are open here."""
    from gitops_registry.workplace import PREFIXES

    found = place.repository.branches(*(f"refs/heads/{prefix}" for prefix in PREFIXES), beyond=place.tip())
    return [ref.removeprefix("refs/heads/") for ref in found]


@_found
def policies(place: Workplace, _words: list[str], _incomplete: str) -> Iterable[str]:
    """The policies of the registry."""
    names = place.snapshot().children("policies")
    return [name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and name != "access.yaml"]


_BASH = "# name@3 is one word, and bash would break it at the @\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//@/}\n"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print what makes a shell complete commands, options, models, references, stages and proposals."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    source = found(root, {}, "gitops-registry", "_GITOPS_REGISTRY_COMPLETE").source()
    if shell == "fish":  # which would end what an option does at its first comma
        source = source.replace('string split "," $completion', 'string split --max 1 "," $completion')
    click.echo((_BASH if shell == "bash" else "") + source)
