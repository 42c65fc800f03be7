"""A text signed with the key that git signs commits with: as a commit of nothing, which no branch ever has.

So the one strict reader of signatures reads these too, and a key needs no second purpose. The commit has the empty tree and no
parent: it follows no decision, and can never be taken for one.
"""

from __future__ import annotations

from gitops_registry.git.process import run
from gitops_registry.git.repository import EMPTY_TREE, Repository
from gitops_registry.git.signing import signed, signing_key

_LONGEST = 1 << 20


def attest(repository: Repository, text: str) -> bytes:
    """Return the bytes of a commit of nothing whose message is that text, signed where a key is configured here.

    Raises RegistryError where git does not know who works here, or cannot sign.
    """
    who = (repository.signature("AUTHOR"), repository.signature("COMMITTER"))
    data = f"tree {EMPTY_TREE}\nauthor {who[0]}\ncommitter {who[1]}\n\n{text}\n".encode(errors="surrogateescape")
    if not signing_key(repository):
        return data
    run(repository.folder, "hash-object", "-t", "tree", "-w", "--stdin", stdin=b"")
    told = run(repository.folder, "hash-object", "-t", "commit", "-w", "--stdin", stdin=data).decode().strip()
    found = repository.objects.get(signed(repository, told))
    assert found is not None
    assert found.data is not None
    return found.data


def attested(data: bytes) -> str | None:
    """Return the text of a commit of nothing; None for any other bytes. Who signed it is another question."""
    head, _, text = data.partition(b"\n\n")
    if len(data) > _LONGEST or not head.startswith(b"tree %s\nauthor " % EMPTY_TREE.encode()):
        return None
    try:
        return text.decode().removesuffix("\n")
    except UnicodeDecodeError:
        return None
