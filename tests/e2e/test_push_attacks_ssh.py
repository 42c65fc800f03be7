"""What the account of the server lets through: git on one repository, for members' keys, and nothing else."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fortress
import hooked
import pytest
from fortress import Server, accept, pushed, ssh
from workshop import Workshop

from gitops_registry.manifest.kinds import Access
from gitops_registry.manifest.members import Key, Member

pytestmark = pytest.mark.needs("ssh", "signing")
MAIN = "refs/heads/main"


@pytest.fixture
def own(server: Server, shop: Workshop, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, which keeps what it accepts."""
    with fortress.standing(tmp_path / "own", shop.folder.parent / "server.git", shop) as found:
        yield found


def said(
    server: Server, shop: Workshop, name: str, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Connect with somebody's key, with more options and a command as they are given."""
    command = [*shlex.split(server.ssh(shop.cast[name])), "-p", str(server.port), "127.0.0.1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, input=stdin)


def unchanged(server: Server, refs: dict[str, str], folder: Path) -> None:
    """Insist that no ref moved and that no command of the attacker's ran."""
    assert server.refs == refs
    assert not list(folder.glob("pwned*"))


# ── who gets in


@pytest.mark.parametrize("name", ["mallory", "frank", "gus"])
def test_a_key_that_is_no_members_any_more_does_not_get_in(name: str, server: Server, shop: Workshop) -> None:
    refs = server.refs
    made = shop.commit(shop.dan, shop.registration("fraud"))
    result = server.push(shop, shop.cast[name], f"{made}:{MAIN}", road="ssh")
    assert result.code != 0
    assert "Permission denied" in result.text or "expired" in result.text or "may not" in result.text
    assert server.refs == refs
    assert said(server, shop, name, f"git-upload-pack '{server.path}'").returncode != 0


@pytest.mark.parametrize("name", ["vic", "dan", "rob"])
def test_every_member_may_read(name: str, server: Server, shop: Workshop, tmp_path: Path) -> None:
    command = ["git", "clone", "--quiet", "--bare", server.url("ssh"), str(tmp_path / "clone.git")]
    assert pushed(command, {**os.environ, "GIT_SSH_COMMAND": ssh(shop.cast[name])}).code == 0


def test_a_viewer_pushes_nothing_not_even_what_another_signed(server: Server, shop: Workshop) -> None:
    refs, told = server.refs, len(server.denials)
    made = shop.commit(shop.dan, shop.registration("fraud"))
    result = server.push(shop, shop.vic, f"{made}:{MAIN}", road="ssh")
    assert result.code != 0
    assert any("vic" in line for line in result.refusals), result.text
    assert server.refs == refs
    assert len(server.denials) == told + 1


def test_a_denial_names_the_key_that_pushed_and_the_signer_it_claimed(server: Server, shop: Workshop) -> None:
    told = len(server.denials)
    head = shop.commit(shop.bob, shop.promotion("churn@2", "production"))
    assert server.push(shop, shop.dan, *shop.pushes(head, shop.landing(shop.bob, head)), road="ssh").code != 0
    found = str(server.denials[told:])
    assert shop.dan.fingerprint in found
    assert "bob@example.com" in found
    assert MAIN in found
    assert "approval" in found


# ── what gets in


@pytest.mark.parametrize(
    "command",
    [
        "id", "bash -c 'touch {pwned}'", "git", "git status", "git -c core.hooksPath=/dev/null receive-pack '{server}'",
        "git receive-pack --help", "git-upload-archive '{server}'", "git-receive-pack", "git-receive-pack '{server}' '{server}'",
        "git-receive-pack --upload-pack=id '{server}'", "git-receive-pack '{server}'; touch {pwned}",
        "git-receive-pack '{server}' && touch {pwned}", "git-receive-pack \"$(touch {pwned})\"",
        "git-receive-pack '{server}'\ntouch {pwned}", "git-upload-pack '{server}' | touch {pwned}",
        "git-upload-pack --upload-pack='touch {pwned}' '{server}'", "scp -t {pwned}", "sftp-server",
        "GIT_DIR={server} git config core.hooksPath /dev/null", "env GIT_CONFIG_COUNT=1 git-receive-pack '{server}'",
        "gitops-registry -C '{server}' log", "'unclosed",
    ],
)  # fmt: skip
def test_a_command_that_is_no_push_and_no_fetch_does_not_run(
    command: str, server: Server, shop: Workshop, tmp_path: Path
) -> None:
    refs = server.refs
    asked = command.format(server=server.path, pwned=tmp_path / "pwned")
    done = said(server, shop, "alice", asked)
    assert done.returncode != 0, done.stdout
    assert "uid=" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    unchanged(server, refs, tmp_path)


def test_there_is_no_shell_to_type_in(server: Server, shop: Workshop, tmp_path: Path) -> None:
    refs = server.refs
    for options in ((), ("-tt",), ("-T",)):
        done = said(server, shop, "alice", *options, stdin=f"id; touch {tmp_path}/pwned\n")
        assert done.returncode != 0
        assert "uid=" not in done.stdout
    unchanged(server, refs, tmp_path)


def test_there_are_no_files_to_copy_and_no_ports_to_reach(server: Server, shop: Workshop) -> None:
    assert said(server, shop, "alice", "-s", "sftp").returncode != 0
    done = said(server, shop, "alice", "-W", f"127.0.0.1:{server.port}")
    assert "SSH-2.0" not in done.stdout


@pytest.mark.parametrize(
    "asked",
    [
        "git-receive-pack '{other}'", "git-receive-pack '{server}/../other.git'", "git-receive-pack '{other}/'",
        "git-receive-pack '../other.git'", "git-receive-pack '~/other.git'", "git-receive-pack '/'", "git-receive-pack ''",
        "git-upload-pack '{other}'", "git-upload-pack '{server}/../other.git'", "git-upload-pack '{server}/objects'",
    ],
)  # fmt: skip
def test_another_repository_is_out_of_reach(asked: str, server: Server, shop: Workshop) -> None:
    other = server.path.with_name("other.git")
    subprocess.run(["git", "init", "--quiet", "--bare", str(other)], check=True)
    done = said(server, shop, "alice", asked.format(server=server.path, other=other), stdin="0000")
    assert done.returncode != 0
    assert "refused" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    "program",
    [
        "git -c core.hooksPath=/dev/null receive-pack",
        "GIT_CONFIG_COUNT=0 git-receive-pack",
        "/usr/bin/git receive-pack",
    ],
)
def test_a_push_cannot_choose_the_program_that_receives_it(program: str, server: Server, shop: Workshop) -> None:
    refs = server.refs
    head = shop.commit(shop.bob, shop.promotion("churn@2", "production"))
    specs = shop.pushes(head, shop.landing(shop.bob, head))
    assert server.push(shop, shop.bob, *specs, road="ssh", options=[f"--receive-pack={program}"]).code != 0
    assert server.refs == refs


def test_a_push_cannot_bring_gits_configuration_along(server: Server, shop: Workshop) -> None:
    refs = server.refs
    head = shop.commit(shop.bob, shop.promotion("churn@2", "production"))
    names = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/dev/null"}
    command = ["git", "-C", str(shop.root), "push", server.url("ssh"), *shop.pushes(head, shop.landing(shop.bob, head))]
    sending = ssh(shop.bob, *(f"-o SendEnv={name}" for name in names))
    result = pushed(command, {**os.environ, **names, "GIT_SSH_COMMAND": sending})
    assert result.code != 0
    assert any("approval" in line for line in result.refusals), result.text
    assert server.refs == refs


# ── the same, done properly


def test_members_push_over_ssh_what_they_may(own: Server, shop: Workshop) -> None:
    made = shop.commit(shop.dan, shop.registration("fraud"))
    accept(own, shop, shop.dan, f"{made}:{MAIN}", road="ssh")
    head = shop.commit(shop.bob, shop.promotion("churn@2", "production", base=made), base=made)
    accept(own, shop, shop.bob, f"{head}:refs/heads/promote/churn/2/production", road="ssh")
    approved = shop.approval(shop.carol, head, base=made)
    accept(own, shop, shop.carol, f"{approved}:refs/heads/promote/churn/2/production", road="ssh")
    accept(own, shop, shop.bob, f"{shop.landing(shop.bob, approved, base=made)}:{MAIN}", road="ssh")


def test_a_member_gets_in_from_the_decision_on_that_adds_them_until_the_one_that_removes_them(
    own: Server, shop: Workshop
) -> None:
    def added(access: Access) -> Access:
        new = Member(
            name="mallory", role="data_scientist", email="mallory@example.com", keys=(Key(key=shop.mallory.public),)
        )
        return access.model_copy(update={"members": (*access.members, new)})

    def removed(access: Access) -> Access:
        return access.model_copy(update={"members": tuple(m for m in access.members if m.name != "mallory")})

    hooks = (own.path / "hooks/pre-receive", own.path / "hooks/post-receive")
    hooked.quicken(own.path, *hooks)  # they are started from the interpreter in the test before this one
    base = shop.tip
    for change, gets_in in ((added, True), (removed, False)):
        head = shop.approval(shop.carol, shop.commit(shop.alice, shop.members(change, base=base), base=base), base=base)
        base = shop.landing(shop.alice, head, base=base)
        accept(own, shop, shop.alice, *shop.pushes(head, base), road="ssh")
        done = said(own, shop, "mallory", f"git-upload-pack '{own.path}'", stdin="0000")
        assert (base in done.stdout) == gets_in, done.stderr


def test_the_keys_that_get_in_are_those_of_members_with_a_forced_command(server: Server, shop: Workshop) -> None:
    assert server.authorized is not None
    text = server.authorized.read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    access = shop.at().access
    assert access is not None
    assert all("command=" in line and "restrict" in line for line in lines)
    for name in ("alice", "bob", "bob_laptop", "vic", "rob"):
        assert shop.cast[name].public in text, name
    assert shop.mallory.public not in text
    assert shop.frank.public not in text
