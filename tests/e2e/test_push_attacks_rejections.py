"""Pushes that land what somebody rejected."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fortress import Case, Server, Table, accept, refuse
from workshop import Workshop

from gitops_registry import edits

pytestmark = pytest.mark.needs("signing")

TABLE = Table()


def proposed(shop: Workshop) -> str:
    """Bob's honest proposal that wants an approval."""
    return shop.commit(shop.bob, shop.promotion("churn@2", "production"), message="serve churn 2")


def decided(shop: Workshop, head: str) -> list[str]:
    """What bob pushes to land it, whoever approved."""
    return shop.pushes(head, shop.landing(shop.bob, head))


@TABLE.attack("bob", r"reject")
def a_rejected_proposal_is_approved_by_another(shop: Workshop) -> list[str]:
    head = shop.approval(shop.alice, shop.marks["third rejected"])
    return shop.pushes(head, shop.landing(shop.bob, head), branch="promote/fraud/3/production")


@TABLE.attack("bob", r"append|rewr|fast-forward|reject", ssh=True)
def a_rejection_is_pushed_away(shop: Workshop) -> list[str]:
    head = shop.approval(shop.alice, shop.marks["third"])
    return shop.pushes(head, shop.landing(shop.bob, head), branch="promote/fraud/3/production")


@TABLE.attack("bob", r"reject")
def an_older_approval_is_merged_behind_a_newer_rejection(shop: Workshop) -> list[str]:
    return _both(shop, is_swapped=False)


@TABLE.attack("bob", r"reject")
def an_older_approval_is_merged_before_a_newer_rejection(shop: Workshop) -> list[str]:
    return _both(shop, is_swapped=True)


def _both(shop: Workshop, *, is_swapped: bool) -> list[str]:
    """Carol approved and then, on another branch, rejected; bob merges the two and lands that."""
    head, now = proposed(shop), int(time.time())
    said = [shop.approval(shop.carol, head, date=now - 60), shop.approval(shop.carol, head, word="Rejects", date=now)]
    parents = said[::-1] if is_swapped else said
    joined = shop.commit(shop.bob, {}, base=head, parents=parents)
    return [*shop.pushes(said[1]), *decided(shop, joined)]


@TABLE.attack("bob", r"reject")
def what_was_rejected_is_merged_into_another_proposal(shop: Workshop) -> list[str]:
    return _hidden(shop, is_swapped=False)


@TABLE.attack("bob", r"reject")
def another_proposal_is_merged_into_what_was_rejected(shop: Workshop) -> list[str]:
    return _hidden(shop, is_swapped=True)


def _hidden(shop: Workshop, *, is_swapped: bool) -> list[str]:
    """The rejected commit and a harmless one are joined, and somebody who saw neither branch approves."""
    third = shop.marks["third"]
    words = edits.describe_model(shop.at(), "churn", tags={"team": "growth"})
    other = shop.commit(shop.bob, words)
    tree = shop.forge.edited(third, words)  # type: ignore[arg-type]
    joined = shop.commit(shop.bob, {}, tree=tree, parents=[third, other] if is_swapped else [other, third])
    return decided(shop, shop.approval(shop.alice, joined))


@TABLE.attack("bob", r"reject|tip of|branch")
def a_rejection_is_stepped_around_on_another_branch(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.alice, shop.marks["third"]))


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_rejection_stays(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="file")


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("case", TABLE.rows("ssh"), ids=lambda case: case.name)
def test_a_rejection_stays_over_ssh(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="ssh")


# ── the same, done properly


def test_whoever_rejected_may_approve_after_all(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    rejected = shop.approval(shop.carol, proposed(shop), word="Rejects")
    accept(copy, shop, shop.carol, f"{rejected}:refs/heads/promote/churn/2/production")
    head = shop.approval(shop.carol, rejected)
    landed = shop.landing(shop.bob, head)
    accept(copy, shop, shop.bob, *shop.pushes(head, landed, branch="promote/churn/2/production"))


def test_a_rejection_is_of_the_proposal_that_was_rejected_and_not_of_those_below_it(
    server: Server, shop: Workshop, tmp_path: Path
) -> None:
    copy = server.copy(tmp_path / "copy.git")
    head = proposed(shop)
    more = shop.commit(shop.bob, shop.promotion("fraud@2", "production", base=head), base=head)
    rejected = shop.approval(shop.carol, more, word="Rejects")
    accept(copy, shop, shop.carol, f"{rejected}:refs/heads/promote/both")
    accept(copy, shop, shop.bob, *decided(shop, shop.approval(shop.carol, head)))
