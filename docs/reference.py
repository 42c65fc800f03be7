"""Write docs/commands.md and docs/reference.md anew from the code: python docs/reference.py."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gitops_registry.audit.entries import DENIED, DEPLOYED, TYPES, UNREADABLE
from gitops_registry.cli.main import GROUPS, cli
from gitops_registry.manifest.kinds import KINDS
from gitops_registry.manifest.schema import json_schema
from gitops_registry.policy.check import DECISIONS, INVARIANTS

DOCS = Path(__file__).parent
HEAD = "<!-- written by docs/reference.py from the code: python docs/reference.py -->\n"
EVENTS = {
    "model_registered": "a model has its first version, or comes back",
    "model_updated": "its title, description, owners, tags, evaluation data or spent numbers are others",
    "model_renamed": "it has another name; the old one is spent",
    "model_deleted": "it is gone; its name and numbers are spent",
    "version_registered": "a version is there",
    "version_deleted": "a version is gone; its number is spent",
    "stage_transition": "a version went from one stage to another",
    "alias_set": "an alias names another version",
    "alias_removed": "an alias names nothing any more",
    "card_updated": "the words of a version are others",
    "evaluation_added": "a measurement or a comparison of formats was recorded",
    "policy_changed": "a policy or a waiver is another",
    "permission_changed": "members, roles or keys are others",
    "registry_changed": "`registry.yaml`, jobs, templates or another file that governs is another",
    "immutable_violated": "something that never changes was changed: always refused",
    "unknown_file_changed": "a file that is none of a registry's",
    DEPLOYED: "a version came into a stage that serves",
    UNREADABLE: "what a decision changed cannot be read",
    DENIED: "a push was refused (from a server's records)",
}
CODES = [
    ("0", "done, nothing to say against it"),
    ("1", "findings: the check refused, or something is not as it should be"),
    ("2", "could not do it: what is missing, and what to type"),
    ("3", "a bug of ours"),
    ("130", "interrupted"),
]
VARIABLES = [
    ("GITOPS_REGISTRY_CACHE", "the folder of managed clones of URLs"),
    ("GITOPS_REGISTRY_DEBUG", "shows the traceback of a bug of ours"),
    ("GH_TOKEN, GITHUB_TOKEN, GITLAB_TOKEN, CI_JOB_TOKEN, GITEA_TOKEN, FORGEJO_TOKEN", "tokens of forges ([forges](forges.md))"),
    ("VISUAL, EDITOR", "what `card edit` opens"),
    ("NO_COLOR", "no colours; a pipe has none either"),
]  # fmt: skip


def commands() -> str:
    """Return the page of all commands, in the order of `gitops-registry --help`."""
    parts = ["# Commands", HEAD, "What each command prints with `--help`. The examples are run by the tests.\n"]
    context = click.Context(cli, info_name="gitops-registry")
    for heading, there in GROUPS.items():
        parts.append(f"## {heading}\n")
        for name in there:
            command = cli.get_command(context, name)
            assert command is not None
            for words, found, at in _below(command, name, context):
                parts.append(f"{'####' if ' ' in words else '###'} {words}\n")
                parts.append(f"```text\n{found.get_help(at)}\n```\n")
    return "\n".join(parts).rstrip() + "\n"


def _below(
    command: click.Command, words: str, parent: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(
        command, info_name=words.rsplit(" ", maxsplit=1)[-1], parent=parent, terminal_width=100, max_content_width=100
    )
    yield words, command, context
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _below(below, f"{words} {name}", context)


def reference() -> str:
    """Return the page of kinds, events, rules, exit codes and variables."""
    assert set(EVENTS) == set(TYPES)
    parts = ["# Reference", HEAD, "## Exit codes\n", *_table("exit code", "means", CODES)]
    parts += [
        "\n## Kinds of files\n",
        "`gitops-registry schema KIND` prints the JSON Schema; `.schemas/` has those that people write.\n",
    ]
    for kind in KINDS.values():
        parts += [f"### {kind.model_fields['kind'].default}\n", _first(kind) + "\n", *_fields(json_schema(kind)), ""]
    parts += [
        "## Changes and events\n",
        "A plan is made of changes; the log tells each as an event of the same name.\n",
    ]
    parts += _table("event", "means", [(f"`{name}`", EVENTS[name]) for name in TYPES])
    parts += ["\n## Built-in rules\n", "What holds without any policy, by the name that findings carry.\n"]
    rules = {**INVARIANTS, **DECISIONS}
    parts += _table("rule", "says", [(f"`{name}`", _first(rule)) for name, rule in rules.items()])
    parts += [
        "\n## Facts of policies\n",
        "[In the page of policies](policies.md), and `gitops-registry policy facts`.\n",
    ]
    parts += [
        "## Environment variables\n",
        *_table("variable", "does", [(f"`{name}`", told) for name, told in VARIABLES]),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _first(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())


def _fields(schema: dict[str, Any]) -> list[str]:
    needed = set(schema.get("required", ()))
    rows = []
    for name, field in schema["properties"].items():
        if name not in {"kind", "schema_version"}:
            rows.append((f"`{name}`", _type(field), "yes" if name in needed else ""))
    lines = ["| field | is | must be there |", "| --- | --- | --- |"]
    return lines + [f"| {name} | {what} | {must} |" for name, what, must in rows]


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return field["$ref"].rsplit("/", 1)[-1]
    if options := field.get("anyOf", field.get("oneOf")):
        return " or ".join(dict.fromkeys(_type(one) for one in options if one.get("type") != "null"))
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return {"object": "mapping", "string": "text", "integer": "whole number"}.get(
        field.get("type", ""), field.get("type", "anything")
    )


def _table(left: str, right: str, rows: list[tuple[str, str]]) -> list[str]:
    lines = [f"| {left} | {right} |", "| --- | --- |"]
    return lines + [f"| {first} | {second.replace('|', chr(92) + '|')} |" for first, second in rows]


PAGES = {"commands.md": commands, "reference.md": reference}

if __name__ == "__main__":
    for page, written in PAGES.items():
        (DOCS / page).write_text(written(), encoding="utf-8")
