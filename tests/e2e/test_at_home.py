"""At home in the shell, in editors and in other tools: completion, `python -m`, type hints in the wheel, pre-commit."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import jobs
import pytest
import zygote
from builder import World, git

ROOT = Path(__file__).parents[2]
ASK = """
source <(gitops-registry completion bash)
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}
read -ra COMP_WORDS <<< "$COMP_LINE"
[[ "$COMP_LINE" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
handler=$(complete -p gitops-registry | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$handler gitops-registry "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
printf 'breaks:%q' "$COMP_WORDBREAKS"
"""


ASK_ZSH = """
autoload -Uz compinit; compinit -u -D
source <(gitops-registry completion zsh)
compadd() {
  local -a offered
  if (( ! ${@[(I)-[OAD]]} )); then builtin compadd -O offered "$@"; print -rl -- $offered >> $TOLD; fi
  builtin compadd "$@"
}
asked() { _main_complete; print -r -- END >> $TOLD }
line() { print -r -- "line:$BUFFER" >> $TOLD }
zle -C asked list-choices asked; bindkey '^T' asked
zle -N line; bindkey '^O' line
print -r -- READY >> $TOLD
"""
"""What a real zsh is told: ^T writes down what it offers, ^O what stands in its line."""


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    commands = zygote.doors(tmp_path_factory.mktemp("bin") / "commands")
    return {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}


def completed(folder: Path, line: str, environment: dict[str, str]) -> set[str]:
    """Return what a real bash offers for a line that is typed so far."""
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    *words, breaks = done.stdout.split("\n")
    assert "@" not in breaks
    return {word for word in words if word}


OFFERED = {
    "gitops-registry pro": {"promote", "proposals"},
    "gitops-registry promote --d": {"--draft", "--direct", "--dry-run"},
    "gitops-registry show ": {"churn", "fraud"},
    "gitops-registry show fraud@": {"fraud@1", "fraud@2", "fraud@staging", "fraud@latest"},
    "gitops-registry promote fraud@2 --to ": {"development", "staging", "production", "archived"},
    "gitops-registry merge ": {"promote/fraud/2/archived"},
}
"""What every shell offers behind a line in `lived_in`."""


@pytest.fixture
def lived_in(world: World) -> World:
    """A registry of two models and a proposal."""
    world.model("fraud").version().version().in_stage("staging").commit()
    world.model("churn").version().commit()
    world.cli("promote", "fraud@2", "--to", "archived")
    return world


def test_bash_completes_commands_options_models_references_stages_and_proposals(
    lived_in: World, shell: dict[str, str]
) -> None:
    asked = {
        **OFFERED,
        "gitops-registry show fr": {"fraud"},
        "gitops-registry show fraud s": {"staging"},
        "gitops-registry policy test ": {"floors"},
        "gitops-registry completion ": {"bash", "zsh", "fish"},
    }
    assert {line: completed(lived_in.root, line, shell) for line in asked} == asked


def test_bash_completes_nothing_and_says_nothing_where_no_registry_is(tmp_path: Path, shell: dict[str, str]) -> None:
    assert completed(tmp_path, "gitops-registry show ", shell) == set()
    assert completed(tmp_path, "gitops-registry -C https://example.com/models.git show ", shell) == set()
    git(tmp_path, "init", "--quiet")
    (tmp_path / "registry.yaml").write_text("kind: [")
    assert completed(tmp_path, "gitops-registry merge ", shell) == set()


def test_no_shell_is_offered_a_word_that_it_would_run(world: World, shell: dict[str, str]) -> None:
    for name in (
        "change/;id",
        "change/$(id)",
        "change/`id`",
        "change/a&b",
        "change/it's",
        "change/*",
        "change/plain-1",
    ):
        commit = world.git("commit-tree", "main^{tree}", "-p", "main", "-m", "x").strip()
        world.git("update-ref", f"refs/heads/{name}", commit, check="*" not in name)
    (world.root / "policies" / "$(id).yaml").write_text("")
    assert completed(world.root, "gitops-registry merge ", shell) == {"change/plain-1"}
    assert completed(world.root, "gitops-registry policy test ", shell) == {"floors"}


class Zsh:
    """A real zsh with a terminal, which is typed into."""

    def __init__(self, folder: Path, told: Path, environment: dict[str, str]) -> None:
        self.told = told
        self.keys, terminal = pty.openpty()
        self.process = subprocess.Popen(
            ["zsh", "-f", "-i"], cwd=folder, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
            env={**environment, "TOLD": str(told), "TERM": "dumb", "ASK": ASK_ZSH},
        )  # fmt: skip
        os.close(terminal)
        told.write_text("")
        os.write(self.keys, b'eval "$ASK"\n')
        self._until("READY")

    def _until(self, last: str) -> list[str]:
        for _ in range(600):
            found = self.told.read_text().splitlines()
            if found and found[-1].startswith(last):
                self.told.write_text("")
                return found
            time.sleep(0.05)
        raise AssertionError(f"zsh says nothing: {os.read(self.keys, 1 << 16).decode()}")

    def offers(self, line: str) -> set[str]:
        """Return what it offers behind a line."""
        os.write(self.keys, f"\x15{line}\x14".encode())
        return {word for word in self._until("END")[:-1] if word}

    def makes(self, line: str) -> str:
        """Return the line after the key that completes it."""
        os.write(self.keys, f"\x15{line}\t\x0f".encode())
        return self._until("line:")[-1].removeprefix("line:")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.keys)


@pytest.mark.needs("zsh")
def test_zsh_completes_commands_options_models_references_and_proposals(
    lived_in: World, shell: dict[str, str], tmp_path: Path
) -> None:
    zsh = Zsh(lived_in.root, tmp_path / "told", shell)
    try:
        assert {line: zsh.offers(line) for line in OFFERED} == OFFERED
        assert zsh.makes("gitops-registry show fr") == "gitops-registry show fraud "
        assert zsh.makes("gitops-registry show fraud@st") == "gitops-registry show fraud@staging "
    finally:
        zsh.end()


@pytest.mark.needs("fish")
def test_fish_completes_commands_options_models_references_and_proposals(
    lived_in: World, shell: dict[str, str]
) -> None:
    ask = "gitops-registry completion fish | source; for line in $argv; complete -C$line; echo END; end"
    done = subprocess.run(
        ["fish", "--no-config", "-c", ask, *OFFERED],
        cwd=lived_in.root, env=shell, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not done.stderr
    told = [block.strip().splitlines() for block in done.stdout.split("END\n")]
    assert {line: {one.split("\t")[0] for one in block} for line, block in zip(OFFERED, told, strict=False)} == OFFERED
    assert "proposals\tlist, show or close proposals" in done.stdout


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_and_reads_it_where_it_is_installed(
    name: str, tmp_path: Path, shell: dict[str, str]
) -> None:
    told = subprocess.run(
        ["gitops-registry", "completion", name], cwd=tmp_path, env=shell, capture_output=True, text=True, check=True
    ).stdout
    assert f"_GITOPS_REGISTRY_COMPLETE={name}_complete" in told
    if program := shutil.which(name):
        (tmp_path / "script").write_text(told)
        subprocess.run([program, "-n", str(tmp_path / "script")], check=True)


def test_python_m_is_the_same_command(tmp_path: Path, shell: dict[str, str]) -> None:
    by_module = subprocess.run(
        [sys.executable, "-m", "gitops_registry", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    by_name = subprocess.run(
        ["gitops-registry", "--version"], cwd=tmp_path, env=shell, capture_output=True, text=True, check=True
    )
    assert by_module.stdout == by_name.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (found,) = jobs.wheel(tmp_path_factory.mktemp("wheel")).glob("*.whl")
    return found


def test_the_wheel_ships_type_hints_templates_and_its_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        points = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert "gitops_registry/py.typed" in names
    assert "gitops_registry/templates/card.md.j2" in names
    assert "gitops-registry = gitops_registry.__main__:main" in points


def test_a_checker_of_types_reads_our_hints_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    user = tmp_path / "user.py"
    user.write_text(
        "from gitops_registry import Registry\n"
        "registry = Registry.open('.')\n"
        "reveal_type(registry.promote('a', 1, to='b'))\n"
        "registry.promote(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--config-file", os.devnull,
         "--follow-imports", "silent", "user.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(tmp_path / "installed")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 'Revealed type is "gitops_registry.deciding.Outcome"' in done.stdout
    assert "incompatible type" in done.stdout


def test_pre_commit_runs_our_hooks_on_a_commit(world: World, tmp_path: Path, shell: dict[str, str]) -> None:
    """The hooks' own entries, by pre-commit itself; `language: system` instead of an environment that it would install."""
    import yaml

    world.model("fraud").version().commit()
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    local = [{**hook, "language": "system"} for hook in hooks]
    (world.root / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": local}]}))
    law = world.root / "registry.yaml"
    law.write_text(law.read_text() + "unmanaged: [.pre-commit-config.yaml]\n")
    world.git("add", "--all")
    program = [sys.executable, "-m", "pre_commit"]
    environment = {**shell, "PRE_COMMIT_HOME": str(tmp_path / "pre-commit")}
    subprocess.run([*program, "install"], cwd=world.root, env=environment, check=True, capture_output=True)
    commit = ["git", "-C", str(world.root), "commit", "-m", "let pre-commit look"]
    taken = subprocess.run(commit, env=environment, capture_output=True, text=True, check=False)
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert "check the registry" in taken.stderr + taken.stdout
    (world.root / "models/fraud/model.yaml").write_text("kind: Model\nname: fraud\nstages: {nowhere: [1]}\n")
    world.git("add", "--all")
    stopped = subprocess.run(commit, env=environment, capture_output=True, text=True, check=False)
    assert stopped.returncode == 1
    assert "nowhere" in stopped.stderr + stopped.stdout
