"""`make demo`: the whole life of a model in a fresh registry, every step as a user would type it.

The registry and the files it was made from stay where they are, to look at.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAIN = '''\
"""Train versions of one classifier on a real dataset: is a tumour benign?"""

import skops.io
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

data = load_breast_cancer(as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    data.data, data.target, test_size=0.2, random_state=0, stratify=data.target
)
X_train.assign(benign=y_train).to_csv("train.csv", index=False)
X_test.assign(benign=y_test).to_csv("holdout.csv", index=False)

for number, settings in enumerate(
    [
        {"n_estimators": 5, "max_depth": 2},
        {"n_estimators": 10, "max_depth": 3},
        {"n_estimators": 50, "max_depth": 5},
        {"n_estimators": 1, "max_depth": 1},
    ],
    start=1,
):
    model = RandomForestClassifier(random_state=0, **settings).fit(X_train, y_train)
    skops.io.dump(model, f"forest-{number}.skops")
    print(f"forest-{number}.skops: {settings}")
'''

CARD = """\
kind: ModelCard
description: Says whether a breast tumour is benign, from thirty measurements of cell nuclei.
intended_use: Teaching and trying out this registry.
out_of_scope: Diagnosis of anybody.
limitations: 569 patients of one hospital; no other population was measured.
training_data: Breast Cancer Wisconsin (Diagnostic), 80 % of its rows, stratified.
ethical_considerations: A mistake would cost a patient time or health; nobody is to rely on it.
license: CC-BY-4.0
contact: alice@example.com
"""

LOAD = """\
import pandas
from gitops_registry import Registry

rows = pandas.read_csv("../holdout.csv").drop(columns="benign").head(3)
model = Registry.open(".").load("breast-cancer@production")
print(model, model.predict(rows), model.predict_proba(rows).round(3).tolist())
"""


class Demo:
    """Types commands, shows what they answer, and stops where one does not do what it should."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.step = 0
        self.who = ""
        self.python = "python" if os.environ.get("DEMO_COMMANDS") else shlex.quote(sys.executable)
        self.environment = {**os.environ, "PATH": f"{_commands()}{os.pathsep}{os.environ.get('PATH', '')}"}
        if not subprocess.run(["git", "-C", folder, "config", "user.email"], capture_output=True, check=False).stdout:
            for who in ("AUTHOR", "COMMITTER"):
                self.environment |= {f"GIT_{who}_NAME": "alice", f"GIT_{who}_EMAIL": "alice@example.com"}

    def become(self, name: str) -> None:
        """Type as somebody else from now on."""
        self.who = name
        for role in ("AUTHOR", "COMMITTER"):
            self.environment |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": f"{name}@example.com"}

    def say(self, text: str) -> None:
        """Print a heading."""
        self.step += 1
        print(f"\n{_bold(f'{self.step}. {text}')}", flush=True)

    def type(self, command: str, *, code: int = 0, head: int = 0, shown: str = "") -> None:
        """Run one command in the folder, print it and its result, and insist on its exit code."""
        print(_cyan(f"{self.who}$ {shown or command}"), flush=True)
        words = shlex.split(command)
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        for line in lines[:head] if head else lines:
            print(f"  {line}")
        if head and len(lines) > head:
            print(f"  … {len(lines) - head} more lines")
        sys.stdout.flush()
        if done.returncode != code:
            sys.exit(f"the demo expected exit code {code} here and got {done.returncode}")

    def newest(self, start: str) -> str:
        """Return the branch whose name begins so."""
        words = ["git", "-C", self.folder, "branch", "--format=%(refname:short)", "--list", f"{start}*"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]

    def propose(self, verb: str, branch: str) -> None:
        """Propose a change, judge the proposal, land it."""
        self.type(f"gitops-registry {verb}")
        self.type(f"gitops-registry check --head {branch}")
        self.type(f"gitops-registry merge {branch}")


def _commands() -> Path:
    """The folder of the commands to type: beside this Python, unless tests say where the same ones start faster."""
    return Path(os.environ.get("DEMO_COMMANDS") or Path(sys.executable).parent)


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def _cyan(text: str) -> str:
    return f"\033[36m{text}\033[0m" if sys.stdout.isatty() else text


def main() -> None:
    """Run the demo from start to end."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="gitops-registry-demo-"))
    demo = Demo(folder)
    (folder / "train.py").write_text(TRAIN)
    (folder / "card.yaml").write_text(CARD)
    print(f"Everything happens in {folder}, and stays there.")
    life(demo, folder)
    if shutil.which("ssh-keygen"):
        team(demo, folder)
    else:
        print("\nTwo people and a server would follow: they sign with SSH, and ssh-keygen is not installed here.")
    print(
        f"\nDone in {time.monotonic() - began:.0f} s. Look around: cd {folder / 'registry'} && git log --graph --oneline"
    )
    print(
        f"Type gitops-registry there as {Path(sys.executable).parent / 'gitops-registry'}, or put that folder on your PATH."
    )


def life(demo: Demo, folder: Path) -> None:
    """A model from training to production, a refusal, a comparison, a rollback."""
    demo.say("Make a registry: a git repository, nothing else")
    demo.type("gitops-registry init registry")

    demo.say("Train, on a real dataset")
    demo.type(f"{demo.python} train.py", shown="python train.py")

    demo.folder = folder / "registry"
    demo.say("Register three versions: measured on the holdout rows, stored as skops and ONNX")
    for number in (1, 2, 3):
        demo.type(
            f"gitops-registry register breast-cancer ../forest-{number}.skops --data ../holdout.csv --target benign --trained-on ../train.csv --card ../card.yaml"
        )
    demo.type("gitops-registry describe breast-cancer --owner alice")

    demo.say("What production asks for: policies, each with its own tests")
    demo.type("gitops-registry policy list")
    demo.type("gitops-registry policy test")

    demo.say("Promote 1 and 2 to staging, and 2 on to production: each a proposal that is checked and merged")
    demo.propose("promote breast-cancer 1 --to staging", "promote/breast-cancer/1/staging")
    demo.propose("promote breast-cancer 2 --to staging", "promote/breast-cancer/2/staging")
    demo.propose("promote breast-cancer 2 --to production", "promote/breast-cancer/2/production")

    demo.say("A worse version does not reach production")
    demo.type(
        "gitops-registry register breast-cancer ../forest-4.skops --data ../holdout.csv --target benign --trained-on ../train.csv --card ../card.yaml"
    )
    demo.type("gitops-registry promote breast-cancer 4 --to staging")
    demo.type("gitops-registry merge promote/breast-cancer/4/staging")
    demo.type("gitops-registry promote breast-cancer 4 --to production", code=1)

    demo.say("Compare 2 and 3, then promote 3; 2 is archived in the same step")
    demo.type("gitops-registry compare breast-cancer 2 3")
    demo.propose("promote breast-cancer 3 --to staging", "promote/breast-cancer/3/staging")
    demo.propose("promote breast-cancer 3 --to production", "promote/breast-cancer/3/production")

    demo.say("Roll back: production returns to who held it before, read from history")
    demo.propose("rollback breast-cancer", "rollback/breast-cancer/production")
    demo.type("gitops-registry list breast-cancer")

    demo.say("The model card, and the log: git history is the audit log")
    demo.type("gitops-registry card breast-cancer@production", head=16)
    demo.type("gitops-registry log breast-cancer")

    demo.say("Use it: the SHA-256 is checked, then it predicts")
    (folder / "use.py").write_text(LOAD)
    demo.type(f"{demo.python} ../use.py", shown="python ../use.py")
    demo.type("gitops-registry predict breast-cancer@production ../holdout.csv --proba", head=4)

    demo.say("The whole registry, judged and examined")
    demo.type("gitops-registry check")
    demo.type("gitops-registry doctor")


def team(demo: Demo, folder: Path) -> None:
    """Two people with keys of their own, and a server that takes nothing that is not signed, approved and right."""
    demo.folder, home = folder, "gitops-registry"
    (folder / "keys").mkdir()
    demo.say("Two people: each has an SSH key (thrown away with this folder)")
    for name in ("alice", "bob"):
        demo.type(f"ssh-keygen -q -t ed25519 -N '' -C {name} -f keys/{name}")

    demo.say("A registry for both, and a bare repository that judges every push")
    demo.become("alice")
    demo.type(f"{home} init team --team --key keys/alice.pub", head=1)
    demo.type("git init --quiet --bare --initial-branch=main server.git")
    demo.type(f"{home} hook install server.git --root keys/alice.pub")
    demo.folder = folder / "team"
    demo.type(
        f"git remote add origin {shlex.quote(str(folder / 'server.git'))}", shown="git remote add origin ../server.git"
    )
    demo.type("git push --quiet -u origin main")
    demo.type(f"{home} access add bob --role ml_engineer --email bob@example.com --key ../keys/bob.pub", head=2)
    demo.type(f"{home} merge access/add/bob", head=1)
    demo.type(f"{home} access who-can deploy breast-cancer")

    demo.say("A model on its way: each step is signed by whoever takes it")
    demo.type(
        f"{home} register breast-cancer ../forest-3.skops --data ../holdout.csv --target benign --trained-on ../train.csv --card ../card.yaml",
        head=1,
    )
    for verb, branch in (
        ("describe breast-cancer --owner alice", "describe/breast-cancer/model"),
        ("evaluation set breast-cancer ../holdout.csv --target benign", "evaluation/breast-cancer/data"),
        ("evaluate breast-cancer 1", ""),
        ("promote breast-cancer 1 --to staging", "promote/breast-cancer/1/staging"),
    ):
        demo.type(f"{home} {verb}", head=1)
        demo.type(f"{home} merge {branch or demo.newest('evaluation/breast-cancer/1')}", head=1)
    demo.type(f"{home} push")

    demo.say("Nobody reaches production alone: not with the tool, and not past it with plain git")
    branch = "promote/breast-cancer/1/production"
    demo.type(f"{home} promote breast-cancer 1 --to production", head=2)
    demo.type(f"{home} merge {branch}", code=1, head=4)
    demo.type(f"git merge --quiet --no-ff -S -m 'just this once' {branch}")
    demo.type("git push origin main", code=1)
    demo.type("git reset --quiet --keep origin/main")
    demo.type(f"{home} push")

    demo.say("Bob looks, and approves with his signature; then it lands")
    demo.folder = folder
    demo.become("bob")
    demo.type("git clone --quiet server.git bob")
    demo.folder = folder / "bob"
    for words in ("gpg.format ssh", "user.signingKey ../keys/bob"):
        demo.type(f"git config {words}".replace("../keys", str(folder / "keys")), shown=f"git config {words}")
    demo.type(f"{home} approve {branch} --comment 'measured on our own rows'")
    demo.type(f"{home} merge {branch}", head=2)
    demo.type(f"{home} push")
    demo.type(f"{home} log -n 1")

    demo.say("What the server remembers: who was let in, and who was turned away")
    demo.type(f"{home} -C ../server.git audit pushes")


if __name__ == "__main__":
    main()
