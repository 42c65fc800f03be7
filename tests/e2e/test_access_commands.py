"""The commands about members as people type them: text, JSON, exit codes, in a checkout, a bare repository and at a URL."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builder import World, git
from members import files, key_line, member

from gitops_registry.manifest.keys import public_key
from gitops_registry.manifest.members import Key
from gitops_registry.paths import ACCESS, CODEOWNERS

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PRINT = {name: public_key(key_line(name)).fingerprint for name in ("alice", "bob", "old", "new")}
TEAM = files(
    member("alice", "admin", login="alice", email="alice@example.com", keys=(Key(key=key_line("alice")),)),
    member("bob", "ml_engineer", models=("fraud*",), keys=(Key(key=key_line("old"), not_after=LONG_AGO), Key(key=key_line("bob"), revoked=True))),
    member("carol", "data_scientist", login="carol"),
    member("bot", "ml_engineer", kind="service", keys=(Key(key=key_line("new"), not_after=datetime(2099, 1, 1, tzinfo=UTC)),)),
)  # fmt: skip


@pytest.fixture(scope="module")
def desk(court: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The court's registry with a team."""
    world = court.clone(tmp_path_factory.mktemp("desk") / "world")
    world.commit(TEAM)
    return world


@pytest.fixture(scope="module")
def bare(desk: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same registry, bare."""
    folder = tmp_path_factory.mktemp("bare") / "registry.git"
    git(desk.root, "clone", "--quiet", "--bare", desk.root.as_uri(), str(folder))
    return folder


def refusal(world: World, *words: str, code: int = 2) -> tuple[str, str]:
    """Return the one line and the hint of an error; nothing is printed as a result."""
    done = world.cli(*words, check=code)
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert (lines[0][:7], lines[1][:6]) == ("error: ", "hint: ")
    return lines[0].removeprefix("error: "), lines[1].removeprefix("hint: ")


def rows(text: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


# ── list


def test_members_are_listed_with_their_keys_and_what_their_roles_may(desk: World, bare: Path) -> None:
    texts = [desk.cli(*at, "access", "list").stdout for at in ((), ("-C", str(bare)), ("-C", bare.as_uri()))]
    assert texts[0] == texts[1] == texts[2]
    lines = rows(texts[0])
    assert ["alice", "admin", "all", PRINT["alice"], "good", "github:alice, alice@example.com"] in lines
    assert ["bob", "ml_engineer", "fraud*", PRINT["old"], "expired 2020-01-01 00:00 UTC"] in lines
    assert [PRINT["bob"], "revoked"] in lines
    assert ["carol", "data_scientist", "all", "none", "github:carol"] in lines
    assert ["bot", "ml_engineer (service)", "all", PRINT["new"], "good until 2099-01-01 00:00 UTC"] in lines
    assert ["ml_engineer", "read, write, deploy"] in lines
    assert ["protected aliases: champion"] in lines
    assert "nobody has a key" not in texts[0]


def test_the_list_as_json_has_all_of_it(desk: World) -> None:
    told = json.loads(desk.cli("access", "list", "--json").stdout)
    assert sorted(told) == ["has_keys", "members", "protected_aliases", "roles"]
    assert (told["has_keys"], told["protected_aliases"], told["roles"]["viewer"]) == (True, ["champion"], ["read"])
    bob = told["members"][1]
    assert sorted(bob) == ["email", "identities", "keys", "kind", "models", "name", "permissions", "role"]
    assert (bob["permissions"], bob["models"], bob["kind"]) == (["read", "write", "deploy"], ["fraud*"], "person")
    assert [(key["state"], key["fingerprint"]) for key in bob["keys"]] == [("expired", PRINT["old"]), ("revoked", PRINT["bob"])]  # fmt: skip
    assert bob["keys"][0] == {
        "fingerprint": PRINT["old"], "type": "ssh-ed25519", "state": "expired", "told": "expired 2020-01-01 00:00 UTC",
        "key": key_line("old"), "not_after": "2020-01-01T00:00:00Z", "revoked": False,
    }  # fmt: skip


def test_a_registry_of_one_person_says_that_there_are_no_members(world: World) -> None:
    assert "no members here: whoever can push decides" in world.cli("access", "list").stdout
    assert json.loads(world.cli("access", "list", "--json").stdout)["members"] == []
    assert "no members here" in world.cli("access", "who-can", "deploy").stdout
    assert refusal(world, "access", "check", "alice", "read")[0] == "no member 'alice' here"
    assert refusal(world, "access", "codeowners")[0] == "no policies/access.yaml here"


def test_it_is_said_where_nobody_has_a_key(world: World) -> None:
    world.commit(files(member("alice", "admin")))
    text = world.cli("access", "list").stdout
    assert "nobody has a key: nothing here proves who decides" in text
    assert "gitops-registry access rotate-key alice --key FILE.pub" in text
    answer = world.cli("access", "check", "alice", "administer").stdout
    assert answer == "yes, alice: the role admin has administer; nobody here has a key, so nothing proves who it is\n"


# ── ask


def test_who_can_names_those_whose_keys_no_longer_count_and_says_so(desk: World) -> None:
    lines = rows(desk.cli("access", "who-can", "deploy", "fraud").stdout)
    assert [line[:2] for line in lines] == [["member", "may"], ["alice", "yes"], ["bob", "no"], ["bot", "yes"]]
    assert lines[2][2] == (
        "the role ml_engineer has deploy, for fraud*, but no key of theirs counts any more: "
        "expired 2020-01-01 00:00 UTC, revoked"
    )
    assert [line[0] for line in rows(desk.cli("access", "who-can", "deploy", "churn").stdout)[1:]] == ["alice", "bot"]
    assert desk.cli("access", "who-can", "attest").stdout == "nobody may attest\n"


def test_who_can_as_json(desk: World) -> None:
    told = json.loads(desk.cli("access", "who-can", "promote", "fraud", "--json").stdout)
    assert (told["asked"], told["model"]) == ("promote", "fraud")
    assert [(one["member"], one["may"]) for one in told["members"]] == [("alice", True), ("bob", False), ("bot", True)]
    assert sorted(told["members"][0]) == ["kind", "may", "member", "models", "role", "why"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("alice", "rename", "fraud"), 0, "yes, alice: the role admin has delete and deploy"),
        (("bot", "alias", "churn@champion"), 0, "yes, bot: the role ml_engineer has deploy\n"),
        (("carol", "alias", "churn@champion"), 1, "no, carol: the role data_scientist has no deploy\n"),
        (("carol", "alias", "churn@mine"), 0, "yes, carol: the role data_scientist has write; no key, so only github (carol)"),
        (("bob", "promote", "churn"), 1, "no, bob: only for the models fraud*, and this is about churn\n"),
        (("bob", "promote", "fraud"), 1, "but no key of theirs counts any more: expired"),
        (("carol", "register", "brand-new"), 0, "there is no model brand-new yet"),
        (("bot", "policy"), 1, "no, bot: the role ml_engineer has no administer\n"),
    ],
)  # fmt: skip
def test_check_answers_with_its_exit_code_and_one_line(
    desk: World, words: tuple[str, ...], code: int, text: str
) -> None:
    done = desk.cli("access", "check", *words, check=code)
    assert text in done.stdout
    assert done.stdout.count("\n") == 1
    told = json.loads(desk.cli("access", "check", *words, "--json", check=code).stdout)
    assert (told["may"], told["member"], told["asked"]) == (code == 0, words[0], words[1])
    assert told["why"] in done.stdout


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("check", "alise", "deploy"), "no member 'alise' here", "did you mean alice?"),
        (("check", "alice", "promte", "fraud"), "'promte' is no permission and no verb", "did you mean promote"),
        (("check", "alice", "promote", "frud"), "no model 'frud' in", "did you mean fraud?"),
        (("check", "alice", "merge", "fraud"), "what merge needs depends on the plan", "ask for the verbs"),
        (("who-can", "promote"), "promote is about a model", "name it"),
        (("who-can", "deploy", "../x"), "model '../x' must be", "list"),
    ],
)
def test_a_question_that_has_no_answer_is_an_error(
    desk: World, words: tuple[str, ...], message: str, hint: str
) -> None:
    told = refusal(desk, "access", *words)
    assert message in told[0]
    assert hint in told[1]


# ── change


def test_a_team_is_built_from_nothing_by_the_command_line(world: World, tmp_path: Path) -> None:
    (tmp_path / "alice.pub").write_text(key_line("alice") + "\n")
    before = world.git("for-each-ref")
    first = ("access", "add", "alice", "--role", "admin", "--email", "alice@example.com", "--key", str(tmp_path / "alice.pub"))  # fmt: skip
    dry = world.cli(*first, "--dry-run").stdout
    assert "policies/access.yaml added" in dry
    assert "docs/CODEOWNERS added" in dry
    assert (world.git("for-each-ref"), world.git("status", "--porcelain")) == (before, "")
    world.cli(*first, "-m", "She leads.")
    assert world.git("log", "-1", "--format=%s").strip() == "access add alice as admin"
    told: dict[str, Any] = json.loads(
        world.cli(
            "access", "add", "bob", "--role", "ml_engineer", "--model", "fraud-*", "--key", key_line("bob"),
            "--not-after", "2099-01-01", "--identity", "github:bob:7", "--propose", "--json",
        ).stdout
    )  # fmt: skip
    assert (told["proposal"], told["subject"]) == ("access/add/bob", "access add bob as ml_engineer")
    assert [change["kind"] for change in told["plan"]["changes"]] == ["permission_changed", "registry_changed"]
    assert "access/add/bob" in world.cli("proposals", "list").stdout
    world.cli("merge", "access/add/bob")
    assert world.read(CODEOWNERS) == world.cli("access", "codeowners").stdout.encode()
    assert b"/models/fraud-*/ @bob alice@example.com\n" in world.read(CODEOWNERS)
    world.cli("access", "rotate-key", "bob", "--key", key_line("new"), "--revoked", "-m", "He lost it.")
    assert rows(world.cli("access", "list").stdout)[3] == [PRINT["new"], "good"]
    world.cli("access", "remove", "bob")
    assert b"bob" not in world.read(CODEOWNERS) + world.read(ACCESS)
    assert "passes" in world.cli("check").stdout


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("add", "zoe", "--role", "enginer"), "no role 'enginer' here", "ml_engineer"),
        (("add", "zoe"), "Missing option '--role'", "access add --help"),
        (("add", "bob", "--role", "viewer"), "bob is a member already", "rotate-key bob"),
        (("add", "zoe", "--role", "viewer", "--key", "nothing.pub"), "no key in nothing.pub", "ssh-keygen"),
        (("add", "zoe", "--role", "viewer", "--key", key_line("bob")), "is that of bob already", "ssh-keygen"),
        (("add", "zoe", "--role", "viewer", "--not-after", "2099-01-01"), "--not-after is about a key", "--key"),
        (("remove", "zoe"), "no member 'zoe' here", "alice"),
        (("remove", "alice"), "alice is the last one who administers", "access add"),
        (("rotate-key", "bob", "--key", key_line("x"), "--not-after", "soon"), "'soon' is no date", "2027-01-31"),
        (("rotate-key", "bob", "--key", key_line("x"), "--revoked"), "so there is none to revoke", "--revoked"),
    ],
)
def test_a_change_that_cannot_be_is_one_line_and_a_hint(
    desk: World, words: tuple[str, ...], message: str, hint: str
) -> None:
    before = desk.git("rev-parse", "main"), desk.git("status", "--porcelain")
    told = refusal(desk, "access", *words)
    assert message in told[0]
    assert hint in told[1]
    assert (desk.git("rev-parse", "main"), desk.git("status", "--porcelain")) == before


def test_a_hand_edit_is_refused_until_the_owners_follow_and_the_hint_is_what_mends_it(world: World) -> None:
    world.commit(TEAM)
    text = (world.root / ACCESS).read_text()
    (world.root / ACCESS).write_text(text.replace("login: carol", "login: caroline").replace("data_scientist", "admin"))
    refused = world.cli("check", check=1).stdout
    assert "is not what policies/access.yaml gives" in refused
    hint = next(line.partition("to pass: ")[2] for line in refused.splitlines() if "access codeowners >" in line)
    command, _, target = hint.partition(" > ")
    (world.root / target).write_text(world.cli(*command.split()[1:]).stdout)
    assert "@caroline" in (world.root / CODEOWNERS).read_text()
    assert "error" not in world.cli("check").stderr


def test_a_change_at_a_url_lands_there(desk: World, tmp_path: Path) -> None:
    folder = tmp_path / "registry.git"
    git(desk.root, "clone", "--quiet", "--bare", desk.root.as_uri(), str(folder))
    done = desk.cli("-C", folder.as_uri(), "access", "add", "zoe", "--role", "viewer")
    assert "committed as" in done.stdout
    assert "name: zoe" in git(folder, "show", f"main:{ACCESS}")
