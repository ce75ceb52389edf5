"""The command line: ``backmix COMMAND``.

This module puts the commands together and turns errors into one line and an exit code (see
`backmix.errors`). Results go to stdout, everything else to stderr; ``--json`` gives results as one
JSON document. Commands load what they need when they run, so that ``--help`` is quick.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from backmix.errors import BackmixError
from backmix.text import LANGUAGES, Language, language, say, speak
from backmix.version import __version__

COMMANDS = (
    "demo",
    "init",
    "run",
    "audit",
    "advise",
    "predict",
    "show",
    "compare",
    "explain",
    "tune",
    "backtest",
    "refit",
    "data",
    "convert",
    "export",
    "schema",
    "doctor",
)
"""The commands in the order of the help; each is a file of `app.commands`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    arguments = _language_first(list(sys.argv[1:] if argv is None else argv))
    with speak(_language(arguments)):
        sys.exit(_guarded(arguments))


def _language_first(arguments: list[str]) -> list[str]:
    """The arguments with ``--lang`` in front, for it may stand anywhere."""
    front, rest, words = [], [], iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--lang":
            front = [word, *(value for value in [next(words, None)] if value is not None)]
        elif word.startswith("--lang="):
            front = [word]
        else:
            rest.append(word)
    return front + rest


def _language(arguments: list[str]) -> Language:
    """The language asked for with ``--lang``, which stands first, known before any help text is made."""
    option, _, value = arguments[0].partition("=") if arguments else ("", "", "")
    if option == "--lang":
        value = value or "".join(arguments[1:2])
        for known in LANGUAGES:
            if value.replace("-", "_").lower() == known.lower():
                return known
    return language()


def _guarded(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        result = build()(arguments, standalone_mode=False, prog_name="backmix")
        sys.stdout.flush()  # a reader that has gone is noticed here, and not when the interpreter ends
        if result == 130:  # typer makes a code of Ctrl-C and says nothing
            _complain(say("app.interrupted"), 130, as_json, key="interrupted")
        return result if isinstance(result, int) else 0
    except BackmixError as fault:
        _complain(". ".join([str(fault), *getattr(fault, "__notes__", ())]), fault.exit_code, as_json, key=fault.key)
        return fault.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _complain(say("app.interrupted"), 130, as_json, key="interrupted")
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as fault:
        if type(fault).__name__ == "NoArgsIsHelpError":
            print(fault.ctx.get_help(), file=sys.stderr)  # type: ignore[attr-defined]
            return 2
        if isinstance(fault, _usage()):
            _complain(" ".join(fault.format_message().split()), 2, as_json, key="usage")
            return 2
        if os.environ.get("BACKMIX_TRACEBACK"):
            raise
        _complain(_internal(fault), 1, as_json, key="app.internal")
        return 1


def _internal(fault: Exception) -> str:
    """One line for a fault that nobody foresaw, with the place to look at."""
    last = traceback.extract_tb(fault.__traceback__)[-1]
    text = f"{type(fault).__name__}: {' '.join(str(fault).split())}"
    return say("app.internal", fault=text[:200], place=f"{Path(last.filename).name}:{last.lineno}")


def _usage() -> Any:
    """The base of all usage errors, which typer shows only through its children."""
    return next(kind for kind in typer.BadParameter.mro() if kind.__name__ == "ClickException")


def _complain(message: str, code: int, as_json: bool, *, key: str) -> None:
    if as_json:
        print(json.dumps({"error": {"key": key, "message": message, "exit_code": code}}, ensure_ascii=False))
    else:
        print(f"backmix: {message}", file=sys.stderr)


def build() -> typer.Typer:
    """The typer application with every command."""
    app = typer.Typer(
        help=say("app.help"),
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich would double the time to help
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=True, epilog=say("app.epilog"))
    def options(
        context: typer.Context,
        version: bool = typer.Option(False, "--version", help=say("app.opt_version")),
        lang: str = typer.Option("", "--lang", help=say("app.opt_lang")),
    ) -> None:
        if lang and lang.replace("-", "_").lower() not in {known.lower() for known in LANGUAGES}:
            raise typer.BadParameter(say("app.bad_language", got=lang, known=", ".join(LANGUAGES)))
        if version:
            print(f"backmix {__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            print(context.get_help())

    for name in COMMANDS:
        import_module(f"backmix.app.commands.{name}").add(app)
    return app


if __name__ == "__main__":
    main()
