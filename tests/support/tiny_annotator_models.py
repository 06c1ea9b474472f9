"""Tiny models of transformers with random weights in folders, and clips for them to look at."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from tiny_networks import randomise
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame
from videoldm.models.clip.tokenizer import train_tokenizer

CAPTIONS = ["a red cube moves to the left", "a green ball moves to the right", "a blue cone stands still"]
CLIP_WIDTH, CLIP_TOKENS, VOCABULARY = 16, 12, 170


def write_clip(folder: Path, *, width: int = CLIP_WIDTH) -> Path:
    """A CLIP model for pictures of 32x32."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": VOCABULARY, "max_position_embeddings": CLIP_TOKENS, "eos_token_id": VOCABULARY - 1}
    config = CLIPConfig(
        text_config=sizes | text, vision_config=sizes | {"image_size": 32, "patch_size": 8}, projection_dim=width
    )
    randomise(CLIPModel(config)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    train_tokenizer(CAPTIONS, vocab_size=VOCABULARY, max_tokens=CLIP_TOKENS).save_pretrained(folder)
    return folder


def made_clip(
    number: int,
    *,
    num_frames: int = 5,
    metadata: Mapping[str, str] | None = None,
    annotations: Mapping[str, Mapping[str, Any]] | None = None,
) -> ClipFrames:
    """A clip of frames with smooth random colours; the same number gives the same clip."""
    random = np.random.default_rng(number)
    frames = [KeptFrame(pts=12 * i, is_sampled=True, pixels=_picture(random)) for i in range(num_frames)]
    return ClipFrames(
        clip_id=f"clip-{number:03}",
        time_base=Fraction(1, 24),
        start_pts=0,
        end_pts=12 * num_frames,
        width=640,
        height=360,
        frames=frames,
        metadata=metadata or {},
        annotations=annotations or {},
    )


def _picture(random: np.random.Generator) -> np.ndarray:
    return np.kron(random.integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
