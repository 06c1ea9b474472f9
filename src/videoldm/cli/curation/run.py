"""`videoldm curate run`: make a dataset from raw videos."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from pydantic import NonNegativeInt, PositiveInt

from videoldm.cli.options import OPTIONS, Verb
from videoldm.core.config import Config, Positive, from_yaml, to_yaml
from videoldm.core.errors import InputError, Interrupted, SomeItemsFailed
from videoldm.core.progress import notice, silent
from videoldm.core.reading import existing_file
from videoldm.curation.config import CurationConfig

if TYPE_CHECKING:
    from videoldm.curation.annotators.models.hub_models import HubModel

DESCRIPTION = """Find the cuts and clips of raw videos, and annotate the clips.

Inputs are files, folders, patterns in quotes, or lists (.csv, .parquet) with a column `path`; the other columns of
a list, such as caption and licence, stay with the videos. Nothing is copied: clips stay where they are in their
source until `videoldm curate export`. The same command resumes an interrupted run, and does only what is missing.

examples:
  videoldm curate run raw/ -o dataset/
  videoldm curate run "raw/**/*.mp4" holiday.mov -o dataset/ --workers 8
  videoldm curate run raw/ -o dataset/ --download
  videoldm curate run videos.csv -o dataset/ --executor ray
  videoldm curate run raw/ -o dataset/ --annotations motion,text_area
  videoldm curate run raw/ -o dataset/ --captioner openai:http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct
  videoldm curate run raw/ --print-config > mine.yaml
  videoldm curate run raw/ -o dataset/ --config mine.yaml
"""


class CurateRunOptions(Config):
    """Options of `curate run`."""

    model_config = OPTIONS

    inputs: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="INPUT")]] = ()
    """Files, folders, patterns or lists."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = "dataset"
    """Folder of the dataset, new or one to resume."""
    config: Annotated[str | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """Configuration as --print-config writes it; default: the built-in one."""
    profile: Literal["default", "paper"] = "default"
    """Models under permissive licences that run on this machine, or the paper's, whose captioners need a server."""
    annotations: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """Only these annotations and those that they need, or none; default: all of the configuration."""
    captioner: Annotated[str | None, tyro.conf.arg(metavar="MODEL|openai:URL#MODEL")] = None
    """Folder or hub name of a model for captions, or a model of a server that speaks OpenAI's protocol."""
    aesthetic_head: Annotated[str | None, tyro.conf.arg(metavar="FILE.safetensors")] = None
    """Head that scores clips; default: the one that fit-aesthetic stored in the dataset, if any."""
    cut_detector: Annotated[str | None, tyro.conf.arg(metavar="FILE.onnx")] = None
    """Network that has to agree with dissolves, such as TransNetV2; default: as configured, none."""
    stream: NonNegativeInt | None = None
    """Number of the video track of each file, from 0; default: as configured, the one that players show."""
    download: bool = False
    """First download the models that annotations need and that are not on this machine, from the Hugging Face hub."""
    executor: Literal["local", "ray"] = "local"
    """Processes on this machine, or a Ray cluster."""
    address: str | None = None
    """Address of the Ray cluster; default: one is started on this machine."""
    workers: PositiveInt | None = None
    """Number of tasks at a time; default: one a core."""
    retry_quarantined: bool = False
    """Decode files again whose decoder, or search for cuts, crashed, hung or grew too large."""
    decode_time_s: Positive | None = None
    """Time limit of reading, decoding or cutting a file; default: as configured, 3600."""
    decode_memory_gib: Positive | None = None
    """Memory limit of the same; default: as configured, 4."""
    annotate_time_s: Positive | None = None
    """Time limit of an annotation of 64 clips; default: as configured, 3600."""
    annotate_memory_gib: Positive | None = None
    """Memory limit of the same; default: as configured, 16."""
    print_config: bool = False
    """Print the complete configuration as YAML instead of running."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object instead of text."""


def run(options: CurateRunOptions) -> None:
    """Print the configuration, or make the dataset."""
    config = configured(options)
    if options.print_config:
        print(to_yaml(config), end="")
        return
    if not options.inputs:
        raise InputError("curate run: no inputs are given: give files, folders, patterns or lists")
    if options.address is not None and options.executor != "ray":
        raise InputError("--address is for --executor ray, leave it out or give both")
    curate(options, config)


def configured(options: CurateRunOptions) -> CurationConfig:
    """Return the configuration that the options describe."""
    from videoldm.curation import choices
    from videoldm.curation.store.dataset import Dataset

    if options.profile == "paper":
        if options.config is not None:
            raise InputError("--profile paper is a complete configuration, leave out --config")
        config = choices.as_in_paper(options.captioner)
    else:
        config = CurationConfig() if options.config is None else _read(options.config)
        config = config if options.captioner is None else choices.captioned_by(config, options.captioner)
    if options.annotations is not None:
        names = [] if options.annotations == "none" else options.annotations.split(",")
        config = choices.only(config, names)
    check_effect(options, {one.name for one in config.annotations})
    decode = config.decode_limits.changed(time_s=options.decode_time_s, memory_gib=options.decode_memory_gib)
    annotate = config.annotate_limits.changed(time_s=options.annotate_time_s, memory_gib=options.annotate_memory_gib)
    config = config.model_copy(update={"decode_limits": decode, "annotate_limits": annotate})
    if options.stream is not None:
        config = config.model_copy(update={"stream": options.stream})
    if options.cut_detector is not None:
        config = choices.confirmed_by(config, existing_file(Path(options.cut_detector), kind="an ONNX file"))
    head = Path(options.aesthetic_head or Dataset(Path(options.output)).aesthetic_head)
    return choices.scored_by(config, head) if options.aesthetic_head is not None or head.is_file() else config


def check_effect(options: CurateRunOptions, annotations: Collection[str]) -> None:
    """Raise InputError for an option of annotations none of which is made."""
    users = {
        "--captioner": (options.captioner, ("image_caption", "video_caption", "summary")),
        "--aesthetic-head": (options.aesthetic_head, ("aesthetics",)),
    }
    for option, (value, names) in users.items():
        if value is not None and not set(names).intersection(annotations):
            raise InputError(f"{option} has no effect without {' or '.join(names)}, leave it out or add one of these")


def curate(options: CurateRunOptions, config: CurationConfig) -> None:
    """Run, and print a summary; raises SomeItemsFailed if some inputs gave no clips, or not all."""
    from videoldm.curation.cuts.learned import check_detector
    from videoldm.curation.executors.executor import executor_named
    from videoldm.curation.inputs import find_inputs
    from videoldm.curation.run import Run
    from videoldm.curation.status import summarise
    from videoldm.curation.store.dataset import Dataset

    inputs = find_inputs(options.inputs)
    if config.cuts.learned is not None:
        check_detector(config.cuts.learned)
    bring_models(options, config)
    dataset = Dataset.create(options.output)
    with dataset.locked():
        try:
            with (
                silent() if options.json_ else nullcontext(),
                executor_named(options.executor, num_workers=options.workers, address=options.address) as executor,
            ):
                Run(dataset, config, executor, retry_quarantined=options.retry_quarantined)(inputs)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; the same command resumes the run") from None
    summary = summarise(dataset)
    print(json.dumps(summary.as_json()) if options.json_ else summary.as_text())
    named = {one.path for one in inputs}
    failed = [one for one in summary.problems if one[0] in named]
    problems = [(path, reason) for path, _, reason in failed]
    if len(problems) == len(named) and not any(state == "damaged" for _, state, _ in failed):
        raise InputError("no input is a usable video:\n" + "\n".join(f"  {path}: {why}" for path, why in problems))
    if problems:
        raise SomeItemsFailed(problems, num_items=len(named))


def bring_models(options: CurateRunOptions, config: CurationConfig) -> None:
    """Download missing models if asked to; on a terminal, ask whether to. Raises InputError if a download fails."""
    from videoldm.curation.annotators.models.hub_models import download_model, look_up, missing_models

    may_ask = sys.stdin.isatty() and sys.stderr.isatty() and not options.json_
    if not (options.download or may_ask):
        return
    names = missing_models(config.annotations)
    if not names:
        return
    try:
        models = look_up(names)
    except InputError:
        if options.download:
            raise
        return  # nobody asked for models, and the summary says which are missing
    if not options.download and not _wants(models):
        return
    for number, model in enumerate(models, start=1):
        if not options.json_:
            notice(f"Downloading model {number} of {len(models)}: {model}")
        download_model(model.name)


def _wants(models: Sequence[HubModel]) -> bool:
    listed = "\n".join(f"  {model}" for model in models)
    total_gb = sum(model.num_bytes for model in models) / 1e9
    notice(f"These models of the Hugging Face hub are not on this machine, {total_gb:.2g} GB in all:\n{listed}")
    print("Download them? Without them their annotations stay empty. [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _read(name: str) -> CurationConfig:
    path = existing_file(Path(name), kind="a YAML file")
    return from_yaml(CurationConfig, path.read_text(encoding="utf-8"), source=name)


VERB = Verb(name="curate run", options=CurateRunOptions, run=run, description=DESCRIPTION, rest="inputs")
