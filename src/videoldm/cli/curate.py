"""`videoldm curate VERB ...`: find the verb and import its module alone."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence

from videoldm.core.errors import InputError, hint

# Each is the VERB of the module of its name in videoldm.cli.curation.
SUMMARIES = {
    "run": "find cuts and clips in raw videos, and annotate them",
    "status": "what is done, what is missing, and the time left",
    "stats": "figures, histograms and a report with thumbnails",
    "select": "select clips by exact percentiles and conditions",
    "export": "write selected clips as files",
    "fit-aesthetic": "fit a head that scores clips as people rated them",
}

HELP = f"""usage: videoldm curate COMMAND ...

{chr(10).join(f"  {name:<15}{summary}" for name, summary in SUMMARIES.items())}

  videoldm curate COMMAND --help   options and examples of a command

examples:
  videoldm curate run raw/ -o dataset/
  videoldm curate status dataset/
"""


def curate(words: Sequence[str]) -> None:
    """Run the verb that the words after `curate` name."""
    match words:
        case []:
            raise InputError(f"curate: the command is missing: give {', '.join(SUMMARIES)} or --help")
        case ["--help" | "-h" | "help", *_]:
            print(HELP, end="")
        case [verb, *rest] if verb in SUMMARIES:
            _check_extra()
            importlib.import_module(f"videoldm.cli.curation.{verb.replace('-', '_')}").VERB(rest)
        case _:
            known = f"the commands are {', '.join(SUMMARIES)}"
            raise InputError(f"curate: unknown command {words[0]!r}, {hint(words[0], SUMMARIES, known)}")


def _check_extra() -> None:
    lacking = [name for name in ("pyarrow", "duckdb") if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(f'curation needs {" and ".join(lacking)}: pip install "videoldm[curate]"')


VERB = curate
