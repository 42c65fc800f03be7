"""A call of MLflow's where a team takes changes as pull requests: the exception names the one that waits, on a forge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from forge_github import LocalGitHub
from hub import Hub, copied, founded
from mlflow.exceptions import MlflowException
from mlflow_pair import model_folder

from gitops_registry.mlflow_store.store import RegistryStore

pytestmark = pytest.mark.needs("signing")


@pytest.fixture(scope="module")
def made(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return founded("github", LocalGitHub, tmp_path_factory.mktemp("made"))


@pytest.fixture
def hub(made: Path, tmp_path: Path) -> Iterator[Hub]:
    with copied(made, "github", LocalGitHub, tmp_path / "hub") as team:
        yield team


def test_a_transition_that_waits_for_its_review_names_the_pull_request(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hub.environment("alice").items():
        monkeypatch.setenv(name, value)
    root = hub.at("alice").root
    store = RegistryStore(store_uri=f"gitops://{root}", tracking_uri=f"sqlite:///{hub.folder}/runs.db")
    with pytest.raises(MlflowException, match=r"promote fraud 1 to archived|archive fraud 1") as error:
        store.transition_model_version_stage("fraud", 1, "Archived", False)
    assert error.value.error_code == "PERMISSION_DENIED"
    number, url = next(iter(hub.forge.pulls)), error.value.json_kwargs["pull_request"]
    assert url.endswith(f"/pull/{number}")
    assert url in str(error.value)
    assert store.get_model_version("fraud", 1).current_stage == "Staging", "nothing is done yet"
    source = model_folder(hub.folder / "source")
    assert store.create_model_version("fraud", str(source)).version == 3, "a new version serves nobody"
