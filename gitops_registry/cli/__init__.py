"""The command line: parse, call, print. The only part of the package that prints or reads the terminal."""
