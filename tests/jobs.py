"""A machine that runs the jobs of a workflow as a forge would, for one recorded event.

Expressions are worked out from the event, actions are done by hand (a checkout is a fetch and a checkout, an artifact is a
folder), and each `run:` goes through `bash -eo pipefail`. Nothing needs the network beyond loopback.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
import zygote
from builder import git

from gitops_registry import __version__

ROOT = Path(__file__).parents[1]
EVENTS = ROOT / "tests" / "events"
PIP = "-m pip install --quiet --disable-pip-version-check"
_TOKEN = re.compile(r"\s*(\|\||&&|==|!=|[!(),]|'(?:[^']|'')*'|\d+|[A-Za-z_][\w.-]*)")


def event(name: str, **said: Any) -> dict[str, Any]:
    """Return a recorded event; `<word>` in it is what is said of that word."""
    text = (EVENTS / f"{name}.json").read_text(encoding="utf-8")
    for word, value in said.items():
        text = text.replace(f'"<{word}>"', json.dumps(value))
    left = re.findall(r"<\w+>", text)
    assert not left, left
    return dict(json.loads(text))


def wheel(folder: Path) -> Path:
    """Build this package as `pip install` would fetch it, and return the folder that it is in."""
    words = ["pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True, timeout=120)
    return folder


class Expression:
    """One expression of a workflow, worked out by its grammar: `||`, `&&`, `==`, `!=`, `!`, brackets, calls and names."""

    def __init__(self, text: str, context: dict[str, Any], workspace: Path) -> None:
        self.tokens = _TOKEN.findall(text)
        assert "".join(self.tokens).replace(" ", "") == re.sub(r"\s", "", text), text
        self.context, self.workspace = context, workspace

    def value(self) -> Any:
        found = self._either()
        assert not self.tokens, self.tokens
        return found

    def _next(self, *wanted: str) -> str:
        return self.tokens.pop(0) if self.tokens and (not wanted or self.tokens[0] in wanted) else ""

    def _either(self) -> Any:
        found = self._both()
        while self._next("||"):
            other = self._both()
            found = found or other
        return found

    def _both(self) -> Any:
        found = self._compared()
        while self._next("&&"):
            other = self._compared()
            found = found and other
        return found

    def _compared(self) -> Any:
        found = self._one()
        if sign := self._next("==", "!="):
            other = self._one()
            return ((found or "") == (other or "")) == (sign == "==")
        return found

    def _one(self) -> Any:
        word = self._next()
        if word == "!":
            return not self._one()
        if word == "(":
            found = self._either()
            assert self._next(")")
            return found
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if word.isdigit():
            return int(word)
        if not self._next("("):
            return self._named(word)
        arguments = []
        while not self._next(")"):
            arguments.append(self._either())
            self._next(",")
        return self._called(word, arguments)

    def _named(self, word: str) -> Any:
        found: Any = self.context
        for part in word.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def _called(self, name: str, arguments: list[Any]) -> Any:
        if name == "format":
            return str(arguments[0]).format(*arguments[1:])
        if name == "startsWith":
            return str(arguments[0]).lower().startswith(str(arguments[1]).lower())
        if name == "hashFiles":
            return "hash" if list(self.workspace.glob(arguments[0])) else ""
        return {"always": True, "cancelled": False}[name]


@dataclass
class Ran:
    """What became of a job: its exit code (None where its condition left it out), what it printed, and what it handed on."""

    code: int | None
    told: str = ""
    uploads: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Runner:
    """One machine for the jobs of one run. `wheels` is the only place that pip finds packages in; `remote` is what is cloned."""

    folder: Path
    remote: str
    wheels: Path
    server: str = "https://github.com"
    token: str = "not-a-token"
    installed: Path | None = None
    """Where `wheels` were installed before, as on a machine that is used again; else each job installs into a folder of its own."""
    forked: bool = False
    """Whether the command line is forked from one that has imported everything (`zygote`), and pip not started only to say that
    what is asked for is installed: where neither the start of Python in that folder nor what a process may do is tested."""
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        """The checkout of the job that ran last."""
        return self.folder / "work"

    @property
    def summary(self) -> Path:
        """What the job shows on its page."""
        return self.folder / "summary.md"

    def run(
        self, workflow: bytes, job: str, name: str, happened: dict[str, Any], *, until: str = "\0", **github: Any
    ) -> Ran:
        """Run one job of a workflow for an event, on an empty machine that keeps what earlier jobs handed on.

        With `until`, the step whose name starts so is left out, and all after it.
        """
        whole = yaml.safe_load(workflow)
        told = {"event": happened, "event_name": name, "token": self.token, "server_url": self.server, **github}
        context = {
            "github": told,
            "secrets": self.secrets,
            "vars": self.variables,
            "runner": {"temp": str(self.folder / "temp")},
            "steps": {"pages": {"outputs": {"base_url": "https://acme.example.com/models"}}},
        }
        wanted = whole["jobs"][job]
        for folder in ("work", "home", "installed", "temp"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
            (self.folder / folder).mkdir(parents=True)
        ran = Ran(None)
        if not self._holds(wanted.get("if"), context):
            return ran
        ran.code = 0
        variables = {**whole.get("env", {}), **wanted.get("env", {})}
        for step in wanted["steps"]:
            if step.get("name", "").startswith(until):
                break
            self._step(step, variables, context, ran)
        return ran

    def composite(self, action: Path, inputs: dict[str, str], checkout: Path) -> Ran:
        """Run the steps of a composite action in a checkout."""
        text = yaml.safe_load((action / "action.yml").read_text())
        given = {name: inputs.get(name, said.get("default", "")) for name, said in text["inputs"].items()}
        assert all(name in inputs for name, said in text["inputs"].items() if said.get("required"))
        for folder in ("home", "installed"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        self.workspace.symlink_to(checkout)
        ran = Ran(0)
        context = {"github": {"action_path": str(action)}, "inputs": given}
        for step in text["runs"]["steps"]:
            self._step(step, {}, context, ran)
        return ran

    def script(self, lines: list[str], variables: dict[str, str]) -> Ran:
        """Run the lines of a GitLab job in one shell, in the folder that GitLab has for it."""
        for folder in ("work", "home", "installed"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        return self._bash("\n".join(lines), variables, self.workspace, Ran(0))

    # ── inside

    def _holds(self, condition: Any, context: dict[str, Any]) -> bool:
        if condition is None:
            return True
        text = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", str(condition).strip())
        return bool(Expression(text, context, self.workspace).value())

    def _filled(self, text: Any, context: dict[str, Any]) -> str:
        def value(match: re.Match[str]) -> str:
            found = Expression(match[1], context, self.workspace).value()
            words = match[1].strip()
            assert found or words.startswith(("secrets.", "inputs.")), f"{match[0]} is nothing in this event"
            return str(found or "")

        return re.sub(r"\$\{\{(.*?)\}\}", value, str(text))

    def _step(self, step: dict[str, Any], variables: dict[str, Any], context: dict[str, Any], ran: Ran) -> None:
        condition = step.get("if")
        if ran.code and not re.search(r"cancelled|always", str(condition)):
            return
        if not self._holds(condition, context):
            return
        if "uses" in step:
            given = {key: self._filled(value, context) for key, value in step.get("with", {}).items()}
            self._act(step["uses"].partition("@")[0], given, ran)
            return
        filled = {key: self._filled(value, context) for key, value in {**variables, **step.get("env", {})}.items()}
        self._bash(step["run"], filled, self.workspace / step.get("working-directory", "."), ran)

    def _bash(self, script: str, variables: dict[str, str], folder: Path, ran: Ran) -> Ran:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=folder, capture_output=True, text=True, check=False, timeout=120, env={**self._environment(), **variables},
        )  # fmt: skip
        ran.told += done.stdout + done.stderr
        ran.code = ran.code or done.returncode
        return ran

    def _environment(self) -> dict[str, str]:
        """Return what a fresh machine has, with pip installing into a folder of its own from `wheels`."""
        shims = self.folder / "shims"
        shims.mkdir(exist_ok=True)
        if os.geteuid() == 0:  # then the machine may have no sudo
            (shims / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
            (shims / "sudo").chmod(0o755)
        installed, home = str(self.installed or self.folder / "installed"), str(self.folder / "home")
        quick = f"{self._doors()}:" if self.forked and self.installed else ""
        path = f"{quick}{shims}:{installed}/bin:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        return {
            "PATH": path, "HOME": home, "LANG": "C.UTF-8", "PYTHONPATH": installed, "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_CONFIG_NOSYSTEM": "1", "DVC_SITE_CACHE_DIR": f"{home}/site",
            # pip reads PIP_NO_BUILD_ISOLATION the wrong way round: "0" is what --no-build-isolation says.
            "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_CACHE_DIR": "1",
            "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull,
            **({} if self.installed else {"PIP_TARGET": installed}),
            "GITHUB_STEP_SUMMARY": str(self.summary), "GITHUB_SERVER_URL": self.server, "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "acme/models", "GITHUB_RUN_ID": "42", "CI": "true",
        }  # fmt: skip

    def _doors(self) -> Path:
        """Make the commands that start quickly; whatever pip would have to do, pip is asked."""
        folder = self.folder / "doors"
        if not folder.exists():
            zygote.doors(folder)
            known = [f"'{PIP} gitops-registry{extra}=={__version__}'" for extra in ("", "[site]")]
            there = f"{self.installed}/gitops_registry-{__version__}.dist-info"
            (folder / "python").write_text(
                f'#!/bin/sh\ncase "$*" in {"|".join(known)}) [ -d {there} ] && exit;; esac\nexec {sys.executable} "$@"\n'
            )
        return folder

    def _act(self, action: str, given: dict[str, str], ran: Ran) -> None:
        work = self.workspace
        if action == "actions/checkout":
            branch = given["ref"].removeprefix("refs/heads/")
            git(work, "init", "--quiet")
            git(work, "remote", "add", "origin", self.remote)
            git(work, "fetch", "--quiet", "--no-tags", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")  # fmt: skip
            git(work, "checkout", "--quiet", "-B", branch, f"refs/remotes/origin/{branch}")
        elif action == "actions/upload-artifact":
            for path in given["path"].split():
                if (work / path).exists():
                    copied(work / path, self.folder / "artifacts" / given["name"] / path)
        elif action == "actions/download-artifact":
            copied(self.folder / "artifacts" / given["name"], work / given["path"])
        elif action == "actions/upload-pages-artifact":
            copied(work / given["path"], self.folder / "pages")
        elif action == "github/codeql-action/upload-sarif":
            ran.uploads.append({**given, "sarif": json.loads((work / given["sarif_file"]).read_text())})
        else:
            assert action in {"actions/setup-python", "actions/configure-pages", "actions/deploy-pages"}, action


def copied(source: Path, target: Path) -> None:
    """Copy a file or a folder to where there may be one already."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
