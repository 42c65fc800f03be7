"""Reading a repository: revisions, contents, differences and history, as real git has them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from builder import World, git

from gitops_registry.errors import Damaged, ManifestError, NotFound, RegistryError
from gitops_registry.git.repository import EMPTY_TREE, Repository
from gitops_registry.git.sources import WorkTreeSource
from gitops_registry.snapshot import PathChange, blob_id

ODD = ("a b.yaml", "クレジット.yaml", 'qu"ote.yaml', "back\\slash.yaml", ":(glob)x", "new\nline", "-dash", "caf\udce9")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with two commits on `main`, a branch `side` and a tag."""
    root = tmp_path / "plain"
    git(tmp_path, "init", "--quiet", str(root))
    write(root, {"a.txt": "one\n", "folder/b.txt": "two\n"})
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    git(root, "tag", "-a", "v1", "-m", "a tag")
    git(root, "branch", "side")
    write(root, {"a.txt": "changed\n"})
    git(root, "commit", "--quiet", "-am", "second")
    return root


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def head(root: Path, revision: str = "HEAD") -> str:
    return git(root, "rev-parse", f"{revision}^{{commit}}").strip()


def commit(root: Path, files: dict[str, str], message: str = "more") -> str:
    write(root, files)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", message)
    return head(root)


# ── opening


def test_a_checkout_and_a_folder_in_it_open_the_same_repository(place: Path) -> None:
    for path in (place, place / "folder"):
        opened = Repository.open(path)
        assert opened.work_tree == place
        assert opened.git_dir == opened.common_dir == place / ".git"


def test_a_bare_repository_has_no_work_tree(place: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(place), "bare.git")
    opened = Repository.open(tmp_path / "bare.git")
    assert opened.work_tree is None
    assert opened.folder == opened.git_dir == opened.common_dir == tmp_path / "bare.git"


def test_a_linked_work_tree_shares_the_common_directory(place: Path, tmp_path: Path) -> None:
    git(place, "worktree", "add", "--quiet", str(tmp_path / "linked"), "side")
    opened = Repository.open(tmp_path / "linked")
    assert opened.work_tree == tmp_path / "linked"
    assert opened.common_dir == place / ".git"
    assert opened.git_dir != opened.common_dir
    assert opened.head_branch == "side"


def test_a_folder_whose_name_has_a_line_separator_opens(place: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd\u2028name caf\udce9"
    os.rename(place, odd)
    assert Repository.open(odd).work_tree == odd


def test_what_is_no_repository_is_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="not a git repository") as plain:
        Repository.open(tmp_path)
    assert "gitops-registry init" in plain.value.hint
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(RegistryError, match=path.name) as gone:
            Repository.open(path)
        assert gone.value.hint == "give the path of a git repository"


def test_a_repository_with_other_object_names_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "other")
    with pytest.raises(RegistryError, match="sha256"):
        Repository.open(tmp_path / "other")


def test_git_variables_of_the_caller_change_nothing(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "stranger")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "stranger" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "stranger"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nonsense"))
    assert Repository.open(place).resolve("v1")


def test_the_branch_that_is_checked_out_is_asked_for_each_time(place: Path) -> None:
    opened = Repository.open(place)
    git(place, "tag", "main")  # makes the short name ambiguous
    assert opened.head_branch == "main"
    git(place, "switch", "--quiet", "side")
    assert opened.head_branch == "side"
    git(place, "switch", "--quiet", "--detach")
    assert opened.head_branch is None


# ── revisions


def test_branches_tags_and_relatives_resolve_to_commits(place: Path) -> None:
    opened = Repository.open(place)
    first, second = head(place, "side"), head(place)
    for revision, oid in {"main": second, "v1": first, "main~1": first, "HEAD": second, first[:10]: first}.items():
        assert opened.resolve(revision) == oid


@pytest.mark.parametrize(
    "revision", ["nowhere", "--all", "-h", "", "main:a.txt", "main\nside", "a\0b", "caf\udce9", "main:"]
)
def test_what_names_no_commit_is_not_found(place: Path, revision: str) -> None:
    with pytest.raises(NotFound, match="no revision"):
        Repository.open(place).resolve(revision)


def test_a_tip_is_a_ref_of_exactly_that_name(place: Path) -> None:
    opened = Repository.open(place)
    assert opened.tip("refs/heads/main") == head(place)
    git(place, "tag", "refs/heads/absent")  # git's own search would find it as refs/tags/refs/heads/absent
    for ref in ("refs/heads/absent", "refs/heads/main~1", "main", "HEAD", "refs/heads/main:a.txt"):
        assert opened.tip(ref) is None
    git(place, "branch", "later")
    assert opened.tip("refs/heads/later") == head(place)


def test_branches_are_listed_by_prefix(place: Path) -> None:
    git(place, "branch", "promote/fraud/1/production")
    opened = Repository.open(place)
    assert list(opened.branches()) == ["refs/heads/main", "refs/heads/promote/fraud/1/production", "refs/heads/side"]
    assert list(opened.branches("refs/heads/promote")) == ["refs/heads/promote/fraud/1/production"]


def test_the_merge_base_is_where_two_revisions_part(place: Path) -> None:
    opened = Repository.open(place)
    git(place, "switch", "--quiet", "side")
    side = commit(place, {"c.txt": "c\n"})
    assert opened.merge_base(head(place, "main"), side) == head(place, "v1")
    assert opened.is_ancestor(head(place, "v1"), side)
    assert not opened.is_ancestor(side, head(place, "main"))
    git(place, "switch", "--quiet", "--orphan", "alone")
    alone = commit(place, {"d.txt": "d\n"})
    with pytest.raises(RegistryError, match="no history in common"):
        opened.merge_base(alone, side)


# ── contents


def test_odd_names_are_read_and_listed(place: Path) -> None:
    for number, name in enumerate(ODD):
        (place / "odd").mkdir(exist_ok=True)
        Path(os.fsdecode(os.fsencode(place / "odd" / name))).write_text(f"{number}\n")
    source = Repository.open(place).source(commit(place, {}))
    assert set(source.children("odd")) == set(ODD)
    for number, name in enumerate(ODD):
        assert source.read(f"odd/{name}", 100) == b"%d\n" % number
        assert source.oid(f"odd/{name}") == blob_id(b"%d\n" % number)


def test_a_folder_where_a_file_is_expected_is_named(place: Path) -> None:
    source = Repository.open(place).source("main")
    for at in (source, WorkTreeSource(place)):
        with pytest.raises(ManifestError, match="folder:1:1: a folder where a file is expected"):
            at.read("folder", 100)
        assert at.children("a.txt") == at.children("nowhere") == ()
        assert at.oid("folder") == at.oid("nowhere") == ""
        assert at.read("nowhere", 100) is None
        assert at.read("a.txt/below", 100) is None
        assert at.children("folder") == ("b.txt",)


def test_a_file_over_the_limit_is_named_and_what_follows_is_read(place: Path) -> None:
    (place / "large").write_bytes(b"x" * 5_000_000)
    source = Repository.open(place).source(commit(place, {}))
    for at in (source, WorkTreeSource(place)):
        with pytest.raises(ManifestError, match="5,000,000 bytes; at most 100 are read"):
            at.read("large", 100)
        assert at.read("a.txt", 100) == b"changed\n"


def test_what_is_no_regular_file_is_never_waited_for(place: Path) -> None:
    os.mkfifo(place / "pipe")
    (place / "link").symlink_to("a.txt")
    for name, problem in {"pipe": "no regular file", "link": "symbolic link"}.items():
        with pytest.raises(ManifestError, match=problem):
            WorkTreeSource(place).read(name, 100)


def test_an_interrupted_read_does_not_answer_the_next_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Repository.open(place).objects
    assert objects.get("main:a.txt")
    with monkeypatch.context() as patch:
        patch.setattr(objects, "_body", interrupt)
        with pytest.raises(KeyboardInterrupt):
            objects.get("main:a.txt")
    found = objects.get("main:folder/b.txt")
    assert found is not None
    assert found.data == b"two\n"


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_many_threads_share_one_reader(place: Path) -> None:
    opened = Repository.open(place)
    found: list[bytes | None] = []
    source = opened.source("main")
    threads = [threading.Thread(target=lambda: found.append(source.read("folder/b.txt", 9))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"two\n"] * 20


def test_the_reader_sees_commits_made_after_it_started_and_starts_again(place: Path) -> None:
    opened = Repository.open(place)
    assert opened.resolve("main")
    later = commit(place, {"e.txt": "e\n"})
    git(place, "gc", "--quiet")
    assert opened.resolve("main") == later
    opened.objects.close()
    assert opened.source("main").read("e.txt", 9) == b"e\n"


# ── differences


def test_changed_paths_guess_no_rename_and_tell_modes(place: Path) -> None:
    git(place, "mv", "folder/b.txt", "moved.txt")
    (place / "a.txt").chmod(0o755)
    (place / "link").symlink_to("a.txt")
    new = commit(place, {})
    two = blob_id(b"two\n")
    changed = blob_id(b"changed\n")
    assert Repository.open(place).changed_paths("main~1", new) == [
        PathChange("a.txt", "100644", "100755", changed, changed),
        PathChange("folder/b.txt", "100644", "", two, ""),
        PathChange("link", "", "120000", "", blob_id(b"a.txt")),
        PathChange("moved.txt", "", "100644", "", two),
    ]
    assert [c.path for c in Repository.open(place).changed_paths(EMPTY_TREE, new, "folder", "link")] == ["link"]


def test_a_clean_work_tree_has_no_changes_even_when_touched(place: Path) -> None:
    os.utime(place / "a.txt", (1, 1))
    assert Repository.open(place).working_changes("HEAD") == []


def test_working_changes_see_all_that_git_would_commit(place: Path) -> None:
    commit(
        place, {".gitignore": "ignored\n", "gone.txt": "g\n", "run.sh": "r\n", "old-link": "o\n", "staged.txt": "s\n"}
    )
    write(place, {"a.txt": "edited\n", "ignored": "i\n", "new.txt": "n\n", "staged.txt": "S\n", "added.txt": "+\n"})
    write(place, {"odd/:(top)": "x\n", 'odd/"q\\': "x\n", "odd/a\nb": "x\n"})
    (place / "gone.txt").unlink()
    (place / "run.sh").chmod(0o755)
    (place / "old-link").unlink()
    (place / "old-link").symlink_to("a.txt")
    git(place, "add", "staged.txt", "added.txt")
    found = {change.path: change for change in Repository.open(place).working_changes("HEAD")}
    assert set(found) == {
        "a.txt", "gone.txt", "run.sh", "old-link", "new.txt", "staged.txt", "added.txt",
        "odd/:(top)", 'odd/"q\\', "odd/a\nb",
    }  # fmt: skip
    assert found["a.txt"].new_oid == blob_id(b"edited\n")
    assert found["gone.txt"] == PathChange("gone.txt", "100644", "", blob_id(b"g\n"), "")
    assert found["run.sh"] == PathChange("run.sh", "100644", "100755", blob_id(b"r\n"), blob_id(b"r\n"))
    assert found["old-link"] == PathChange("old-link", "100644", "120000", blob_id(b"o\n"), blob_id(b"a.txt"))
    assert found["new.txt"] == PathChange("new.txt", "", "100644", "", blob_id(b"n\n"))
    assert found["odd/a\nb"].old_oid == ""


def test_a_file_that_lies_beyond_a_link_is_gone(place: Path, tmp_path: Path) -> None:
    os.rename(place / "folder", tmp_path / "elsewhere")
    (place / "folder").symlink_to(tmp_path / "elsewhere")
    found = {change.path: change.new_mode for change in Repository.open(place).working_changes("HEAD")}
    assert found == {"folder": "120000", "folder/b.txt": ""}


def test_line_endings_of_the_user_are_no_change(place: Path) -> None:
    git(place, "config", "core.autocrlf", "true")
    (place / "a.txt").write_bytes(b"changed\r\n")
    assert Repository.open(place).working_changes("HEAD") == []


def test_more_new_files_than_a_command_line_holds_are_listed(place: Path) -> None:
    (place / "many").mkdir()
    for number in range(3000):
        (place / "many" / f"{number:0200}").touch()
    assert len(Repository.open(place).working_changes("HEAD")) == 3000


# ── history


def test_steps_walk_first_parents_with_what_each_merge_brought(place: Path) -> None:
    git(place, "switch", "--quiet", "side")
    commit(place, {"side.txt": "1\n"})
    commit(place, {"side.txt": "2\n"})
    git(place, "switch", "--quiet", "main")
    git(place, "merge", "--quiet", "--no-ff", "-m", "merged", "side")
    git(place, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    # what a user may have configured must not change what is read
    for key, value in {
        "log.showSignature": "true",
        "diff.renames": "copies",
        "color.ui": "always",
        "log.showRoot": "false",
    }.items():
        git(place, "config", key, value)
    opened = Repository.open(place)
    steps = [(opened.commit(oid).subject, [c.path for c in changes]) for oid, changes in opened.steps(head(place))]
    assert steps == [
        ("nothing", []),
        ("merged", ["side.txt"]),
        ("second", ["a.txt"]),
        ("first", ["a.txt", "folder/b.txt"]),
    ]
    limited = [[c.path for c in changes] for _, changes in opened.steps(head(place), "folder", "side.txt")]
    assert limited == [["side.txt"], ["folder/b.txt"]]
    assert len(list(opened.steps(head(place), limit=2))) == 2


def test_a_shallow_clone_is_named_where_history_is_needed(place: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", place.as_uri(), "shallow")
    opened = Repository.open(tmp_path / "shallow")
    with pytest.raises(RegistryError, match="this clone is shallow") as error:
        next(opened.steps("HEAD"))
    assert "git fetch --unshallow" in error.value.hint
    with pytest.raises(NotFound) as missing:
        opened.resolve("HEAD~1")
    assert "git fetch --unshallow" in missing.value.hint


def raw_commit(root: Path, text: bytes) -> str:
    file = root / ".git" / "raw"
    file.write_bytes(text)
    return git(root, "hash-object", "-t", "commit", "-w", "--literally", str(file)).strip()


HEADERS = "tree {tree}\nauthor Ann <ann@example.com> 1 +0000\ncommitter Bob <bob@example.com> 1700000000 +0900\n"


def test_a_signed_commit_is_parsed_past_its_signature(place: Path) -> None:
    signature = "gpgsig -----BEGIN SSH SIGNATURE-----\n \n author Eve <eve@example.com> 9 +0000\n -----END-----\n"
    found = Repository.open(place).commit(
        raw_commit(place, (HEADERS.format(tree=EMPTY_TREE) + signature + "\nsubject\n").encode())
    )
    assert (found.author, found.email, found.time) == ("Ann", "ann@example.com", 1700000000)
    assert found.subject == "subject"
    assert found.parents == ()


def test_trailers_are_the_last_paragraph(place: Path) -> None:
    text = "subject\n\nProposal: quoted\n\nReviewed-by: Ann\nProposal: first\nProposal: last \n"
    found = Repository.open(place).commit(raw_commit(place, (HEADERS.format(tree=EMPTY_TREE) + "\n" + text).encode()))
    assert found.trailer("Proposal") == "last"
    assert found.trailer("Reviewed-by") == "Ann"
    assert found.trailer("Propos.l") == ""
    lone = Repository.open(place).commit(
        raw_commit(place, (HEADERS.format(tree=EMPTY_TREE) + "\nProposal: x\n").encode())
    )
    assert lone.trailer("Proposal") == ""


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\n\n",
        b"\xff\xfe not utf-8",
        b"\x1b[31mred\x07\n\ntree 000\nparent 111\n",
        b"author Eve <e@x> 1 +0000\n",
        b"\r\n",
    ],
)
def test_hostile_messages_forge_no_header(place: Path, message: bytes) -> None:
    found = Repository.open(place).commit(raw_commit(place, HEADERS.format(tree=EMPTY_TREE).encode() + b"\n" + message))
    assert (found.author, found.parents) == ("Ann", ())


def test_what_is_no_commit_is_not_found(place: Path) -> None:
    opened = Repository.open(place)
    for oid in (blob_id(b"two\n"), "0" * 40, EMPTY_TREE):
        with pytest.raises(NotFound):
            opened.commit(oid)


# ── configuration


def test_whoever_has_no_name_is_told_what_to_type(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Repository.open(place)
    assert opened.identity() == ("Alice", "alice@example.com")
    assert opened.config("user.name") == "Alice"
    assert opened.config("no.such") == ""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git(place, "config", "user.useConfigOnly", "true")
    with pytest.raises(RegistryError, match="does not know who you are") as error:
        opened.identity()
    assert "git config --global user.name" in error.value.hint


def test_the_builders_world_is_such_a_repository(world: World) -> None:
    assert Repository.open(world.root).source("main").read("registry.yaml", 1 << 20)


# ── what git has lost


def lose(root: Path, spelling: str) -> None:
    oid = git(root, "rev-parse", spelling).strip()
    (root / ".git/objects" / oid[:2] / oid[2:]).unlink()


def test_a_lost_object_is_an_error_and_never_a_file_that_is_not_there(place: Path) -> None:
    lose(place, "HEAD:folder/b.txt")
    source = Repository.open(place).source(head(place))
    for look in (lambda: source.read("folder/b.txt", 100), lambda: source.oid("folder/b.txt")):
        with pytest.raises(Damaged, match=r"git has lost the object of folder/b\.txt") as caught:
            look()
        assert "git fsck" in caught.value.hint
    assert source.read("folder/other.txt", 100) is None
    assert source.read("a.txt/below", 100) is None
    assert source.children("folder") == ("b.txt",)


def test_a_lost_folder_is_an_error_for_all_that_lies_in_it(place: Path) -> None:
    lose(place, "HEAD:folder")
    source = Repository.open(place).source(head(place))
    for look in (lambda: source.children("folder"), lambda: source.read("folder/b.txt", 100)):
        with pytest.raises(Damaged, match="git has lost the object of folder"):
            look()
    assert source.children("nowhere") == ()


def test_a_submodule_is_nothing_that_was_lost(place: Path) -> None:
    git(place, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(place, "commit", "--quiet", "-m", "a submodule")
    assert Repository.open(place).source(head(place)).read("sub", 100) is None


def test_what_is_lost_or_damaged_is_listed(place: Path) -> None:
    assert Repository.open(place).broken_objects() == []
    lose(place, "HEAD:folder/b.txt")
    assert any("missing blob" in line for line in Repository.open(place).broken_objects())


def test_a_repository_whose_files_are_elsewhere_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    git(place, "config", "core.worktree", str(tmp_path / "elsewhere"))
    with pytest.raises(RegistryError, match="keeps its files elsewhere"):
        Repository.open(place / ".git")
