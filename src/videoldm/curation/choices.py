"""Changes of a configuration that people choose most often: which annotations, captioner, head, or the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash
from videoldm.curation.annotators.aesthetics import AestheticsConfig
from videoldm.curation.annotators.captions import CaptionConfig, ImageCaptionConfig, SummaryConfig, VideoCaptionConfig
from videoldm.curation.annotators.embeddings import EmbeddingsConfig
from videoldm.curation.annotators.models.captioner import ServerCaptioner, parse_captioner
from videoldm.curation.annotators.models.local_model import ClipModelConfig
from videoldm.curation.annotators.motion import FARNEBACK_OF_PAPER, MotionConfig
from videoldm.curation.annotators.registry import AnnotatorConfig, annotation_names, default_config
from videoldm.curation.annotators.text_area import TextAreaConfig
from videoldm.curation.annotators.text_similarity import TextSimilarityConfig
from videoldm.curation.config import ByEmbeddings, CurationConfig, NearDuplicatesConfig, RepeatedCaptionsConfig
from videoldm.curation.cuts.config import LearnedConfig

CLIP_OF_PAPER = ClipModelConfig(model="openai/clip-vit-large-patch14", width=768)
COCA = "coca_ViT-L-14"
V_BLIP = "kpyu/video-blip-opt-2.7b-ego4d"


def paper_annotations(url: str, *, summary_model: str) -> tuple[AnnotatorConfig, ...]:
    """Return the paper's models by name, with the captioners behind a server at `url`, as transformers runs neither.

    CoCa completes captions and is sent no prompt; the paper names no language model. LAION's head for CLIP L/14,
    which the paper uses, is a file that has to be downloaded. SVD, appendix C.
    """

    def served(model: str) -> ServerCaptioner:
        return ServerCaptioner(url=url, model=model)

    return (
        MotionConfig(flow=FARNEBACK_OF_PAPER),
        TextAreaConfig(),
        EmbeddingsConfig(clip=CLIP_OF_PAPER),
        ImageCaptionConfig(captioner=served(COCA), prompt=""),
        VideoCaptionConfig(captioner=served(V_BLIP), prompt="Question: What happens in the video? Answer:"),
        SummaryConfig(captioner=served(summary_model)),
        TextSimilarityConfig(clip=CLIP_OF_PAPER),
        AestheticsConfig(),
    )


def as_in_paper(captioner: str | None) -> CurationConfig:
    """Return the configuration with the paper's models; `captioner` names a server and the model that summarises.

    Raises InputError if it does not name a server.
    """
    server = None if captioner is None else parse_captioner(captioner)
    if not isinstance(server, ServerCaptioner):
        raise InputError("--profile paper needs a server for captions: give --captioner openai:URL#MODEL")
    return CurationConfig(
        annotations=paper_annotations(server.url, summary_model=server.model),
        comparisons=(NearDuplicatesConfig(by=ByEmbeddings()), RepeatedCaptionsConfig()),
    )


def only(config: CurationConfig, names: Sequence[str]) -> CurationConfig:
    """Return the configuration with only these annotations and those that they need; InputError for an unknown name.

    Annotations that the configuration does not have come after its own, with their defaults.
    """
    known = {one.name: one for one in config.annotations}
    registered = [name for name in annotation_names() if name not in known]
    for name in names:
        if name not in (*known, *registered):
            raise InputError(
                f"annotations has {name!r}, known annotations are {', '.join([*known, *registered])}, or none"
            )
    for name in names:
        _add(known, name)
    wanted: set[str] = set()
    for one in reversed(known.values()):
        if one.name in names or one.name in wanted:
            wanted |= {one.name, *one.needs}
    return _with(config, [one for one in known.values() if one.name in wanted])


def captioned_by(config: CurationConfig, captioner: str) -> CurationConfig:
    """Return the configuration with captions by this model; also summaries if it is behind a server."""
    chosen = parse_captioner(captioner)
    changed: list[AnnotatorConfig] = []
    for one in config.annotations:
        is_left = isinstance(one, SummaryConfig) and not isinstance(chosen, ServerCaptioner)
        is_meant = isinstance(one, CaptionConfig) and not is_left
        changed.append(one.model_copy(update={"captioner": chosen}) if is_meant else one)
    return _with(config, changed)


def scored_by(config: CurationConfig, head: Path) -> CurationConfig:
    """Return the configuration with aesthetic scores by the head in a file."""
    pinned = {"head": str(head), "head_hash": file_hash(head)}
    return _with(
        config,
        [one.model_copy(update=pinned) if isinstance(one, AestheticsConfig) else one for one in config.annotations],
    )


def confirmed_by(config: CurationConfig, network: Path) -> CurationConfig:
    """Return the configuration in which the network in a file has to agree with dissolves."""
    learned = config.cuts.learned or LearnedConfig(model="")
    changed = learned.model_copy(update={"model": str(network)})
    return config.model_copy(update={"cuts": config.cuts.model_copy(update={"learned": changed})})


def _with(config: CurationConfig, annotations: Sequence[AnnotatorConfig]) -> CurationConfig:
    return config.model_copy(update={"annotations": tuple(annotations)})


def _add(known: dict[str, AnnotatorConfig], name: str) -> None:
    """Add an annotation with its defaults, after those that it needs."""
    if name not in known:
        added = default_config(name)
        for needed in added.needs:
            _add(known, needed)
        known[name] = added
