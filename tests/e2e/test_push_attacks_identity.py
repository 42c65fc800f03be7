"""Pushes of commits that say they are somebody's, or of another time, and of signatures that are not what they seem."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forging import Actor, Draft
from fortress import Case, Server, Table, accept, refuse
from workshop import Workshop

pytestmark = pytest.mark.needs("signing")

TABLE = Table()
UNKNOWN = r"no member|unknown key|nobody's key|not .*member"
SIGNATURE = r"signature|signed|tampered"
CANONICAL = r"canonical|header|not the (text|one)|in another form"
YEAR = 365 * 86400


def decided(shop: Workshop, change: Callable[[str], str], *, by: str = "bob") -> list[str]:
    """An honest proposal, landed by a commit that is changed before it is pushed."""
    head = shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))
    return shop.pushes(head, change(shop.landing(shop.cast[by], head)))


def registered(shop: Workshop, by: Actor, **how: object) -> list[str]:
    """A version that is registered directly."""
    return shop.pushes("", shop.commit(by, shop.registration("fraud"), **how))


def proposed(shop: Workshop, change: Callable[[str], str], *, by: str = "bob") -> list[str]:
    """A proposal that is changed before it is pushed, and its landing by bob."""
    head = change(shop.commit(shop.cast[by], shop.promotion("fraud@4", "staging")))
    return shop.pushes(head, shop.landing(shop.bob, head))


def gpgsig(data: bytes) -> bytes:
    """The signature's header of a commit, with the line break before it."""
    found = re.search(rb"\ngpgsig [^\n]*(\n [^\n]*)*", data)
    assert found
    return found[0]


# ── who


@TABLE.attack("dan", r"names Bob .* signed by dan", ssh=True)
def the_author_and_committer_are_somebody_who_may(shop: Workshop) -> list[str]:
    head = shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))
    return shop.pushes(head, shop.landing(shop.dan, head, author=shop.bob.line, committer=shop.bob.line))


@TABLE.attack("dan", rf"{SIGNATURE}|{UNKNOWN}")
def the_author_and_committer_are_an_administrator_and_nobody_signed(shop: Workshop) -> list[str]:
    return decided(shop, shop.forge.unsigned, by="alice")


@TABLE.attack("dan", UNKNOWN, ssh=True)
def the_decision_is_signed_by_somebody_who_is_no_member(shop: Workshop) -> list[str]:
    head = shop.commit(shop.bob, shop.promotion("fraud@4", "staging"))
    return shop.pushes(head, shop.landing(shop.mallory, head, author=shop.alice.line, committer=shop.alice.line))


@TABLE.attack("dan", UNKNOWN)
def a_version_is_registered_by_somebody_who_is_no_member(shop: Workshop) -> list[str]:
    return registered(shop, shop.mallory)


@TABLE.attack("dan", r"expired|past|date")
def a_version_is_registered_with_an_expired_key(shop: Workshop) -> list[str]:
    return registered(shop, shop.gus)


@TABLE.attack("dan", r"expired|past|date", ssh=True)
def a_version_is_registered_with_an_expired_key_and_an_earlier_date(shop: Workshop) -> list[str]:
    return registered(shop, shop.gus, date=1_760_000_000)


@TABLE.attack("dan", r"revoked")
def a_version_is_registered_with_a_revoked_key(shop: Workshop) -> list[str]:
    return registered(shop, shop.frank)


@TABLE.attack("dan", SIGNATURE, ssh=True)
def a_contributors_commit_is_not_signed(shop: Workshop) -> list[str]:
    return proposed(shop, shop.forge.unsigned)


@TABLE.attack("dan", UNKNOWN)
def a_contributor_is_no_member(shop: Workshop) -> list[str]:
    return proposed(shop, str, by="mallory")


@TABLE.attack("dan", r"vic")
def a_contributor_is_a_viewer(shop: Workshop) -> list[str]:
    return proposed(shop, str, by="vic")


@TABLE.attack("dan", UNKNOWN)
def an_unknown_contributors_commit_lies_below_a_members(shop: Workshop) -> list[str]:
    below = shop.commit(shop.mallory, shop.promotion("fraud@4", "staging"))
    head = shop.commit(shop.bob, shop.promotion("churn@2", "archived", base=below), base=below)
    return shop.pushes(head, shop.landing(shop.bob, head))


@TABLE.attack("dan", rf"{UNKNOWN}|{SIGNATURE}")
def an_unknown_contributors_commit_is_merged_into_a_proposal(shop: Workshop) -> list[str]:
    theirs = shop.commit(shop.mallory, shop.promotion("fraud@4", "staging"))
    first = shop.commit(shop.bob, shop.promotion("churn@2", "archived"))
    head = shop.landing(shop.bob, theirs, base=first)
    return shop.pushes(head, shop.landing(shop.bob, head))


@TABLE.attack("dan", r"names Bob .* as its author, and was signed by dan")
def a_version_is_registered_under_anothers_name(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, author=shop.bob.line)


@TABLE.attack("dan", r"names Dan .* and was signed by dan")
def a_members_name_with_an_address_of_somebody_else(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, committer="Dan <dan@example.org>")


# ── when


@TABLE.attack("dan", r"date|future|clock|time", ssh=True)
def a_decision_of_next_year(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, date=int(time.time()) + YEAR)


@TABLE.attack("dan", r"date|past|old|clock|time")
def a_decision_of_years_ago(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, date=int(time.time()) - 3 * YEAR)


@TABLE.attack("dan", rf"date|future|clock|time|{CANONICAL}")
def a_decision_at_the_end_of_all_times(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, date=99_999_999_999_999)


@TABLE.attack("dan", r"badDateOverflow", by_git=True)
def a_decision_before_all_times(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, date=-1)


@TABLE.attack("dan", r"date|before|older|parent|clock")
def a_decision_older_than_the_one_it_follows(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, date=int(time.time()) - 90 * 86400)


# ── signatures


@TABLE.attack("dan", SIGNATURE, ssh=True)
def the_tree_was_changed_after_it_was_signed(shop: Workshop) -> list[str]:
    other = shop.forge.edited(shop.tip, shop.registration("churn"))  # type: ignore[arg-type]
    return _altered(shop, lambda data: re.sub(rb"^tree \S+", b"tree " + other.encode(), data))


@TABLE.attack("dan", SIGNATURE)
def the_message_was_changed_after_it_was_signed(shop: Workshop) -> list[str]:
    return _altered(shop, lambda data: data.replace(b"\n\nchange", b"\n\nanother change"))


@TABLE.attack("dan", SIGNATURE)
def the_author_was_changed_after_it_was_signed(shop: Workshop) -> list[str]:
    return _altered(shop, lambda data: data.replace(b"author Dan <dan@", b"author Bob <bob@"))


@TABLE.attack("dan", SIGNATURE)
def the_signature_is_of_another_commit(shop: Workshop) -> list[str]:
    other = gpgsig(shop.forge.git("cat-file", "commit", shop.marks["fraud@1"]))
    return _altered(shop, lambda data: data.replace(gpgsig(data), other))


@TABLE.attack("dan", rf"namespace|{SIGNATURE}")
def the_signature_was_made_for_files(shop: Workshop) -> list[str]:
    draft = Draft(shop.forge.edited(shop.tip, shop.registration("fraud")), [shop.tip])  # type: ignore[arg-type]
    return shop.pushes("", shop.forge.commit(shop.dan, draft, namespace="file"))


@TABLE.attack("dan", SIGNATURE)
def the_signature_is_one_of_pgp(shop: Workshop) -> list[str]:
    armor = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQEzBAABCAAdFiEE\n -----END PGP SIGNATURE-----"
    return _altered(shop, lambda data: data.replace(gpgsig(data), armor))


@TABLE.attack("dan", SIGNATURE)
def the_signature_is_empty(shop: Workshop) -> list[str]:
    armor = b"\ngpgsig -----BEGIN SSH SIGNATURE-----\n -----END SSH SIGNATURE-----"
    return _altered(shop, lambda data: data.replace(gpgsig(data), armor))


@TABLE.attack("dan", CANONICAL, ssh=True)
def the_signed_commit_gets_another_id_by_a_second_kind_of_signature(shop: Workshop) -> list[str]:
    return _altered(shop, lambda data: data.replace(b"\n\n", b"\ngpgsig-sha256 x\n\n", 1))


@TABLE.attack("dan", rf"{CANONICAL}|{SIGNATURE}")
def the_signed_commit_gets_another_id_by_two_signatures(shop: Workshop) -> list[str]:
    return _altered(shop, lambda data: data.replace(b"\n\n", gpgsig(data) + b"\n\n", 1))


@TABLE.attack("dan", CANONICAL)
def the_signed_commit_gets_another_id_by_a_line_above_the_armor(shop: Workshop) -> list[str]:
    return _altered(shop, lambda data: data.replace(b"gpgsig -----BEGIN", b"gpgsig hello\n -----BEGIN"))


@TABLE.attack("dan", rf"{CANONICAL}|{SIGNATURE}")
def the_signed_commit_gets_another_id_by_a_line_below_the_armor(shop: Workshop) -> list[str]:
    return _altered(
        shop, lambda data: data.replace(b"\n -----END SSH SIGNATURE-----", b"\n -----END SSH SIGNATURE-----\n x")
    )


@TABLE.attack("dan", CANONICAL)
def the_signed_commit_gets_another_id_by_other_line_breaks(shop: Workshop) -> list[str]:
    def wrapped(data: bytes) -> bytes:
        armor = gpgsig(data).replace(b"\n ", b"\n").decode().removeprefix("\ngpgsig ").splitlines()
        body = base64.b64encode(base64.b64decode("".join(armor[1:-1]))).decode()
        lines = [armor[0], *(body[at : at + 40] for at in range(0, len(body), 40)), armor[-1]]
        return data.replace(gpgsig(data), b"\ngpgsig " + "\n ".join(lines).encode())

    return _altered(shop, wrapped)


@TABLE.attack("dan", rf"{CANONICAL}|{SIGNATURE}")
def a_header_that_git_would_read_and_people_would_not_see(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, headers=["encoding UTF-7"])


@TABLE.attack("dan", rf"{CANONICAL}|{SIGNATURE}")
def a_header_that_nobody_knows(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, headers=["x-approved-by alice"])


@TABLE.attack("dan", rf"{CANONICAL}|fsck|author|NUL|null|nul")
def two_authors(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, headers=["author Alice <alice@example.com> 1790000000 +0000"])


@TABLE.attack("dan", r"nulInCommit", by_git=True)
def a_message_that_ends_before_its_end(shop: Workshop) -> list[str]:
    return registered(shop, shop.dan, message="honest\0\nApproves-Plan: 0")


def _altered(shop: Workshop, change: Callable[[bytes], bytes]) -> list[str]:
    made = shop.commit(shop.dan, shop.registration("fraud"))
    changed = shop.forge.altered(made, change)
    assert changed != made
    return shop.pushes("", changed)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_nobody_is_taken_for_another(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="file")


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("case", TABLE.rows("ssh"), ids=lambda case: case.name)
def test_nobody_is_taken_for_another_over_ssh(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="ssh")


# ── the same, done properly


def test_a_member_signs_with_any_key_of_theirs(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    who = {"author": shop.bob.line, "committer": shop.bob.line}
    accept(copy, shop, shop.bob, *registered(shop, shop.bob_laptop, **who))


def test_minutes_between_two_clocks_are_forgiven(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    accept(copy, shop, shop.dan, *registered(shop, shop.dan, date=int(time.time()) - 300))


def test_a_service_with_a_key_registers_and_lands(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    accept(copy, shop, shop.rob, *decided(shop, str, by="rob"))
