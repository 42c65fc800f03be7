"""`export --to huggingface` gives a folder that `huggingface_hub` uploads as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hubs
import yaml
from story import Lived, files

UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi(endpoint=sys.argv[1], token="hf_of_nobody")
api.create_repo("acme/tumour", exist_ok=True)
api.upload_folder(repo_id="acme/tumour", folder_path=sys.argv[2])
"""


def test_the_hub_gets_every_file_of_an_export_as_it_is(lived: Lived, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    lived.world.cli("export", "tumour@production", "--to", "huggingface", "--output", str(folder))
    wanted = files(folder)
    with hubs.running() as hub:
        done = subprocess.run(
            [sys.executable, "-c", UPLOAD, hub.url, str(folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert hub.files["acme/tumour"] == wanted
        assert {"README.md", "model.skops"} <= set(wanted)
    (card,) = hub.cards
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "sklearn"
