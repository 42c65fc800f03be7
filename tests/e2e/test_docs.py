"""Every command in the README and in docs/ is typed as it stands, unless the page says why it cannot be; what is generated is fresh; the site builds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import team
import zygote
from builder import cli, git

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = ("commands.md", "python.md")
"""Pages whose commands are run by other tests: examples of the help."""
PIECE = re.compile(
    r"<!-- (?P<word>scene|not run): (?P<said>[^>]+?) -->|^```(?P<language>\w+)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
TYPED = {"sh", "bash", "console", "shell"}


class Block(NamedTuple):
    """One block of a page: its language and text, and what the page says of it: a scene to begin, or why it is not run."""

    language: str
    text: str
    scene: str
    reason: str


def blocks(page: Path) -> Iterator[Block]:
    scene = reason = ""
    for piece in PIECE.finditer(page.read_text(encoding="utf-8")):
        if piece["word"] == "scene":
            scene = piece["said"]
        elif piece["word"]:
            reason = piece["said"]
        else:
            yield Block(piece["language"], piece["text"], scene, reason)
            scene = reason = ""


def pages() -> list[Path]:
    found = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    return [page for page in found if page.name not in GENERATED and any(one.language in TYPED for one in blocks(page))]


@pytest.fixture
def shell(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A shell's environment with a home of its own, in which our commands are forked and not started anew."""
    commands = zygote.doors(tmp_path_factory.mktemp("bin") / "commands")
    home = tmp_path / "home"
    home.mkdir()
    settings = home / "gitconfig"
    shutil.copy(os.environ["GIT_CONFIG_GLOBAL"], settings)
    settings.chmod(0o600)
    (home / ".ssh").mkdir()
    public = team.key(home / ".ssh", "alice")
    public.rename(home / ".ssh" / "id_ed25519.pub")
    public.with_suffix("").rename(home / ".ssh" / "id_ed25519")
    there = f"{commands}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": there, "HOME": str(home), "GIT_CONFIG_GLOBAL": str(settings), "EDITOR": "true"}


def plain(line: str) -> str:
    """A line without what differs from run to run: ids, times, names, measured digits."""
    line = re.sub(r"\b[0-9a-f]{9,40}\b", "<id>", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "<time>", line)
    line = re.sub(r"\d\.\d+", "<number>", line)
    return re.sub(r"<time>  \w+", "<time>  <who>", line.rstrip())


def agrees(told: list[str], shown: list[str]) -> bool:
    """Whether what was told is what the README shows, where `…` stands for anything."""
    pattern = "\n".join(re.escape(plain(line)) for line in shown)
    pattern = pattern.replace("\\…", "…").replace("  …", r"(?:  [^\n]*)?").replace("…", r"(?:[^\n]*(?:\n[^\n]*)*)")
    return re.fullmatch(pattern, "\n".join(plain(line) for line in told)) is not None


def begin(scene: str, scenes: Path, folder: Path) -> Path:
    """Return the folder that a scene begins in."""
    name, _, person = scene.partition(" as ")
    if name == "empty":
        folder.mkdir()
        return folder
    if name != "team":
        shutil.copytree(scenes / ("plain" if name in {"server", "unmeasured"} else name), folder, symlinks=True)
        if name == "unmeasured":
            assert cli(folder, "evaluation", "remove", "credit-risk").returncode == 0
        if name == "server":
            shutil.copytree(scenes / "team" / "server.git", folder / "models.git", symlinks=True)
        return folder
    crew = team.Team(scenes / "team").copy(folder)
    where = folder / (person or "alice")
    for key in ("carol.pub", "new.pub"):
        shutil.copy(scenes / "team" / "bob" / key, where)
    if person:
        branch = "promote/fraud/1/production"
        git(where, "fetch", "--quiet", str(folder / "alice"), f"{branch}:{branch}")
    else:
        git(where, "branch", "-D", "promote/fraud/1/production")
        shutil.copy(crew.folder / "alice.key.pub", where / "alice.pub")
    return where


def type_in(block: Block, where: Path, environment: dict[str, str]) -> Path:
    """Type the lines of a block, compare what is told with what the page shows, and return the folder that it ends in."""
    shows = block.language == "console"
    pieces = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:] if shows else block.text.strip().split("\n")
    for piece in pieces:
        command, *shown = piece.rstrip("\n").split("\n")
        if re.fullmatch(r"cd [\w/.-]+", command):
            where = where / command[3:]
            continue
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=where,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        fine = (0, 1) if "exit code" in command else (0,)
        assert done.returncode in fine, f"$ {command}\n{done.stdout}{done.stderr}"
        told = done.stdout.splitlines()
        assert not shown or agrees(told, shown), f"$ {command}\n" + "\n".join(told)
    return where


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_command_of_a_page_does_what_the_page_says(
    page: Path, scene: Path, tmp_path: Path, shell: dict[str, str]
) -> None:
    where = tmp_path / "empty"
    where.mkdir()
    for number, block in enumerate(blocks(page)):
        if block.scene:
            where = begin(block.scene, scene, tmp_path / f"scene{number}")
        if block.language in TYPED and not block.reason:
            where = type_in(block, where, shell)
        elif name := re.match(r"# (\w+\.(?:py|yaml))\n", block.text):
            (where / name[1]).write_text(block.text, encoding="utf-8")


def test_a_block_that_is_not_run_says_why() -> None:
    told = [block.reason for page in pages() for block in blocks(page) if block.reason]
    assert told
    assert all(reason.startswith(("needs ", "shown")) for reason in told), told


def test_what_is_generated_from_the_code_is_fresh() -> None:
    # In a process of its own: click keeps a command's --help as it was first asked for.
    told = "import json, runpy, sys; print(json.dumps({name: text() for name, text in runpy.run_path(sys.argv[1])['PAGES'].items()}))"
    command = [sys.executable, "-c", told, str(DOCS / "reference.py")]
    written = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    assert set(written) >= {"commands.md", "reference.md", "python.md"}
    for page, text in written.items():
        assert (DOCS / page).read_text(encoding="utf-8") == text, "run: python docs/reference.py"


def test_every_page_can_be_reached_from_the_first_one() -> None:
    first = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", first))
    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("mkdocs")), "build", "--strict", "--quiet", "-d", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "tutorial" / "index.html").exists()
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|iframe)[^>]* src="(https?:[^"]+)|<link[^>]* href="(https?:[^"]+)', page.read_text()
        )
        assert not loaded, f"{page}: {loaded}"
