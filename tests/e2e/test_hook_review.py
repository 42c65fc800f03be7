"""What got past an earlier hook, as real pushes: false words of where a ref is, rejections walked around, work held up."""

from __future__ import annotations

import getpass
import time
from pathlib import Path

import pytest
from forging import Draft
from fortress import Server, accept, ssh
from raw import ZERO, receive
from workshop import Workshop, raw

from gitops_registry import edits
from gitops_registry.manifest.kinds import Access
from gitops_registry.manifest.members import Key, Member

pytestmark = pytest.mark.needs("signing")


@pytest.fixture
def copy(server: Server, tmp_path: Path) -> Server:
    """A server of one's own."""
    return server.copy(tmp_path / "copy.git")


def by_hand(server: Server, shop: Workshop, *updates: tuple[str, str, str]) -> str:
    return receive(["git", "receive-pack", str(server.path)], shop.root / ".git", updates)


def alone(shop: Workshop) -> bytes:
    """An access.yaml where mallory, who is no member of the registry, rules alone."""

    def taken(access: Access) -> Access:
        mine = Member(name="mallory", role="admin", email="mallory@example.com", keys=(Key(key=shop.mallory.public),))
        return access.model_copy(update={"members": (mine,)})

    content = shop.members(taken)["policies/access.yaml"]
    assert isinstance(content, bytes)
    return content


# ── where a ref was, as the pusher says


def test_a_history_of_ones_own_tags_a_version_that_nobody_decided(copy: Server, shop: Workshop) -> None:
    """`old` may be any commit, also one that comes with the push: its access.yaml then judges what follows it."""
    fake = shop.commit(shop.mallory, {"policies/access.yaml": alone(shop)})
    evil = shop.commit(
        shop.mallory, shop.registration("fraud", base=fake, payload=b"evil" * 9), base=fake, message="register"
    )
    told = by_hand(copy, shop, ("refs/heads/main", fake, evil), ("refs/tags/fraud@v6", ZERO, evil))
    assert "refs/tags/fraud@v6" not in copy.refs, told


def test_a_rejected_proposal_is_taken_away(copy: Server, shop: Workshop) -> None:
    """With an invented main the proposal has 'landed', and its branch, with carol's rejection, goes."""
    branch = "refs/heads/promote/fraud/3/production"
    rejected = shop.marks["third rejected"]
    tree = shop.forge.edited(shop.tip, {})
    fake = shop.forge.commit(shop.bob, Draft(tree=tree, parents=[shop.tip, rejected], message="whatever"))
    tags = edits.describe_model(shop.at(), "churn", tags={"team": "growth"})
    first = shop.commit(shop.bob, tags, base=fake)
    main = shop.landing(shop.bob, first, base=fake)
    told = by_hand(copy, shop, ("refs/heads/main", fake, main), (branch, rejected, ZERO))
    assert copy.refs.get(branch) == rejected, told


# ── parts of proposals, and rejections


def with_role(shop: Workshop, name: str, role: str, base: str = "") -> dict[str, object]:
    def changed(access: Access) -> Access:
        members = tuple(m.model_copy(update={"role": role}) if m.name == name else m for m in access.members)
        return access.model_copy(update={"members": members})

    return shop.members(changed, base=base)  # type: ignore[return-value]


def test_an_administrator_lands_the_part_of_anothers_proposal_that_she_took_back(copy: Server, shop: Workshop) -> None:
    """Carol proposed to make dan an administrator, and mended it. Alice lands the slip, with nothing of her own but a word."""
    slip = shop.commit(shop.carol, with_role(shop, "dan", "admin"), message="let dan deploy")
    mended = shop.commit(shop.carol, with_role(shop, "dan", "ml_engineer", slip), base=slip, message="not all of it")
    accept(copy, shop, shop.carol, f"{mended}:refs/heads/access/dan")
    head = shop.approval(shop.alice, slip)
    result = copy.push(shop, shop.alice, *shop.pushes(head, shop.landing(shop.alice, head)))
    assert result.code != 0, result.text


def test_a_part_of_a_proposal_lands_under_another_name(copy: Server, shop: Workshop) -> None:
    """A branch that ends at the part, pushed with it, makes it no part of every proposal any more."""
    slip = shop.commit(shop.carol, with_role(shop, "dan", "admin"), message="let dan deploy")
    mended = shop.commit(shop.carol, with_role(shop, "dan", "ml_engineer", slip), base=slip, message="not all of it")
    accept(copy, shop, shop.carol, f"{mended}:refs/heads/access/dan")
    result = copy.push(
        shop, shop.alice, f"{slip}:refs/heads/access/dan2", f"{shop.landing(shop.alice, slip)}:refs/heads/main"
    )
    assert result.code != 0, result.text


def test_an_unsigned_proposal_is_taken_beside_an_invented_main(copy: Server, shop: Workshop) -> None:
    """What the invented main contains is no proposal's own any more, and nobody looks who signed it."""
    mine = shop.commit(shop.mallory, with_role(shop, "vic", "admin"), message="whatever\n\n\x1b[2J")
    unsigned = shop.forge.unsigned(mine)
    base = shop.commit(shop.mallory, {"policies/access.yaml": alone(shop)}, base=unsigned)
    main = shop.commit(shop.mallory, shop.registration("fraud", base=base), base=base)
    told = by_hand(copy, shop, ("refs/heads/main", base, main), ("refs/heads/change/x", ZERO, unsigned))
    assert "refs/heads/change/x" not in copy.refs, told


def test_a_rejected_plan_is_proposed_again_by_a_new_commit(copy: Server, shop: Workshop) -> None:
    """The digest of the plan is the one that carol rejected, on a branch that is still there."""
    head = shop.approval(shop.alice, shop.commit(shop.bob, shop.promotion("fraud@3", "production")))
    result = copy.push(shop, shop.bob, *shop.pushes(head, shop.landing(shop.bob, head)))
    assert result.code != 0, result.text


def test_a_rejected_commit_lands_beside_another_one(copy: Server, shop: Workshop) -> None:
    """Rejections are looked for by the oldest commit of a proposal alone: an older one put beside it hides them."""
    third = shop.marks["third"]
    beside = shop.commit(
        shop.bob, edits.describe_model(shop.at(), "churn", tags={"team": "growth"}), date=int(time.time()) - 4000
    )
    files = {**edits.describe_model(shop.at(), "churn", tags={"team": "growth"})}
    tree = shop.forge.edited(third, raw(files))
    both = shop.forge.commit(shop.bob, Draft(tree=tree, parents=[beside, third], message="both"))
    head = shop.approval(shop.alice, both)
    result = copy.push(shop, shop.bob, *shop.pushes(head, shop.landing(shop.bob, head)))
    assert result.code != 0, result.text


def test_a_rejection_counts_when_the_proposal_is_made_wider(copy: Server, shop: Workshop) -> None:
    """Eve, who may deploy churn, rejects. With a word about fraud in the same proposal she has nothing to say any more."""
    head = shop.commit(shop.bob, shop.promotion("churn@2", "production"))
    rejected = shop.approval(shop.eve, head, word="Rejects")
    accept(copy, shop, shop.eve, f"{rejected}:refs/heads/promote/churn/2/production")
    wider = shop.commit(
        shop.bob, edits.describe_model(shop.at(rejected), "fraud", tags={"team": "risk"}), base=rejected
    )
    approved = shop.approval(shop.carol, wider)
    result = copy.push(
        shop, shop.bob, *shop.pushes(approved, shop.landing(shop.bob, approved), branch="promote/churn/2/production")
    )
    assert result.code != 0, result.text


def test_a_day_of_work_away_from_the_server_is_pushed_at_once(copy: Server, shop: Workshop) -> None:
    """Two proposals land one on the other; only the second's branch is still there, and comes along."""
    first = shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))
    landed = shop.landing(shop.bob, first)
    words = edits.describe_model(shop.at(landed), "churn", tags={"team": "growth"})
    second = shop.commit(shop.bob, words, base=landed)
    last = shop.landing(shop.bob, second, base=landed)
    result = copy.push(shop, shop.bob, *shop.pushes(second, last))
    assert result.code == 0, result.text


# ── what needs no permission, and what a server keeps


def test_a_comment_in_the_state_of_anothers_model_needs_a_permission(copy: Server, shop: Workshop) -> None:
    """Eve may do nothing about fraud, and nothing but registrations lands directly. A comment is no change of any kind."""
    path = "models/fraud/model.yaml"
    state = shop.forge.git("show", f"{shop.tip}:{path}")
    said = shop.commit(shop.eve, {path: state + b"# eve was here\n"})
    result = copy.push(shop, shop.eve, f"{said}:refs/heads/main")
    assert result.code != 0, result.text


def test_a_comment_does_not_void_an_approval(copy: Server, shop: Workshop) -> None:
    """What means nothing is no decision about the same: whoever may only write could void every approval there is."""
    approved = shop.approval(shop.carol, shop.commit(shop.bob, shop.promotion("fraud@2", "production")))
    path = "models/fraud/model.yaml"
    state = shop.forge.git("show", f"{shop.tip}:{path}")
    said = shop.commit(shop.eve, {path: state + b"# eve was here\n"})
    if copy.push(shop, shop.eve, f"{said}:refs/heads/main").code:
        return  # it was refused
    result = copy.push(shop, shop.bob, *shop.pushes(approved, shop.landing(shop.bob, approved, base=said)))
    assert result.code == 0, result.text


def test_a_refused_push_leaves_a_short_record(copy: Server, shop: Workshop) -> None:
    """The claimed signer is written down in full, however long: megabytes that compress to nothing fill the server's disk."""
    head = shop.commit(shop.dan, {}, committer="D" * (2 << 20) + " <dan@example.com>")
    assert copy.push(shop, shop.dan, f"{head}:refs/heads/change/x").code != 0
    assert (copy.path / "gitops-registry/denials.jsonl").stat().st_size < 1 << 20


def test_a_stage_tag_leaves_room_for_the_next(copy: Server, shop: Workshop) -> None:
    """A data scientist takes the highest number there is, so that the next holder of the stage can never be tagged."""
    spec = f"{shop.marks['fraud@1']}:refs/tags/fraud#production#999999999"
    assert copy.push(shop, shop.dan, spec).code != 0


def test_a_tag_speaks_in_nobody_elses_name(copy: Server, shop: Workshop) -> None:
    """An annotated tag names a tagger whom nobody checked, and may move the cursor of whoever reads it."""
    text = f"object {shop.marks['fraud@1']}\ntype commit\ntag fraud@v1\ntagger {shop.carol.line} 1790000000 +0000\n\n\x1b[2Jcarol says yes\n"
    tag = shop.forge.put("tag", text.encode())
    assert copy.push(shop, shop.dan, f"{tag}:refs/tags/fraud@v1").code != 0


def test_a_large_object_does_not_hide_behind_a_tag_of_a_tag(copy: Server, shop: Workshop) -> None:
    head = f"type commit\ntag fraud@v1\ntagger {shop.dan.line} 1790000000 +0000\n\n"
    large = shop.forge.put("tag", f"object {shop.marks['fraud@1']}\n{head}{'x' * (8 << 20)}\n".encode())
    outer = shop.forge.put("tag", f"object {large}\n{head.replace('type commit', 'type tag')}short\n".encode())
    assert copy.push(shop, shop.dan, f"{outer}:refs/tags/fraud@v1").code != 0


def test_what_fails_after_a_push_was_taken_does_not_say_that_nothing_was(copy: Server, shop: Workshop) -> None:
    """post-receive cannot undo anything, and what it says must be true."""
    folder = copy.path / "gitops-registry"
    folder.mkdir(exist_ok=True)
    (folder / "received.jsonl").unlink(missing_ok=True)
    (folder / "received.jsonl").mkdir()
    head = shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))
    result = copy.push(shop, shop.bob, f"{head}:refs/heads/promote/fraud/4/staging")
    assert result.code == 0, result.text
    assert "refused" not in result.text, result.text
    assert "nothing was taken" not in result.text, result.text


@pytest.mark.needs("ssh")
def test_a_data_scientist_tags_a_history_of_her_own_over_ssh(server: Server, shop: Workshop) -> None:
    """The forced command stands, and hands her words to git as they are."""
    fake = shop.commit(shop.mallory, {"policies/access.yaml": alone(shop)})
    evil = shop.commit(shop.mallory, shop.registration("fraud", base=fake, payload=b"evil" * 9), base=fake)
    before = server.refs
    command = [*ssh(shop.dan).split(), "-p", str(server.port), f"{getpass.getuser()}@127.0.0.1"]
    updates = (("refs/heads/main", fake, evil), ("refs/tags/fraud@v6", ZERO, evil))
    told = receive([*command, f"git-receive-pack '{server.path}'"], shop.root / ".git", updates)
    moved = server.put_back(before)
    assert "pre-receive" in told or moved, told
    assert not moved, told
