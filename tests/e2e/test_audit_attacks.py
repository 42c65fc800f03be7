"""What a hook refuses and somebody got past it all the same: an audit finds it afterwards in the history alone.

Every attack of the tables that moves the branch of decisions is put where the hook would have kept it from, and looked at.
"""

from __future__ import annotations

from importlib import import_module

import pytest
from courtroom import Courtroom
from fortress import Table
from workshop import Workshop

from gitops_registry.errors import RegistryError

FILES = ("approvals", "content", "files", "history", "identity", "rules", "rejections")
UNSEEN = {
    # Only a receipt knows when an old key was used, or what a server had: see test_audit_verify.
    "the-approvers-key-is-past-its-date-and-the-approval-is-dated-before": "receipt",
    "a-version-is-registered-with-an-expired-key-and-an-earlier-date": "receipt",
    "a-decision-of-years-ago": "receipt",
    # Only a checkpoint knows what was there before.
    "main-is-put-back": "checkpoint", "the-last-decision-is-made-anew": "checkpoint", "main-is-an-orphan": "checkpoint",
    # Only the branches know what was said on them.
    "a-part-of-a-proposal-is-merged": "branches", "a-rejection-is-pushed-away": "branches",
    "what-was-rejected-is-merged-into-another-proposal": "branches",
    "another-proposal-is-merged-into-what-was-rejected": "branches",
    "a-rejection-is-stepped-around-on-another-branch": "branches",
    # Only the store knows its bytes (`verify --deep`), and only `check` renders cards.
    "bytes-with-the-same-md5-are-registered-for-others": "store", "bytes-are-promised-and-not-brought": "store",
    "a-card-with-a-script-that-was-rendered-by-hand": "check",
}  # fmt: skip
"""Attacks that leave nothing in the history to find, and what would show them."""


@pytest.fixture(scope="module")
def court(shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Courtroom:
    """Where histories are looked at."""
    return Courtroom(tmp_path_factory.mktemp("court"), shop)


def test_the_honest_past_has_no_breach(court: Courtroom, shop: Workshop) -> None:
    assert court.look(shop.tip, policies=True, objects=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_what_got_past_the_hook_is_found_in_the_history(file: str, court: Courtroom, shop: Workshop) -> None:
    seen = 0
    for table in vars(import_module(f"test_push_attacks_{file}")).values():
        for case in table.rows("file") if isinstance(table, Table) else ():
            decided = [
                spec.lstrip("+").split(":")[0] for spec in case.attack(shop) if spec.endswith(":refs/heads/main")
            ]
            if not decided or not decided[0] or case.name in UNSEEN:
                continue
            seen += 1
            if case.name == "two-files-of-one-name":
                with pytest.raises(RegistryError):  # a history that cannot be read at all
                    court.look(decided[0])
                continue
            found = court.look(decided[0]) or court.look(decided[0], policies=True)
            assert found, f"{case.name} left no trace"
            assert all(one.commit or one.rule == "root" for one in found), case.name
    assert seen
