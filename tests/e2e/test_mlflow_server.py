"""MLflow's own programs on a registry: its server with the web page and its REST calls, and `mlflow models serve`.

Both are real processes on this machine, ended by their number.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builder import World
from mlflow_pair import freed

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def asked(url: str, body: Any = None) -> tuple[int, str]:
    """Return the status and the text of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, answer.read().decode()


@contextmanager
def running(*arguments: str, port: int, ready: str, folder: Path, **environment: str) -> Iterator[None]:
    """Run an MLflow program until the block ends; it has begun when the page `ready` answers."""
    # The server of a model is begun by name, as `uvicorn`: the environment is an activated one.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    there = {**os.environ, "PATH": path, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **environment}
    with (folder / "said").open("w") as said:
        program = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments], cwd=folder, stdout=said, stderr=subprocess.STDOUT,
            env=there, start_new_session=True,
        )  # fmt: skip
    try:
        for _ in range(400):
            assert program.poll() is None, (folder / "said").read_text()[-3000:]
            try:
                if asked(f"http://127.0.0.1:{port}{ready}")[0] == 200:
                    break
            except OSError:
                time.sleep(0.25)
        else:
            raise AssertionError((folder / "said").read_text()[-3000:])
        yield
    finally:
        with suppress(ProcessLookupError):  # it died at its start: what it said is in the assertion above
            os.killpg(program.pid, signal.SIGTERM)
        try:
            program.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait(20)


@pytest.fixture(scope="module")
def site(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A server whose models are in a registry, and whose runs and artifacts are its own."""
    import mlflow
    from mlflow import MlflowClient

    root = tmp_path_factory.mktemp("server")
    world = freed(World(root / "registry", template=template))
    port = free_port()
    options = (
        "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", f"sqlite:///{root}/runs.db",
        "--artifacts-destination", str(root / "artifacts"), "--registry-store-uri", f"gitops://{world.root}",
    )  # fmt: skip
    with running(*options, port=port, ready="/health", folder=root):
        url = f"http://127.0.0.1:{port}"
        patch = pytest.MonkeyPatch()
        patch.chdir(root)
        mlflow.set_tracking_uri(url)
        mlflow.set_registry_uri(url)
        yield SimpleNamespace(world=world, url=url, client=MlflowClient(url, url), root=root, mlflow=mlflow)
        mlflow.set_registry_uri("")
        mlflow.set_tracking_uri("")
        for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"):
            os.environ.pop(name, None)
        patch.undo()


def test_a_server_keeps_its_models_in_a_registry(site: SimpleNamespace) -> None:
    import numpy
    from sklearn.linear_model import LogisticRegression

    mlflow, client = site.mlflow, site.client
    assert "<html" in asked(site.url)[1], "its web page"
    rows, truth = numpy.arange(20.0).reshape(10, 2), numpy.arange(10) > 4
    with mlflow.start_run() as run:
        mlflow.log_metric("accuracy", 0.9)
        mlflow.sklearn.log_model(
            LogisticRegression().fit(rows, truth), name="model", registered_model_name="credit",
            pip_requirements=["scikit-learn"], serialization_format="skops",
        )  # fmt: skip
    found = client.search_model_versions("name = 'credit'")
    assert [(mv.version, mv.run_id) for mv in found] == [("1", run.info.run_id)]
    version = site.world.registry.snapshot.version("credit", 1)
    assert version is not None
    assert version.metrics == {"accuracy": 0.9}, "the server reads its runs itself"
    assert version.artifacts[0].format == "mlflow"
    assert client.transition_model_version_stage("credit", "1", "Production").current_stage == "Production"
    assert site.world.registry.resolve("credit@production").number == 1
    client.set_registered_model_alias("credit", "champion", "1")
    assert client.get_model_version_by_alias("credit", "champion").version == "1"
    assert [model.name for model in client.search_registered_models()] == ["credit"]
    with pytest.raises(mlflow.exceptions.MlflowException) as missing:
        client.get_registered_model("nobody")
    assert missing.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    said = asked(f"{site.url}/api/2.0/mlflow/registered-models/get?name=credit")[1]
    assert json.loads(said)["registered_model"]["latest_versions"][0]["current_stage"] == "Production"
    assert mlflow.pyfunc.load_model("models:/credit/Production").predict(rows[:2]).tolist() == [False, False]
    status, told = asked(f"{site.url}/model-versions/get-artifact?name=credit&version=1&path=MLmodel")
    assert (status, "sklearn" in told) == (200, True), "single files come through the server"
    assert "version 1 development → production" in site.world.cli("log", "credit").stdout


def test_a_model_is_served_from_a_registry(site: SimpleNamespace) -> None:
    import numpy
    from sklearn.linear_model import LogisticRegression

    rows, truth = numpy.arange(20.0).reshape(10, 2), numpy.arange(10) > 4
    folder = site.root / "saved"
    site.mlflow.sklearn.save_model(
        LogisticRegression().fit(rows, truth),
        str(folder),
        pip_requirements=["scikit-learn"],
        serialization_format="skops",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_REGISTRY_URI", f"gitops://{site.world.root}")
        site.mlflow.set_registry_uri(f"gitops://{site.world.root}")
        site.mlflow.register_model(str(folder), "served")
        site.mlflow.set_registry_uri(site.url)
    port = free_port()
    options = (
        "models",
        "serve",
        "-m",
        "models:/served/1",
        "--env-manager",
        "local",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    )
    there = {"MLFLOW_REGISTRY_URI": f"gitops://{site.world.root}", "MLFLOW_TRACKING_URI": site.url}
    scratch = site.root / "serving"
    scratch.mkdir()
    with running(*options, port=port, ready="/ping", folder=scratch, **there):
        status, said = asked(f"http://127.0.0.1:{port}/invocations", {"inputs": rows[[0, 9]].tolist()})
    assert (status, json.loads(said)) == (200, {"predictions": [False, True]})
