"""What a reviewer of the hook got past it, as real pushes: each of these tests fails until it is mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from fortress import Server, accept
from raw import ZERO, receive
from workshop import Workshop

from gitops_registry import edits


@pytest.fixture
def copy(server: Server, tmp_path: Path) -> Server:
    """A server of one's own."""
    return server.copy(tmp_path / "copy.git")


def by_hand(server: Server, shop: Workshop, *updates: tuple[str, str, str]) -> str:
    return receive(["git", "receive-pack", str(server.path)], shop.root / ".git", updates)


# ── where a ref was, as the pusher says


def test_old_decisions_told_anew_tag_what_serves_no_more(copy: Server, shop: Workshop) -> None:
    """fraud@2 was rolled back. Whoever tells its old landing again, as if main were where it was, may tag it as serving."""
    updates = (
        ("refs/heads/main", shop.marks["before 2"], shop.marks["2 serves"]),
        ("refs/tags/fraud#production#7", ZERO, shop.marks["fraud@2"]),
    )
    told = by_hand(copy, shop, *updates)
    assert "refs/tags/fraud#production#7" not in copy.refs, told


def test_a_history_of_ones_own_tags_a_version_that_nobody_decided(copy: Server, shop: Workshop) -> None:
    """`old` may be any commit, also one that comes with the push: its access.yaml then judges what follows it."""
    # mallory is no member of the registry; in a tree of her own she rules alone
    from gitops_registry.manifest.members import Key, Member

    def taken(access):  # type: ignore[no-untyped-def]
        mine = Member(name="mallory", role="admin", email="mallory@example.com", keys=(Key(key=shop.mallory.public),))
        return access.model_copy(update={"members": (mine,)})

    fake = shop.commit(shop.mallory, shop.members(taken))
    evil = shop.commit(shop.mallory, shop.registration("fraud", base=fake, payload=b"evil" * 9), base=fake, message="register")
    told = by_hand(copy, shop, ("refs/heads/main", fake, evil), ("refs/tags/fraud@v6", ZERO, evil))
    assert "refs/tags/fraud@v6" not in copy.refs, told


def test_a_rejected_proposal_is_taken_away(copy: Server, shop: Workshop) -> None:
    """With an invented main the proposal has 'landed', and its branch, with carol's rejection, goes."""
    branch = "refs/heads/promote/fraud/3/production"
    rejected = shop.marks["third rejected"]
    tree = shop.forge.edited(shop.tip, {})
    from forging import Draft

    fake = shop.forge.commit(shop.bob, Draft(tree=tree, parents=[shop.tip, rejected], message="whatever"))
    tags = edits.describe_model(shop.at(), "churn", tags={"team": "growth"})
    first = shop.commit(shop.bob, tags, base=fake)
    main = shop.landing(shop.bob, first, base=fake)
    told = by_hand(copy, shop, ("refs/heads/main", fake, main), (branch, rejected, ZERO))
    assert copy.refs.get(branch) == rejected, told
