"""The examples in every command's help: what to type, as people do. Each is run by a test, on a registry like the one they speak of."""

from __future__ import annotations

import click

_COMMAND = "gitops-registry"

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": ("init models", "register credit-risk model.skops --data holdout.csv --target default", "list"),
    "init": ("init models", "init models --team --key alice.pub", "init models --storage s3://bucket/models --dry-run"),
    "doctor": ("doctor", "doctor --json"),
    "migrate": ("migrate --dry-run",),
    "schema": ("schema", "schema ModelVersion"),
    "completion": ("completion bash", "completion zsh", "completion fish"),
    "list": ("list", "list credit-risk", "list --stage production --json"),
    "search": (
        "search \"metrics.accuracy > 0.8 and tags.team = 'onco'\"",
        'search "stage = production" --models',
        'search --order-by "metrics.f1 desc" --limit 3',
    ),
    "show": ("show credit-risk", "show credit-risk@production", "show credit-risk 3 --json"),
    "compare": ("compare credit-risk@2 credit-risk@3", "compare credit-risk 2 3 --format markdown"),
    "card": ("card credit-risk@production", "card status credit-risk", "card credit-risk@3 --format json"),
    "log": ("log", "log credit-risk --limit 3", "log --stage production --since 2020-01-01"),
    "site": ("site build --out public",),
    "site build": ("site build --out public",),
    "site serve": ("site serve --port 8321",),
    "register": (
        "register credit-risk model.skops --data holdout.csv --target default",
        "register credit-risk model.skops --data holdout.csv --target default --card card.yaml --param depth=5 --tag team=risk",
        "register credit-risk model.skops --data holdout.csv --target default --release 2.0.0 --dry-run",
    ),
    "import": ("import mlflow:mlflow.db --dry-run",),
    "promote": (
        "promote credit-risk@4 --to archived",
        "promote credit-risk 3 --to production -m 'better on every segment'",
    ),
    "archive": ("archive credit-risk@4", "archive credit-risk@4 --direct --dry-run"),
    "rollback": ("rollback credit-risk -m 'complaints since Monday'", "rollback credit-risk --to 3 --dry-run"),
    "alias": ("alias set credit-risk@3 challenger", "alias remove credit-risk champion"),
    "alias set": ("alias set credit-risk@3 challenger", "alias set credit-risk@3 champion --propose"),
    "alias remove": ("alias remove credit-risk champion",),
    "tag": ("tag credit-risk domain=credit", "tag credit-risk@3 region=eu --remove team"),
    "describe": (
        "describe credit-risk 'Scores applications for a loan.' --owner risk-team",
        "describe credit-risk --title 信用リスク分類モデル",
    ),
    "evaluation": ("evaluation show credit-risk",),
    "evaluation set": ("evaluation set credit-risk holdout.csv --target default",),
    "evaluation show": ("evaluation show credit-risk",),
    "evaluation remove": ("evaluation remove credit-risk",),
    "evaluate": ("evaluate credit-risk@3", "evaluate credit-risk@3 holdout.csv --target default --dry-run"),
    "rename": ("rename credit-risk retail-risk",),
    "delete": ("delete credit-risk@4", "delete credit-risk --force --dry-run"),
    "approve": (
        "approve promote/fraud/1/production --comment 'looked at the slices' --yes",
        "approve promote/fraud/1/production --reject --comment 'recall fell' --yes",
    ),
    "merge": ("merge promote/credit-risk/3/production", "merge promote/credit-risk/3/production --dry-run"),
    "push": ("push", "push --dry-run"),
    "release-tags": ("release-tags --dry-run", "release-tags --push"),
    "proposals": ("proposals", "proposals show promote/credit-risk/3/production"),
    "proposals list": ("proposals list",),
    "proposals show": ("proposals show promote/credit-risk/3/production",),
    "proposals close": ("proposals close promote/credit-risk/3/production",),
    "interop": ("interop on", "interop status"),
    "interop status": ("interop status", "interop status --json"),
    "interop on": ("interop on", "interop on --propose -m 'for those who use GTO'"),
    "interop off": ("interop off --dry-run",),
    "interop dvc-yaml": ("interop dvc-yaml",),
    "gc": ("gc", "gc --cache"),
    "plan": ("plan promote/credit-risk/3/production", "plan"),
    "check": ("check", "check --base main --head promote/credit-risk/3/production", "check --format markdown"),
    "policy": ("policy list", "policy test"),
    "policy list": ("policy list",),
    "policy test": ("policy test", "policy test production-metrics"),
    "policy explain": ("policy explain credit-risk@3 --to production",),
    "policy new": ("policy new fair-enough --to production",),
    "policy waive": (
        "policy waive credit-risk@4 production-metrics/metric-floors --days 7 -m 'a trial in one branch'",
    ),
    "policy facts": ("policy facts",),
    "access": ("access list", "access who-can deploy fraud"),
    "access list": ("access list",),
    "access who-can": ("access who-can deploy fraud", "access who-can administer"),
    "access check": ("access check bob promote fraud",),
    "access add": ("access add carol --role ml_engineer --email carol@example.com --key carol.pub",),
    "access remove": ("access remove dan",),
    "access rotate-key": ("access rotate-key bob --key carol.pub",),
    "access codeowners": ("access codeowners",),
    "verify": ("verify", "verify --deep --json"),
    "monitor": ("monitor --dry-run",),
    "hook": ("hook install models.git --root alice.pub",),
    "hook install": ("hook install models.git --root alice.pub", "hook install models.git --root alice.pub --dry-run"),
    "audit": ("audit export --format csv", "audit report credit-risk"),
    "audit export": ("audit export --format csv --output events.csv", "audit export --format jsonl"),
    "audit report": ("audit report credit-risk", "audit report credit-risk --format html --output report.html"),
    "audit comply": ("audit comply credit-risk --profile four-eyes",),
    "audit verify": ("audit verify",),
    "audit pushes": ("-C models.git audit pushes --refused",),
    "pull": ("pull credit-risk@production --to serving",),
    "predict": ("predict credit-risk@production rows.csv", "predict credit-risk@production rows.csv --proba"),
    "formats": ("formats credit-risk@2 --only skops --runs 1",),
    "validate": ("validate credit-risk@production rows.csv",),
    "signature": ("signature show credit-risk@production",),
    "signature infer": ("signature infer holdout.csv --target default",),
    "signature show": (
        "signature show credit-risk@production",
        "signature show credit-risk@production --as json-schema",
    ),
    "export": ("export --list", "export credit-risk@production --to onnx --output credit-risk.onnx"),
}
"""Command (without the program) → what to type behind the program's name; the first word may be an option of the program."""


def with_examples(command: click.Command, words: str) -> click.Command:
    """Return a command, and what is below it, with its examples at the end of its help."""
    if command.epilog is None and (lines := EXAMPLES.get(words)):
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {_COMMAND} {line}" for line in lines)
    if isinstance(command, click.Group) and words:
        for name, below in command.commands.items():
            with_examples(below, f"{words} {name}")
    return command
