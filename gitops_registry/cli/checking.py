"""check: a change, a pull request, what landed, or the whole registry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops_registry.cli.output import FINDINGS, clean, command, json_option, opened
from gitops_registry.cli.reporting import FORMATS, chosen, deliver, format_option, output_option, write_sarif
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from gitops_registry.registry import Registry
    from gitops_registry.reporting.review import Review

WORK_TREE = "the work tree"


@dataclass(frozen=True)
class _Asked:
    """What a command line asks to judge."""

    base: str | None
    head: str | None
    no_cache: bool
    landed: bool
    pull_request: str | None
    publish: bool


@click.command("check")
@click.option("--base", metavar="REV", help="Judge the change from this revision, under its rules.")
@click.option("--head", metavar="REV", help="What to judge; without it, the work tree.")
@click.option(
    "--no-cache", is_flag=True, help="Of a whole registry, judge everything anew, whatever earlier checks found here."
)
@click.option(
    "--pull-request", metavar="NUMBER|auto", help="Take reviews of a pull request on the forge for approvals; auto: of the one that HEAD is."
)  # fmt: skip
@click.option("--publish", is_flag=True, help="Say the verdict there: the status of the commit, and one comment.")
@click.option("--landed", is_flag=True, help="Judge each decision from BASE to HEAD as it was made.")
@click.option("--sarif", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write SARIF there too.")
@format_option(*FORMATS)
@output_option
@json_option
@click.pass_context
def check_command(
    ctx: click.Context, /, how: str | None, output: Path | None, sarif: Path | None, as_json: bool, **said: object
) -> int:
    """Judge a change as it would land, or the whole registry.

    With --head and no --base, a proposal is judged against the branch of decisions; any other revision, and the
    work tree without either, is judged as a whole registry: what an earlier check here found without fault, and is as it
    was, is not judged again. A change always is. `github` prints annotations, and appends what `markdown` prints to the
    step's summary.
    """
    asked = _Asked(**said)  # type: ignore[arg-type]
    how = chosen(how, as_json=as_json)
    _refuse_nonsense(asked)
    registry = opened(ctx)
    review = _review(registry, asked)
    if sarif is not None:
        write_sarif(review, sarif)
    deliver(review, how, output=output, program=command("").rstrip())
    return FINDINGS if review.refusals else 0


def _refuse_nonsense(asked: _Asked) -> None:
    if "" in (asked.base, asked.head):  # a variable that a job did not set must not pass for the work tree
        raise RegistryError("--base and --head must name a revision", hint="leave out the one that is empty")
    is_number = asked.pull_request in (None, "auto") or str(asked.pull_request).isdecimal()
    if not is_number:
        raise RegistryError(f"--pull-request {asked.pull_request!r} is no number", hint="a number, or auto")
    if (asked.pull_request or asked.publish or asked.landed) and not (asked.base and asked.head):
        raise RegistryError(
            "--pull-request, --publish and --landed are about commits", hint="name both with --base and --head"
        )
    if asked.landed and (asked.pull_request or asked.publish):
        raise RegistryError(
            "--landed looks back, --pull-request and --publish are for what has not landed", hint="keep one of them"
        )


def _review(registry: Registry, asked: _Asked) -> Review:
    from gitops_registry.policy.report import ADVICE, DECISION
    from gitops_registry.reporting.review import Review
    from gitops_registry.workplace import PREFIXES

    base, head = asked.base, asked.head
    if asked.landed and base and head:
        from gitops_registry.landed import REQUIRED

        forge = registry.forge(os.environ) if registry.is_on_forge else None
        return Review.at(REQUIRED, registry.landed(base=base, head=head, forge=forge), base=base, head=head)
    if (asked.pull_request or asked.publish) and base and head:
        return _on_forge(registry, asked, base, head)
    if base is None and head is not None and head.removeprefix("origin/").split("/")[0] in PREFIXES:
        base = registry.place.branch
    report = registry.check(base=base, head=head, anew=asked.no_cache)
    here = "HEAD" if registry.place.repository.work_tree is None else WORK_TREE
    required = DECISION if base is not None else ADVICE
    return Review.at(required, report, base=base or "", head=head or here)


def _on_forge(registry: Registry, asked: _Asked, base: str, head: str) -> Review:
    """Judge a pull request; with `publish`, its commit carries a verdict whatever comes of it."""
    from gitops_registry.policy.report import DECISION
    from gitops_registry.reporting.review import Review
    from gitops_registry.weighing import announce, give_up

    forge, url = registry.forge(os.environ), _job()
    number = int(asked.pull_request) if asked.pull_request and asked.pull_request != "auto" else None
    oid = registry.place.commit(head)
    try:
        weighed = registry.weigh(forge, base=base, head=oid, number=number)
        request = weighed.request
        named = (f"pull request {request.number}" if request.number else request.branch) if request else head
        review = Review.at(DECISION, weighed.report, base=registry.place.branch, head=named)
        if asked.publish:
            for note in announce(forge, weighed, review, url=url):
                click.echo(f"note: {clean(note)}", err=True)
    except RegistryError as error:
        if asked.publish:
            give_up(forge, oid, error, url=url)
        raise
    return review


def _job() -> str:
    """Return the page of the job that this runs in, where there is one; it is shown beside the verdict."""
    server, path, run = (os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    if server.startswith("https://") and path and run.isdecimal():
        return f"{server}/{path}/actions/runs/{run}"
    job = os.environ.get("CI_JOB_URL", "")
    return job if job.startswith("https://") else ""
