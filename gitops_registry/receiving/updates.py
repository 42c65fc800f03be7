"""What a push wants to move: its refs, and which of them a registry's server knows at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from gitops_registry.git.landing import NO_COMMIT
from gitops_registry.paths import name_problem
from gitops_registry.workplace import PREFIXES

_PROPOSAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*(/[A-Za-z0-9_][A-Za-z0-9._@+-]*)*")
_OID = re.compile(r"[0-9a-f]{40}")
_TAG = re.compile(
    r"refs/tags/(?P<model>[^@#/]+)(?:@v(?P<version>[^@#/!]+)(?P<gone>!?)|#(?P<stage>[^@#/!]+)(?P<left>!?)#(?P<count>[1-9][0-9]{0,8}))"
)

Sort = Literal["decisions", "proposal", "tag", "unknown"]


class Update(NamedTuple):
    """One ref of a push: where it was and where it is to be; `NO_COMMIT` where it is made or taken away."""

    ref: str
    old: str
    new: str

    @property
    def is_new(self) -> bool:
        """Whether the ref is not there yet."""
        return self.old == NO_COMMIT

    @property
    def is_deletion(self) -> bool:
        """Whether the ref is taken away."""
        return self.new == NO_COMMIT


class Refusal(NamedTuple):
    """One reason to refuse a push: the rule, what is wrong, what to do next, and where: a path or ref, and a commit."""

    rule: str
    message: str
    hint: str = ""
    where: str = ""
    commit: str = ""


class TagName(NamedTuple):
    """What a tag speaks of: a version (by its number or its release), or a stage with GTO's counter; `is_undone`: that it is
    gone from there.
    """

    model: str
    version: str = ""
    stage: str = ""
    counter: int = 0
    is_undone: bool = False


def updates(lines: Iterable[str]) -> Iterator[Update]:
    """Yield the updates that git tells `pre-receive` (githooks(5)): `old new ref`, a line each. Raises ValueError."""
    for line in lines:
        old, _, rest = line.rstrip("\n").partition(" ")
        new, _, ref = rest.partition(" ")
        if not (_OID.fullmatch(old) and _OID.fullmatch(new) and ref):
            raise ValueError(f"git told of an update that is none: {line!r}")
        yield Update(ref, old, new)


def sort_of(ref: str, branch: str) -> Sort:
    """Return what a ref is for on the server whose decisions land on `branch`."""
    if ref == f"refs/heads/{branch}":
        return "decisions"
    first, _, rest = ref.removeprefix("refs/heads/").partition("/")
    if ref.startswith("refs/heads/") and first in PREFIXES and _PROPOSAL.fullmatch(rest):
        return "proposal"
    return "tag" if tag_name(ref) else "unknown"


def is_in_the_way(ref: str, models: Iterable[str]) -> bool:
    """Say whether a proposal's branch would keep others from being made: git has no branch below a branch.

    The tool calls its own `promote/MODEL/NUMBER/STAGE`, `evaluation/MODEL/NUMBER/TIME`, and VERB/MODEL/WHAT otherwise.
    """
    verb, *parts = ref.removeprefix("refs/heads/").lower().split("/")
    known = {"add", "remove", "rotate-key"} if verb == "access" else {name.lower() for name in models}
    if verb == "change" or parts[0] not in known:
        return False
    is_numbered = verb == "promote" or (verb == "evaluation" and len(parts) > 1 and parts[1].isdigit())
    return len(parts) < (3 if is_numbered else 2)


def tag_name(ref: str) -> TagName | None:
    """Return what a tag speaks of: `NAME@v3`, `NAME@v1.2.0` (a release) or `NAME#STAGE#1`; with a `!`, that it is so no more.

    None for any other.
    """
    found = _TAG.fullmatch(ref)
    if found is None or name_problem(found["model"]):
        return None
    is_undone = bool(found["gone"] or found["left"])
    return TagName(found["model"], found["version"] or "", found["stage"] or "", int(found["count"] or 0), is_undone)


def unknown(update: Update, branch: str) -> Refusal:
    """Return why a ref that a registry does not know is refused."""
    hint = (
        f"decisions go to {branch}, proposals to a branch under one of {', '.join(PREFIXES)}, tags are called NAME@v3"
    )
    return Refusal("refs", "is no ref that this server takes", hint, update.ref)
