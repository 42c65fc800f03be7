"""The commands by group, loaded when they are used, and the one boundary where errors become exit codes.

Exit codes: 0 clean, 1 findings or a refusal, 2 could not do it, 3 a bug of ours, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from gitops_registry import __version__
from gitops_registry.cli.examples import with_examples
from gitops_registry.errors import RegistryError
from gitops_registry.later import start_lean

FINDINGS, FAILED, BUG, INTERRUPTED = 1, 2, 3, 130

GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Start": {
        "init": ("starting", "make a registry here, or join a repository"),
        "doctor": ("starting", "say what is wrong on this machine and how to repair it"),
        "migrate": ("starting", "bring what an older release wrote to this one's formats"),
        "schema": ("starting", "print the JSON Schema of a kind of manifest"),
        "completion": ("completing", "let bash, zsh or fish complete commands, models and references"),
    },
    "Look": {
        "list": ("looking", "all models, or the versions of one"),
        "search": ("searching", "versions or models by metrics, tags, stage, author, …"),
        "show": ("showing", "one model or one version"),
        "compare": ("comparing", "two versions, or champion and challenger, side by side"),
        "card": ("cards", "the model card of a version: show it, edit its words, say what it lacks"),
        "log": ("timeline", "what was decided, when, by whom, and how well that is proved"),
        "site": ("site", "pages to look at: models, cards, comparisons, the log, policies"),
    },
    "Change": {
        "register": ("registering", "measure a model file and make it the next version"),
        "import": ("importing", "bring the models of an MLflow registry"),
        "promote": ("changing", "propose to move a version to a stage"),
        "archive": ("changing", "propose to take a version out of use"),
        "rollback": ("changing", "propose to give a stage back to who held it before"),
        "alias": ("labelling", "give a version a name of its own"),
        "tag": ("labelling", "tag a model or a version"),
        "describe": ("labelling", "say what a model or a version is"),
        "evaluation": ("evaluating", "pin the data that a model's versions are measured on"),
        "evaluate": ("evaluating", "measure a version and append what was measured"),
        "rename": ("labelling", "give a model another name"),
        "delete": ("labelling", "take a version or a model away"),
        "approve": ("reviewing", "sign that a proposal should land, or reject it"),
        "merge": ("judging", "land a proposal"),
        "push": ("judging", "bring decisions and proposals to the remote"),
        "release-tags": ("releasing", "tag the decision that registered each version, for who reads tags"),
        "proposals": ("judging", "list, show or close proposals"),
        "interop": ("interop", "let DVC and GTO read the registry: dvc.yaml and their tags"),
        "gc": ("collecting", "remove bytes that no version and no proposal needs"),
    },
    "Judge": {
        "plan": ("judging", "what a branch, or the work tree, would change"),
        "check": ("checking", "judge a change, or the whole registry"),
        "policy": ("policies", "the rules: list, test, explain, write and waive them"),
        "access": ("membership", "who may do what: list, ask, add and remove members"),
        "verify": ("using", "look at the bytes of versions: cache, store, digests"),
        "monitor": ("monitoring", "measure what serves again, and propose to demote what holds no more"),
        "hook": ("serving", "let a server's repository judge every push"),
        "audit": ("auditing", "export, report, check and verify the history; what a server recorded"),
    },
    "Use": {
        "pull": ("using", "get the verified files of a version"),
        "predict": ("using", "predict the rows of a table"),
        "formats": ("formats", "compare the formats a version can be stored in: size, time, agreement"),
        "validate": ("signatures", "say in what rows do not fit a version, everything at once"),
        "signature": ("signatures", "what goes in and comes out: from data, or in other systems' words"),
        "export": ("exporting", "write a version as what another system takes"),
    },
}
"""Command → the module that holds it and its line in the help, by the heading it stands under."""

_COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}


class Commands(click.Group):
    """The commands in their groups; a command's module is imported when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"gitops_registry.cli.{_COMMANDS[cmd_name][0]}")
        found: click.Command = getattr(module, cmd_name.replace("-", "_") + "_command")
        return with_examples(found, cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, without loading their modules; else what click knows."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=line) for name, (_, line) in _COMMANDS.items() if name.startswith(incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], list(_COMMANDS), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "see: gitops-registry --help"
            raise RegistryError(f"no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, line) for name, (_, line) in commands.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.option(
    "-C",
    "--registry",
    "path",
    default=".",
    metavar="PATH|URL",
    help="The registry: a checkout, a bare repository or a URL.",
)
@click.option("--revision", metavar="REV", help="Read the registry as it was at a revision.")
@click.option("--offline", is_flag=True, help="Read a URL's registry as it was last seen.")
@click.option("--cache", envvar="GITOPS_REGISTRY_CACHE", hidden=True)
@click.version_option(__version__, prog_name="gitops-registry", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, path: str, revision: str | None, offline: bool, cache: str | None) -> None:
    """The ML model registry that is a Git repository.

    Name a version as NAME@3, NAME@production, NAME@latest or NAME@<alias>, or as two words: NAME 3.
    """
    ctx.obj = {"path": path, "revision": revision, "offline": offline, "cache": cache}


with_examples(cli, "")


def run(arguments: list[str] | None = None, *, was_interrupted: Callable[[], bool] = lambda: False) -> int:
    """Run one command line and return its exit code; every error is printed as one line and a hint.

    `was_interrupted` says whether the user interrupted it; then no error that a library made of that is told.
    """
    _prepare_output()
    start_lean(os.environ)
    try:
        result = cli.main(args=arguments, prog_name="gitops-registry", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except SystemExit:  # click's answer to a reader that went away
        _forget_output()
        return 0
    except Exception as error:
        return _interrupted() if was_interrupted() else _told(error)


def _told(error: Exception) -> int:
    """Tell an error and return its exit code."""
    if isinstance(error, RegistryError):
        return _failed(error.message, error.hint)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return FAILED
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f"see: {context.command_path if context else 'gitops-registry'} --help"
        return _failed(error.format_message(), hint if isinstance(error, click.UsageError) else "")
    if isinstance(error, BrokenPipeError):
        _forget_output()
        return 0
    if isinstance(error, OSError):
        _forget_output()
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}", "check the path, its permissions and the free space there")
    if os.environ.get("GITOPS_REGISTRY_DEBUG"):
        raise error
    _failed(
        f"a bug in gitops-registry: {type(error).__name__}: {error}",
        "set GITOPS_REGISTRY_DEBUG=1 to see where, and report it",
    )
    return BUG


def _prepare_output() -> None:
    """Let no stream fail at what it cannot show: a closed one swallows it, one of another encoding shows escapes."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process lives
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _interrupted() -> int:
    click.echo("interrupted", err=True)
    return INTERRUPTED


def _forget_output() -> None:
    """Keep Python from failing again at its end, where what could not be printed would be tried once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(message: str, hint: str) -> int:
    click.echo(click.style("error: ", fg="red", bold=True) + _safe(message), err=True)
    if hint:
        click.echo(click.style("hint: ", fg="cyan") + _safe(hint), err=True)
    return FAILED


def _safe(text: str) -> str:
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
