"""MLflow with a registry at a URL: one person registers and stages over HTTPS or SSH, another loads it in a home of their own."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import fortress
import githost
import pytest
import servers
import zygote
from builder import World, git
from forging import Actor
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow_pair import freed

TRAIN = """
import mlflow
from sklearn.linear_model import LogisticRegression

mlflow.set_registry_uri({uri!r})
model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
mlflow.sklearn.save_model(model, "model", pip_requirements=["scikit-learn"])
mlflow.register_model("model", "fraud")
client = mlflow.MlflowClient()
client.transition_model_version_stage("fraud", 1, "Production", archive_existing_versions=True)
client.set_registered_model_alias("fraud", "champion", 1)
print(client.get_latest_versions("fraud", stages=["Production"])[0].version)
"""
USE = """
import mlflow

mlflow.set_registry_uri({uri!r})
for name in ("models:/fraud/Production", "models:/fraud@champion", "models:/fraud/1"):
    print(mlflow.pyfunc.load_model(name).predict([[0.0], [3.0]]).tolist())
"""


@dataclass(frozen=True)
class Hub:
    """A bare repository behind a server: its folder, the address that MLflow is told, what opens the door, an empty database of runs."""

    folder: Path
    uri: str
    door: dict[str, str]
    database: Path

    def run(self, script: str, home: Path) -> subprocess.CompletedProcess[str]:
        """Run a script as somebody who has a home, and through it clones and caches, of their own; MLflow is imported already."""
        home.mkdir()
        environment = {**os.environ, "XDG_CACHE_HOME": str(home / "cache"), "GIT_TERMINAL_PROMPT": "0", **self.door}
        shutil.copy(self.database, home / "mlflow.db")  # else MLflow makes it, which takes a second
        (home / "script.py").write_text(script.format(uri=self.uri))
        return zygote.run(["script.py"], home, environment, timeout=200, program="mlflow")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What MLflow makes wherever it begins."""
    file = tmp_path_factory.mktemp("runs") / "mlflow.db"
    SqlAlchemyStore(f"sqlite:///{file}")._dispose_engine()
    return file


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """A bare repository whose bytes are kept in a folder that everybody reaches."""
    storage = tmp_path / "storage"
    storage.mkdir()
    config = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {storage}\n"
    freed(world).commit({".dvc/config": config.encode()}, "keep bytes where everybody reaches them")
    world.git("clone", "--quiet", "--bare", str(world.root), str(tmp_path / "models.git"))
    git(tmp_path / "models.git", "config", "http.receivepack", "true")
    return tmp_path / "models.git"


@pytest.fixture
def over_https(folder: Path, database: Path, tmp_path: Path) -> Iterator[Hub]:
    helper = f"!f() {{ echo username=alice; echo password={servers.PASSWORD}; }}; f"
    with githost.served(tmp_path, login=f"alice:{servers.PASSWORD}", authority=tmp_path / "authority.pem") as host:
        door = {
            "GIT_SSL_CAINFO": str(tmp_path / "authority.pem"), "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper", "GIT_CONFIG_VALUE_0": helper,
        }  # fmt: skip
        yield Hub(folder, f"gitops+{host}/{folder.name}", door, database)


@pytest.fixture
def over_ssh(folder: Path, database: Path, tmp_path: Path) -> Iterator[Hub]:
    keys = tmp_path / "keys"
    keys.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / "alice")], check=True)
    with servers.sshd(keys, keys / "alice.pub") as port:
        door = {"GIT_SSH_COMMAND": fortress.ssh(Actor("alice", keys / "alice"))}
        yield Hub(folder, f"gitops+ssh://{getpass.getuser()}@127.0.0.1:{port}{folder}", door, database)


@pytest.mark.parametrize("road", ["over_https", pytest.param("over_ssh", marks=pytest.mark.needs("ssh"))])
def test_what_one_person_registers_at_a_url_another_loads(
    road: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    hub: Hub = request.getfixturevalue(road)
    made = hub.run(TRAIN, tmp_path / "alice")
    assert (made.returncode, made.stdout.splitlines()[-1:]) == (0, ["1"]), made.stderr[-3000:]
    assert git(hub.folder, "log", "-3", "--format=%s", "main").splitlines() == [
        "alias fraud champion to 1", "promote fraud 1 to production", "register fraud 1",
    ]  # fmt: skip
    used = hub.run(USE, tmp_path / "bob")
    assert (used.returncode, used.stdout.splitlines()) == (0, ["[0, 1]"] * 3), used.stderr[-3000:]
    kept = [file for home in ("alice", "bob") for file in (tmp_path / home).rglob("*") if file.is_file()]
    assert not [file for file in kept if servers.PASSWORD.encode() in file.read_bytes()], (
        "who may come in is written nowhere"
    )


def test_a_server_that_nobody_vouches_for_is_not_trusted(over_https: Hub, tmp_path: Path) -> None:
    stranger = replace(over_https, door={**over_https.door, "GIT_SSL_CAINFO": "/dev/null"})
    refused = stranger.run(USE, tmp_path / "carol")
    assert refused.returncode == 1
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("mlflow.exceptions.MlflowException: could not reach https://127.0.0.1"), last
    assert "certificate" in last
    assert servers.PASSWORD not in refused.stdout + refused.stderr
