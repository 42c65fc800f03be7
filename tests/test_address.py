"""Addresses: which part is the repository and which the revision, and what is refused."""

from __future__ import annotations

import pytest

from gitops_registry.address import Address, address, split_revision
from gitops_registry.errors import RegistryError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://example.com/models.git", Address("https://example.com/models.git", "", "")),
        ("https://example.com/models.git@v1", Address("https://example.com/models.git", "", "v1")),
        ("https://example.com/a/models@v1", Address("https://example.com/a/models", "", "v1")),
        ("https://example.com/a/models.git@promote/x/1", Address("https://example.com/a/models.git", "", "promote/x/1")),
        ("https://example.com/@scope/m.git", Address("https://example.com/@scope/m.git", "", "")),
        ("file:///tmp/x@y/hub.git", Address("file:///tmp/x@y/hub.git", "", "")),
        ("ssh://git@example.com:22/models.git@HEAD~1", Address("ssh://git@example.com:22/models.git", "", "HEAD~1")),
        ("git@example.com:team/models.git", Address("git@example.com:team/models.git", "", "")),
        ("git@example.com:models.git@main", Address("git@example.com:models.git", "", "main")),
        ("file:///srv/a@b/models.git@main", Address("file:///srv/a@b/models.git", "", "main")),
        ("models", Address("", "models", "")),
        ("./a:b", Address("", "./a:b", "")),
        ("/srv/models.git@main", Address("", "/srv/models.git@main", "")),
    ],
)  # fmt: skip
def test_an_address_is_a_path_or_a_url_and_a_revision(text: str, wanted: Address) -> None:
    assert address(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.com/x",
        "https://",
        "https:///",
        "https://example.com/",
        "https://exa\nmple.com/x",
    ],
)
def test_what_git_would_not_fetch_is_no_address(text: str) -> None:
    with pytest.raises(RegistryError):
        address(text)


@pytest.mark.parametrize("text", ["ext::sh -c id", "-oProxyCommand=id:x", "host:-x", "./ssh:x"])
def test_what_could_be_taken_for_a_command_is_a_path(text: str) -> None:
    assert address(text) == Address("", text, "")


@pytest.mark.parametrize(
    "text", ["https://alice:secret@example.com/x.git", "https://token@example.com/x", "ssh://git:secret@h/x"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(RegistryError, match="holds a user or a password") as told:
        address(text)
    assert "secret" not in told.value.message + told.value.hint
    assert "token" not in told.value.message + told.value.hint


def test_a_revision_stands_behind_the_first_sign_after_the_repository() -> None:
    assert split_revision("/srv/models.git@main") == ("/srv/models.git", "main")
    assert split_revision("/srv/a@b") == ("/srv/a", "b")
    assert split_revision("/srv/a@") == ("/srv/a@", "")
    assert split_revision("/srv/@a") == ("/srv/@a", "")


@pytest.mark.parametrize(
    "text", ["user:secret@example.com:models.git", "https://example.com/m?token=secret", "https://example.com/m#secret"]
)
def test_what_may_be_a_password_is_refused_wherever_it_stands(text: str) -> None:
    with pytest.raises(RegistryError, match="may be a password") as told:
        address(text)
    assert "secret" not in told.value.message + told.value.hint


@pytest.mark.parametrize(
    "text", ["ftp://user:hidden@host/x", "/https://user:hidden@host/x", "https://user:hid/hidden@host/x"]
)
def test_what_is_no_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(RegistryError) as error:
        address(text)
    assert "hid" not in str(error.value)
