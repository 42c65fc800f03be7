"""Signatures of commits: what we say in process and what git says, over a real repository and keys of every kind."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from builder import git
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signed import (
    BEGIN,
    END,
    KINDS,
    WHEN,
    Ground,
    access,
    blob,
    fields,
    moment,
    resigned,
    rewrapped,
    string,
    with_armor,
)

from gitops_registry.errors import RegistryError
from gitops_registry.git.repository import Repository
from gitops_registry.git.signatures import GitVerdict, Signer, verified
from gitops_registry.manifest.keys import public_key, strings
from gitops_registry.manifest.members import Access
from gitops_registry.signing.commits import join, split
from gitops_registry.signing.sshsig import armored
from gitops_registry.signing.verdict import Verdict, keyring, verify

pytestmark = pytest.mark.needs("signing")


@pytest.fixture(scope="module")
def ground(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("signed"))


def judged(ground: Ground, data: bytes, who: Access) -> tuple[Verdict, GitVerdict]:
    """Return what we say of a commit, and what git says of it."""
    ring, oid = keyring(who), ground.store(data)
    told = verified(Repository.open(ground.root), [oid], [Signer(*signer) for signer in ring.signers])
    return verify(data, ring), told[oid]


# ── whose key it is


class Standing(NamedTuple):
    state: str
    letter: str
    who: Callable[[Ground, str], Access]


STANDINGS = {
    "a member's key": Standing("good", "G", lambda g, k: access(bob=[g.key("stranger")], alice=[g.key(k)])),
    "a key that ends a second later": Standing("good", "G", lambda g, k: access(alice=[g.key(k, not_after=moment(1))])),
    "a key that ends in that second, after it began": Standing("good", "G", lambda g, k: access(alice=[g.key(k, not_after=moment(0.5))])),
    "a key that ended then": Standing("expired", "U", lambda g, k: access(alice=[g.key(k, not_after=moment())])),
    "a key that ended long before": Standing("expired", "U", lambda g, k: access(alice=[g.key(k, not_after=moment(-1e8))])),
    "a key that ended before there were computers": Standing("expired", "U", lambda g, k: access(alice=[g.key(k, not_after=moment(1 - WHEN))])),
    "a revoked key": Standing("revoked", "B", lambda g, k: access(alice=[g.key(k, revoked=True)])),
    "a revoked key that had ended": Standing("revoked", "B", lambda g, k: access(alice=[g.key(k, revoked=True, not_after=moment(-9))])),
    "nobody's key": Standing("unknown", "U", lambda g, k: access(bob=[g.key("stranger")])),
    "nobody's key where nobody has one": Standing("unknown", "U", lambda g, k: access(bob=[])),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", STANDINGS)
def test_a_true_signature_is_worth_what_its_key_is_and_git_agrees(ground: Ground, kind: str, case: str) -> None:
    state, letter, who = STANDINGS[case]
    ours, told = judged(ground, ground.signed(kind), who(ground, kind))
    assert (ours.state, told.letter) == (state, letter)
    assert ours.fingerprint == ground.fingerprint(kind)
    assert told.fingerprint == ("" if letter == "B" else ours.fingerprint)
    assert told.principal == ("alice" if letter == "G" else "")
    assert (ours.problem == "") == (state == "good")


def test_a_commit_made_by_git_commit_is_good(ground: Ground, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(ground.root), "clone")
    work = tmp_path / "clone"
    git(work, "-c", "gpg.format=ssh", "-c", f"user.signingKey={ground.keys}/ed25519.pub", "-c", "gpg.ssh.program=ssh-keygen",
        "commit", "--quiet", "-S", "--allow-empty", "-m", "by hand\n\ngpgsig is no header here\n\nSigned-off-by: Alice <alice@example.com>")  # fmt: skip
    oid = git(work, "rev-parse", "HEAD").strip()
    repository = Repository.open(work)
    ring = keyring(ground.alice)
    data = repository.objects.get(oid)
    assert data is not None
    assert data.data is not None
    assert verify(data.data, ring).state == "good"
    assert verified(repository, [oid], [Signer(*signer) for signer in ring.signers])[oid].letter == "G"


def test_whatever_git_signs_is_canonical(ground: Ground) -> None:
    """Messages of any form, names in any letters, any number of parents, times of any zone."""
    texts = (
        b"",
        b"\n\n",
        b"no newline",
        b"lines\r\nof Windows\r\n",
        b"\xff\xfe",
        "登録".encode(),
        b" indented\n\n\ngpgsig x\n",
        b"a\n" * 5000,
    )
    other = ground.store(ground.payload("another root"))
    parents: tuple[list[str], ...] = ([], [ground.unsigned], [ground.unsigned, other])
    people = ("Alice", "アリス", "A. B. (C) O'D", "\udcff", 'say "hi", \\ and %G?')
    made = []
    for number, text in enumerate(texts):
        words = [word for parent in parents[number % 3] for word in ("-p", parent)]
        who = {"GIT_AUTHOR_NAME": people[number % 5], "GIT_COMMITTER_NAME": people[(number + 2) % 5], "GIT_COMMITTER_EMAIL": "" if number == 3 else "alice@example.com"}  # fmt: skip
        who["GIT_COMMITTER_DATE"] = f"@{WHEN * (number % 2) + number + 1} {'+0930' if number % 2 else '-1100'}"
        command = [
            "git",
            "-c",
            "gpg.format=ssh",
            "-C",
            str(ground.root),
            "commit-tree",
            f"-S{ground.keys / 'ed25519'}",
            ground.tree,
            *words,
        ]
        done = subprocess.run(command, input=text, capture_output=True, check=True, env={**os.environ, **who})
        made.append(done.stdout.decode().strip())
    ring = keyring(ground.alice)
    told = verified(Repository.open(ground.root), made, [Signer(*signer) for signer in ring.signers])
    assert [verify(ground.raw(oid), ring).state for oid in made] == ["good"] * len(texts)
    assert [told[oid].letter for oid in made] == ["G"] * len(texts)


# ── what was signed


def by_stranger(ground: Ground, payload: bytes, namespace: str = "git") -> bytes:
    return join(payload, ground.sign("stranger", payload, namespace))


def in_namespace(ground: Ground, kind: str, namespace: str) -> bytes:
    return join(ground.payload(), ground.sign(kind, ground.payload(), namespace))


def swapped(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


FORGERIES: dict[str, tuple[str, str, Callable[[Ground, str], bytes]]] = {
    "another tree": ("tampered", "B", lambda g, k: swapped(g.signed(k), g.tree.encode(), b"1" * 40)),
    "another parent": ("tampered", "B", lambda g, k: swapped(g.signed(k), g.unsigned.encode(), b"1" * 40)),
    "no parent": ("tampered", "B", lambda g, k: swapped(g.signed(k), f"parent {g.unsigned}\n".encode(), b"")),
    "another author": ("tampered", "B", lambda g, k: swapped(g.signed(k), b"author Alice", b"author Bob")),
    "another committer": ("tampered", "B", lambda g, k: swapped(g.signed(k), b"committer Alice", b"committer Bob")),
    "another time": ("tampered", "B", lambda g, k: swapped(g.signed(k), b"committer Alice <alice@example.com> 179", b"committer Alice <alice@example.com> 178")),
    "another message": ("tampered", "B", lambda g, k: swapped(g.signed(k), b"fraud 3", b"fraud 4")),
    "a line more in the message": ("tampered", "B", lambda g, k: g.signed(k) + b"\n"),
    "the signature of another commit": ("tampered", "B", lambda g, k: with_armor(g.payload(), split(g.signed(k)).armor)),
    "the name of another hash": ("tampered", "B", lambda g, k: resigned(g.signed(k), digest=b"sha256")),
    "another message, by nobody's key": ("tampered", "B", lambda g, k: swapped(by_stranger(g, g.payload()), b"by hand", b"by foot")),
    "a signature of a file": ("wrong-namespace", "B", lambda g, k: in_namespace(g, k, "file")),
    "a signature for something like git": ("wrong-namespace", "B", lambda g, k: in_namespace(g, k, "git2")),
    "a signature of a file by nobody's key": ("wrong-namespace", "B", lambda g, k: by_stranger(g, g.payload(), "file")),
    "the word git written over another": ("tampered", "B", lambda g, k: resigned(in_namespace(g, k, "file"), namespace=b"git")),
    "no signature": ("unsigned", "N", lambda g, k: g.payload(parent=g.unsigned)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", FORGERIES)
def test_what_was_not_signed_so_is_refused_by_us_and_by_git(ground: Ground, kind: str, case: str) -> None:
    state, letter, make = FORGERIES[case]
    ours, told = judged(ground, make(ground, kind), ground.alice)
    assert (ours.state, told.letter) == (state, letter)
    assert ours.problem


def test_the_other_hash_and_the_other_way_of_rsa_are_good(ground: Ground) -> None:
    for kind in KINDS:
        shorter = join(ground.payload(), ground.sign(kind, ground.payload(), digest="sha256"))
        ours, told = judged(ground, shorter, ground.alice)
        assert (ours.state, told.letter) == ("good", "G")
    ours, told = judged(ground, rsa_signed(ground, b"rsa-sha2-256", SHA256()), ground.alice)
    assert (ours.state, told.letter) == ("good", "G")


def rsa_signed(ground: Ground, algorithm: bytes, digest: SHA1 | SHA256) -> bytes:
    """Return a commit signed with an RSA key in a way that ssh-keygen does not choose."""
    payload = ground.payload()
    parts = fields(ground.signed("rsa"))[:4]
    covered = b"SSHSIG" + b"".join(map(string, (*parts[1:4], hashlib.sha512(payload).digest())))
    raw = ground.private("rsa").sign(covered, padding.PKCS1v15(), digest)
    return join(payload, armored(blob([*parts, string(algorithm) + string(raw)])))


# ── what git takes and we do not: a second id for a signed commit


def in_armor(data: bytes, old: bytes, new: bytes) -> bytes:
    return with_armor(data, swapped(split(data).armor, old, new))


def with_header(data: bytes, header: bytes, before: bytes = b"gpgsig ") -> bytes:
    return swapped(data, b"\n" + before, b"\n" + header + b"\n" + before)


def signed_with(ground: Ground, kind: str, payload: bytes) -> bytes:
    return join(payload, ground.sign(kind, payload))


def loose(data: bytes) -> bytes:
    """Return a commit whose base64 ends in bits that mean nothing."""
    text = split(data).armor
    end = text.index(b"=")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(text[end - 1 : end]) + 1]
    return with_armor(data, text[: end - 1] + bytes([other]) + text[end:])


IRREGULAR: dict[str, tuple[str, Callable[[Ground, str], bytes]]] = {
    "a signature of another hash beside it": ("G", lambda g, k: with_header(g.signed(k), b"gpgsig-sha256 x\n y")),
    "a header that git takes for a signature": ("G", lambda g, k: with_header(g.signed(k), b"gpgsignature x")),
    "a second signature": ("G", lambda g, k: with_header(g.signed(k), b"gpgsig " + split(g.signed(k)).armor[:-1].replace(b"\n", b"\n "))),
    "a second header of anything": ("G", lambda g, k: swapped(g.signed(k), b"\n\npromote", b"\ngpgsig junk\n\npromote")),
    "the signature before the committer": ("G", lambda g, k: moved(g.signed(k))),
    "words behind the end": ("G", lambda g, k: with_armor(g.signed(k), split(g.signed(k)).armor + b"words\n")),
    "an empty line behind the end": ("G", lambda g, k: with_armor(g.signed(k), split(g.signed(k)).armor + b"\n")),
    "words at the end": ("G", lambda g, k: in_armor(g.signed(k), END, END[:-1] + b" words\n")),
    "an empty line in the middle": ("G", lambda g, k: in_armor(g.signed(k), BEGIN, BEGIN + b"\n")),
    "a space in the middle": ("G", lambda g, k: in_armor(g.signed(k), BEGIN, BEGIN + b" ")),
    "longer lines": ("G", lambda g, k: rewrapped(g.signed(k), columns=76)),
    "one line": ("G", lambda g, k: rewrapped(g.signed(k), columns=10_000)),
    "lines that end as on Windows": ("G", lambda g, k: in_armor(g.signed(k), END, b"\r" + END)),
    "a reserved field that is filled": ("G", lambda g, k: resigned(g.signed(k), reserved=b"x")),
    "version 0": ("G", lambda g, k: with_armor(g.signed(k), armored(blob(fields(g.signed(k)), version=0)))),
    "an encoding, signed": ("G", lambda g, k: signed_with(g, k, g.payload(headers="encoding latin-1\n"))),
    "a header that nobody knows, signed": ("G", lambda g, k: signed_with(g, k, g.payload(headers="approved yes\n"))),
    "a second committer, signed": ("G", lambda g, k: signed_with(g, k, g.payload(headers=f"committer Bob <bob@example.com> {WHEN} +0000\n"))),
    "words before the beginning": ("E", lambda g, k: with_armor(g.signed(k), b"words\n" + split(g.signed(k)).armor)),
    "PGP": ("E", lambda g, k: with_armor(g.payload(), b"-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\n")),
    "no signature at all under its header": ("E", lambda g, k: with_armor(g.payload(), b"good\n")),
    "bytes behind the signature": ("B", lambda g, k: with_armor(g.signed(k), armored(blob(fields(g.signed(k))) + b"x"))),
    "version 2": ("B", lambda g, k: with_armor(g.signed(k), armored(blob(fields(g.signed(k)), version=2)))),
    "another hash": ("B", lambda g, k: resigned(g.signed(k), digest=b"sha384")),
    "no end": ("B", lambda g, k: with_armor(g.signed(k), split(g.signed(k)).armor.removesuffix(END))),
    "no base64": ("B", lambda g, k: with_armor(g.signed(k), BEGIN + b"!!!!" + END)),
}  # fmt: skip


def moved(data: bytes) -> bytes:
    """Return a commit with its signature one header further up."""
    signature = data[data.index(b"gpgsig ") : data.index(b"\n\n") + 1]
    return swapped(data.replace(signature, b""), b"committer ", signature + b"committer ")


@pytest.mark.parametrize("case", IRREGULAR)
def test_a_signed_commit_in_another_spelling_is_refused_even_where_git_calls_it_good(ground: Ground, case: str) -> None:
    letter, make = IRREGULAR[case]
    for kind in ("ed25519", "rsa"):
        ours, told = judged(ground, make(ground, kind), ground.alice)
        assert (ours.state, ours.fingerprint, told.letter) == ("not-canonical", "", letter)
        assert ours.problem


def padded(ground: Ground) -> bytes:
    """Return a commit with a zero before a number of an ECDSA signature."""
    data = ground.signed("ecdsa-256")
    algorithm, raw = strings(fields(data)[4]) or []
    r, s = strings(raw) or []
    return resigned(data, signed=string(algorithm) + string(string(b"\0" + r) + string(s)))


def respelled(ground: Ground) -> bytes:
    """Return a commit with a zero before the modulus of the RSA key in its signature."""
    data = ground.signed("rsa")
    kind, exponent, modulus = strings(fields(data)[0]) or []
    return resigned(data, key=string(kind) + string(exponent) + string(b"\0" + modulus))


def shortened(ground: Ground) -> bytes:
    """Return a commit whose RSA signature begins with a zero that is left out."""
    key, namespace, reserved, digest, _ = fields(ground.signed("rsa"))
    private = ground.private("rsa")
    for number in range(5000):
        payload = ground.payload(f"attempt {number}")
        covered = b"SSHSIG" + b"".join(map(string, (namespace, reserved, digest, hashlib.sha512(payload).digest())))
        raw = private.sign(covered, padding.PKCS1v15(), SHA256())
        if raw[0] == 0:
            shorter = string(b"rsa-sha2-256") + string(raw[1:])
            return join(payload, armored(blob([key, namespace, reserved, digest, shorter])))
    raise AssertionError


@pytest.mark.parametrize(
    ("make", "letter"),
    [(padded, "G"), (respelled, "G"), (shortened, "G"), (lambda g: rsa_signed(g, b"ssh-rsa", SHA1()), "B")],
    ids=["a number with a zero", "a key with a zero", "a signature without its zero", "SHA-1"],
)
def test_numbers_are_spelled_in_one_way(ground: Ground, make: Callable[[Ground], bytes], letter: str) -> None:
    ours, told = judged(ground, make(ground), ground.alice)
    assert (ours.state, told.letter) == ("not-canonical", letter)


def test_base64_that_ends_in_loose_bits_is_refused(ground: Ground) -> None:
    ours, _ = judged(ground, loose(ground.signed("ed25519")), ground.alice)
    assert ours.state == "not-canonical"


def test_a_nul_is_refused(ground: Ground) -> None:
    data = signed_with(ground, "ed25519", ground.payload("fraud\0churn"))
    assert verify(data, keyring(ground.alice)).state == "not-canonical"


def test_no_byte_of_a_signed_commit_can_be_another(ground: Ground) -> None:
    data, ring = ground.signed("ed25519"), keyring(ground.alice)
    assert verify(data, ring).state == "good"
    for at, byte in enumerate(data):
        for other in (byte ^ 1, byte ^ 0x20, 0x0A, 0x20):
            if other != byte:
                assert verify(data[:at] + bytes([other]) + data[at + 1 :], ring).state != "good"
        assert verify(data[:at] + data[at + 1 :], ring).state != "good"
        assert verify(data[:at] + b"=" + data[at:], ring).state != "good"


def test_an_ecdsa_signature_has_a_twin_with_the_same_payload_under_another_id(ground: Ground) -> None:
    """No checker can tell the two apart: who counts approvals counts signers or payloads, never ids."""
    data = ground.signed("ecdsa-256")
    algorithm, raw = strings(fields(data)[4]) or []
    r, s = (int.from_bytes(number, "big") for number in strings(raw) or [])
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    twin = resigned(data, signed=string(algorithm) + string(b"".join(string(mpint(n)) for n in (r, order - s))))
    ours, told = judged(ground, twin, ground.alice)
    assert twin != data
    assert split(twin).payload == split(data).payload
    assert (ours.state, told.letter) == ("good", "G")


def mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


# ── any bytes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=600))
def test_no_bytes_make_it_raise(ground: Ground, data: bytes) -> None:
    ring = keyring(ground.alice)
    for whole in (data, join(ground.payload(), data), with_armor(ground.payload(), armored(data))):
        assert verify(whole, ring).state in {"not-canonical", "unsigned"}


@settings(deadline=None)
@given(draw=st.data(), kind=st.sampled_from(list(KINDS)))
def test_no_edit_of_a_signature_is_good(ground: Ground, draw: st.DataObject, kind: str) -> None:
    data, ring = ground.signed(kind), keyring(ground.alice)
    whole = blob(fields(data))
    inside = draw.draw(st.booleans())
    edited = whole if inside else data
    at = draw.draw(st.integers(0, len(edited)))
    end = draw.draw(st.integers(at, min(len(edited), at + 8)))
    edited = edited[:at] + draw.draw(st.binary(max_size=8)) + edited[end:]
    edited = with_armor(data, armored(edited)) if inside else edited
    assert (verify(edited, ring).state == "good") == (edited == data)


@given(parts=st.lists(st.sampled_from([b"a", b" ", b"\n", b"gpgsig ", b"gpgsig-sha256 ", b"gpgsig", b"\n ", b"\0"])))
def test_nothing_but_git_s_own_headers_of_signatures_gets_lost(parts: list[bytes]) -> None:
    data = b"".join(parts)
    found = split(data)
    if b"gpgsig" not in data:
        assert found == (data, b"")
    head, gap, message = data.partition(b"\n\n")
    if gap and head.strip() and not data.startswith(b"\n"):
        assert found.payload.endswith(gap[1:] + message)


def test_a_key_that_is_none_or_of_another_kind_makes_no_signature(ground: Ground) -> None:
    data, ring = ground.signed("ecdsa-256"), keyring(ground.alice)
    kind, curve, point = strings(fields(data)[0]) or []
    off = resigned(data, key=string(kind) + string(curve) + string(point[:-1] + bytes([point[-1] ^ 1])))
    assert verify(off, ring).state == "tampered"
    token = resigned(data, key=string(b"sk-ssh-ed25519@openssh.com") + string(b"\0" * 32) + string(b"ssh:"))
    assert verify(token, ring).state == "unknown"
    assert verify(resigned(data, key=b"\xff\xfe\0\0"), ring).state == "unknown"
    other = resigned(data, key=fields(ground.signed("ed25519"))[0])
    assert verify(other, ring).state == "not-canonical"
    one = (
        string(b"ssh-rsa") + string(b"\1") + string(b"\0" + b"\xff" * 256)
    )  # any signature of such a key could be made up
    with pytest.raises(ValueError, match="exponent 1, under which anybody could sign"):
        public_key(f"ssh-rsa {base64.b64encode(one).decode()}")


# ── the keyring, and times


def test_a_ring_knows_members_by_fingerprint(ground: Ground) -> None:
    ring = keyring(access(alice=[ground.key("rsa"), ground.key("ed25519")], bob=[ground.key("stranger", revoked=True)]))
    assert [ring.member(ground.fingerprint(name)) for name in ("rsa", "ed25519", "stranger", "ecdsa-256")] == ["alice", "alice", "bob", ""]  # fmt: skip
    assert [(signer.member, signer.revoked) for signer in ring.signers] == [("alice", False), ("alice", False), ("bob", True)]  # fmt: skip


@pytest.mark.parametrize(("at", "state", "letter"), [(-1, "good", "G"), (99, "good", "G"), (100, "expired", "U"), (1e8, "expired", "U")])  # fmt: skip
def test_receipt_decides_whether_a_key_had_expired_whatever_the_commit_says(
    ground: Ground, at: float, state: str, letter: str
) -> None:
    ring = keyring(access(alice=[ground.key("ed25519", not_after=moment(100))]))
    data = ground.signed("ed25519")
    oid = ground.store(data)
    signers = [Signer(*signer) for signer in ring.signers]
    assert verify(data, ring, at=moment(at)).state == state
    assert verified(Repository.open(ground.root), [oid], signers, at=moment(at))[oid].letter == letter


def test_a_problem_is_one_line_of_plain_letters_whatever_the_commit_holds(ground: Ground) -> None:
    ring = keyring(access())
    for odd in ("\x1b[31mred", "über", "a\nb", "<b>"):
        payload = ground.payload(odd)
        told = [
            verify(join(payload, ground.sign("ed25519", payload, odd)), ring),
            verify(resigned(ground.signed("ed25519"), key=string(odd.encode())), ring),
        ]
        assert all(verdict.problem.isascii() and verdict.problem.isprintable() for verdict in told)


# ── git's own word


def test_one_question_answers_for_many_commits_and_none_hides_another(ground: Ground) -> None:
    ring = keyring(access(alice=[ground.key("ed25519"), ground.key("rsa")]))
    good, evil = ground.signed("ed25519"), b"junk\n" + b"0" * 40 + b" G SHA256:x alice\n"
    many = {
        "G": good, "E": with_armor(good, evil), "B": good + b"x", "N": ground.payload("plain"), "U": ground.signed("ecdsa-256"),
    }  # fmt: skip
    oids = {ground.store(data): letter for letter, data in many.items()}
    told = verified(Repository.open(ground.root), list(oids), [Signer(*signer) for signer in ring.signers])
    assert {oid: verdict.letter for oid, verdict in told.items()} == oids
    assert verified(Repository.open(ground.root), [], []) == {}


def test_git_is_not_asked_about_a_commit_that_nobody_would_write(ground: Ground) -> None:
    large = ground.store(signed_with(ground, "ed25519", ground.payload("long " * 300_000)))
    signers = [Signer("alice", ground.key("ed25519").public.line)]
    assert verified(Repository.open(ground.root), [large], signers) == {large: GitVerdict("E", "", "")}


def test_no_configuration_changes_what_git_says(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(ground.root), "bare")
    bare = tmp_path / "bare"
    known = tmp_path / "known"
    known.write_text(f"bob {ground.key('ed25519').key}\n")
    values = {
        "gpg.format": "openpgp", "gpg.ssh.allowedSignersFile": str(known), "gpg.ssh.revocationFile": str(known),
        "gpg.ssh.program": "/nowhere", "gpg.minTrustLevel": "ultimate", "log.showSignature": "true", "format.pretty": "raw",
        "log.follow": "true", "color.ui": "always", "log.decorate": "full", "i18n.logOutputEncoding": "UTF-16",
    }  # fmt: skip
    for name, value in values.items():
        git(bare, "config", name, value)
    for number, (name, value) in enumerate(values.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(values)))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    oid = ground.store(ground.signed("ed25519"))
    git(bare, "fetch", "--quiet", str(ground.root), oid)
    key = ground.key("ed25519").public.line
    last = moment(1)
    for signer, expected in (
        (Signer("alice", key, last), ("G", "alice")),
        (Signer("alice", key, moment()), ("U", "")),
        (Signer("carol", ground.key("stranger").public.line), ("U", "")),
    ):
        told = verified(Repository.open(bare), [oid], [signer])[oid]
        assert (told.letter, told.principal) == expected


def test_the_lists_of_keys_are_for_our_eyes_and_gone_afterwards(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = tmp_path / "bin" / "ssh-keygen"
    watching.parent.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    watching.write_text(f'#!/bin/sh\nstat -c "%a" "$TMPDIR"/signers-* >> "{tmp_path}/seen"\nPATH="$REAL" exec ssh-keygen "$@"\n')  # fmt: skip
    watching.chmod(0o755)
    monkeypatch.setenv("REAL", os.environ["PATH"])
    monkeypatch.setenv("PATH", f"{watching.parent}:{os.environ['PATH']}")
    oid = ground.store(ground.signed("ed25519"))
    told = verified(Repository.open(ground.root), [oid], [Signer("alice", ground.key("ed25519").public.line)])
    assert told[oid].letter == "G"
    assert set((tmp_path / "seen").read_text().split()) == {"600"}
    assert list((tmp_path / "own").iterdir()) == []


@pytest.mark.parametrize("name", ["*", "alice,bob", "!alice", "#alice", "alice bob", "", 'alice namespaces="file"', "alice\nbob"])  # fmt: skip
def test_a_name_that_openssh_would_take_for_more_than_a_name_is_an_error(ground: Ground, name: str) -> None:
    with pytest.raises(ValueError, match="as it stands"):
        verified(Repository.open(ground.root), [ground.unsigned], [Signer(name, ground.key("ed25519").public.line)])


def test_what_is_no_commit_is_an_error(ground: Ground) -> None:
    for oid in (ground.tree, "1" * 40, ground.unsigned[:12], "HEAD", "--all", ""):
        with pytest.raises(RegistryError, match="no commit"):
            verified(Repository.open(ground.root), [oid], [])


def test_without_openssh_git_is_not_asked(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oid, repository = ground.store(ground.signed("ed25519")), Repository.open(ground.root)
    (tmp_path / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RegistryError, match="ssh-keygen is not installed"):
        verified(repository, [oid], [])


HOOK = """#!{python}
import os, sys
from pathlib import Path
from gitops_registry.git.repository import Repository
from gitops_registry.git.signatures import Signer, verified
new = sys.stdin.read().split()[1]
repository = Repository.open(Path(os.environ["GIT_DIR"]).resolve())
print("told", verified(repository, [new], [Signer("alice", {key!r})])[new].letter, repository.objects.get(new).type)
sys.exit(1)
"""


def test_a_push_is_judged_before_its_commits_are_in_the_repository(ground: Ground, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "bare")
    bare = tmp_path / "bare"
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(python=sys.executable, key=ground.key("ed25519").public.line))
    hook.chmod(0o755)
    oid = ground.store(ground.signed("ed25519"))
    git(ground.root, "update-ref", "refs/heads/pushed", oid)
    pushed = git_with_errors(ground.root, "push", str(bare), "pushed")
    assert "told G commit" in pushed
    assert git(bare, "rev-list", "--all", check=False) == ""


def git_with_errors(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False).stderr
