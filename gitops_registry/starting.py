"""`init`: a new registry, in a new repository or in one that has other things in it already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops_registry import paths
from gitops_registry.codeowners import owned
from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.git.landing import NO_COMMIT, move_branches, write_commit, writer
from gitops_registry.git.process import run
from gitops_registry.git.remote import start
from gitops_registry.git.repository import EMPTY_TREE, Repository, signature
from gitops_registry.git.signing import public_of, signs_with
from gitops_registry.manifest.keys import PublicKey
from gitops_registry.manifest.kinds import DEFAULT_STAGES, CardSettings, Constitution, ForgeSettings
from gitops_registry.manifest.members import Access, Key, Member
from gitops_registry.manifest.schema import schema_files
from gitops_registry.manifest.writing import dump
from gitops_registry.printing.templates import languages
from gitops_registry.shipped import policies
from gitops_registry.snapshot import Content, Snapshot
from gitops_registry.storage import embedded_config, joined_config, remote_config
from gitops_registry.workflows import GITLAB_CI, INCLUDED, workflows
from gitops_registry.workplace import ANCHOR

IGNORED = """\
# Bytes belong to DVC: git takes no model files, and below models manifests and pointers only.
*.skops
*.onnx
*.pkl
*.pickle
*.joblib
*.pt
*.pth
*.keras
*.h5
*.safetensors
!/models/
/models/**
!/models/**/
!/models/*/model.yaml
!/models/*/evaluation/*.dvc
!/models/*/versions/*/version.yaml
!/models/*/versions/*/card.yaml
!/models/*/versions/*/*.dvc
!/models/*/versions/*/evaluations/*.yaml
"""
_DVC_IGNORED = "/config.local\n/tmp\n/cache\n"
_ATTRIBUTES = """\
# Registry files are compared byte for byte: no line ending is changed, no stored object is shown as text.
/registry.yaml text eol=lf
/models/** text eol=lf
/policies/** text eol=lf
/cards/** text eol=lf
/.dvc/store/** -text -diff
"""


@dataclass(frozen=True)
class Start:
    """How a registry starts. `storage`: URL of a real DVC remote, empty for a store committed with git. `key`: the SSH key (a
    file or the key itself) that commits made there are signed with; without one, whichever git has configured.
    `policies`: path → bytes of its policies; without them, those that come with the package. `forge`: the kind of forge whose
    jobs are written too, which install `requirement`.
    """

    name: str = ""
    storage: str = ""
    language: str = "en"
    bare: bool = False
    team: bool = False
    key: str = ""
    policies: Mapping[str, bytes] | None = None
    forge: str = ""
    requirement: str = "gitops-registry"


@dataclass(frozen=True)
class Started:
    """A registry that was made: where, which commit, which files it added, the key that signed it, if one did, and what is left to do."""

    path: Path
    commit: str | None
    branch: str
    files: tuple[str, ...]
    key: PublicKey | None = None
    notes: tuple[str, ...] = ()


def init(path: Path, how: Start, *, dry_run: bool = False) -> Started:
    """Make a registry at `path`, or join the repository that is there; one commit holds all of it.

    Files of the repository are kept: `.gitignore` and `.gitattributes` get our lines added, everything that is
    no registry file is listed under `unmanaged`. Raises Conflict where a registry is there already.
    """
    if how.name and (problem := paths.name_problem(how.name)):
        raise RegistryError(f"name {how.name!r} {problem}", hint="try letters, digits and '-', like credit-models")
    if how.language not in languages():
        hint = f"there are: {', '.join(languages())}; others are a file of the registry's (docs/cards.md)"
        raise RegistryError(f"nobody wrote the labels of cards in {how.language!r}", hint=hint)
    key = _key(how.key, Path.cwd()) if how.key else None
    repository = _repository(path, bare=how.bare, dry_run=dry_run)
    if repository is None:
        return Started(path, None, "main", tuple(sorted(_files(how, path, branch="main", access=None))))
    branch = repository.head_branch
    if branch is None:
        raise RegistryError("HEAD is detached: no branch would hold the registry", hint="git switch main")
    tip = repository.tip(f"refs/heads/{branch}")
    before = Snapshot(repository.source(tip or EMPTY_TREE, branch))
    if before.read(paths.CONSTITUTION) is not None:
        raise Conflict(f"{path} is a registry already", hint="look at it: gitops-registry list")
    _refuse_strangers(repository, tip)
    key = key or signs_with(repository)
    access = _access(repository, key) if how.team else None
    edits = _joined(before, how, _files(how, path, branch=branch, access=access), repository, tip)
    edits |= dict(owned(before, access)) if access else {}
    _refuse_overwriting(repository, edits)
    if dry_run:
        return Started(path, None, branch, tuple(sorted(edits)), key, _left_to_do(before, how))
    ref = f"refs/heads/{branch}"
    with writer(repository):
        if how.key:
            repository.run("config", "gpg.format", "ssh")
            repository.run("config", "user.signingKey", _named(how.key, Path.cwd()))
        message = f"init registry {_name(how, path)}\n"
        commit, scratch = write_commit(repository, edits, parents=[tip] if tip else [], message=message)
        repository.run("config", ANCHOR, branch)  # first: a registry without it would let a proposal name the branch
        move_branches(repository, {ref: (tip or NO_COMMIT, commit)}, scratch=scratch, follow=ref)
    return Started(path, commit, branch, tuple(sorted(edits)), key, _left_to_do(before, how))


def _repository(path: Path, *, bare: bool, dry_run: bool) -> Repository | None:
    if path.exists() and not path.is_dir():
        raise RegistryError(f"{path} is a file", hint="name a folder")
    if path.is_dir():
        inside = run(path, "rev-parse", "--is-inside-work-tree", "--is-bare-repository", ok=(0, 128)).split()
        if inside and b"true" in inside:
            found = Repository.open(path)
            if found.work_tree is not None and found.work_tree.resolve() != path.resolve():
                raise RegistryError(
                    f"{path} is inside the repository {found.work_tree}",
                    hint=f"a registry is a whole repository: gitops-registry init {found.work_tree}",
                )
            return found
        if not bare and any(child.name not in {".DS_Store"} for child in path.iterdir()):
            raise RegistryError(
                f"{path} is not empty and no git repository", hint="name a new folder, or first: git init"
            )
    if dry_run:
        return None
    signature(next(folder for folder in (path, *path.absolute().parents) if folder.is_dir()), "AUTHOR")
    return start(path, bare=bare, branch="main")


def _name(how: Start, path: Path) -> str:
    raw = how.name or path.resolve().name.removesuffix(".git")
    return raw if not paths.name_problem(raw) else "registry"


def _key(told: str, folder: Path) -> PublicKey:
    """Return the public half of the key that somebody names. Raises RegistryError."""
    try:
        return public_of(told, folder)
    except ValueError as error:
        raise RegistryError(f"{told[:80]}: {error}", hint="name a file: --key ~/.ssh/id_ed25519.pub") from error


def _named(told: str, folder: Path) -> str:
    """Return the key as git's configuration names it, from wherever git is run."""
    is_key = told.startswith(("key::", "ssh-", "ecdsa-")) and " " in told
    return told if is_key else str((folder / Path(told).expanduser()).absolute())


def _access(repository: Repository, key: PublicKey | None) -> Access:
    """Return the first members of a team's registry: whoever makes it administers it."""
    name, email = repository.identity()
    login = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name.lower()).strip("-") or "admin"
    keys = (Key(key=f"{key.line} {login}"),) if key else ()
    return Access(members=(Member(name=login, role="admin", email=email, keys=keys),))


def _files(how: Start, path: Path, *, branch: str, access: Access | None) -> dict[str, bytes]:
    constitution = Constitution(
        name=_name(how, path),
        branch=branch,
        direct=not how.team,
        approvals=1 if how.team else 0,
        stages=DEFAULT_STAGES,
        card=CardSettings.model_validate({"language": how.language}),
        forge=ForgeSettings.model_validate({"kind": how.forge}) if how.forge else None,
    )
    files = {
        paths.CONSTITUTION: dump(constitution, paths.CONSTITUTION),
        paths.DVC_CONFIG: remote_config(how.storage) if how.storage else embedded_config(),
        ".dvc/.gitignore": _DVC_IGNORED.encode(),
        ".gitignore": IGNORED.encode(),
        ".gitattributes": _ATTRIBUTES.encode(),
        **schema_files(),
        **(policies(is_team=how.team) if how.policies is None else how.policies),
        **_jobs(how, branch),
    }
    if access is not None:
        files[paths.ACCESS] = dump(access, paths.ACCESS)
    return files


def _jobs(how: Start, branch: str) -> dict[str, bytes]:
    return workflows(how.forge, branch=branch, requirement=how.requirement) if how.forge else {}


def _left_to_do(before: Snapshot, how: Start) -> tuple[str, ...]:
    """Say what people must write themselves, for it is in a file of theirs."""
    theirs = before.read(GITLAB_CI) if how.forge == "gitlab" else None
    if theirs is None or INCLUDED.encode() in theirs:
        return ()
    return (f"{GITLAB_CI} is yours, so add to it: include: [{{local: {INCLUDED}}}]",)


def _joined(
    before: Snapshot, how: Start, files: dict[str, bytes], repository: Repository, tip: str | None
) -> dict[str, Content | None]:
    """Fit the registry's files into what the repository has: lines are added to shared files, the rest is unmanaged."""
    edits: dict[str, Content | None] = {}
    jobs = _jobs(how, repository.head_branch or "main")
    for path, content in files.items():
        old = before.read(path)
        if path == paths.DVC_CONFIG and old is not None:
            joined = joined_config(old, content, is_wanted=bool(how.storage))
            edits |= {path: joined} if joined != old else {}
            continue
        if old is not None and old != content and path in jobs:
            if path != GITLAB_CI:
                raise Conflict(
                    f"{path} is there already, and a job of the registry goes there",
                    hint=f"move it away first: git mv {path} {path.replace('.yml', '-own.yml')} && git commit",
                )
            continue
        if path in {".gitignore", ".gitattributes", ".dvc/.gitignore"} and old is not None:
            joined = _with_lines(old, content)
            edits |= {path: joined} if joined != old else {}
        elif old != content:
            edits[path] = content
    strangers = _strangers(repository, tip)
    if strangers:
        from gitops_registry.manifest.reading import parse

        law = parse(files[paths.CONSTITUTION], paths.CONSTITUTION, Constitution).document
        edits[paths.CONSTITUTION] = dump(law.model_copy(update={"unmanaged": strangers}), paths.CONSTITUTION)
    return edits


def with_our_lines(old: bytes) -> bytes:
    """Return a registry's `.gitignore` with what it must let through by now. Lines that keep things out are nobody's to move."""
    there = {line.strip() for line in old.decode(errors="replace").splitlines()}
    let_through = [line for line in IGNORED.splitlines() if line.startswith("!/models/*/") and line not in there]
    return _with_lines(old, "\n".join(let_through).encode()) if "/models/**" in there else old


def _with_lines(old: bytes, ours: bytes) -> bytes:
    missing = [line for line in ours.decode().splitlines() if line not in old.decode(errors="replace").splitlines()]
    return old.rstrip(b"\n") + b"\n" + "\n".join(missing).encode() + b"\n" if missing else old


def _refuse_strangers(repository: Repository, tip: str | None) -> None:
    """Refuse to join a repository that keeps other things where a registry keeps its models and cards."""
    for change in repository.changed_paths(EMPTY_TREE, tip, "models", "cards") if tip else []:
        if paths.place_of(change.path).role == "unknown":
            top = change.path.split("/")[0]
            hint = (
                f"move it away first, for example: git mv {top} src_{top} && git commit -m 'make room for a registry'"
            )
            raise Conflict(f"{top}/ is where a registry keeps its own files, and {change.path} is none", hint=hint)


def _strangers(repository: Repository, tip: str | None) -> tuple[str, ...]:
    """Return globs for what the repository holds that is no registry file, in order."""
    globs = set()
    for change in repository.changed_paths(EMPTY_TREE, tip) if tip else []:
        if paths.place_of(change.path).role == "unknown" and not change.path.startswith(
            ("models/", "cards/", "policies/")
        ):
            shown = "".join(sign if sign.isprintable() else "?" for sign in change.path)
            top, slash, _ = shown.partition("/")
            globs.add(f"{top}/**" if slash and top == change.path.partition("/")[0] else f"{top}/*" if slash else top)
    return tuple(sorted(globs))


def _refuse_overwriting(repository: Repository, edits: dict[str, Content | None]) -> None:
    """Refuse before anything is written when an untracked file lies where one of ours goes."""
    if repository.work_tree is None:
        return
    tracked = set(repository.run("ls-files", "-z", "--", *edits).split("\0"))
    for path, content in edits.items():
        file = repository.work_tree / path
        if path not in tracked and file.exists() and (not file.is_file() or file.read_bytes() != content):
            raise Conflict(
                f"{path} is there already and git does not track it",
                hint=f"git add {path} and commit it, or move it away",
            )
