"""The write path: one commit, one compare-and-swap, nothing left behind, whatever git is told to do besides."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from builder import World, git

from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.git import journal, landing
from gitops_registry.git.landing import NO_COMMIT, local_file, move_branches, write_commit, writer
from gitops_registry.git.remote import catch_up
from gitops_registry.git.repository import Repository
from gitops_registry.snapshot import Content, Stored, blob_id

MAIN = "refs/heads/main"
ODD = {
    "a b/c d.txt": b"spaces",
    'quo"te/"x".txt': b"quotes",
    "back\\slash/n\\n.txt": b"backslashes",
    "クレジット/モデル.txt": "信用".encode(),
    "new\nline": b"line",
    "caf\udce9": b"no utf-8",
    ":(exclude)x": b"magic",
    "-dash": b"dash",
}


@pytest.fixture
def bare(tmp_path: Path) -> Repository:
    """A bare repository whose `main` holds a few files."""
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    repository = Repository.open(tmp_path / "bare.git")
    land(repository, {"keep.txt": b"keep\n", "old.txt": b"old\n", "folder/deep/x.txt": b"x\n"})
    return repository


def land(repository: Repository, edits: dict[str, Content | None], message: str = "more\n") -> str:
    """Land edits on `main`, unjudged."""
    with writer(repository):
        tip = repository.tip(MAIN)
        commit, scratch = write_commit(repository, edits, parents=[tip] if tip else [], message=message)
        move_branches(repository, {MAIN: (tip or NO_COMMIT, commit)}, scratch=scratch, follow=MAIN)
    return commit


def files(repository: Repository, revision: str = "main") -> dict[str, bytes]:
    source = repository.source(revision)
    told = repository.run("ls-tree", "-r", "-z", "--name-only", revision)
    return {path: source.read(path, 1 << 30) or b"" for path in told.split("\0") if path}


def litter(repository: Repository) -> list[str]:
    """Return what a landing left that is no commit and no branch."""
    folder = repository.common_dir
    found = [str(path.relative_to(folder)) for path in folder.rglob("*.lock") if path.name != "writer.lock"]
    for git_dir in (folder, *folder.glob("worktrees/*")):
        found += [
            path.name for path in (git_dir / "gitops-registry").glob("*") if path.name not in {"writer.lock", "dvc"}
        ]
    found += [path.name for path in folder.glob("fast_import_crash_*")]
    return found + list(repository.branches("refs/gitops-registry"))


# ── one commit


def test_a_commit_adds_replaces_and_removes(bare: Repository) -> None:
    before = bare.tip(MAIN)
    commit = land(
        bare, {"new.txt": b"new\n", "old.txt": b"other\n", "folder/deep/x.txt": None, "absent": None}, "why\n"
    )
    assert files(bare) == {"keep.txt": b"keep\n", "new.txt": b"new\n", "old.txt": b"other\n"}
    told = bare.commit(commit)
    assert (told.parents, told.subject, told.author) == ((before,), "why", "Alice")
    assert litter(bare) == []
    git(bare.folder, "fsck", "--strict")


def test_odd_paths_are_written_as_they_are(bare: Repository) -> None:
    land(bare, dict(ODD))
    assert {path: content for path, content in files(bare).items() if path in ODD} == ODD
    land(bare, dict.fromkeys(ODD))
    assert not set(files(bare)) & set(ODD)


@pytest.mark.parametrize(
    "path", ["../out", "/etc/passwd", ".git/hooks/pre-commit", "a/.GIT/config", "a//b", "", "a/./b", "nul\0"]
)
def test_a_path_that_leaves_the_tree_is_refused(bare: Repository, path: str) -> None:
    tip = bare.tip(MAIN)
    with pytest.raises(RegistryError, match="no path of a registry"):
        land(bare, {path: b"x"})
    assert bare.tip(MAIN) == tip
    assert litter(bare) == []


def test_a_file_takes_the_place_of_a_folder_and_the_other_way_round(bare: Repository) -> None:
    land(bare, {"folder/deep/x.txt": None, "folder": b"a file\n", "old.txt": None, "old.txt/below": b"below\n"})
    assert files(bare) == {"folder": b"a file\n", "keep.txt": b"keep\n", "old.txt/below": b"below\n"}


def test_stored_content_keeps_its_id_and_mode(bare: Repository) -> None:
    land(bare, {"run.sh": Stored(blob_id(b"old\n"), "100755"), "link": Stored(blob_id(b"keep\n"), "120000")})
    told = git(bare.folder, "ls-tree", "main", "run.sh", "link").splitlines()
    keep, old = blob_id(b"keep\n"), blob_id(b"old\n")
    assert told == [f"120000 blob {keep}\tlink", f"100755 blob {old}\trun.sh"]


def test_a_merge_names_all_parents_and_takes_the_first_ones_tree(bare: Repository) -> None:
    first = bare.tip(MAIN)
    second = land(bare, {"second.txt": b"2"})
    assert first is not None
    with writer(bare):
        commit, scratch = write_commit(bare, {"m.txt": b"m"}, parents=[second, first], message="merge\n")
        move_branches(bare, {MAIN: (second, commit)}, scratch=scratch, follow=None)
    assert bare.commit(commit).parents == (second, first)
    assert set(files(bare)) == {"folder/deep/x.txt", "keep.txt", "m.txt", "old.txt", "second.txt"}


@pytest.mark.parametrize(
    "message", ["", "\n", "data 5\nM 100644 x\n", "日本語\n\nfrom refs/heads/x\n", "nul\0and\x1b", "caf\udce9"]
)
def test_a_message_is_text_and_never_a_command(bare: Repository, message: str) -> None:
    commit = land(bare, {"a": message.encode(errors="surrogateescape")}, message)
    found = bare.objects.get(commit)
    assert found is not None
    assert found.data is not None
    assert found.data.endswith(b"\n\n" + message.encode(errors="surrogateescape"))
    assert set(files(bare)) == {"a", "folder/deep/x.txt", "keep.txt", "old.txt"}


def test_a_large_file_is_never_held_in_memory(bare: Repository, tmp_path: Path) -> None:
    git(bare.folder, "config", "core.compression", "0")  # the test's time, not the point
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        for _ in range(30):
            file.write(os.urandom(1 << 20))
    tracemalloc.start()
    land(bare, {"large.bin": local_file(bare, large)})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    assert bare.source("main").read("large.bin", 1 << 30) == large.read_bytes()


@pytest.mark.parametrize(
    "later", [b"", b"short", b"other size and bytes", b"x" * 100 + b"D keep.txt\n", b"y" * 100, None]
)
def test_a_file_that_changed_since_it_was_judged_is_refused(
    bare: Repository, tmp_path: Path, later: bytes | None
) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"x" * 100)
    content = local_file(bare, file)
    file.unlink() if later is None else file.write_bytes(later)
    tip = bare.tip(MAIN)
    if later and later.startswith(b"x" * 100):  # what was judged is still its beginning: that is what lands
        land(bare, {"model.bin": content})
        assert files(bare)["model.bin"] == b"x" * 100
        assert "keep.txt" in files(bare)
        return
    with pytest.raises(RegistryError, match="changed while it was stored"):
        land(bare, {"model.bin": content})
    assert bare.tip(MAIN) == tip
    assert litter(bare) == []


def test_what_git_refuses_leaves_nothing_behind(bare: Repository) -> None:
    with pytest.raises(RegistryError, match="git could not write the commit"):
        land(bare, {"x": Stored("1" * 40, "100644")})
    assert litter(bare) == []


def test_without_a_name_nothing_is_written_and_the_way_out_is_told(
    bare: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git(bare.folder, "config", "user.useConfigOnly", "true")
    with pytest.raises(RegistryError, match="does not know who you are") as error:
        land(bare, {"x": b"x"})
    assert "git config --global user.name" in error.value.hint
    assert litter(bare) == []


# ── one compare-and-swap


def test_several_refs_move_together_or_not_at_all(bare: Repository) -> None:
    old = bare.tip(MAIN)
    assert old is not None
    git(bare.folder, "branch", "proposal")
    with writer(bare):
        new, scratch = write_commit(bare, {"n": b"n"}, parents=[old], message="n\n")
        with pytest.raises(Conflict, match="proposal changed meanwhile"):
            move_branches(
                bare, {MAIN: (old, new), "refs/heads/proposal": (new, NO_COMMIT)}, scratch=scratch, follow=MAIN
            )
        assert bare.branches() == {MAIN: old, "refs/heads/proposal": old}
        assert litter(bare) == []
        new, scratch = write_commit(bare, {"n": b"n"}, parents=[old], message="n\n")
        move_branches(bare, {MAIN: (old, new), "refs/heads/proposal": (old, NO_COMMIT)}, scratch=scratch, follow=MAIN)
    assert bare.branches() == {MAIN: new}
    assert litter(bare) == []


def test_a_branch_that_moved_meanwhile_is_a_conflict_and_stays_where_it_is(bare: Repository) -> None:
    old = bare.tip(MAIN)
    assert old is not None
    with writer(bare):
        mine, scratch = write_commit(bare, {"mine": b"m"}, parents=[old], message="mine\n")
        theirs = git(bare.folder, "commit-tree", f"{old}^{{tree}}", "-p", old, "-m", "theirs").strip()
        git(bare.folder, "update-ref", MAIN, theirs)
        with pytest.raises(Conflict, match="main changed meanwhile; nothing was written"):
            move_branches(bare, {MAIN: (old, mine)}, scratch=scratch, follow=MAIN)
        assert litter(bare) == []
    assert bare.tip(MAIN) == theirs


def test_a_new_branch_that_is_there_already_is_a_conflict(bare: Repository) -> None:
    old = bare.tip(MAIN)
    assert old is not None
    with writer(bare):
        new, scratch = write_commit(bare, {"n": b"n"}, parents=[old], message="n\n")
        with pytest.raises(Conflict):
            move_branches(bare, {MAIN: (NO_COMMIT, new)}, scratch=scratch, follow=None)
    assert bare.tip(MAIN) == old


def test_a_failure_between_commit_and_move_leaves_no_scratch_ref(bare: Repository) -> None:
    tip = bare.tip(MAIN)
    assert tip is not None

    def interrupted() -> None:
        with writer(bare):
            write_commit(bare, {"n": b"n"}, parents=[tip], message="n\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert litter(bare) == []


def test_a_lock_of_another_git_is_named_and_nothing_is_lost(bare: Repository) -> None:
    tip = bare.tip(MAIN)
    (bare.git_dir / "refs/heads/main.lock").touch()
    with pytest.raises(RegistryError, match=r"main\.lock") as error:
        land(bare, {"n": b"n"})
    assert "remove that file if none runs" in error.value.hint
    assert bare.tip(MAIN) == tip
    (bare.git_dir / "refs/heads/main.lock").unlink()
    assert litter(bare) == []
    land(bare, {"n": b"n"})


# ── one writer at a time

HOLD = """
import sys, time
from pathlib import Path
from gitops_registry.git.landing import writer
from gitops_registry.git.repository import Repository
with writer(Repository.open(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds the writers' lock until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_lock_excludes_another_process_and_dies_with_it(bare: Repository) -> None:
    with holder(bare.folder) as process:
        with (
            pytest.raises(RegistryError, match="another gitops-registry command is writing here"),
            writer(bare, patience=0.1),
        ):
            pytest.fail("two writers at once")
        dying = threading.Event()
        threading.Timer(0.3, lambda: (dying.set(), process.kill())).start()
        land(bare, {"after": b"a"})
        assert dying.is_set()


def test_linked_work_trees_share_the_lock(world: World, tmp_path: Path) -> None:
    world.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "side")
    with holder(tmp_path / "linked") as process:
        with pytest.raises(RegistryError, match="is writing here"), writer(Repository.open(world.root), patience=0.1):
            pytest.fail("two writers at once")
        process.kill()


@pytest.mark.timeout(30)  # less than a writer is waited for
def test_reading_never_waits_for_a_writer(world: World) -> None:
    repository = Repository.open(world.root)
    with holder(world.root) as process:
        journal.note(landing.state_folder(repository), journal.Landing({}, None))
        assert world.registry.place.snapshot().models() == ()
        assert landing.is_unfinished(repository)
        process.kill()


def test_threads_that_write_at_once_all_land(bare: Repository) -> None:
    threads = [threading.Thread(target=land, args=(Repository.open(bare.folder), {f"t{n}": b"t"})) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"t{n}" for n in range(6)} <= set(files(bare))
    assert litter(bare) == []


def test_what_cannot_be_written_to_is_named(bare: Repository) -> None:
    (bare.git_dir / "gitops-registry" / "writer.lock").unlink()
    (bare.git_dir / "gitops-registry" / "writer.lock").mkdir()
    with pytest.raises(RegistryError, match="cannot write to"):
        land(bare, {"n": b"n"})


# ── what the user told git

SETTINGS = {
    "commit.gpgSign": "true",
    "gpg.program": "/bin/false",
    "core.autocrlf": "true",
    "core.safecrlf": "true",
    "core.quotePath": "true",
    "core.ignoreCase": "true",
    "i18n.commitEncoding": "ISO-8859-1",
    "i18n.logOutputEncoding": "ISO-8859-1",
    "core.logAllRefUpdates": "always",
    "push.default": "nothing",
    "diff.noprefix": "true",
    "diff.renames": "copies",
    "status.showUntrackedFiles": "no",
    "commit.template": "/nonexistent",
    "core.editor": "/bin/false",
    "fastimport.unpackLimit": "1",
    "core.compression": "0",
    "core.splitIndex": "true",
    "feature.manyFiles": "true",
    "index.version": "4",
}


def test_settings_of_the_user_neither_break_a_landing_nor_change_it(world: World) -> None:
    for key, value in SETTINGS.items():
        world.git("config", key, value)
    hooks = world.root / ".git" / "failing-hooks"
    hooks.mkdir()
    for name in ("pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "post-checkout", "pre-auto-gc"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    world.git("config", "core.hooksPath", str(hooks))
    repository = Repository.open(world.root)
    land(repository, {"models/モデル.txt": b"line\r\nline\n", "plain.txt": b"a\nb\n", "b.yaml": b"a: 1\n"}, "日本語\n")
    assert files(repository)["models/モデル.txt"] == b"line\r\nline\n"
    assert repository.commit(repository.tip(MAIN) or "").subject == "日本語"
    land(repository, {"plain.txt": b"c\nd\n", "b.yaml": None})
    assert (world.root / "plain.txt").read_bytes() == b"c\r\nd\r\n"
    assert (world.root / "registry.yaml").read_bytes() == files(repository)["registry.yaml"]
    assert litter(repository) == []


def test_a_hook_that_guards_refs_is_obeyed(bare: Repository) -> None:
    tip = bare.tip(MAIN)
    hook = bare.git_dir / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != prepared ] || ! grep -q refs/heads/main\n')
    hook.chmod(0o755)
    with pytest.raises(RegistryError, match="hook"):
        land(bare, {"n": b"n"})
    assert bare.tip(MAIN) == tip
    hook.unlink()
    assert litter(bare) == []


def test_fetching_ignores_the_variables_of_a_hook(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = world.clone(tmp_path / "clone")
    world.commit({"new.txt": b"new\n"})
    git(tmp_path, "init", "--quiet", "stranger")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "stranger" / ".git"))
    told = catch_up(Repository.open(clone.root), "main", ()).done
    monkeypatch.delenv("GIT_DIR")
    assert told == "main was behind origin: fetched"
    assert (clone.root / "new.txt").read_text() == "new\n"
    assert clone.git("status", "--porcelain") == ""


# ── what a dead writer left


def dead(repository: Repository, *, has_moved: bool, follow: str | None = MAIN) -> tuple[str, str]:
    """Leave what a writer leaves that died before or after the move of `main`; return old and new."""
    old = repository.tip(MAIN)
    assert old is not None
    new, scratch = write_commit(repository, {"late.txt": b"late\n", "old.txt": None}, parents=[old], message="late\n")
    journal.note(landing.state_folder(repository), journal.Landing({MAIN: (old, new)}, follow))
    if has_moved:
        repository.run("update-ref", MAIN, new, old)
        repository.run("update-ref", "-d", scratch)
    return old, new


def test_a_landing_that_died_before_its_move_never_happened(bare: Repository) -> None:
    old, new = dead(bare, has_moved=False)
    (bare.git_dir / "refs/heads/main.lock").write_text(f"{new}\n")
    (bare.git_dir / "HEAD.lock").touch()
    (bare.git_dir / "packed-refs.lock").touch()
    (bare.git_dir / "gitops-registry/landing.new").write_text("{")
    land(bare, {})
    assert bare.commit(bare.tip(MAIN) or "").parents == (old,)
    assert litter(bare) == []


def test_a_landing_that_died_between_its_refs_is_completed(bare: Repository) -> None:
    old = bare.tip(MAIN) or ""
    git(bare.folder, "branch", "proposal")
    new, _ = write_commit(bare, {"late.txt": b"late\n"}, parents=[old], message="late\n")
    moves = {MAIN: (old, new), "refs/heads/proposal": (old, NO_COMMIT)}
    journal.note(landing.state_folder(bare), journal.Landing(moves, None))
    git(bare.folder, "update-ref", MAIN, new)
    landing.finish(bare)
    assert bare.branches() == {MAIN: new}
    assert litter(bare) == []


def test_an_unreadable_note_is_dropped(bare: Repository) -> None:
    for text in ("", "[]", "{}", '{"moves": {"refs/heads/main": 1}, "follow": null}', '{"ref": "x"}'):
        (bare.git_dir / "gitops-registry/landing.json").write_text(text)
        landing.finish(bare)
        assert litter(bare) == []


def test_a_lock_that_a_living_git_holds_is_left_to_it(bare: Repository) -> None:
    dead(bare, has_moved=False)
    lock = bare.git_dir / "refs/heads/main.lock"
    lock.write_text("1" * 40 + "\n")
    os.utime(lock, (1, 1))  # older than the landing that died
    landing.finish(bare)
    assert lock.exists()


def test_a_bare_repository_with_a_linked_work_tree_brings_that_along(bare: Repository, tmp_path: Path) -> None:
    git(bare.folder, "worktree", "add", "--quiet", str(tmp_path / "linked"), "main")
    land(bare, {"new.txt": b"new\n", "old.txt": None})
    assert (tmp_path / "linked" / "new.txt").read_text() == "new\n"
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    assert litter(bare) == []


# ── other people's git


def test_a_lock_of_a_living_git_is_left_alone_and_nothing_is_half_done(world: World) -> None:
    world.model("fraud").version().commit()
    before = world.git("for-each-ref")
    lock = world.root / ".git/packed-refs.lock"
    lock.touch()
    for _ in range(2):
        done = world.cli("promote", "fraud@1", "--to", "staging", "--direct", check=2)
        assert "packed-refs.lock" in done.stderr
    assert lock.exists()
    assert world.git("for-each-ref", "refs/heads") == before
    assert not landing.is_unfinished(Repository.open(world.root))
    lock.unlink()
    world.cli("promote", "fraud@1", "--to", "staging", "--direct")
    assert litter(Repository.open(world.root)) == []


def test_a_repository_that_a_group_shares_lets_the_group_write(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "--shared=group", "shared.git")
    repository = Repository.open(tmp_path / "shared.git")
    land(repository, {"a": b"a"})
    folder = landing.state_folder(repository)
    assert folder.stat().st_mode & 0o2070 == 0o2070
    assert (folder / "writer.lock").stat().st_mode & 0o060 == 0o060
