"""A whole push: every ref it moves, in the order in which each can be judged. One refusal refuses all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitops_registry.approving import own_commits
from gitops_registry.errors import RegistryError
from gitops_registry.git import incoming
from gitops_registry.git.landing import NO_COMMIT
from gitops_registry.policy.report import Fact
from gitops_registry.receiving import signers, tags
from gitops_registry.receiving.contents import contents
from gitops_registry.receiving.steps import REQUIRED, Court, first, step
from gitops_registry.receiving.updates import Refusal, Update, is_in_the_way, sort_of, unknown
from gitops_registry.signing.tags import split_tag, tagged
from gitops_registry.workplace import ANCHOR, Workplace

ROOT = "gitops-registry.root"
"""The key of the server's git configuration that names whose key starts the registry."""
UNSEEN_BYTES = "gitops-registry.unseenBytes"
"""Set to true on a server that cannot reach the store: it then does not ask whether bytes are there."""
_MOST_UPDATES = 100
_MOST_COMMITS, _MOST_AT_FIRST = 1_000, 50_000
_LARGEST_TAG = 16 << 10


@dataclass(frozen=True)
class Pusher:
    """Who is connected, as the server knows it: the fingerprint of the SSH key that a forced command names, and the account."""

    key: str = ""
    account: str = ""


def judge(place: Workplace, moves: Sequence[Update], pusher: Pusher, *, now: datetime) -> Iterator[Refusal]:
    """Yield every reason to refuse a push to a server's repository. Nothing is written."""
    repository = place.repository
    branch = repository.config(ANCHOR)
    unreadable = list(_unreadable(place, moves, branch))
    yield from unreadable
    tip = repository.tip(f"refs/heads/{branch}") or NO_COMMIT
    if tip != NO_COMMIT:
        yield from _connected(place, tip, pusher, now)
    if unreadable:
        return
    new = incoming.new_commits(repository, [update.new for update in moves if not update.is_deletion])
    proposed = tuple(u.new for u in moves if sort_of(u.ref, branch) == "proposal" and not u.is_deletion)
    court = Court(now, frozenset(new), proposed, _required(place), is_first=tip == NO_COMMIT)
    refused = list(contents(repository, new, _MOST_AT_FIRST if court.is_first else _MOST_COMMITS))
    yield from refused
    if refused:  # what is too large to look at is not looked at further
        return
    decided = next((update for update in moves if sort_of(update.ref, branch) == "decisions"), None)
    if decided:
        yield from _decisions(place, court, decided, repository.config(ROOT))
    place.decided = decided.new if decided and not decided.is_deletion else tip
    if place.decided == NO_COMMIT:
        yield Refusal("root", "there is no registry here yet", f"push {branch} first: git push -u origin {branch}")
        return
    for update in moves:
        sort = sort_of(update.ref, branch)
        if sort == "proposal":
            yield from _proposal(place, court, update, tip=tip, after=place.decided)
        elif sort == "tag":
            yield from tags.tag(place, update, tip, now=now, beside=[one.ref for one in moves if one.is_new])


def _unreadable(place: Workplace, moves: Sequence[Update], branch: str) -> Iterator[Refusal]:
    """Why a push is not even looked at: it is for no ref of a registry, or for nothing that is a commit."""
    if not branch:
        hint = "on the server: gitops-registry hook install REPOSITORY"
        yield Refusal("refs", "this repository does not say where decisions land", hint)
    elif len(moves) > _MOST_UPDATES:
        yield Refusal("sizes", f"moves {len(moves)} refs; {_MOST_UPDATES} are taken at once", "push fewer")
    else:
        twins = _twins(place, moves)
        there = place.repository.branches("refs")
        for update in moves:
            if sort_of(update.ref, branch) == "unknown":
                yield unknown(update, branch)
            elif there.get(update.ref, NO_COMMIT) != update.old:
                yield Refusal("refs", "is somewhere else by now", "look at it, and push again: git fetch", update.ref)
            elif update.ref in twins:
                hint = "propose under another name: some disks take the two for one"
                yield Refusal("refs", f"differs from {twins[update.ref]} in case alone, which exists", hint, update.ref)
            elif not update.is_deletion and not _names_commit(place, update):
                yield Refusal("refs", "names no commit", "push a commit", update.ref)


def _twins(place: Workplace, moves: Sequence[Update]) -> dict[str, str]:
    """Return the new refs of a push that differ in case alone from one that is there, or comes with them."""
    made = [update.ref for update in moves if update.is_new]
    if not made:
        return {}
    there = {ref.lower(): ref for ref in place.repository.branches("refs/heads", "refs/tags")}
    found = {}
    for ref in made:
        other = there.setdefault(ref.lower(), ref)
        if other != ref:
            found[ref] = other
    return found


def _names_commit(place: Workplace, update: Update) -> bool:
    """Say whether what a ref is to name is a commit; for a tag, also a small object that names one."""
    found = place.repository.objects.get(update.new, limit=0)
    if found is None or found.type == "commit":
        return found is not None
    if not update.ref.startswith("refs/tags/") or found.type != "tag" or found.size > _LARGEST_TAG:
        return False
    tag = place.repository.objects.get(update.new)
    return tag is not None and tagged(split_tag(tag.data or b"").payload) is not None


def _required(place: Workplace) -> frozenset[Fact]:
    is_blind = place.repository.config(UNSEEN_BYTES) == "true"
    return REQUIRED - {"presence"} if is_blind else REQUIRED


def _connected(place: Workplace, tip: str, pusher: Pusher, now: datetime) -> Iterator[Refusal]:
    """Whoever is connected, where the server knows it, is a member who may write: `read` lets nobody push."""
    if not pusher.key:
        return
    place.decided = tip
    access = place.witnesses.members(place.snapshot(tip))
    member = next((m for m in access.members for key in m.keys if key.public.fingerprint == pusher.key), None)
    if member is None:
        yield Refusal(
            "pusher", f"the key {pusher.key} is no member's", "an administrator adds it: gitops-registry access add"
        )
    elif not any(key.public.fingerprint == pusher.key and key.is_good(now) for key in member.keys):
        yield Refusal("pusher", f"the key {pusher.key} of {member.name} counts no more", "use another key of yours")
    elif not access.may(member, "write"):
        yield Refusal(
            "pusher", f"{member.name} may read here and not push", "see who may: gitops-registry access who-can write"
        )


def _decisions(place: Workplace, court: Court, update: Update, root: str) -> Iterator[Refusal]:
    repository = place.repository
    if update.is_deletion:
        yield Refusal(
            "history", "the branch of decisions is never taken away", "decisions are undone by new ones", update.ref
        )
    elif update.is_new:
        yield from first(place, court, update.new, root)
    elif not repository.follows(update.new, update.old):
        hint = "put yours on top of what was decided meanwhile: gitops-registry push"
        yield Refusal("history", "does not follow the last decision: history is never rewritten", hint, update.ref)
    else:
        parent = update.old
        for oid in repository.own_steps(update.new, update.old):
            yield from step(place, court, oid, parent)
            parent = oid


def _proposal(place: Workplace, court: Court, update: Update, *, tip: str, after: str) -> Iterator[Refusal]:
    """A proposal grows and is never rewritten, by members who may write; its branch goes when it has landed.

    It has landed where the branch of decisions is now: what the same push would make of that can still fail.
    """
    repository = place.repository
    if update.is_deletion:
        if tip == NO_COMMIT or not repository.is_ancestor(update.old, tip):
            hint = "land it first; otherwise it stays, with what was said of it"
            yield Refusal("append-only", "is a proposal that has not landed, and is not taken away", hint, update.ref)
        return
    if update.is_new and is_in_the_way(update.ref, place.snapshot(after).models()):
        hint = "name all of it, like promote/MODEL/NUMBER/STAGE; or propose it under change/"
        yield Refusal(
            "refs", "would be in the way of other proposals: git has no branch below a branch", hint, update.ref
        )
        return
    if not update.is_new and not repository.is_ancestor(update.old, update.new):
        hint = "add commits on top of it: git pull; or propose under another name"
        yield Refusal("append-only", "is a proposal, and its commits are never rewritten", hint, update.ref)
        return
    try:
        repository.merge_base(after, update.new)
        own = own_commits(repository, after, update.new)
    except RegistryError as error:
        yield Refusal("history", error.message, error.hint, update.ref)
        return
    yield from signers.contributions(
        place.witnesses,
        [commit for commit in own if commit.oid in court.new],
        place.snapshot(after),
        new=court.new,
        now=court.now,
    )
