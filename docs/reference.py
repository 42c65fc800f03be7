"""Write docs/commands.md and docs/reference.md anew from the code: python docs/reference.py."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import FunctionType
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

_WIDE = 100
_PLACES = {
    name: place
    for place, name in enumerate(
        ["Registry", "RegisteredModel", "Outcome", "Reference", "RegistryError", "NotFound", "Conflict", "ManifestError", "Damaged", "__version__"]
    )
}  # fmt: skip
_PYTHON = """What `import gitops_registry` gives. `version` may be a number, a stage, an alias or `latest`; a name may also be a
whole reference, `credit-risk@production`. Every verb that changes something takes `dry_run=True`, and returns an `Outcome`
that is false where the check refused it.
"""


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


def python() -> str:
    """Return the page of what `import gitops_registry` gives: each public class with its methods, by its docstrings."""
    import gitops_registry

    parts = ["# Python", HEAD, _PYTHON]
    for name in sorted(gitops_registry.__all__, key=_PLACES.__getitem__):
        found = getattr(gitops_registry, name)
        if isinstance(found, type):
            parts += [f"## {name}\n", *_documented(found), *_members(found)]
    return "\n".join(parts).rstrip() + "\n"


def _members(found: type) -> Iterator[str]:
    """Yield the public methods and properties of a class, those of its parents here too, in the order of the code."""
    seen = set()
    for kind in found.__mro__:
        if not kind.__module__.startswith("gitops_registry"):
            continue
        for name, member in vars(kind).items():
            if name.startswith("_") or name in seen or not inspect.getdoc(getattr(found, name)):
                continue
            seen.add(name)
            if isinstance(member, (property, cached_property)):
                yield f"### {found.__name__}.{name}\n"
                yield from _documented(member)
            elif isinstance(member, (FunctionType, classmethod, staticmethod)):
                yield f"### {found.__name__}.{name}\n"
                yield f"```text\n{_signature(name, getattr(found, name))}\n```\n"
                yield from _documented(getattr(found, name))


def _signature(name: str, function: Any) -> str:
    """Return a call as its source has it: annotations are kept as they are written, each argument on its line."""
    told = inspect.signature(function)
    given = [one for key, one in told.parameters.items() if key != "self"]
    starts = next((at for at, one in enumerate(given) if one.kind is one.KEYWORD_ONLY), None)
    words = [str(one.replace(annotation=one.empty)).replace("=", _typed(one) + " = ", 1) for one in given]
    words = [word if "=" in word else word + _typed(one) for word, one in zip(words, given, strict=True)]
    if starts is not None and not any(one.kind is one.VAR_POSITIONAL for one in given):
        words.insert(starts, "*")
    back = f" -> {str(told.return_annotation).strip(chr(39))}" if told.return_annotation is not told.empty else ""
    line = f"{name}({', '.join(words)}){back}"
    return line if len(line) <= _WIDE else f"{name}(\n    " + ",\n    ".join(words) + f",\n){back}"


def _typed(parameter: inspect.Parameter) -> str:
    return f": {parameter.annotation}" if parameter.annotation is not parameter.empty else ""


def _documented(found: Any) -> list[str]:
    return [(inspect.getdoc(found) or "") + "\n"]


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


PAGES = {"commands.md": commands, "reference.md": reference, "python.md": python}

if __name__ == "__main__":
    for page, written in PAGES.items():
        (DOCS / page).write_text(written(), encoding="utf-8")
