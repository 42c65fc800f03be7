"""Pushes that change the rules, roles, waivers or keys they are judged by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fortress import Case, Server, Table, accept, refuse
from workshop import Workshop

from gitops_registry import edits, paths
from gitops_registry.manifest.kinds import Access
from gitops_registry.manifest.members import Key, Member
from gitops_registry.manifest.policies import Waiver
from gitops_registry.manifest.writing import dump
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits

pytestmark = pytest.mark.needs("signing")

Revision = Callable[[Access], Access]
TABLE = Table()
WEAK = "fraud@5"
FLOORS = "policies/floors.yaml"
NO_ADMINISTER = r"(bob|dan) may not administer"
TOO_WEAK = r"accuracy 0\.5 is below 0\.9"
SECOND = r"administrator of 2 agreed"


def lowered(shop: Workshop, base: str = "") -> dict[str, bytes]:
    """The bar lowered until the weak version clears it."""
    old = shop.at(base).read(FLOORS)
    assert old is not None
    return {FLOORS: old.replace(b"{accuracy: 0.9}", b"{accuracy: 0.1}").replace(b"accuracy: 0.5}", b"accuracy: 0.05}")}


def with_role(name: str, role: str) -> Revision:
    def change(access: Access) -> Access:
        return access.model_copy(
            update={
                "members": tuple(m.model_copy(update={"role": role}) if m.name == name else m for m in access.members)
            }
        )

    return change


def with_key(name: str, line: str) -> Revision:
    def change(access: Access) -> Access:
        more = tuple(
            m.model_copy(update={"keys": (*m.keys, Key(key=line))}) if m.name == name else m for m in access.members
        )
        return access.model_copy(update={"members": more})

    return change


def with_member(member: Member) -> Revision:
    return lambda access: access.model_copy(update={"members": (*access.members, member)})


def waived(shop: Workshop) -> Edits:
    """A waiver for the weak version."""
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    waiver = Waiver(
        policy="floors", rules=("metrics",), model="fraud", version_yaml=shop.at().oid(paths.version_path("fraud", 5)),
        reason="accepted by the risk board", not_before=now, expires=now + timedelta(days=7),
    )  # fmt: skip
    return {paths.waiver_path("weak"): dump(waiver, paths.waiver_path("weak"))}


def one_commit(shop: Workshop, by: str, changes: Edits, *, approved: str = "carol") -> list[str]:
    """Everything in one commit of a proposal, approved and landed."""
    head = shop.approval(shop.cast[approved], shop.commit(shop.cast[by], changes))
    return shop.pushes(head, shop.landing(shop.cast[by], head))


def two_commits(shop: Workshop, by: str, first: Edits, *, approved: str = "carol") -> list[str]:
    """The rule in one commit of a proposal, what it allows in the next, approved and landed."""
    begun = shop.commit(shop.cast[by], first)
    head = shop.commit(shop.cast[by], shop.promotion(WEAK, "production", base=begun), base=begun)
    head = shop.approval(shop.cast[approved], head)
    return shop.pushes(head, shop.landing(shop.cast[by], head))


def two_decisions(shop: Workshop, by: str, first: Edits) -> list[str]:
    """The rule decided first, what it allows second, both in one push."""
    rule = shop.commit(shop.cast[by], first)
    decided = shop.landing(shop.cast[by], rule)
    head = shop.commit(shop.cast[by], shop.promotion(WEAK, "production", base=decided), base=decided)
    approved = shop.approval(shop.carol, head, base=decided)
    decision = shop.landing(shop.cast[by], approved, base=decided)
    return [*shop.pushes(rule), *shop.pushes(approved, decision)]


# ── policies


@TABLE.attack("bob", NO_ADMINISTER, ssh=True)
def a_policy_lowered_in_the_commit_that_it_judges(shop: Workshop) -> list[str]:
    return one_commit(shop, "bob", {**shop.promotion(WEAK, "production"), **lowered(shop)})


@TABLE.attack("bob", NO_ADMINISTER)
def a_policy_lowered_in_the_commit_before(shop: Workshop) -> list[str]:
    return two_commits(shop, "bob", lowered(shop))


@TABLE.attack("bob", NO_ADMINISTER)
def a_policy_lowered_in_the_decision_before(shop: Workshop) -> list[str]:
    return two_decisions(shop, "bob", lowered(shop))


@TABLE.attack("alice", TOO_WEAK)
def an_administrator_lowers_the_policy_in_the_commit_that_it_judges(shop: Workshop) -> list[str]:
    return one_commit(shop, "alice", {**shop.promotion(WEAK, "production"), **lowered(shop)})


@TABLE.attack("alice", TOO_WEAK, ssh=True)
def an_administrator_lowers_the_policy_in_the_commit_before(shop: Workshop) -> list[str]:
    return two_commits(shop, "alice", lowered(shop))


@TABLE.attack("alice", SECOND)
def an_administrator_lowers_a_policy_alone(shop: Workshop) -> list[str]:
    head = shop.commit(shop.alice, lowered(shop))
    return shop.pushes(head, shop.landing(shop.alice, head))


@TABLE.attack("alice", SECOND)
def an_administrator_lowers_a_policy_with_an_engineer(shop: Workshop) -> list[str]:
    return one_commit(shop, "alice", lowered(shop), approved="bob")


@TABLE.attack("alice", TOO_WEAK)
def a_policy_that_is_taken_away_in_the_commit_that_it_judges(shop: Workshop) -> list[str]:
    return one_commit(shop, "alice", {**shop.promotion(WEAK, "production"), FLOORS: None})


@TABLE.attack("alice", SECOND, ssh=True)
def the_second_administrator_is_removed_so_that_nobody_else_need_agree(shop: Workshop) -> list[str]:
    return two_decisions(shop, "alice", shop.members(with_role("carol", "viewer")))


@TABLE.attack("alice", r"part|tip of|administrator of 2 agreed")
def an_administrator_lands_half_of_what_the_second_one_proposed(shop: Workshop) -> list[str]:
    half = shop.commit(shop.carol, lowered(shop))
    old = shop.at().read(FLOORS)
    whole = shop.commit(shop.carol, {FLOORS: old}, base=half, message="no, it stays as it is")
    return shop.pushes(whole, shop.landing(shop.alice, half))


# ── the constitution


@TABLE.attack("bob", NO_ADMINISTER)
def approvals_that_are_no_longer_asked_for(shop: Workshop) -> list[str]:
    law = shop.at().read(paths.CONSTITUTION)
    assert law is not None
    changes = {
        **shop.promotion("churn@2", "production"),
        paths.CONSTITUTION: law + b"approvals: 0\n",
    }
    head = shop.commit(shop.bob, changes)
    return shop.pushes(head, shop.landing(shop.bob, head))


@TABLE.attack("alice", SECOND)
def a_registry_that_may_be_changed_directly(shop: Workshop) -> list[str]:
    law = shop.at().read(paths.CONSTITUTION)
    assert law is not None
    head = shop.commit(shop.alice, {paths.CONSTITUTION: law + b"direct: true\n"})
    return shop.pushes(head, shop.landing(shop.alice, head))


# ── roles


@TABLE.attack("dan", NO_ADMINISTER)
def a_role_taken_in_the_commit_that_needs_it(shop: Workshop) -> list[str]:
    promoted = shop.members(with_role("dan", "admin"))
    return one_commit(shop, "dan", {**shop.promotion("churn@2", "production"), **promoted})


@TABLE.attack("dan", NO_ADMINISTER)
def a_role_taken_in_the_commit_before(shop: Workshop) -> list[str]:
    return two_commits(shop, "dan", shop.members(with_role("dan", "admin")))


@TABLE.attack("dan", NO_ADMINISTER, ssh=True)
def a_role_taken_in_the_decision_before(shop: Workshop) -> list[str]:
    return two_decisions(shop, "dan", shop.members(with_role("dan", "admin")))


@TABLE.attack("alice", SECOND)
def an_administrator_makes_another_one_alone(shop: Workshop) -> list[str]:
    head = shop.commit(shop.alice, shop.members(with_role("rob", "admin")))
    return shop.pushes(head, shop.landing(shop.alice, head))


@TABLE.attack("dan", r"dan may not deploy")
def a_writer_changes_the_card_of_what_serves(shop: Workshop) -> list[str]:
    head = shop.commit(shop.dan, edits.describe_version(shop.at(), Reference("fraud", 1), tags={"x": "y"}))
    return shop.pushes(head, shop.landing(shop.dan, head))


@TABLE.attack("dan", r"dan may not deploy")
def a_writer_moves_a_protected_alias(shop: Workshop) -> list[str]:
    head = shop.commit(shop.dan, edits.set_alias(shop.at(), Reference("fraud", 3), "champion"))
    return shop.pushes(head, shop.landing(shop.dan, head))


# ── waivers


@TABLE.attack("bob", NO_ADMINISTER)
def a_waiver_in_the_commit_that_it_excuses(shop: Workshop) -> list[str]:
    return one_commit(shop, "bob", {**shop.promotion(WEAK, "production"), **waived(shop)})


@TABLE.attack("bob", NO_ADMINISTER, ssh=True)
def a_waiver_in_the_commit_before(shop: Workshop) -> list[str]:
    return two_commits(shop, "bob", waived(shop))


@TABLE.attack("alice", TOO_WEAK)
def an_administrators_waiver_in_the_commit_that_it_excuses(shop: Workshop) -> list[str]:
    return one_commit(shop, "alice", {**shop.promotion(WEAK, "production"), **waived(shop)})


@TABLE.attack("alice", TOO_WEAK)
def an_administrators_waiver_in_the_commit_before(shop: Workshop) -> list[str]:
    return two_commits(shop, "alice", waived(shop))


# ── keys


@TABLE.attack("mallory", r"no member|unknown key|nobody's key|not .*member")
def somebody_makes_herself_a_member_with_the_key_that_signs_it(shop: Workshop) -> list[str]:
    mallory = Member(name="mallory", role="admin", email="mallory@example.com", keys=(Key(key=shop.mallory.public),))
    head = shop.commit(shop.mallory, shop.members(with_member(mallory)))
    return shop.pushes(head, shop.landing(shop.mallory, head))


@TABLE.attack("dan", r"dan may not administer|no member|unknown key|nobody's key|not .*member", ssh=True)
def a_key_is_put_under_anothers_name_and_decides_in_the_same_push(shop: Workshop) -> list[str]:
    stolen = shop.commit(shop.dan, shop.members(with_key("bob", shop.mallory.public)))
    decided = shop.landing(shop.dan, stolen)
    head = shop.commit(shop.mallory, shop.promotion("fraud@4", "staging", base=decided), base=decided)
    return [*shop.pushes(stolen), *shop.pushes(head, shop.landing(shop.mallory, head, base=decided))]


@TABLE.attack("dan", NO_ADMINISTER)
def a_key_is_put_under_anothers_name(shop: Workshop) -> list[str]:
    head = shop.commit(shop.dan, shop.members(with_key("bob", shop.mallory.public)))
    return shop.pushes(head, shop.landing(shop.dan, head))


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_nobody_changes_what_judges_them(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="file")


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("case", TABLE.rows("ssh"), ids=lambda case: case.name)
def test_nobody_changes_what_judges_them_over_ssh(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="ssh")


# ── the same, done properly


def test_a_policy_changes_when_two_administrators_agree(server: Server, shop: Workshop, tmp_path: Path) -> None:
    accept(server.copy(tmp_path / "copy.git"), shop, shop.alice, *one_commit(shop, "alice", lowered(shop)))


def test_a_waiver_that_was_decided_before_excuses(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    head = shop.approval(shop.carol, shop.commit(shop.alice, waived(shop)))
    decided = shop.landing(shop.alice, head)
    accept(copy, shop, shop.alice, *shop.pushes(head, decided))
    weak = shop.commit(shop.bob, shop.promotion(WEAK, "production", base=decided), base=decided)
    approved = shop.approval(shop.carol, weak, base=decided)
    accept(copy, shop, shop.bob, *shop.pushes(approved, shop.landing(shop.bob, approved, base=decided)))


def test_a_member_who_was_added_before_works(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    mallory = Member(
        name="mallory", role="data_scientist", email="mallory@example.com", keys=(Key(key=shop.mallory.public),)
    )
    head = shop.approval(shop.carol, shop.commit(shop.alice, shop.members(with_member(mallory))))
    decided = shop.landing(shop.alice, head)
    accept(copy, shop, shop.alice, *shop.pushes(head, decided))
    made = shop.commit(shop.mallory, shop.registration("churn", base=decided), base=decided)
    accept(copy, shop, shop.mallory, f"{made}:refs/heads/main")
