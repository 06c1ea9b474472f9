"""The model annotations of a run with permissive models, and of one with those of the paper; torch-free."""

from __future__ import annotations

from typing import Any

from videoldm.curation.annotators.config import (
    AestheticsConfig,
    AnnotatorConfig,
    CaptionerConfig,
    ClipModelConfig,
    EmbeddingsConfig,
    ImageCaptionConfig,
    ServerCaptioner,
    SummaryConfig,
    TextSimilarityConfig,
    VideoCaptionConfig,
)

CLIP_OF_PAPER = ClipModelConfig(model="openai/clip-vit-large-patch14", width=768)
COCA = "coca_ViT-L-14"
V_BLIP = "kpyu/video-blip-opt-2.7b-ego4d"


def default_annotations(
    captioner: CaptionerConfig | None = None, *, aesthetic_head: str | None = None
) -> tuple[AnnotatorConfig, ...]:
    """Models under permissive licences, or a `captioner` that chats; one behind a server writes the summaries too."""
    chosen: dict[str, Any] = {} if captioner is None else {"captioner": captioner}
    writer = chosen if isinstance(captioner, ServerCaptioner) else {}
    return (
        EmbeddingsConfig(),
        ImageCaptionConfig(**chosen),
        VideoCaptionConfig(**chosen),
        SummaryConfig(**writer),
        TextSimilarityConfig(),
        AestheticsConfig(head=aesthetic_head),
    )


def fidelity_annotations(
    url: str, *, summary_model: str, aesthetic_head: str | None = None
) -> tuple[AnnotatorConfig, ...]:
    """The paper's models by name, the captioners behind a server at `url`, as transformers runs neither of them.

    CoCa completes captions and is sent no prompt; the paper names no language model. LAION's head for CLIP L/14,
    which the paper uses, is a file that has to be fetched. SVD, C.
    """

    def served(model: str) -> ServerCaptioner:
        return ServerCaptioner(url=url, model=model)

    return (
        EmbeddingsConfig(clip=CLIP_OF_PAPER),
        ImageCaptionConfig(captioner=served(COCA), prompt=""),
        VideoCaptionConfig(captioner=served(V_BLIP), prompt="Question: What happens in the video? Answer:"),
        SummaryConfig(captioner=served(summary_model)),
        TextSimilarityConfig(clip=CLIP_OF_PAPER),
        AestheticsConfig(head=aesthetic_head),
    )
