"""The annotations of two kinds of run: with permissive models that run here, or with those of the paper; torch-free."""

from __future__ import annotations

from videoldm.curation.annotators.config import (
    FARNEBACK_OF_PAPER,
    AestheticsConfig,
    AnnotationConfig,
    ClipModelConfig,
    EmbeddingsConfig,
    ImageCaptionConfig,
    MotionConfig,
    ServerCaptioner,
    SummaryConfig,
    TextAreaConfig,
    TextSimilarityConfig,
    VideoCaptionConfig,
)

CLIP_OF_PAPER = ClipModelConfig(model="openai/clip-vit-large-patch14", width=768)
COCA = "coca_ViT-L-14"
V_BLIP = "kpyu/video-blip-opt-2.7b-ego4d"


def default_annotations() -> tuple[AnnotationConfig, ...]:
    """Models under permissive licences that run here."""
    return (
        MotionConfig(),
        TextAreaConfig(),
        EmbeddingsConfig(),
        ImageCaptionConfig(),
        VideoCaptionConfig(),
        SummaryConfig(),
        TextSimilarityConfig(),
        AestheticsConfig(),
    )


def fidelity_annotations(url: str, *, summary_model: str) -> tuple[AnnotationConfig, ...]:
    """The paper's models by name, the captioners behind a server at `url`, as transformers runs neither of them.

    CoCa completes captions and is sent no prompt; the paper names no language model. LAION's head for CLIP L/14,
    which the paper uses, is a file that has to be fetched. SVD, C.
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
