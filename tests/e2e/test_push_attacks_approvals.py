"""Pushes that bring approvals which do not hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fortress import Case, Server, Table, accept, refuse
from workshop import Workshop

from gitops_registry import edits
from gitops_registry.manifest.kinds import Access
from gitops_registry.manifest.members import Key

pytestmark = pytest.mark.needs("signing")

TABLE = Table()
SERVE = "churn@2"
NONE = r"approval"
UNKNOWN = r"no member|unknown key|nobody's key|not .*member"


def proposed(shop: Workshop, base: str = "") -> str:
    """Bob's honest proposal that wants an approval."""
    return shop.commit(shop.bob, shop.promotion(SERVE, "production", base=base), base=base, message="serve churn 2")


def decided(shop: Workshop, head: str, base: str = "") -> list[str]:
    """What bob pushes to land it, whoever approved."""
    return shop.pushes(head, shop.landing(shop.bob, head, base=base))


# ── none, or one's own


@TABLE.attack("bob", NONE, ssh=True)
def nobody_approved(shop: Workshop) -> list[str]:
    return decided(shop, proposed(shop))


@TABLE.attack("bob", NONE)
def whoever_proposes_approves(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.bob, proposed(shop)))


@TABLE.attack("bob", NONE)
def whoever_proposes_approves_with_another_key(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.bob_laptop, proposed(shop), author=shop.bob.line, committer=shop.bob.line))


@TABLE.attack("bob", NONE, ssh=True)
def whoever_proposes_approves_under_anothers_name(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.bob, proposed(shop), author=shop.carol.line, committer=shop.carol.line))


@TABLE.attack("bob", NONE)
def a_contributor_approves(shop: Workshop) -> list[str]:
    words = edits.describe_model(shop.at(), "churn", tags={"team": "growth"})
    begun = shop.commit(shop.carol, words)
    head = shop.commit(shop.bob, shop.promotion(SERVE, "production", base=begun), base=begun)
    return decided(shop, shop.approval(shop.carol, head))


@TABLE.attack("bob", NONE)
def an_author_approves_what_another_committed(shop: Workshop) -> list[str]:
    head = shop.commit(shop.bob, shop.promotion(SERVE, "production"), author=shop.carol.line)
    return decided(shop, shop.approval(shop.carol, head))


# ── of something else


@TABLE.attack("bob", NONE)
def the_plan_changed_after_it_was_approved(shop: Workshop) -> list[str]:
    approved = shop.approval(shop.carol, shop.commit(shop.bob, shop.promotion("churn@2", "archived")))
    back = shop.commit(shop.bob, shop.promotion(SERVE, "production", base=approved), base=approved)
    return decided(shop, back)


@TABLE.attack("bob", NONE)
def something_was_added_after_it_was_approved(shop: Workshop) -> list[str]:
    approved = shop.approval(shop.carol, proposed(shop))
    more = edits.describe_model(shop.at(approved), "churn", tags={"team": "growth"})
    return decided(shop, shop.commit(shop.bob, more, base=approved))


@TABLE.attack("bob", NONE)
def the_approval_is_of_another_proposal(shop: Workshop) -> list[str]:
    other = shop.digest(shop.tip, shop.commit(shop.bob, shop.promotion("fraud@2", "production")))
    return decided(shop, shop.approval(shop.carol, proposed(shop), plan=other))


@TABLE.attack("bob", NONE)
def the_approval_lies_on_another_branch(shop: Workshop) -> list[str]:
    head = proposed(shop)
    other = shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))
    approval = shop.approval(shop.carol, other, plan=shop.digest(shop.tip, head))
    return [*shop.pushes(approval), *decided(shop, head)]


@TABLE.attack("bob", NONE)
def the_approval_says_no_digest_in_full(shop: Workshop) -> list[str]:
    head = proposed(shop)
    return decided(shop, shop.approval(shop.carol, head, plan=shop.digest(shop.tip, head)[:12]))


@TABLE.attack("bob", NONE)
def the_approval_names_two_plans(shop: Workshop) -> list[str]:
    head = proposed(shop)
    plans = ("0" * 64, shop.digest(shop.tip, head))
    told = "\n".join([*(f"Approves-Plan: {plan}" for plan in plans), f"Approves-Base: {shop.tip}"])
    return decided(shop, shop.commit(shop.carol, {}, base=head, message=f"approve\n\n{told}"))


@TABLE.attack("bob", NONE)
def the_approval_is_in_the_words_of_a_message(shop: Workshop) -> list[str]:
    head = proposed(shop)
    told = f"Approves-Plan: {shop.digest(shop.tip, head)}\nApproves-Base: {shop.tip}"
    return decided(shop, shop.commit(shop.carol, {}, base=head, message=f"no\n\n{told}\n\nis what I will not say"))


@TABLE.attack("bob", NONE)
def the_approval_is_written_into_the_merge(shop: Workshop) -> list[str]:
    head = proposed(shop)
    told = f"Approves-Plan: {shop.digest(shop.tip, head)}\nApproves-Base: {shop.tip}"
    return shop.pushes(head, shop.landing(shop.carol, head, message=f"land\n\n{told}"))


@TABLE.attack("bob", NONE)
def the_approval_brings_a_change_of_its_own(shop: Workshop) -> list[str]:
    head = shop.commit(shop.bob, edits.describe_model(shop.at(), "churn", tags={"team": "growth"}))
    after = shop.promotion(SERVE, "production", base=head)
    whole = shop.digest(shop.tip, shop.commit(shop.bob, after, base=head))
    told = f"approve\n\nApproves-Plan: {whole}\nApproves-Base: {shop.tip}"
    return decided(shop, shop.commit(shop.carol, after, base=head, message=told))


# ── of another time


@TABLE.attack("bob", NONE, ssh=True)
def an_approval_is_used_again_after_a_rollback(shop: Workshop) -> list[str]:
    tree = shop.forge.edited(shop.tip, shop.promotion("fraud@2", "production"))
    return shop.pushes("", shop.landing(shop.bob, shop.marks["approved 2"], tree=tree))


@TABLE.attack("bob", NONE)
def an_approval_is_merged_into_a_new_proposal_after_a_rollback(shop: Workshop) -> list[str]:
    tree = shop.forge.edited(shop.tip, shop.promotion("fraud@2", "production"))
    first = shop.commit(shop.bob, shop.promotion("fraud@2", "production"))
    head = shop.landing(shop.bob, shop.marks["approved 2"], base=first, tree=tree)
    return shop.pushes(head, shop.landing(shop.bob, head, tree=tree))


@TABLE.attack("bob", NONE)
def the_model_was_decided_about_since_it_was_approved(shop: Workshop) -> list[str]:
    head = proposed(shop)
    approved = shop.approval(shop.carol, head)
    other = edits.describe_model(shop.at(), "churn", tags={"team": "growth"})
    first = shop.commit(shop.bob, other)
    between = shop.landing(shop.bob, first)
    back = shop.commit(shop.bob, edits.describe_model(shop.at(between), "churn", tags={"team": None}), base=between)
    again = shop.landing(shop.bob, back, base=between)
    return [*shop.pushes(first), *shop.pushes(back), *decided(shop, approved, again)]


@TABLE.attack("bob", NONE)
def the_approval_was_made_on_a_base_that_nobody_decided(shop: Workshop) -> list[str]:
    head = proposed(shop)
    return decided(shop, _on_base(shop, head, shop.marks["abandoned"]))


@TABLE.attack("bob", NONE)
def the_approval_was_made_on_a_base_that_does_not_exist(shop: Workshop) -> list[str]:
    head = proposed(shop)
    return decided(shop, _on_base(shop, head, "f" * 40))


def _on_base(shop: Workshop, head: str, base: str) -> str:
    told = f"approve\n\nApproves-Plan: {shop.digest(shop.tip, head)}\nApproves-Base: {base}"
    return shop.commit(shop.carol, {}, base=head, message=told)


# ── by somebody who may not


@TABLE.attack("bob", rf"expired|{NONE}", ssh=True)
def the_approvers_key_is_past_its_date(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.gus, proposed(shop)))


@TABLE.attack("bob", rf"expired|{NONE}")
def the_approvers_key_is_past_its_date_and_the_approval_is_dated_before(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.gus, proposed(shop), date=1_760_000_000))


@TABLE.attack("bob", rf"revoked|{NONE}")
def the_approvers_key_was_revoked(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.frank, proposed(shop)))


@TABLE.attack("bob", rf"vic may not|{NONE}")
def a_viewer_approves(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.vic, proposed(shop)))


@TABLE.attack("bob", NONE)
def a_data_scientist_approves(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.dan, proposed(shop)))


@TABLE.attack("bob", NONE)
def an_engineer_of_other_models_approves(shop: Workshop) -> list[str]:
    head = shop.commit(shop.bob, shop.promotion("fraud@2", "production"))
    return decided(shop, shop.approval(shop.eve, head))


@TABLE.attack("bob", NONE)
def a_service_approves(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.rob, proposed(shop)))


@TABLE.attack("bob", rf"{UNKNOWN}|{NONE}")
def somebody_who_is_no_member_approves(shop: Workshop) -> list[str]:
    return decided(shop, shop.approval(shop.mallory, proposed(shop)))


@TABLE.attack("bob", r"signed|signature")
def the_approval_is_not_signed(shop: Workshop) -> list[str]:
    return decided(shop, shop.forge.unsigned(shop.approval(shop.carol, proposed(shop))))


@TABLE.attack("bob", r"signature|tampered")
def the_approval_was_made_for_another_plan_and_rewritten(shop: Workshop) -> list[str]:
    head = proposed(shop)
    other = shop.approval(shop.carol, head, plan="0" * 64)
    digest = shop.digest(shop.tip, head).encode()
    return decided(shop, shop.forge.altered(other, lambda data: data.replace(b"0" * 64, digest)))


@TABLE.attack("bob", r"signature|tampered")
def the_approval_carries_the_signature_of_another_one(shop: Workshop) -> list[str]:
    head = proposed(shop)
    other = shop.forge.git("cat-file", "commit", shop.marks["approved 2"])
    found = re.search(rb"\ngpgsig [^\n]*(\n [^\n]*)*", other)
    assert found
    mine = shop.forge.unsigned(shop.approval(shop.carol, head))
    return decided(shop, shop.forge.altered(mine, lambda data: data.replace(b"\n\n", found[0] + b"\n\n", 1)))


def _demoted(access: Access) -> Access:
    members = tuple(m.model_copy(update={"role": "viewer"}) if m.name == "carol" else m for m in access.members)
    return access.model_copy(update={"members": members})


def _revoked(access: Access) -> Access:
    def without(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        return tuple(key.model_copy(update={"revoked": True}) for key in keys)

    members = tuple(m.model_copy(update={"keys": without(m.keys)}) if m.name == "carol" else m for m in access.members)
    return access.model_copy(update={"members": members})


@TABLE.attack("bob", rf"carol|{NONE}", ssh=True)
def the_approver_was_made_a_viewer_since(shop: Workshop) -> list[str]:
    return _after(shop, _demoted)


@TABLE.attack("bob", rf"revoked|{NONE}")
def the_approvers_key_was_revoked_since(shop: Workshop) -> list[str]:
    return _after(shop, _revoked)


def _after(shop: Workshop, change: Callable[[Access], Access]) -> list[str]:
    approved = shop.approval(shop.carol, proposed(shop))
    rule = shop.approval(shop.carol, shop.commit(shop.alice, shop.members(change)))
    ruled = shop.landing(shop.alice, rule)
    return [*shop.pushes(rule), *decided(shop, approved, ruled)]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_it_counts_for_nothing(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="file")


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("case", TABLE.rows("ssh"), ids=lambda case: case.name)
def test_it_counts_for_nothing_over_ssh(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="ssh")


# ── approvals that hold


@pytest.mark.parametrize("name", ["alice", "carol", "eve"])
def test_whoever_may_deploy_and_had_no_part_approves(name: str, server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    accept(copy, shop, shop.bob, *decided(shop, shop.approval(shop.cast[name], proposed(shop))))


def test_an_approval_outlives_decisions_about_other_models(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    approved = shop.approval(shop.carol, proposed(shop))
    rule = shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))
    other = shop.landing(shop.bob, rule)
    accept(copy, shop, shop.bob, *shop.pushes(rule), *decided(shop, approved, other))


def test_a_proposal_is_approved_again_after_a_rollback(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    head = shop.approval(shop.carol, shop.commit(shop.bob, shop.promotion("fraud@2", "production")))
    accept(copy, shop, shop.bob, *decided(shop, head))
