"""policy list, test, explain, new, waive, facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops_registry.cli.completing import policies, references, stages
from gitops_registry.cli.output import (
    FINDINGS,
    at_once,
    clean,
    command,
    dry_run_option,
    json_option,
    one_version,
    opened,
    print_findings,
    print_json,
    propose_option,
    reason_option,
    table,
    told,
)
from gitops_registry.errors import Conflict, RegistryError

if TYPE_CHECKING:
    from gitops_registry.governing import Explanation
    from gitops_registry.policy.explaining import Explained, ExplainedRule, Shown

_MARKS = {
    "pass": ("✓", "green"), "fail": ("✗", "red"), "error": ("✗", "red"), "skip": ("-", "cyan"), "waived": ("~", "yellow"),
    "not-checked": ("?", "cyan"),
}  # fmt: skip
_LONGEST = 160


@click.group("policy")
def policy_command() -> None:
    """The rules of this registry: policies/*.yaml, expressions in CEL over what is known of a version.

    A change is judged by the policies that stand before it.
    """


@policy_command.command("list")
@json_option
@click.pass_context
def _list(ctx: click.Context, as_json: bool) -> None:
    """List the policies and waivers as they lie here, and what they are about."""
    from gitops_registry.governing import book_of, waivers_of
    from gitops_registry.manifest.parts import plain

    snapshot, book = book_of(opened(ctx).place)
    waivers = waivers_of(snapshot)
    if as_json:
        policies = [{"path": sheet.parsed.path, **plain(sheet.policy)} for sheet in book.sheets]
        broken = [finding.to_json() for finding in book.broken]
        print_json({"policies": policies, "waivers": waivers, "broken": broken})
        return
    rows = []
    for sheet in book.sheets:
        match = sheet.policy.match
        about = [", ".join(match.to) or ", ".join(match.events), *(f"models {m}" for m in match.models if m != "*")]
        about += [f"{key}={value}" for key, value in match.tags.items()]
        kinds = [rule.enforcement for rule in sheet.policy.validations]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("hard", "soft", "advisory") if kind in kinds)
        rows.append([sheet.name, "; ".join(about), counts, sheet.policy.description])
    if rows:
        table(["policy", "about", "rules", "what for"], rows)
    else:
        click.echo(f"no policy yet: nothing can come to a stage that serves; {command('policy new NAME --to STAGE')}")
    if waivers:
        click.echo("")
        table(
            ["waiver", "lifts", "for", "until", "state", "why"],
            [
                [
                    one["name"],
                    ", ".join(f"{one['policy']}/{rule}" for rule in one["rules"]),
                    ", ".join(f"{one['model']}@{number}" for number in one["versions"]) or one["model"],
                    one["expires"],
                    one["state"],
                    one["reason"],
                ]
                for one in waivers
            ],
        )
    print_findings(book.broken)


@policy_command.command("test")
@click.argument("names", nargs=-1, metavar="[POLICY]...", shell_complete=policies)
@json_option
@click.pass_context
def _test(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> int:
    """Run the tests of policies as they lie here.

    Every rule needs a test in which it passes and one in which it fails.
    """
    from gitops_registry.governing import tested

    found = tested(opened(ctx).place, names)
    if as_json:
        print_json(
            {
                "ok": not found.findings,
                "tests": [one.to_json() for one in found.tried],
                "findings": [finding.to_json() for finding in found.findings],
            }
        )
        return FINDINGS if found.findings else 0
    for name in found.policies:
        mine = [one for one in found.tried if one.policy == name]
        met = sum(one.is_met for one in mine)
        is_good = met == len(mine) and not any(one.path.endswith(f"/{name}.yaml") for one in found.findings)
        mark, colour = _MARKS["pass" if is_good else "fail"]
        click.echo(click.style(f"{mark} ", fg=colour) + f"{clean(name)}: {met} of {len(mine)} tests pass")
    print_findings(found.findings)
    if not found.policies and not found.findings:
        click.echo("no policy here")
    count = len(found.findings)
    if count:
        click.secho(f"{count} finding{'s' if count > 1 else ''} to mend", fg="red")
    return FINDINGS if count else 0


@policy_command.command("explain")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF", shell_complete=references)
@click.option(
    "--to", "stage", required=True, metavar="STAGE", help="The stage it would move to.", shell_complete=stages
)
@click.option("--work-tree", is_flag=True, help="Use the policies as they lie in the work tree.")
@json_option
@click.pass_context
def _explain(ctx: click.Context, words: tuple[str, ...], stage: str, work_tree: bool, as_json: bool) -> int:
    """Say which policies are about a version on its way to STAGE, why, and what each part of their rules is."""
    from gitops_registry.governing import explain

    found = explain(opened(ctx).place, one_version(words), "", stage, from_work_tree=work_tree)
    if as_json:
        print_json(found.to_json())
    else:
        _print_explanation(found)
    return FINDINGS if found.refusals else 0


def _print_explanation(found: Explanation) -> None:
    click.secho(f"{found.reference} {'in' if found.is_there else '→'} {found.stage}", bold=True)
    for policy in sorted(found.policies, key=lambda one: not one.is_about):
        _print_policy(policy)
    print_findings(found.broken)
    count = found.refusals
    if found.is_closed:
        click.echo(click.style("✗ default-deny: ", fg="red") + f"no policy that can refuse speaks for {found.stage}")
    if count:
        click.secho(f"refused: {count} rule{'s stand' if count > 1 else ' stands'} in the way", fg="red")
    else:
        click.secho("nothing in the policies stands in the way", fg="green")


def _print_policy(policy: Explained) -> None:
    if not policy.is_about:
        click.echo(click.style(f"- {clean(policy.policy)}", fg="cyan") + f": {clean(policy.why)}")
        return
    click.echo(click.style(clean(policy.policy), bold=True) + f": applies ({clean(policy.why)}); {policy.path}")
    for condition in policy.conditions:
        click.echo(f"  where {_told(condition)}")
    if policy.problem:
        click.secho(f"  ✗ cannot be worked out: {clean(policy.problem)}", fg="red")
    for rule in policy.rules:
        _print_rule(rule)


def _print_rule(rule: ExplainedRule) -> None:
    verdict = rule.verdict
    mark, colour = _MARKS[verdict.result]
    said = f": {clean(verdict.message)}" if verdict.message else ""
    lifted = f" WAIVED until {verdict.until} by {verdict.waiver}" if verdict.waiver else ""
    head = f"{mark} {verdict.rule} ({verdict.enforcement}): {verdict.result}"
    click.echo("  " + click.style(head, fg=colour) + clean(f"{said}{lifted}"))
    for shown in (*rule.variables, *rule.parts):
        click.echo(f"      {_told(shown)}")


def _told(shown: Shown) -> str:
    value = "null" if shown.value is None else clean(_as_text(shown.value))
    return (
        f"{clean(_cut(shown.text))} = {_cut(value)}"
        if not shown.problem
        else f"{clean(_cut(shown.text))}: {clean(shown.problem)}"
    )


def _as_text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@policy_command.command("new")
@click.argument("name")
@click.option(
    "--to",
    "stage",
    default="production",
    show_default=True,
    metavar="STAGE",
    help="The stage it is about.",
    shell_complete=stages,
)
@dry_run_option
@click.pass_context
def _new(ctx: click.Context, name: str, stage: str, dry_run: bool) -> None:
    """Write a commented policy to policies/NAME.yaml, to be edited, tested and committed."""
    from gitops_registry import paths
    from gitops_registry.shipped import new_policy

    place = opened(ctx).place
    if problem := paths.name_problem(name):
        raise RegistryError(f"name {name!r} {problem}", hint="try lower-case words with '-', like production-fairness")
    if paths.place_of(paths.policy_path(name)).role != "policy":
        raise RegistryError(f"{paths.policy_path(name)} is no place for a policy", hint="choose another name")
    known = place.snapshot().known_stage(stage).name
    text = new_policy(name, known)
    if dry_run:
        click.echo(text.decode(), nl=False)
        return
    tree = place.repository.work_tree
    if tree is None or place.mirror is not None:
        raise RegistryError("there is no work tree here to write it to", hint="use a clone, or --dry-run to see it")
    path = paths.policy_path(name)
    file = Path(tree) / path
    try:
        file.parent.mkdir(exist_ok=True)
        with file.open("xb") as out:
            out.write(text)
    except FileExistsError as error:
        raise Conflict(f"{path} is there already", hint=f"see: {command('policy list')}") from error
    click.echo(f"wrote {path}; it counts once it has landed")
    click.echo(f"next: edit it, then {command(f'policy test {name}')}")
    click.echo(f"next: git add {path} && git commit -m 'Add the policy {name}'")


@policy_command.command("waive")
@click.argument("words", nargs=-1, required=True, metavar="NAME@REF POLICY/RULE...", shell_complete=references)
@click.option("--days", type=int, default=7, show_default=True, help="For how long, 30 at most.")
@propose_option
@reason_option
@json_option
@dry_run_option
@click.pass_context
def _waive(ctx: click.Context, words: tuple[str, ...], days: int, propose: bool, reason: str, as_json: bool, dry_run: bool) -> int:  # fmt: skip
    """Let one version pass soft rules of a policy for some days, for a reason (-m).

    It counts once it has landed, for exactly the facts that the version has now, and is printed wherever it lifts something.
    """
    rules = [word for word in words if "/" in word and not word.startswith("models:/")]
    outcome = opened(ctx).waive(
        one_version([word for word in words if word not in rules]),
        rules,
        days=days,
        direct=at_once(propose),
        reason=reason,
        dry_run=dry_run,
    )
    return told(outcome, as_json=as_json, dry_run=dry_run)


@policy_command.command("facts")
@json_option
def _facts(as_json: bool) -> None:
    """Print what an expression may read: every fact with its type, an example and its meaning."""
    from gitops_registry.policy.vocabulary import FACTS, shown_example

    rows = [[fact.path.replace(".[]", "[]"), fact.type, shown_example(fact), fact.meaning] for fact in FACTS]
    if as_json:
        print_json([dict(zip(("name", "type", "example", "meaning"), row, strict=True)) for row in rows])
        return
    table(["fact", "type", "example", "meaning"], [row for row in rows if not row[0].startswith("champion.")])
    click.echo("champion.…  as candidate.…")
    click.echo("params.…  the parameters of the policy; variables.…  its variables")
