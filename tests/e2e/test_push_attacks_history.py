"""Pushes that rewrite history, or decide something else than what a proposal says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fortress import OPEN, Case, Server, Table, accept, refuse
from workshop import Workshop

from gitops_registry import edits, paths
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content, Stored

pytestmark = pytest.mark.needs("signing")

TABLE = Table()
MAIN = "refs/heads/main"
WAITING = next(iter(OPEN))
APPEND = r"append|rewr|fast-forward|goes back|on top of"
FIRST_PARENT = r"parents are swapped|follow the last decision"
NOT_OURS = r"is not the merge|not what .*would|differs from"
DIRECT = r"proposal|direct"
NONE = r"approval"


def staging(shop: Workshop, base: str = "") -> str:
    """Bob's honest proposal, which wants no approval."""
    return shop.commit(shop.bob, shop.promotion("fraud@4", "staging", base=base), base=base)


def served(shop: Workshop, base: str = "") -> str:
    """Bob's proposal that wants an approval and has none."""
    return shop.commit(shop.bob, shop.promotion("churn@2", "production", base=base), base=base)


# ── rewriting


@TABLE.attack("alice", APPEND, ssh=True)
def main_is_put_back(shop: Workshop) -> list[str]:
    return [f"{shop.marks['2 serves']}:{MAIN}"]


@TABLE.attack("alice", APPEND)
def the_last_decision_is_made_anew(shop: Workshop) -> list[str]:
    base = shop.marks["2 serves"]
    back = edits.restore(shop.at(base), Reference("fraud", 1), "production", {2: "staging"})
    head = shop.approval(shop.carol, shop.commit(shop.bob, back, base=base, message="another reason"), base=base)
    return shop.pushes(head, shop.landing(shop.bob, head, base=base))


@TABLE.attack("alice", r"delet|taken away|remove", ssh=True)
def main_is_deleted(shop: Workshop) -> list[str]:
    return [f":{MAIN}"]


@TABLE.attack("alice", rf"{APPEND}|{FIRST_PARENT}|root|history", ssh=True)
def main_is_an_orphan(shop: Workshop) -> list[str]:
    tree = shop.forge.edited(shop.tip, {})
    return [f"{shop.commit(shop.alice, {}, tree=tree, parents=[])}:{MAIN}"]


@TABLE.attack("alice", r"history in common|root|unrelated|proposal|parents")
def a_proposal_is_an_orphan(shop: Workshop) -> list[str]:
    head = shop.commit(shop.alice, shop.promotion("fraud@4", "staging"), parents=[])
    tree = shop.forge.edited(head, {})
    return shop.pushes(head, shop.landing(shop.alice, head, tree=tree))


@TABLE.attack("bob", r"append|delet|taken away|open", ssh=True)
def an_open_proposal_is_deleted(shop: Workshop) -> list[str]:
    return [f":refs/heads/{WAITING}"]


@TABLE.attack("bob", APPEND)
def an_open_proposal_is_put_back_to_before_its_rejection(shop: Workshop) -> list[str]:
    return [f"{shop.marks['third']}:refs/heads/{WAITING}"]


@TABLE.attack("bob", APPEND)
def an_open_proposal_is_made_anew(shop: Workshop) -> list[str]:
    return [f"{staging(shop)}:refs/heads/{WAITING}"]


# ── merges that are not the one we would make


@TABLE.attack("bob", NOT_OURS)
def a_merge_keeps_ours_and_drops_the_proposal(shop: Workshop) -> list[str]:
    head = staging(shop)
    return shop.pushes(head, shop.landing(shop.bob, head, tree=shop.forge.edited(shop.tip, {})))


@TABLE.attack("bob", NOT_OURS, ssh=True)
def a_merge_adds_a_change_of_its_own(shop: Workshop) -> list[str]:
    head = staging(shop)
    more = shop.promotion("churn@2", "archived")
    return shop.pushes(head, shop.landing(shop.bob, head, tree=shop.forge.edited(head, more)))  # type: ignore[arg-type]


@TABLE.attack("bob", NOT_OURS)
def a_merge_takes_theirs_and_undoes_what_was_decided_meanwhile(shop: Workshop) -> list[str]:
    head = staging(shop, shop.marks["2 serves"])
    return shop.pushes(head, shop.landing(shop.bob, head, tree=shop.forge.edited(head, {})))


@TABLE.attack("bob", r"joins 3 histories")
def a_merge_of_three(shop: Workshop) -> list[str]:
    head, other = staging(shop), shop.commit(shop.bob, shop.promotion("churn@2", "archived"))
    tree = shop.forge.edited(head, shop.promotion("churn@2", "archived"))  # type: ignore[arg-type]
    merge = shop.landing(shop.bob, head, tree=tree, parents=[shop.tip, head, other])
    return [*shop.pushes(other), *shop.pushes(head, merge)]


@TABLE.attack("bob", rf"{FIRST_PARENT}|{APPEND}")
def a_merge_whose_parents_are_swapped(shop: Workshop) -> list[str]:
    head = staging(shop)
    tree = shop.forge.edited(head, {})
    return shop.pushes(head, shop.landing(shop.bob, head, tree=tree, parents=[head, shop.tip]))


@TABLE.attack("bob", rf"{FIRST_PARENT}|{APPEND}", ssh=True)
def a_foxtrot_merge_drops_the_last_decisions(shop: Workshop) -> list[str]:
    older = shop.marks["2 serves"]
    head = staging(shop, older)
    decided = shop.landing(shop.bob, head, base=older)
    tree = shop.forge.edited(shop.tip, shop.promotion("fraud@4", "staging"))  # type: ignore[arg-type]
    merge = shop.landing(shop.bob, shop.tip, base=decided, tree=tree)
    return shop.pushes(head, merge)


@TABLE.attack("bob", r"parents|twice|same|proposal|nothing|decided before")
def a_merge_of_the_tip_with_itself(shop: Workshop) -> list[str]:
    tree = shop.forge.edited(shop.tip, shop.promotion("fraud@4", "staging"))  # type: ignore[arg-type]
    return shop.pushes("", shop.landing(shop.bob, shop.tip, tree=tree))


@TABLE.attack("alice", rf"conflict|{NOT_OURS}|renamed|meanwhile|changed")
def gits_own_merge_follows_a_rename_into_another_model(shop: Workshop) -> list[str]:
    before = shop.at()
    words = shop.commit(shop.dan, edits.describe_version(before, Reference("fraud", 4), tags={"from": "dan"}))
    gone: dict[str, Content | None] = dict(edits.rename(before, "fraud", "churn-eu"))
    for number in before.versions("fraud"):
        card = before.oid(paths.rendered_card_path("fraud", number))
        gone[paths.rendered_card_path("churn-eu", number)] = Stored(card, "100644")
    moved = shop.commit(shop.alice, gone)
    tree = shop.forge.git("merge-tree", "--write-tree", moved, words).decode().split()[0]
    return shop.pushes(words, shop.landing(shop.alice, words, base=shop.tip, tree=tree))


@TABLE.attack("dan", r"dan may not|never change", ssh=True)
def a_writer_swaps_the_names_of_two_models(shop: Workshop) -> list[str]:
    swapped: dict[str, tuple[str, str] | None] = {}
    for path, entry in shop.forge.files(shop.tip).items():
        for one, other in (("fraud", "churn"), ("churn", "fraud")):
            for top in ("models", "cards"):
                if path.startswith(f"{top}/{one}/"):
                    swapped.setdefault(path, None)
                    swapped[path.replace(f"/{one}/", f"/{other}/")] = entry
    for name in ("fraud", "churn"):
        swapped[paths.model_path(name)] = shop.forge.files(shop.tip)[paths.model_path(name)]
    head = shop.commit(shop.dan, swapped)
    return shop.pushes(head, shop.landing(shop.dan, head))


# ── decisions without a proposal, or of another one


@TABLE.attack("bob", DIRECT, ssh=True)
def a_promotion_is_committed_directly(shop: Workshop) -> list[str]:
    return [f"{staging(shop)}:{MAIN}"]


@TABLE.attack("bob", DIRECT)
def a_proposal_is_fast_forwarded(shop: Workshop) -> list[str]:
    head = staging(shop)
    return shop.pushes(head, head)


@TABLE.attack("bob", DIRECT)
def a_registration_that_also_promotes_is_committed_directly(shop: Workshop) -> list[str]:
    new = shop.registration("fraud")
    return [f"{shop.commit(shop.bob, {**new, **shop.promotion('fraud@4', 'staging')})}:{MAIN}"]


@TABLE.attack("dan", DIRECT)
def somebody_elses_abandoned_commit_is_landed(shop: Workshop) -> list[str]:
    return [f"{shop.marks['abandoned']}:{MAIN}"]


@TABLE.attack("dan", r"dan may not deploy", ssh=True)
def somebody_elses_proposal_is_landed_by_a_writer(shop: Workshop) -> list[str]:
    head = staging(shop)
    return shop.pushes(head, shop.landing(shop.dan, head))


@TABLE.attack("bob", r"proposal|tip of|branch|reject", ssh=True)
def a_part_of_a_proposal_is_merged(shop: Workshop) -> list[str]:
    head = staging(shop)
    more = shop.commit(shop.bob, shop.promotion("churn@2", "archived", base=head), base=head)
    return shop.pushes(more, shop.landing(shop.bob, head))


@TABLE.attack("eve", r"eve may not deploy")
def an_engineer_decides_about_another_team_s_model(shop: Workshop) -> list[str]:
    head = shop.commit(shop.eve, shop.promotion("fraud@4", "staging"))
    return shop.pushes(head, shop.landing(shop.eve, head))


@TABLE.attack("dan", r"dan may not delete")
def a_writer_deletes_a_version(shop: Workshop) -> list[str]:
    head = shop.commit(shop.dan, edits.delete_version(shop.at(), Reference("fraud", 5)))
    return shop.pushes(head, shop.landing(shop.dan, head))


@TABLE.attack("vic", r"vic may not write", ssh=True)
def a_viewer_registers(shop: Workshop) -> list[str]:
    return [f"{shop.commit(shop.vic, shop.registration('fraud'))}:{MAIN}"]


@TABLE.attack("vic", r"vic may not write|vic", ssh=True)
def a_viewer_proposes(shop: Workshop) -> list[str]:
    return shop.pushes(shop.commit(shop.vic, shop.promotion("fraud@4", "staging")))


@TABLE.attack("eve", r"eve may not write for fraud")
def an_engineer_registers_for_another_teams_model(shop: Workshop) -> list[str]:
    return [f"{shop.commit(shop.eve, shop.registration('fraud'))}:{MAIN}"]


@TABLE.attack("bob", r"eve may not write for fraud")
def an_engineer_of_another_team_writes_what_somebody_else_decides(shop: Workshop) -> list[str]:
    head = shop.commit(shop.eve, shop.promotion("fraud@4", "staging"))
    return shop.pushes(head, shop.landing(shop.bob, head))


# ── many steps in one push


@TABLE.attack("bob", NONE, ssh=True)
def a_promotion_and_its_undoing_in_one_push(shop: Workshop) -> list[str]:
    head = served(shop)
    decided = shop.landing(shop.bob, head)
    back = edits.restore(shop.at(decided), Reference("churn", 1), "production", {2: "staging"})
    undone = shop.commit(shop.bob, back, base=decided)
    return [*shop.pushes(head), *shop.pushes(undone, shop.landing(shop.bob, undone, base=decided))]


@TABLE.attack("bob", r"bob|no member|unknown", ssh=True)
def a_member_is_removed_and_decides_in_the_same_push(shop: Workshop) -> list[str]:
    before = shop.members(
        lambda access: access.model_copy(update={"members": tuple(m for m in access.members if m.name != "bob")})
    )
    rule = shop.approval(shop.carol, shop.commit(shop.alice, before))
    ruled = shop.landing(shop.alice, rule)
    head = staging(shop, ruled)
    return [*shop.pushes(rule), *shop.pushes(head, shop.landing(shop.bob, head, base=ruled))]


@TABLE.attack("bob", r"bob may not administer")
def one_bad_decision_among_good_ones(shop: Workshop) -> list[str]:
    first = staging(shop)
    good = shop.landing(shop.bob, first)
    old = shop.at().read(paths.CONSTITUTION)
    assert old is not None
    bad = shop.commit(shop.bob, {paths.CONSTITUTION: old + b"title: Mine\n"}, base=good)
    worse = shop.landing(shop.bob, bad, base=good)
    last = shop.commit(shop.bob, shop.registration("fraud", base=worse), base=worse)
    return [*shop.pushes(first), *shop.pushes(bad, last)]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_history_stays(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="file")


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("case", TABLE.rows("ssh"), ids=lambda case: case.name)
def test_history_stays_over_ssh(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="ssh")


# ── the same, done properly


def test_a_proposal_is_pushed_added_to_and_landed(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy, branch = server.copy(tmp_path / "copy.git"), "promote/fraud/4/staging"
    head = staging(shop)
    accept(copy, shop, shop.bob, f"{head}:refs/heads/{branch}")
    more = shop.commit(shop.dan, edits.describe_model(shop.at(), "fraud", tags={"x": "y"}), base=head)
    accept(copy, shop, shop.dan, f"{more}:refs/heads/{branch}")
    landed = shop.landing(shop.bob, more, branch=branch)
    accept(copy, shop, shop.bob, f"{landed}:{MAIN}")
    accept(copy, shop, shop.bob, f":refs/heads/{branch}")


def test_a_proposal_that_was_merged_before_anybody_pushed_it_lands(
    server: Server, shop: Workshop, tmp_path: Path
) -> None:
    accept(server.copy(tmp_path / "copy.git"), shop, shop.bob, *shop.pushes("", shop.landing(shop.bob, staging(shop))))


def test_two_proposals_made_on_the_same_tip_land_one_after_the_other(
    server: Server, shop: Workshop, tmp_path: Path
) -> None:
    copy = server.copy(tmp_path / "copy.git")
    one, other = staging(shop), shop.commit(shop.bob, shop.promotion("fraud@3", "archived"))
    first = shop.landing(shop.bob, one)
    second = shop.landing(shop.bob, other, base=first)
    accept(copy, shop, shop.bob, *shop.pushes(one), *shop.pushes(other, second))


def test_a_proposal_that_took_later_decisions_in_lands(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    head = staging(shop, shop.marks["2 serves"])
    tree = shop.forge.edited(shop.tip, shop.promotion("fraud@4", "staging"))  # type: ignore[arg-type]
    joined = shop.commit(shop.bob, {}, tree=tree, parents=[head, shop.tip])
    accept(copy, shop, shop.bob, *shop.pushes(joined, shop.landing(shop.bob, joined)))


def test_of_two_pushes_at_once_one_lands(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    made = [shop.commit(shop.dan, shop.registration(name)) for name in ("fraud", "churn")]
    with ThreadPoolExecutor(2) as both:
        results = list(both.map(lambda commit: copy.push(shop, shop.dan, f"{commit}:{MAIN}"), made))
    landed = [commit for commit, result in zip(made, results, strict=True) if result.code == 0]
    assert landed == [copy.refs[MAIN]]


def test_versions_are_registered_directly(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    one = shop.commit(shop.dan, shop.registration("fraud"))
    two = shop.commit(shop.dan, shop.registration("toy", base=one), base=one)
    accept(copy, shop, shop.dan, f"{two}:{MAIN}")


def test_a_version_is_deleted_and_a_model_renamed_by_those_who_may(
    server: Server, shop: Workshop, tmp_path: Path
) -> None:
    copy = server.copy(tmp_path / "copy.git")
    head = shop.commit(shop.alice, edits.delete_version(shop.at(), Reference("fraud", 5)))
    accept(copy, shop, shop.alice, *shop.pushes(head, shop.landing(shop.alice, head)))
