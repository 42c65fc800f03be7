"""What an auditor asks of a history: all of it in a format of theirs, whether it holds, a report, and what a profile requires.

Nothing here reads a cache. Each step is judged under the rules of its own first parent.
"""
