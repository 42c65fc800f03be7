"""The little that git and sshd start where a server is quick (`hooked`): it hands itself over and waits for the exit code."""

from __future__ import annotations

import array
import marshal
import os
import socket
import sys


def ask(address: str, words: list[str]) -> int:
    """Have the entry point run with our streams, folder and environment, and return its exit code."""
    request = marshal.dumps((words, os.getcwd(), dict(os.environ)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(address)
        client.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
        return int(client.recv(64) or b"1")


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
