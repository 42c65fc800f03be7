"""card: show it, edit its words, say what is missing, render old ones anew."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.completing import references
from gitops_registry.cli.output import (
    FINDINGS,
    clean,
    command,
    dry_run_option,
    json_option,
    one_version,
    opened,
    print_json,
    print_outcome,
    propose_option,
    table,
)
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from gitops_registry.deciding import Outcome
    from gitops_registry.registry import Registry
    from gitops_registry.renewing import Status

FORMATS = ("markdown", "json", "html", "huggingface")


@click.command("card")
@click.argument("words", nargs=-1, metavar="[edit|status] [NAME@REF]", shell_complete=references)
@click.option("--format", "form", type=click.Choice(FORMATS), help="As what; Markdown without it.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it to a new file.")
@click.option(
    "--language", metavar="TAG", help="Another language than the registry's: en, ja, or one with labels of its own."
)
@click.option("--update", is_flag=True, help="Commit the words of card.yaml with the card rendered from them.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    help="Where the words are; without it, the version's card.yaml in the work tree.",
)
@click.option("--all", "is_all", is_flag=True, help="Render all cards anew that an older template made, in one change.")
@propose_option
@json_option
@dry_run_option
@click.pass_context
def card_command(ctx: click.Context, /, words: tuple[str, ...], as_json: bool, dry_run: bool, **given: Any) -> int:
    """Print the model card of a version, or commit new words for it with --update.

    card edit NAME@REF opens $VISUAL or $EDITOR on the words, each field with a line that says what belongs there, and commits
    them. card status [NAME[@REF]] says what is missing, of what serves or of those that are named; with exit code 1 where
    something that serves lacks words. card --all renders anew what an older template, or another language, made.
    """
    first, rest = (words[0], words[1:]) if words else ("", ())
    direct = False if given["propose"] else None
    if given["is_all"]:
        if words or given["source"] or given["update"]:
            raise RegistryError("--all is about every version", hint="leave out what names one")
        return _told(opened(ctx).renew_cards(direct=direct, dry_run=dry_run), as_json, dry_run)
    if first == "status":
        return _status(opened(ctx), rest, as_json)
    registry = opened(ctx)
    if first == "edit" and (rest or registry.snapshot.model("edit") is None):
        return _edit(registry, one_version(rest), direct, as_json, dry_run)
    reference = one_version(words)
    if given["update"] or given["source"] is not None:
        return _update(registry, reference, given["source"], direct, as_json, dry_run)
    if as_json and given["form"] not in {None, "json"}:
        raise RegistryError(f"--json and --format {given['form']} exclude each other", hint="leave one of the two out")
    return _show(registry, reference, "json" if as_json else given["form"] or "markdown", given)


def _show(registry: Registry, reference: str, form: Any, given: dict[str, Any]) -> int:
    if form == "json":
        from gitops_registry.reporting.values import json_text

        text = json_text(registry.card_data(reference)) + "\n"
    else:
        text = registry.card(reference, language=given["language"], form=form)
    if (target := given["output"]) is None:
        if form == "json":
            print_json(registry.card_data(reference))
        else:
            sys.stdout.write(text)
        return 0
    try:
        is_device = target.exists() and not (target.is_file() or target.is_dir())  # is written into, never replaced
        with target.open("w" if is_device else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise RegistryError(f"{target} is there already", hint="remove it, or name another place: -o FILE") from error
    click.echo(f"written to {clean(target)}", err=True)
    return 0


def _update(
    registry: Registry, reference: str, source: Path | None, direct: bool | None, as_json: bool, dry_run: bool
) -> int:
    file = source or _card_file(registry, reference)
    outcome = registry.update_card(reference, _read(file), source=str(file), direct=direct, dry_run=dry_run)
    return _told(outcome, as_json, dry_run)


def _told(outcome: Outcome, as_json: bool, dry_run: bool) -> int:
    if as_json:
        print_json(outcome.to_json())
        return FINDINGS if outcome.is_refused else 0
    steps = [command(f"merge {outcome.proposal}")] if outcome.proposal else []
    return print_outcome(outcome, dry_run=dry_run, what_next=steps)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RegistryError(f"cannot read {file}: {error.strerror}", hint="name the file: --from card.yaml") from error


def _card_file(registry: Registry, reference: str) -> Path:
    from gitops_registry import paths

    tree = registry.place.repository.work_tree
    if tree is None:
        raise RegistryError("a bare repository has no card.yaml to edit", hint="name the file: --from card.yaml")
    return Path(tree) / paths.card_path(*registry.resolve(reference))


# ── card edit


def _edit(registry: Registry, reference: str, direct: bool | None, as_json: bool, dry_run: bool) -> int:
    """Open the editor on the words and commit what comes back; a file that is no card is kept, and edited on next time."""
    from gitops_registry.card.form import filled_in

    if not (os.environ.get("VISUAL") or os.environ.get("EDITOR")) and not sys.stdin.isatty():
        raise RegistryError(
            "no editor is named", hint="EDITOR=vi gitops-registry card edit NAME@REF, or: card NAME@REF --from FILE"
        )
    draft = registry.card_draft(reference)
    before = draft.file.read_bytes()
    try:
        click.edit(filename=str(draft.file))
    except click.ClickException as error:
        raise RegistryError(
            f"{error.format_message()}; the words are kept in {draft.file}", hint="name an editor: EDITOR=vi"
        ) from error
    after = draft.file.read_bytes()
    if after == before and draft.is_new:
        draft.file.unlink()
        click.echo("nothing changes")
        return 0
    try:
        outcome = registry.update_card(
            str(draft.reference),
            filled_in(after),
            source=str(draft.file),
            since=draft.since,
            direct=direct,
            dry_run=dry_run,
        )
    except RegistryError as error:
        again = command(f"card edit {draft.reference}")
        raise RegistryError(
            f"{error.message}; nothing was committed", hint=f"the file is kept; go on with: {again}"
        ) from error
    if not outcome.is_refused and not dry_run:
        draft.file.unlink()
    elif not as_json:
        click.echo(f"the words are kept in {clean(draft.file)}", err=True)
    return _told(outcome, as_json, dry_run)


# ── card status


def _status(registry: Registry, rest: tuple[str, ...], as_json: bool) -> int:
    from gitops_registry.renewing import live_serving, statuses

    snapshot = registry.snapshot
    wanted = _named(registry, rest) if rest else live_serving(snapshot)
    found = statuses(snapshot, wanted)
    lacking = any(one.serves and not one.is_finished for one in found)
    if as_json:
        print_json([one.to_json() for one in found])
    elif not found:
        click.echo("no version serves" if not rest else "there is no version")
    else:
        _print(found)
    return FINDINGS if lacking else 0


def _named(registry: Registry, rest: tuple[str, ...]) -> list[Any]:
    """Return the versions that the words name: of a bare model, all of them."""
    if len(rest) == 1:
        return list(registry.snapshot.resolve_all(rest[0]))
    return [registry.resolve(one_version(rest))]


def _print(found: list[Status]) -> None:
    table(
        ["version", "stage", "missing", "too short", "not written", "card"],
        [
            [str(one.reference), one.stage, ", ".join(one.missing) or None, ", ".join(one.short) or None, ", ".join(one.optional) or None, one.rendered]
            for one in found
        ],
    )  # fmt: skip
    unfinished = [one for one in found if not one.is_finished]
    for one in unfinished[:3]:
        click.echo(f"next: {command(f'card edit {one.reference}')}")
    if any(one.rendered == "old" for one in found):
        click.echo(f"next: {command('card --all')}")
