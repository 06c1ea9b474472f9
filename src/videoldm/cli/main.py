"""`videoldm VERB ...`: finds the verb, imports its module only, and turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from videoldm import __version__
from videoldm.core import ranks
from videoldm.core.errors import ExitCode, InputError, SomeItemsFailed, exit_code

# Each verb is the VERB of the module of its name. Nothing heavy is imported before the verb is known.
SUMMARIES = {
    "generate": "make clips from pictures or a sentence",
    "curate": "turn raw videos into a dataset of annotated clips",
    "dataset": "report which clips of a dataset training would use",
    "train": "train a model by a recipe",
    "personalise": "put a subject that an image model has learned into a video model",
    "bench": "time the networks side by side with those of diffusers",
    "convert": "write a published checkpoint in another layout",
    "info": "describe a model, a video or a picture",
}

HELP = f"""usage: videoldm COMMAND ... [--debug]

{chr(10).join(f"  {name:<13}{summary}" for name, summary in SUMMARIES.items())}

  videoldm COMMAND --help  options and examples of a command
  videoldm --version       the version
  --debug                  show the traceback of an error

examples:
  videoldm generate photo.jpg -o clip.mp4
  videoldm generate --prompt "a red cube moves to the left on a checkered ground"
  videoldm info clip.mp4
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `arguments` None means those of the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    is_debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with _short_warnings():
            _run(words)
    except BrokenPipeError:
        # The reader of our output has seen enough, as in `| head`; what is left must not fail when Python flushes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost place, every error ends here
        if is_debug:
            traceback.print_exception(error)
        _tell(error)
        return _code(error)
    return ExitCode.DONE


def _run(words: Sequence[str]) -> None:
    match words:
        case []:
            raise InputError(f"a command is missing: give {', '.join(SUMMARIES)} or --help")
        case ["--help" | "-h" | "help", *_]:
            print(HELP, end="")
        case ["--version", *_]:
            print(f"videoldm {__version__}")
        case [verb, *rest] if verb in SUMMARIES:
            importlib.import_module(f"videoldm.cli.{verb}").VERB(rest)
        case [word, *_]:
            raise InputError(f"unknown command {word!r}, {_commands_like(word)}")
        case _:
            raise AssertionError(words)
    sys.stdout.flush()


def _commands_like(word: str) -> str:
    from videoldm.core.errors import hint

    return hint(word, SUMMARIES, f"the commands are {', '.join(SUMMARIES)}")


def _tell(error: BaseException) -> None:
    """Print one line; of processes that run a job together, the first reports what all of them find."""
    if ranks.is_first():
        print(_message(error), file=sys.stderr)
    elif not isinstance(error, ranks.OtherRankFailed | FloatingPointError | KeyboardInterrupt):
        print(f"[process {ranks.rank()}] {_message(error)}", file=sys.stderr)


def _message(error: BaseException) -> str:
    match error:
        case InputError():
            return f"error: {error}"
        case SomeItemsFailed():
            return str(error)
        case KeyboardInterrupt():
            return str(error) or "interrupted"
        case FloatingPointError():
            return f"training stopped: {error}"
        case OSError() if _is_about_the_disk(error):
            return f"error: {error.filename or 'output'}: cannot be written: {error.strerror}"
        case _:
            text = " ".join(str(error).split()) or "no message"
            return f"unexpected {type(error).__name__}: {text}; run again with --debug for the traceback"


def _code(error: BaseException) -> ExitCode:
    match error:
        case FloatingPointError():
            return ExitCode.SOME_FAILED  # a run that diverged is no bug, and its checkpoints are whole
        case OSError() if _is_about_the_disk(error):
            return ExitCode.BAD_INPUT
        case _:
            return exit_code(error)


def _is_about_the_disk(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def _short_warnings() -> Generator[None]:
    """Show our warnings as one line each; those that libraries have for programmers stay hidden."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", category=UserWarning, module=r"videoldm\.")
        warnings.showwarning = _show_warning
        yield


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
