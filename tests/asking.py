"""The little that is started where what it stands for is forked: it hands itself over and waits for the exit code.

git and sshd start it where a server is quick (`hooked`), shells and cages where our commands are (`zygote`).
"""

from __future__ import annotations

import array
import marshal
import os
import socket
import sys


def ask(address: str, words: list[str], *, is_told_status: bool = False) -> int:
    """Have it run with our streams, folder and environment, and return its exit code; 255 for a signal.

    With `is_told_status` its number is told first, and then its status as `wait` knows it.
    """
    request = marshal.dumps((words, os.getcwd(), dict(os.environ)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(address)
        client.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
        if not is_told_status:
            return int(client.recv(64) or b"1")
        client.recv(64)
        return max(os.waitstatus_to_exitcode(int(client.recv(64))), -1) % 256


if __name__ == "__main__":
    if sys.argv[1] == "--status":
        sys.exit(ask(sys.argv[2], sys.argv[3:], is_told_status=True))
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
