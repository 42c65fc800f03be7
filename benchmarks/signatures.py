"""Who signed each of 1,000 commits: our check in process beside `git log --format=%G?` of the same commits."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from time import perf_counter
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ground import folder, in_turns, table

from gitops_registry.git.repository import Repository
from gitops_registry.manifest.members import Access, Key, Member
from gitops_registry.signing.commits import join
from gitops_registry.signing.sshsig import armored
from gitops_registry.signing.verdict import Keyring, keyring, verify

COMMITS, TURNS = 1000, 7
TARGET = 20.0
KEYS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa, 256 bits": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa, 3072 bits": lambda: rsa.generate_private_key(65537, 3072),
}
Spent = tuple[float, float]
"""CPU seconds, with those of the processes that were started, and seconds on the wall."""


def main() -> None:
    """Print the table."""
    rows = []
    with folder() as there:
        for number, (kind, make) in enumerate(KEYS.items()):
            root, key = there / str(number), make()
            signed_commits(root, key)
            ours, git = timed_here(root, key), timed_git(root, key)
            ratio = git[0] / ours[0]
            word = "within" if ratio >= TARGET else "UNDER"
            rows.append([kind, *(f"{value:.3f}" for value in ours), *(f"{value:.1f}" for value in git), f"{ratio:.0f}", f"{git[1] / ours[1]:.0f}", f"{TARGET:.0f}", word])  # fmt: skip
    table(
        f"signatures: seconds for {COMMITS} signed commits; ours: medians of {TURNS}, reading the commits included; git: once",
        ["keys", "ours, CPU", "wall", "git, CPU", "wall", "ratio, CPU", "wall", "target", ""],
        rows,
    )


# ── signed commits, made in process: git would take a minute


def signed_commits(root: Path, key: Any) -> None:
    """Make a repository whose branch has so many commits, each signed."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(root)], check=True)
    tree = told(root, "hash-object", "-t", "tree", "-w", "/dev/null")
    files = root / "made"
    files.mkdir()
    parent = ""
    for number in range(COMMITS):
        person = f"Alice <alice@example.com> {1_790_000_000 + number} +0000"
        headers = f"tree {tree}\n{parent}author {person}\ncommitter {person}\n"
        payload = f"{headers}\npromote credit-risk {number} to staging\n".encode()
        data = join(payload, armored(signature(key, payload)))
        (files / f"{number:04}").write_bytes(data)
        tip = hashlib.sha1(b"commit %d\0" % len(data) + data).hexdigest()
        parent = f"parent {tip}\n"
    paths = "".join(f"made/{number:04}\n" for number in range(COMMITS))
    told(root, "hash-object", "-t", "commit", "-w", "--no-filters", "--stdin-paths", stdin=paths)
    shutil.rmtree(files)
    told(root, "update-ref", "refs/heads/main", tip)
    told(root, "gc", "--quiet")


def told(root: Path, *arguments: str, stdin: str = "") -> str:
    """Run git there and return what it printed."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout.strip()


def signature(key: Any, payload: bytes) -> bytes:
    """Return the bytes of an SSH signature, as ssh-keygen would make it."""
    parts = (b"git", b"", b"sha512")
    message = b"SSHSIG" + b"".join(map(string, (*parts, hashlib.sha512(payload).digest())))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signed = string(b"ssh-ed25519") + string(key.sign(message))
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = utils.decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
        spelled = b"".join(string(number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in numbers)
        signed = string(b"ecdsa-sha2-nistp256") + string(spelled)
    else:
        signed = string(b"rsa-sha2-512") + string(key.sign(message, padding.PKCS1v15(), SHA512()))
    blob = base64.b64decode(public_line(key).split()[1])
    return b"SSHSIG\0\0\0\1" + b"".join(map(string, (blob, *parts, signed)))


def string(value: bytes) -> bytes:
    """Return bytes with their length before them."""
    return len(value).to_bytes(4, "big") + value


def public_line(key: Any) -> str:
    """Return the public half, as its .pub file has it."""
    line: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.decode()


# ── measuring


def ring_of(key: Any) -> Keyring:
    """Return a registry's keys: the one that signed, and nineteen that did not."""
    others = [public_line(ed25519.Ed25519PrivateKey.generate()) for _ in range(19)]
    members = (Member(name=f"user-{n}", role="admin", keys=(Key(key=line),)) for n, line in enumerate([*others, public_line(key)]))  # fmt: skip
    return keyring(Access(members=tuple(members)))


def timed_here(root: Path, key: Any) -> Spent:
    """Check all commits in this process."""
    access_ring = ring_of(key)
    walls = []

    def once() -> float:
        start, before = perf_counter(), os.times()
        repository = Repository.open(root)
        oids = repository.run("rev-list", "main").split()
        states = [verify(found.data, access_ring).state for found in repository.objects.get_many(oids, limit=1 << 20) if found and found.data]  # fmt: skip
        repository.objects.close()
        walls.append(perf_counter() - start)
        assert states == ["good"] * COMMITS
        return sum(os.times()[:4]) - sum(before[:4])

    spent = in_turns({"ours": once}, times=TURNS)["ours"]
    return spent, sorted(walls[1:])[TURNS // 2]


def timed_git(root: Path, key: Any) -> Spent:
    """Have git check them, two processes of OpenSSH for each."""
    allowed = root / "allowed"
    allowed.write_text(f'alice namespaces="git" {public_line(key)}\n')
    start, before = perf_counter(), os.times()
    letters = told(root, "-c", f"gpg.ssh.allowedSignersFile={allowed}", "log", "--format=%G?", "main").split()
    spent, wall = sum(os.times()[:4]) - sum(before[:4]), perf_counter() - start
    assert letters == ["G"] * COMMITS
    return spent, wall


if __name__ == "__main__":
    main()
