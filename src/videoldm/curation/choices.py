"""What people choose most often about annotations, as changes of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash
from videoldm.curation.annotators.config import (
    AestheticsConfig,
    AnnotationConfig,
    CaptionConfig,
    ServerCaptioner,
    SummaryConfig,
    parse_captioner,
)
from videoldm.curation.annotators.profiles import fidelity_annotations
from videoldm.curation.config import CurationConfig


def as_in_paper(captioner: str | None) -> CurationConfig:
    """The paper's models by name; `captioner` names the server of those for captions, and the model that summarises.

    Raises InputError if it names no server.
    """
    server = None if captioner is None else parse_captioner(captioner)
    if not isinstance(server, ServerCaptioner):
        raise InputError("--profile paper needs a server for captions: give --captioner openai:URL#MODEL")
    return CurationConfig(annotations=fidelity_annotations(server.url, summary_model=server.model))


def only(config: CurationConfig, names: Sequence[str]) -> CurationConfig:
    """With these annotations alone, and those that they need; InputError for a name that is none."""
    known = {one.name: one for one in config.annotations}
    for name in names:
        if name not in known:
            raise InputError(f"--annotations has {name!r}, the annotations are {', '.join(known)}, or none")
    wanted: set[str] = set()
    for one in reversed(config.annotations):
        if one.name in names or one.name in wanted:
            wanted |= {one.name, *one.needs}
    return _with(config, [one for one in config.annotations if one.name in wanted])


def captioned_by(config: CurationConfig, captioner: str) -> CurationConfig:
    """With captions by this model; summaries too if it is a server's, as a server's models know texts as well."""
    chosen = parse_captioner(captioner)
    changed: list[AnnotationConfig] = []
    for one in config.annotations:
        is_left = isinstance(one, SummaryConfig) and not isinstance(chosen, ServerCaptioner)
        is_meant = isinstance(one, CaptionConfig) and not is_left
        changed.append(one.model_copy(update={"captioner": chosen}) if is_meant else one)
    return _with(config, changed)


def scored_by(config: CurationConfig, head: Path) -> CurationConfig:
    """With aesthetic scores by the head in a file."""
    pinned = {"head": str(head), "head_hash": file_hash(head)}
    return _with(
        config,
        [one.model_copy(update=pinned) if isinstance(one, AestheticsConfig) else one for one in config.annotations],
    )


def _with(config: CurationConfig, annotations: Sequence[AnnotationConfig]) -> CurationConfig:
    return config.model_copy(update={"annotations": tuple(annotations)})
