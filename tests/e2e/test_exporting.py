"""`export` at the command line: what is printed, what is written, and errors of one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from builder import World
from story import Lived

from gitops_registry.exporting import targets


def test_an_export_says_where_it_is_and_what_its_target_cannot_say(
    lived: Lived, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = lived.copy(tmp_path_factory.mktemp("exported") / "registry")
    done = world.cli("export", "tumour@2", "--to", "onnx")
    assert done.stdout.startswith("tumour-v2.onnx  tumour@2 for onnx\n")
    assert "note: SHA-256" in done.stdout
    assert (world.root / "tumour-v2.onnx").is_file()

    again = world.cli("export", "tumour", "2", "--to", "onnx", check=2)
    assert again.stderr.splitlines() == [
        "error: tumour-v2.onnx is there already",
        "hint: remove it, or name another place: -o PATH",
    ]

    told = json.loads(world.cli("export", "tumour@2", "--to", "openinference", "-o", "served", "--json").stdout)
    assert (told["version"], told["target"], told["path"]) == ("tumour@2", "openinference", "served")
    assert told["notes"]
    assert (world.root / "served/tumour/2/model.onnx").is_file()


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["tumour@2"], "say what to export to", "--to TARGET"),
        (["tumour@2", "--to", "onxx"], "no target 'onxx' to export to", "did you mean onnx?"),
        (["--to", "onnx"], "name one version", "NAME@3"),
        (["tumour@1", "--to", "onnx"], "tumour@1 has nothing in onnx", "it has: skops"),
        (["tumour@99", "--to", "onnx"], "no version 99 of tumour", "tumour has 1, 2, 3, 4"),
    ],
)
def test_an_export_that_cannot_be_made_is_an_error_of_one_line(
    lived: Lived, words: list[str], error: str, hint: str
) -> None:
    before = lived.world.git("status", "--porcelain")
    said = lived.world.cli("export", *words, check=2).stderr.splitlines()
    assert said[0] == f"error: {error}"
    assert said[1].startswith("hint: ")
    assert hint in said[1]
    assert lived.world.git("status", "--porcelain") == before


def test_the_check_that_an_export_names_works_as_it_is_typed(
    lived: Lived, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = lived.copy(tmp_path_factory.mktemp("signed") / "registry")
    key = world.root.parent / "Alice's own key.pem"
    made = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    subprocess.run(made, check=True, capture_output=True)
    told = json.loads(world.cli("export", "tumour@2", "--to", "sigstore", "--key", str(key), "--json").stdout)
    check = next(note for note in told["notes"] if note.startswith("check it: ")).removeprefix("check it: ")
    assert told["path"] in check
    typed = check.replace("python -m", f"{sys.executable} -m")
    assert subprocess.run(typed, shell=True, cwd=world.root, capture_output=True).returncode == 0


def test_the_targets_are_listed(world: World) -> None:
    assert [line.split()[0] for line in world.cli("export", "--list").stdout.splitlines()] == list(targets())
