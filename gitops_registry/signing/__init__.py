"""SSH signatures of commits, checked in process: the only package that knows `cryptography`.

`commits` takes a commit object apart as git does, `sshsig` reads and checks one signature, `verdict` says what it is worth
under the keys of a registry. What is not exactly what git and OpenSSH write is refused, whatever else may be right in it.
"""
