"""`videoldm curate VERB ...`: finds the verb of curation and imports its module only."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence

from videoldm.core.errors import InputError, hint

# Each is the VERB of the module of its name in videoldm.cli.curation.
SUMMARIES = {
    "run": "find cuts and clips in raw videos, and annotate them",
    "status": "what is done and what is missing",
    "stats": "figures, histograms and a report with thumbnails",
    "select": "choose clips by exact percentiles and conditions",
    "export": "write chosen clips as files",
    "fit-aesthetic": "fit a head that scores clips as people rated them",
}

HELP = f"""usage: videoldm curate VERB ...

{chr(10).join(f"  {name:<15}{summary}" for name, summary in SUMMARIES.items())}

  videoldm curate VERB --help   the options of a verb, with examples

examples:
  videoldm curate run raw/ -o dataset/
  videoldm curate status dataset/
"""


def curate(words: Sequence[str]) -> None:
    """Do what the words after `curate` say."""
    match words:
        case []:
            raise InputError(f"curate: a verb is missing: give {', '.join(SUMMARIES)} or --help")
        case ["--help" | "-h" | "help", *_]:
            print(HELP, end="")
        case [verb, *rest] if verb in SUMMARIES:
            _check_extra()
            importlib.import_module(f"videoldm.cli.curation.{verb.replace('-', '_')}").VERB(rest)
        case _:
            known = f"the verbs are {', '.join(SUMMARIES)}"
            raise InputError(f"curate: {words[0]!r} is no verb, {hint(words[0], SUMMARIES, known)}")


def _check_extra() -> None:
    lacking = [name for name in ("pyarrow", "duckdb") if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(f'curation needs {" and ".join(lacking)}: pip install "videoldm[curate]"')


VERB = curate
