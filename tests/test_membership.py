"""Members come, go and change their keys like everything else does: judged, committed, and never half."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builder import World
from members import files, key_line, member

from gitops_registry.codeowners import codeowners
from gitops_registry.errors import Conflict, NotFound, RegistryError
from gitops_registry.manifest.keys import public_key
from gitops_registry.manifest.members import Access, Key, Member
from gitops_registry.paths import ACCESS, CODEOWNERS
from gitops_registry.registry import Registry
from gitops_registry.standing import VERBS, act, standing

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PEOPLE = f"""\
kind: Access
schema_version: 1
# who leads, until the spring
members:
- name: alice   # knows the customers
  role: admin
  # her laptop
  keys:
  - {{key: {key_line("alice")}}}  # bought in 2026
# on leave
- {{name: bob, role: ml_engineer, models: ["fraud-*"]}}
- role: data_scientist
  name: dan
# nobody else
protected_aliases: [champion]  # the only one
"""


def hired(world: World, *people: Member, **said: Any) -> World:
    """Give a registry members."""
    world.commit(files(*people, **said))
    return world


def access(world: World) -> Access:
    found = world.registry.access
    assert found is not None
    return found


def keys_of(world: World, name: str) -> list[Key]:
    found = access(world).member(name)
    assert found is not None
    return list(found.keys)


def refused(call: Callable[[], object], kind: type[RegistryError] = RegistryError) -> tuple[str, str]:
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.hint
    return caught.value.message, caught.value.hint


ALICE = member("alice", "admin", login="alice", keys=(Key(key=key_line("alice")),))


# ── adding


def test_the_first_member_administers_and_makes_the_file_and_its_owners(world: World) -> None:
    message, hint = refused(lambda: world.registry.add_member("alice", "ml_engineer"))
    assert message == "the first member must administer, and the role ml_engineer does not"
    assert hint.endswith("--role admin")
    assert "must be a person" in refused(lambda: world.registry.add_member("bot", "admin", kind="service"))[0]
    outcome = world.registry.add_member(
        "alice", "admin", email="alice@example.com", keys=[key_line("alice")], reason="She leads."
    )
    assert [change.kind for change in outcome.changes] == ["permission_changed", "registry_changed"]
    assert world.git("show", "-s", "--format=%B").split("\n") == ["access add alice as admin", "", "She leads.", "", ""]
    assert access(world).members == (Member(name="alice", role="admin", email="alice@example.com", keys=(Key(key=key_line("alice")),)),)  # fmt: skip
    assert world.read(CODEOWNERS) == codeowners(access(world))
    assert world.git("status", "--porcelain") == ""


def test_a_member_with_everything_is_written_as_said(world: World) -> None:
    hired(world, ALICE)
    end = datetime.now(UTC) + timedelta(days=30)
    world.registry.add_member(
        "bot", "ml_engineer", kind="service", keys=[key_line("bot"), key_line("spare")], not_after=end, models=["fraud-*"],
        identities=["github:bot:42", "gitlab:the-bot"],
    )  # fmt: skip
    bot = access(world).member("bot")
    assert bot is not None
    assert (bot.kind, bot.role, bot.models) == ("service", "ml_engineer", ("fraud-*",))
    assert [(i.forge, i.login, i.id) for i in bot.identities] == [("github", "bot", 42), ("gitlab", "the-bot", None)]
    assert {key.not_after for key in bot.keys} == {end.replace(microsecond=0)}


def test_the_plan_names_the_role_and_every_key_by_its_fingerprint(world: World) -> None:
    hired(world, ALICE)
    outcome = world.registry.add_member("bob", "viewer", keys=[key_line("bob")], dry_run=True)
    told = str(outcome.changes[0])
    assert 'members.bob.role (empty) → "viewer"' in told
    assert f'members.bob.keys.{public_key(key_line("bob")).fingerprint} (empty) → "counts"' in told


@pytest.mark.parametrize(
    ("said", "kind", "message", "hint"),
    [
        ({"role": "enginer"}, NotFound, "no role 'enginer' here", "ml_engineer"),
        ({"name": "Alice"}, Conflict, "alice is a member already, as admin", "rotate-key alice"),
        ({"name": "a b"}, RegistryError, "name cannot be taken: name 'a b' must be", "--help"),
        ({"email": "ALICE@example.com"}, Conflict, "the e-mail ALICE@example.com is that of alice", "their own"),
        ({"email": "*@example.com"}, RegistryError, "must be one literal address", "--help"),
        ({"keys": [key_line("alice")]}, Conflict, "is that of alice already", "ssh-keygen"),
        ({"keys": [key_line("x"), key_line("x")]}, Conflict, "a key is given twice", "once"),
        ({"identities": ["github:ALICE"]}, Conflict, "github:ALICE is alice", "their own"),
        ({"identities": ["hub:bob"]}, RegistryError, "is not FORGE:LOGIN[:ID]", "github:alice"),
        ({"identities": ["github:bob:x"]}, RegistryError, "is not FORGE:LOGIN[:ID]", "github:alice"),
        ({"identities": ["github:b/c"]}, RegistryError, "nobody is called 'b/c' there", "--help"),
        ({"role": "admin", "models": ["fraud-*"]}, RegistryError, "never for some models only", "--model"),
        ({"models": ["fraud/*"]}, RegistryError, "no pattern of model names", "--help"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_member_is_said_and_nothing_is_written(
    world: World, said: dict[str, Any], kind: type[RegistryError], message: str, hint: str
) -> None:
    hired(world, ALICE.model_copy(update={"email": "alice@example.com"}))
    before = world.git("rev-parse", "main")
    words: dict[str, Any] = {"name": "bob", "role": "ml_engineer", **said}
    told = refused(lambda: world.registry.add_member(words.pop("name"), words.pop("role"), **words), kind)
    assert message in told[0]
    assert hint in told[1]
    assert world.git("rev-parse", "main") == before


def test_owners_that_people_wrote_are_not_overwritten(world: World) -> None:
    world.commit({CODEOWNERS: b"/src/ @carol\n"})
    message, hint = refused(lambda: world.registry.add_member("alice", "admin", email="alice@example.com"), Conflict)
    assert "was written by hand" in message
    assert "git rm docs/CODEOWNERS" in hint
    assert world.read(CODEOWNERS) == b"/src/ @carol\n"
    assert world.registry.add_member("alice", "admin")  # who owns nothing asks for no file
    assert world.read(CODEOWNERS) == b"/src/ @carol\n"


# ── keys as they are given


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        file = tmp_path / "id.pub"
        file.write_bytes(content)
        return file

    return write


def test_a_key_is_given_as_its_file_or_its_line(world: World, lines: Callable[[bytes], Path]) -> None:
    hired(world, ALICE)
    file = lines(f"# mine\n{key_line('bob')}\r\n\n".encode())
    world.registry.add_member("bob", "viewer", keys=[file])
    world.registry.add_member("carol", "viewer", keys=[f"  {key_line('carol')}\n"])
    file.write_text(key_line("dan"))
    world.registry.add_member("dan", "viewer", keys=[str(file)])
    assert [key.key for name in ("bob", "carol", "dan") for key in keys_of(world, name)] == [
        key_line("bob"), key_line("carol"), key_line("dan"),
    ]  # fmt: skip


SECRET = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n", "is a private key"),
        (f"PuTTY-User-Key-File-3: ssh-ed25519\n{SECRET}\n", "is a private key"),
        (f"{SECRET}\n", "is no SSH public key"),
        (f"{key_line('a')}\n{key_line('b')}\n", "holds 2 lines"),
        ("", "is no SSH public key"),
        (key_line("a")[:40], "the ssh-ed25519 key is damaged"),
        ("ssh-dss AAAAB3NzaC1kc3M= x", "no kind of key that is taken here"),
        ("sk-ssh-ed25519@openssh.com AAAA x", "no kind of key that is taken here"),
        ("x" * 70_000, "is too large for a public key"),
        ("\0\1\2\xff", "is no SSH public key"),
    ],
)  # fmt: skip
def test_what_is_no_public_key_is_refused_and_never_shown(
    world: World, lines: Callable[[bytes], Path], content: str, message: str
) -> None:
    told = refused(lambda: world.registry.add_member("alice", "admin", keys=[lines(content.encode())]))
    assert message in told[0]
    assert SECRET not in "".join(told)


def test_a_private_key_that_is_pasted_is_refused_and_never_shown(world: World) -> None:
    for content in (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n", f"x\n{SECRET}\n", f"{SECRET}\n{SECRET}"):
        told = refused(lambda content=content: world.registry.add_member("alice", "admin", keys=[content]))  # type: ignore[misc]
        assert SECRET not in "".join(told)


def test_a_home_that_nobody_has_is_an_error_of_one_line(world: World) -> None:
    assert refused(lambda: world.registry.add_member("alice", "admin", keys=["~nobody-here/id.pub"]))[0].startswith(
        "no key in ~"
    )


@pytest.mark.parametrize("name", ["nothing.pub", "", ".", "x\0y", "n" * 5000])
def test_a_file_that_cannot_be_read_is_an_error_of_one_line(world: World, tmp_path: Path, name: str) -> None:
    message, hint = refused(lambda: world.registry.add_member("alice", "admin", keys=[tmp_path / name]))
    assert message.startswith("no key in ")
    assert "ssh-keygen" in hint
    assert len(message) < 400


@pytest.mark.parametrize("moment", ["never", "2020-01-01", "", "2027-13-01", LONG_AGO])
def test_the_end_of_a_key_is_a_moment_to_come(world: World, moment: Any) -> None:
    refused(lambda: world.registry.add_member("alice", "admin", keys=[key_line("a")], not_after=moment))


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2099-01-31", datetime(2099, 1, 31, tzinfo=UTC)),
        ("2099-01-31T10:30", datetime(2099, 1, 31, 10, 30, tzinfo=UTC)),
        ("2099-01-31T10:30:00+02:00", datetime(2099, 1, 31, 8, 30, tzinfo=UTC)),
    ],
)
def test_a_date_ends_a_key_at_its_first_moment_in_utc(world: World, given: str, moment: datetime) -> None:
    world.registry.add_member("alice", "admin", keys=[key_line("a")], not_after=given)
    assert keys_of(world, "alice")[0].not_after == moment


# ── comments


def test_comments_between_members_stay_whoever_comes_and_goes(world: World) -> None:
    world.commit({ACCESS: PEOPLE.encode()})
    world.registry.add_member("eve", "viewer", email="eve@example.com")
    added = PEOPLE.replace("  name: dan\n", "  name: dan\n- name: eve\n  role: viewer\n  email: eve@example.com\n")
    assert world.read(ACCESS).decode() == added
    world.registry.remove_member("dan")
    assert world.read(ACCESS).decode() == added.replace("- role: data_scientist\n  name: dan\n", "")
    world.registry.remove_member("bob")
    assert "# on leave\n- name: eve\n" in world.read(ACCESS).decode()


def test_a_rotation_changes_the_lines_of_that_key_and_no_other(world: World) -> None:
    world.commit({ACCESS: PEOPLE.encode()})
    world.registry.rotate_key("alice", key_line("new"))
    (old, new) = keys_of(world, "alice")
    assert old.not_after is not None
    ended = old.not_after.isoformat().replace("+00:00", "Z")
    expected = PEOPLE.replace(
        f"{{key: {key_line('alice')}}}  # bought in 2026\n",
        f"{{key: {key_line('alice')}, not_after: {ended}}}  # bought in 2026\n  - {{key: {key_line('new')}}}\n",
    )
    assert world.read(ACCESS).decode() == expected
    assert new.not_after is None


def test_a_member_written_in_one_line_gets_a_key_and_keeps_the_comments_around_it(world: World) -> None:
    world.commit({ACCESS: PEOPLE.encode()})
    world.registry.rotate_key("bob", key_line("bob"))
    text = world.read(ACCESS).decode()
    assert "# on leave\n- name: bob\n  role: ml_engineer\n" in text
    assert set(re.findall("#.*", PEOPLE)) == set(re.findall("#.*", text))


# ── rotating


def test_rotating_twice_ends_each_key_once_and_keeps_all_of_them(world: World) -> None:
    hired(world, ALICE)
    world.registry.rotate_key("alice", key_line("second"), not_after="2099-01-01")
    first_end = keys_of(world, "alice")[0].not_after
    assert first_end is not None
    assert datetime.now(UTC) - timedelta(minutes=5) < first_end <= datetime.now(UTC)
    world.registry.rotate_key("alice", key_line("third"))
    first, second, third = keys_of(world, "alice")
    assert first.not_after == first_end
    assert second.not_after is not None
    assert second.not_after <= datetime.now(UTC)
    assert [key.is_good(datetime.now(UTC)) for key in (first, second, third)] == [False, False, True]
    assert not any(key.revoked for key in (first, second, third))


def test_a_lost_key_is_revoked_and_those_before_it_are_not(world: World) -> None:
    hired(world, ALICE)
    world.registry.rotate_key("alice", key_line("second"))
    world.registry.rotate_key("alice", key_line("third"), is_lost=True)
    first, second, third = keys_of(world, "alice")
    assert [(key.revoked, key.not_after is not None) for key in (first, second, third)] == [
        (False, True), (True, False), (False, False),
    ]  # fmt: skip


def test_rotation_is_refused_where_it_makes_no_sense(world: World) -> None:
    hired(world, ALICE, member("bob", "viewer", keys=(Key(key=key_line("bob"), not_after=LONG_AGO),)))
    turn = world.registry.rotate_key
    assert "that of alice already" in refused(lambda: turn("bob", key_line("alice")), Conflict)[0]
    assert "theirs already" in refused(lambda: turn("bob", key_line("bob")), Conflict)[0]
    assert refused(lambda: turn("bobb", key_line("x")), NotFound)[1] == "did you mean bob?"
    assert "none to revoke" in refused(lambda: turn("bob", key_line("x"), is_lost=True))[0]
    assert turn("bob", key_line("x"))


# ── removing


def test_the_last_one_who_can_administer_stays(world: World) -> None:
    hired(world, ALICE, member("bob", "viewer"))
    message, hint = refused(lambda: world.registry.remove_member("alice"))
    assert message == "alice is the last one who administers"
    assert "access add NAME --role admin" in hint
    world.registry.add_member("bot", "admin", kind="service", keys=[key_line("bot")])
    assert refused(lambda: world.registry.remove_member("alice"))[0] == "alice is the last one who administers"
    world.registry.add_member("carol", "admin")
    message, hint = refused(lambda: world.registry.remove_member("alice"))
    assert message == "alice has the last key of anybody who administers"
    assert "rotate-key carol" in hint
    world.registry.rotate_key("carol", key_line("carol"))
    world.registry.remove_member("alice")
    assert [one.name for one in access(world).members] == ["bob", "bot", "carol"]


def test_owners_go_with_the_last_of_them(world: World) -> None:
    hired(world, member("zoe", "admin"), member("bob", "ml_engineer", login="bob"))
    assert b"@bob" in world.read(CODEOWNERS)
    world.registry.remove_member("bob")
    assert world.git("ls-tree", "--name-only", "main", CODEOWNERS) == ""
    refused(lambda: world.registry.remove_member("bob"), NotFound)


# ── as a change like any other


def test_a_dry_run_writes_nothing_and_a_proposal_waits_to_be_merged(world: World) -> None:
    hired(world, ALICE)
    before = world.git("for-each-ref"), world.git("status", "--porcelain")
    for outcome in (
        world.registry.add_member("bob", "viewer", dry_run=True),
        world.registry.rotate_key("alice", key_line("x"), dry_run=True),
        world.registry.add_member("bob", "viewer", direct=False, dry_run=True),
    ):
        assert (outcome.commit, bool(outcome)) == (None, True)
        assert outcome.changes
    assert (world.git("for-each-ref"), world.git("status", "--porcelain")) == before
    proposed = world.registry.add_member("bob", "viewer", direct=False)
    assert proposed.proposal == "access/add/bob"
    assert [one.branch for one in world.registry.proposals()] == ["access/add/bob"]
    assert access(world).member("bob") is None
    assert world.registry.merge("access/add/bob")
    assert access(world).member("bob") is not None


def test_two_proposals_about_members_do_not_land_on_top_of_each_other_unseen(world: World) -> None:
    hired(world, ALICE)
    world.registry.add_member("bob", "viewer", email="bob@example.com", direct=False)
    world.registry.add_member("carol", "ml_engineer", email="carol@example.com", direct=False)
    assert world.registry.merge("access/add/bob")
    refused(lambda: world.registry.merge("access/add/carol"), Conflict)
    assert world.read(CODEOWNERS) == codeowners(access(world))


def test_a_branch_that_people_wrote_by_hand_is_a_proposal_too(world: World) -> None:
    hired(world, ALICE)
    world.git("branch", "change/members", "main")
    world.commit(files(ALICE, member("bob", "viewer")), branch="change/members")
    assert [one.branch for one in world.registry.proposals()] == ["change/members"]
    assert world.registry.merge("change/members")
    assert access(world).member("bob") is not None


# ── what a member may do


TEAM = (
    member("ann", "admin"),
    member("eve", "ml_engineer", models=("fraud*",)),
    member("dan", "data_scientist"),
    member("vic", "viewer"),
)


@pytest.mark.parametrize(
    ("word", "target", "needs"),
    [
        ("read", "", [("read", "")]),
        ("show", "fraud", [("read", "fraud")]),
        ("attest", "fraud", [("attest", "fraud")]),
        ("register", "brand-new", [("write", "brand-new")]),
        ("import", "churn", [("write", "churn")]),
        ("evaluate", "fraud@2", [("write", "fraud")]),
        ("promote", "churn", [("deploy", "churn")]),
        ("approve", "churn", [("deploy", "churn")]),
        ("rollback", "fraud", [("deploy", "fraud")]),
        ("alias", "churn@best", [("write", "churn")]),
        ("alias", "churn@Champion", [("deploy", "churn")]),
        ("alias", "churn", [("deploy", "churn"), ("write", "churn")]),
        ("tag", "churn", [("write", "churn")]),
        ("describe", "fraud", [("deploy", "fraud")]),
        ("describe", "fraud@3", [("write", "fraud")]),
        ("describe", "fraud@production", [("deploy", "fraud")]),
        ("evaluation", "churn", [("deploy", "churn")]),
        ("rename", "churn", [("delete", "churn")]),
        ("rename", "fraud", [("delete", "fraud"), ("deploy", "fraud")]),
        ("delete", "fraud@3", [("delete", "fraud")]),
        ("delete", "churn", [("delete", "churn")]),
        ("delete", "brand-new", [("delete", "brand-new")]),
        ("delete", "", [("delete", "")]),
        ("delete", "fraud@2", [("delete", "fraud"), ("deploy", "fraud")]),
        ("waive", "fraud@3", [("administer", "")]),
        ("access", "", [("administer", "")]),
    ],
)  # fmt: skip
def test_a_verb_needs_there_and_now_what_its_change_needs(
    court: World, word: str, target: str, needs: list[tuple[str, str]]
) -> None:
    assert list(act(court.registry.snapshot, Access(members=TEAM), word, target).needs) == needs


def test_what_no_answer_can_be_given_about_is_said(court: World) -> None:
    def asking(word: str, target: str = "") -> tuple[str, str]:
        return refused(lambda: act(court.registry.snapshot, Access(members=TEAM), word, target))

    assert asking("promot", "fraud")[1] == "did you mean promote?"
    assert asking("merge", "fraud")[0] == "what merge needs depends on the plan"
    assert asking("promote")[0] == "promote is about a model"
    assert asking("promote", "frud")[1] == "did you mean fraud?"
    assert asking("describe", "fraud@99")[0].startswith("no version 99")
    assert asking("promote", "spent")[0].startswith("no model 'spent'")
    assert asking("deploy", "no name")[0].startswith("model 'no name'")


def test_every_verb_of_the_list_can_be_asked_about(court: World) -> None:
    for word in VERBS:
        assert act(court.registry.snapshot, Access(members=TEAM), word, "churn").needs


def test_a_model_that_was_renamed_is_asked_about_by_its_present_name(world: World) -> None:
    world.model("old").version().commit()
    hired(world, ALICE, member("eve", "ml_engineer", models=("new*",), login="eve"))
    world.registry.rename("old", "newer")
    assert world.registry.standing("eve", "promote", "old").may
    assert world.registry.standing("eve", "deploy", "old").may
    assert [one.member.name for one in world.registry.who_can("deploy", "old")] == ["alice", "eve"]


@pytest.mark.parametrize(
    ("name", "word", "target", "may", "why"),
    [
        ("ann", "rename", "fraud", True, "the role admin has delete and deploy"),
        ("dan", "promote", "fraud", False, "the role data_scientist has no deploy"),
        ("eve", "promote", "fraud", True, "the role ml_engineer has deploy, for fraud*"),
        ("eve", "promote", "churn", False, "only for the models fraud*, and this is about churn"),
        ("eve", "access", "", False, "the role ml_engineer has no administer"),
        ("vic", "show", "fraud", True, "for the host to enforce"),
        ("vic", "register", "new", False, "the role viewer has no write"),
        ("dan", "register", "new", True, "there is no model new yet"),
        ("eve", "deploy", "", True, "for fraud*"),
    ],
)  # fmt: skip
def test_the_answer_says_role_and_pattern(court: World, name: str, word: str, target: str, may: bool, why: str) -> None:
    rules = Access(members=TEAM)
    found = rules.member(name)
    assert found is not None
    answer = standing(rules, found, act(court.registry.snapshot, rules, word, target), datetime.now(UTC))
    assert answer.may is may
    assert why in answer.why


def test_keys_that_no_longer_count_are_a_no_with_the_reason(world: World) -> None:
    spent = (Key(key=key_line("b1"), not_after=LONG_AGO), Key(key=key_line("b2"), revoked=True))
    hired(world, ALICE, member("bob", "ml_engineer", keys=spent), member("carol", "ml_engineer"), member("dan", "ml_engineer", login="dan"))  # fmt: skip
    found = {one.member.name: one for one in world.registry.who_can("deploy")}
    assert {name: one.may for name, one in found.items()} == {"alice": True, "bob": False, "carol": False, "dan": True}
    assert found["bob"].why.endswith("but no key of theirs counts any more: expired 2020-01-01 00:00 UTC, revoked")
    assert found["carol"].why.endswith("but there is no key and no login that could tell who it is")
    assert found["dan"].why.endswith("no key, so only github (dan) can tell who it is")
    assert world.registry.standing("bob", "read").may
    world.registry.rotate_key("bob", key_line("b3"))
    assert world.registry.standing("bob", "deploy", "fraud").may


def test_what_is_asked_is_read_from_the_branch_of_decisions(world: World) -> None:
    hired(world, ALICE)
    (world.root / ACCESS).write_bytes(files(member("mallory", "admin"))[ACCESS])  # type: ignore[arg-type]
    assert [one.member.name for one in world.registry.who_can("administer")] == ["alice"]
    first = world.git("rev-list", "--max-parents=0", "main").strip()
    assert Registry.open(world.root, revision=first).who_can("administer") == []
