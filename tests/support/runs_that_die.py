"""Runs of curation in which a process dies at a moment that is known."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pyarrow as pa
from curated import Inline, curate

from videoldm.curation import run as run_module
from videoldm.curation.stages.annotate import AnnotateTask, annotate
from videoldm.curation.stages.clips import ClipsTask, SourceRows, make_clips


def make_clips_or_die(task: ClipsTask) -> SourceRows:
    """Lose this process with the source called 3.mp4."""
    path = task.source["path"]
    if path.endswith("/3.mp4"):
        os.kill(os.getpid(), signal.SIGKILL)
    return make_clips(task)


def annotate_and_die(task: AnnotateTask) -> pa.Table:
    """Lose this process when the clips of the first batch are annotated, so that what it made is lost too."""
    rows = annotate(task)
    if task.clips.stem == "00000":
        os.kill(os.getpid(), signal.SIGKILL)
    return rows


class _Dying(Inline):
    def run(self, function, tasks, limits):
        for place, result in super().run(function, tasks, limits):
            if function is annotate and place == 2:
                os._exit(9)
            yield place, result


def curate_and_die(folder: str, raw: str) -> None:
    """A run that is gone, without a chance to clean up, when it has annotated two of its clips one by one."""
    run_module.CLIPS_PER_TASK = 1
    curate(Path(folder), Path(raw), executor=_Dying())
