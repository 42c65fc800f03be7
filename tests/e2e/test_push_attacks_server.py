"""First pushes to an empty server, and servers whose hook cannot do its work."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import hooked
import pytest
from fortress import Case, Pushed, Server, Table, accept, install, pushed, refuse, ssh
from workshop import Workshop

from gitops_registry import paths
from gitops_registry.manifest.members import Key, Member

pytestmark = pytest.mark.needs("signing")

TABLE = Table()
MAIN = "refs/heads/main"
ROOT = r"root"


@pytest.fixture(scope="module")
def empty(server: Server, shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server that nobody has pushed to."""
    found = install(tmp_path_factory.mktemp("empty") / "empty.git", shop)
    hooked.quicken(server.path, found.path / "hooks/pre-receive", found.path / "hooks/post-receive")
    return found


@pytest.fixture
def copy(shop: Workshop, tmp_path: Path) -> Server:
    """A server of the test's own as `hook install` leaves it."""
    shutil.copytree(shop.folder.parent / "server.git", tmp_path / "copy.git")
    return install(tmp_path / "copy.git", shop)


# ── the first push


@TABLE.attack("mallory", ROOT)
def a_registry_of_somebody_else(shop: Workshop) -> list[str]:
    mine = Member(name="mallory", role="admin", email="mallory@example.com", keys=(Key(key=shop.mallory.public),))
    access = shop.members(lambda access: access.model_copy(update={"members": (mine,)}), base=shop.marks["genesis"])
    return [f"{shop.commit(shop.mallory, access, base=shop.marks['genesis'], parents=[])}:{MAIN}"]


@TABLE.attack("carol", ROOT)
def a_registry_that_a_later_administrator_starts(shop: Workshop) -> list[str]:
    access = shop.at().read(paths.ACCESS)
    assert access is not None
    return [f"{shop.commit(shop.carol, {paths.ACCESS: access}, base=shop.marks['genesis'], parents=[])}:{MAIN}"]


@TABLE.attack("alice", rf"{ROOT}|signed|signature")
def a_registry_that_nobody_signed(shop: Workshop) -> list[str]:
    return [f"{shop.forge.unsigned(shop.marks['genesis'])}:{MAIN}"]


@TABLE.attack("alice", rf"init|model|{ROOT}")
def a_registry_that_starts_with_models_that_nobody_judged(shop: Workshop) -> list[str]:
    return [f"{shop.commit(shop.alice, {}, parents=[])}:{MAIN}"]


@TABLE.attack("bob", r"no registry here yet")
def a_proposal_before_there_is_a_registry(shop: Workshop) -> list[str]:
    return shop.pushes(shop.commit(shop.bob, shop.promotion("fraud@4", "staging")))


@TABLE.attack("bob", r"no registry here yet")
def a_tag_before_there_is_a_registry(shop: Workshop) -> list[str]:
    return [f"{shop.marks['fraud@1']}:refs/tags/fraud@v1"]


@TABLE.attack("alice", r"no member|unknown key|nobody's key|not .*member")
def a_good_start_and_a_bad_decision(shop: Workshop) -> list[str]:
    base = shop.marks["genesis"]
    return [f"{shop.commit(shop.mallory, shop.registration('toy', base=base), base=base)}:{MAIN}"]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_registry_starts_with_the_root_key(case: Case, empty: Server, shop: Workshop) -> None:
    refuse(empty, shop, case, road="file")
    assert empty.refs == {}


def test_without_a_root_key_no_registry_starts(empty: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = empty.copy(tmp_path / "copy.git")
    git = ["git", f"--git-dir={copy.path}", "config"]
    told = subprocess.run([*git, "--get-regexp", r"^gitops-registry\."], capture_output=True, text=True, check=True)
    keys = [line.split()[0] for line in told.stdout.splitlines() if shop.alice.fingerprint in line]
    assert keys
    for key in keys:
        subprocess.run([*git, "--unset-all", key], check=True)
    refuse(copy, shop, Case("alice", lambda shop: [f"{shop.marks['genesis']}:{MAIN}"], ROOT), road="file")


def test_the_registry_of_the_root_key_starts(empty: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = empty.copy(tmp_path / "copy.git")
    accept(copy, shop, shop.alice, f"{shop.marks['genesis']}:{MAIN}")
    again = Case("mallory", TABLE[0].attack, "does not follow the last decision")
    refuse(copy, shop, again, road="file")


def test_a_registry_starts_and_decides_in_one_push(empty: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = empty.copy(tmp_path / "copy.git")
    base = shop.marks["genesis"]
    made = shop.commit(shop.alice, shop.registration("toy", base=base), base=base)
    accept(copy, shop, shop.alice, f"{made}:{MAIN}")


# ── a hook that cannot do its work


def honest(shop: Workshop) -> str:
    """What the server takes when all is well."""
    return f"{shop.commit(shop.dan, shop.registration('fraud'))}:{MAIN}"


def refused(server: Server, result: Pushed, refs: dict[str, str]) -> None:
    """Insist that nothing moved, and that nobody was shown our insides."""
    assert result.code != 0, result.text
    assert server.refs == refs
    assert "Traceback" not in result.text


def test_a_hook_whose_interpreter_is_gone_refuses(copy: Server, shop: Workshop) -> None:
    hook = copy.path / "hooks/pre-receive"
    text = hook.read_text()
    broken = text.replace("python", "no-such-python").replace("gitops-registry ", "no-such-program ")
    assert broken != text
    hook.write_text(broken)
    refused(copy, copy.push(shop, shop.dan, honest(shop)), copy.refs)


def test_a_hook_that_cannot_write_down_what_it_refuses_refuses(copy: Server, shop: Workshop) -> None:
    denials = copy.path / "gitops-registry/denials.jsonl"
    denials.unlink(missing_ok=True)
    denials.mkdir(parents=True)
    bad = f"{shop.commit(shop.mallory, shop.registration('fraud'))}:{MAIN}"
    refused(copy, copy.push(shop, shop.dan, bad), copy.refs)


def test_a_hook_that_has_no_folder_to_work_in_refuses(copy: Server, shop: Workshop) -> None:
    folder = copy.path / "gitops-registry"
    if folder.exists():
        folder.rename(copy.path / "gone")
    folder.write_text("not a folder")
    bad = f"{shop.commit(shop.mallory, shop.registration('fraud'))}:{MAIN}"
    refused(copy, copy.push(shop, shop.dan, bad), copy.refs)


@pytest.mark.parametrize("path", [paths.ACCESS, paths.CONSTITUTION, "policies/floors.yaml"])
def test_a_hook_that_cannot_read_the_rules_refuses(path: str, copy: Server, shop: Workshop) -> None:
    damaged = shop.commit(shop.alice, {path: b"kind: [\n"})
    _behind_its_back(copy, shop, f"{damaged}:{MAIN}")
    good = shop.commit(shop.dan, shop.registration("fraud"), parents=[damaged], tree=_tree(shop, path))
    before = copy.refs
    result = copy.push(shop, shop.dan, f"{good}:{MAIN}")
    refused(copy, result, before)
    assert result.refusals


def _tree(shop: Workshop, path: str) -> str:
    return shop.forge.edited(shop.tip, {**shop.registration("fraud"), path: b"kind: [\n"})  # type: ignore[arg-type]


def test_a_hook_that_misses_an_object_refuses(copy: Server, shop: Workshop) -> None:
    _unpacked(copy)
    oid = shop.forge.files(shop.tip)["policies/floors.yaml"][1]
    (copy.path / "objects" / oid[:2] / oid[2:]).unlink()
    before = copy.refs
    promoted = shop.approval(shop.carol, shop.commit(shop.bob, shop.promotion("churn@2", "production")))
    landed = shop.landing(shop.bob, promoted)
    result = copy.push(shop, shop.bob, *shop.pushes(promoted, landed))
    assert "Traceback" not in result.text
    assert result.code != 0
    assert copy.refs == before


@pytest.mark.parametrize(
    ("module", "code"), [("sitecustomize", "import os; os._exit(0)"), ("pydantic", "raise RuntimeError('broken')")]
)
def test_what_the_pusher_brings_along_is_not_run_in_the_hook(
    module: str, code: str, copy: Server, shop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text(code)
    before = copy.refs
    bad = f"{shop.commit(shop.mallory, shop.registration('fraud'))}:{MAIN}"
    command = ["git", "-C", str(shop.root), "push", copy.url("file"), bad]
    result = pushed(command, {**os.environ, "PYTHONPATH": str(tmp_path), "GIT_SSH_COMMAND": ssh(shop.dan)})
    refused(copy, result, before)


def _behind_its_back(server: Server, shop: Workshop, *specs: str) -> None:
    """Push past the hook, as only whoever has the server's disk can."""
    hook = server.path / "hooks/pre-receive"
    away = hook.with_suffix(".away")
    hook.rename(away)
    try:
        assert server.push(replace(shop), shop.alice, *specs).code == 0
    finally:
        away.rename(hook)


def _unpacked(server: Server) -> None:
    """Give every object of the server a file of its own."""
    git = ["git", f"--git-dir={server.path}"]
    for pack in list((server.path / "objects/pack").glob("*.pack")):
        away = server.path / pack.name
        pack.rename(away)
        pack.with_suffix(".idx").unlink(missing_ok=True)
        pack.with_suffix(".rev").unlink(missing_ok=True)
        with away.open("rb") as data:
            subprocess.run([*git, "unpack-objects", "-q"], stdin=data, check=True)
