"""What a command writes with --output: a device or a pipe is written into, a symbolic link followed, and neither is replaced.

As root, a file put in the place of a device breaks the machine.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from builder import World

from gitops_registry.errors import RegistryError
from gitops_registry.receiving import doors

WRITERS = {
    "card": ("card", "fraud@1", "--output"),
    "check": ("check", "--format", "json", "--output"),
    "check --sarif": ("check", "--sarif"),
    "audit report": ("audit", "report", "fraud", "--output"),
    "audit export": ("audit", "export", "--output"),
}
LINKED = {name: words for name, words in WRITERS.items() if name != "card"}
KEPT = {
    "card": ("card", "fraud@1", "--output"),
    "export": ("export", "fraud@1", "--to", "cyclonedx", "--output"),
    "site": ("site", "build", "--out"),
    "pull": ("pull", "fraud@1", "--to"),
    "checkpoint": ("audit", "export", "--checkpoint"),
}


@pytest.fixture(scope="module")
def registry(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """One model with one version."""
    world = World(tmp_path_factory.mktemp("devices") / "registry", template=template)
    return world.model("fraud").version().commit()


@pytest.mark.parametrize("words", WRITERS.values(), ids=WRITERS)
def test_a_pipe_is_written_into(registry: World, tmp_path: Path, words: tuple[str, ...]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = registry.cli(*words, str(pipe), check=None)
        assert done.returncode in {0, 1}, done.stderr
        assert pipe.is_fifo()
        assert len(os.read(end, 1 << 16)) > 1
    finally:
        os.close(end)


@pytest.mark.parametrize("words", LINKED.values(), ids=LINKED)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_is_followed(registry: World, tmp_path: Path, words: tuple[str, ...], is_there: bool) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    if is_there:
        target.write_text("of before")
    assert registry.cli(*words, str(link), check=None).returncode in {0, 1}
    assert link.is_symlink()
    assert len(target.read_text()) > 1
    assert target.read_text() != "of before"


@pytest.mark.parametrize("words", KEPT.values(), ids=KEPT)
def test_what_is_no_plain_file_is_never_replaced(registry: World, tmp_path: Path, words: tuple[str, ...]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = registry.cli(*words, str(pipe), check=None)
        assert done.returncode in {0, 2}
        assert "Traceback" not in done.stderr
        assert stat.S_ISFIFO(pipe.lstat().st_mode)
    finally:
        os.close(end)


def test_a_linked_file_of_keys_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    link, target, pipe = tmp_path / "authorized_keys", tmp_path / "kept", tmp_path / "pipe"
    target.write_text("ssh-ed25519 AAAA somebody\n")
    link.symlink_to(target)
    doors.write(link, tmp_path / "registry.git", ["restrict ssh-ed25519 BBBB alice"])
    assert link.is_symlink()
    assert target.read_text().startswith("ssh-ed25519 AAAA somebody\n# ")
    os.mkfifo(pipe)
    with pytest.raises(RegistryError, match="it is no plain file"):
        doors.write(pipe, tmp_path / "registry.git", [])
    assert pipe.is_fifo()
    target.unlink()
    target.symlink_to(link)
    with pytest.raises(RegistryError, match="cannot write"):
        doors.write(link, tmp_path / "registry.git", [])
