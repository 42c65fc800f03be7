"""Pushes of refs that are not for the pusher to make, move or take away."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fortress import Case, Server, Table, accept, refuse
from workshop import Workshop

pytestmark = pytest.mark.needs("signing")

TABLE = Table()
NAMESPACE = r"is no ref that this server takes"
TAG = r"tag"


def head(shop: Workshop) -> str:
    """Bob's honest proposal."""
    return shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))


# ── tags


@TABLE.attack("alice", TAG, ssh=True)
def a_tag_is_moved(shop: Workshop) -> list[str]:
    return [f"{shop.marks['churn@2']}:refs/tags/churn@v1"]


@TABLE.attack("alice", TAG)
def a_tag_is_deleted(shop: Workshop) -> list[str]:
    return [":refs/tags/churn@v1"]


@TABLE.attack("alice", TAG)
def a_tag_becomes_an_annotated_one(shop: Workshop) -> list[str]:
    return [f"{annotated(shop, shop.marks['churn@1'], 'churn@v1')}:refs/tags/churn@v1"]


@TABLE.attack("alice", TAG, ssh=True)
def a_tag_names_another_decision_than_the_one_that_registered(shop: Workshop) -> list[str]:
    return [f"{shop.marks['fraud@3']}:refs/tags/fraud@v2"]


@TABLE.attack("alice", TAG)
def a_tag_names_a_later_decision(shop: Workshop) -> list[str]:
    return [f"{shop.tip}:refs/tags/fraud@v2"]


@TABLE.attack("alice", TAG)
def a_tag_names_a_commit_that_nobody_decided(shop: Workshop) -> list[str]:
    return [f"{shop.commit(shop.dan, shop.registration('fraud'))}:refs/tags/fraud@v6"]


@TABLE.attack("alice", TAG)
def a_tag_names_a_version_that_does_not_exist(shop: Workshop) -> list[str]:
    return [f"{shop.tip}:refs/tags/fraud@v99"]


@TABLE.attack("alice", rf"{TAG}|{NAMESPACE}")
def a_tag_with_a_name_of_ones_own(shop: Workshop) -> list[str]:
    return [f"{shop.tip}:refs/tags/v1.0"]


@TABLE.attack("alice", rf"{TAG}|{NAMESPACE}")
def a_tag_that_is_named_like_the_branch_of_decisions(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/tags/main"]


@TABLE.attack("alice", rf"{TAG}|{NAMESPACE}")
def a_tag_of_a_file(shop: Workshop) -> list[str]:
    return [f"{shop.forge.blob(b'x')}:refs/tags/fraud@v2"]


def annotated(shop: Workshop, commit: str, name: str) -> str:
    told = f"object {commit}\ntype commit\ntag {name}\ntagger Alice <alice@example.com> 1790000000 +0000\n\nx\n"
    return shop.forge.put("tag", told.encode())


@TABLE.attack("alice", r"staging|production|model\.yaml")
def a_tag_says_a_stage_that_the_version_does_not_have(shop: Workshop) -> list[str]:
    return [f"{shop.marks['fraud@3']}:refs/tags/fraud#production#1"]


# ── branches and other refs


@TABLE.attack("bob", NAMESPACE, ssh=True)
def a_branch_outside_the_namespaces(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/feature"]


@TABLE.attack("bob", NAMESPACE)
def a_branch_that_differs_from_main_in_case(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/Main"]


@TABLE.attack("bob", NAMESPACE)
def a_branch_whose_prefix_differs_in_case(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/Promote/fraud/4/staging"]


@TABLE.attack("bob", rf"case|exists|{NAMESPACE}")
def a_branch_that_differs_from_an_open_proposal_in_case(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/promote/Fraud/3/production"]


@TABLE.attack("bob", rf"in the way|{NAMESPACE}")
def a_branch_in_the_way_of_every_proposal_about_a_model(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/archive/churn"]


@TABLE.attack("bob", r"moves 101 refs")
def more_refs_than_anybody_reads(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/promote/many/{number}" for number in range(101)]


@TABLE.attack("bob", NAMESPACE)
def a_branch_below_main_of_another_namespace(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/refs/heads/main"]


@TABLE.attack("bob", NAMESPACE)
def a_branch_that_starts_with_a_hyphen(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/-f"]


@TABLE.attack("bob", NAMESPACE)
def a_branch_that_reads_like_an_option(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/--upload-pack=touch"]


@TABLE.attack("bob", NAMESPACE)
def a_proposal_whose_name_has_a_part_like_an_option(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/promote/--output=x/4/staging"]


@TABLE.attack("bob", NAMESPACE)
def a_proposal_whose_name_is_a_command_to_a_shell(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/promote/$(touch$IFS'pwned')/4"]


@TABLE.attack("bob", NAMESPACE)
def a_proposal_whose_name_turns_the_writing_round(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/promote/\u202efraud/4"]


@TABLE.attack("bob", NAMESPACE)
def a_proposal_whose_name_holds_a_homoglyph(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/heads/promote/fr\u0430ud/4/staging"]


@TABLE.attack("bob", NAMESPACE, ssh=True)
def replaced_objects(shop: Workshop) -> list[str]:
    return [f"{shop.commit(shop.bob, {}, tree=shop.forge.edited(shop.tip, {}))}:refs/replace/{shop.tip}"]


@TABLE.attack("bob", NAMESPACE)
def notes(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/notes/commits"]


@TABLE.attack("bob", NAMESPACE)
def what_we_remember_ourselves(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/gitops-registry/known/origin/main"]


@TABLE.attack("bob", NAMESPACE)
def a_pull_request_of_a_forge(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/pull/1/head"]


@TABLE.attack("bob", NAMESPACE)
def a_branch_as_others_see_it(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/remotes/origin/main"]


@TABLE.attack("bob", NAMESPACE)
def a_stash(shop: Workshop) -> list[str]:
    return [f"{head(shop)}:refs/stash"]


@TABLE.attack("bob", NAMESPACE, ssh=True)
def one_bad_ref_spoils_the_whole_push(shop: Workshop) -> list[str]:
    proposed = head(shop)
    return [*shop.pushes(proposed, shop.landing(shop.bob, proposed)), f"{proposed}:refs/notes/x"]


@TABLE.attack("bob", r"commit|follow")
def main_is_a_tag(shop: Workshop) -> list[str]:
    return [f"{annotated(shop, shop.tip, 'main')}:refs/heads/main"]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_the_ref_is_not_taken(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="file")


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("case", TABLE.rows("ssh"), ids=lambda case: case.name)
def test_the_ref_is_not_taken_over_ssh(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="ssh")


# ── the same, done properly


def test_a_version_is_tagged_where_it_was_registered(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    accept(copy, shop, shop.dan, *(f"{shop.marks[f'fraud@{n}']}:refs/tags/fraud@v{n}" for n in (1, 2, 3)))


def test_a_version_is_registered_and_then_tagged(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    made = shop.commit(shop.dan, shop.registration("fraud"))
    early = copy.push(shop, shop.dan, f"{made}:refs/heads/main", f"{made}:refs/tags/fraud@v6")
    assert early.hints == [
        "push the decision that registered it first, then a tag on it: gitops-registry log NAME shows which"
    ]
    accept(copy, shop, shop.dan, f"{made}:refs/heads/main")
    accept(copy, shop, shop.dan, f"{made}:refs/tags/fraud@v6")


@pytest.mark.parametrize("branch", ["promote/fraud/4/staging", "change/words", "access/add/zoe"])
def test_a_proposal_has_a_branch_of_the_namespaces(branch: str, server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    accept(copy, shop, shop.bob, f"{head(shop)}:refs/heads/{branch}")


def test_replaced_objects_of_the_server_itself_are_not_looked_at(
    server: Server, shop: Workshop, tmp_path: Path
) -> None:
    copy = server.copy(tmp_path / "copy.git")
    law = shop.at().read("registry.yaml")
    assert law is not None
    lax = shop.commit(shop.alice, {"registry.yaml": law + b"approvals: 0\n"}, parents=[])
    git = ["git", "-C", str(shop.root), "push", "--quiet", "--no-verify", copy.path.as_uri()]
    hook = copy.path / "hooks/pre-receive"
    hook.rename(hook.with_suffix(".off"))
    subprocess.run([*git, f"{lax}:refs/replace/{shop.tip}"], check=True)
    hook.with_suffix(".off").rename(hook)
    proposed = shop.commit(shop.bob, shop.promotion("churn@2", "production"))
    result = copy.push(shop, shop.bob, *shop.pushes(proposed, shop.landing(shop.bob, proposed)))
    assert result.code != 0
    assert "approval" in "\n".join(result.refusals)
