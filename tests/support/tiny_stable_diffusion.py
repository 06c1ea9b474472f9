"""Tiny pipelines of Stable Diffusion 2.1 and its upscaler with random weights, written by diffusers."""

import json
from pathlib import Path

import diffusers
from tiny_networks import randomise
from transformers import CLIPTextConfig, CLIPTextModel

from videoldm.models.clip.tokenizer import train_tokenizer

WIDTH, MAX_TOKENS, VOCABULARY = 32, 12, 170
CAPTIONS = ["a red cube moves to the left", "a green ball moves to the right", "a blue cone stands still"]
LEVELS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
UNET = {
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
    "use_linear_projection": True,
    "sample_size": 8,
}
DRAWS = UNET | {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "attention_head_dim": (2, 4),
}
ENLARGES = UNET | {
    "in_channels": 7,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 8,
    "only_cross_attention": (True, False),
    "num_class_embeds": 50,
}


def write_text_to_image(folder: Path, *, prediction_type: str = "v_prediction") -> Path:
    """A `StableDiffusionPipeline`."""
    diffusers.StableDiffusionPipeline(
        **_common(DRAWS, num_levels=4),
        scheduler=diffusers.DDIMScheduler(**LEVELS, prediction_type=prediction_type, steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    write_old_tokenizer(folder / "tokenizer")
    return folder


def write_upscaler(folder: Path) -> Path:
    """A `StableDiffusionUpscalePipeline`."""
    diffusers.StableDiffusionUpscalePipeline(
        **_common(ENLARGES, num_levels=3, scaling_factor=0.08333),
        scheduler=diffusers.DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction"),
        low_res_scheduler=diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
    ).save_pretrained(folder)
    return folder


def write_old_tokenizer(folder: Path) -> None:
    """Replace a tokenizer's file by the four that older versions wrote; as in the published ones, "!" fills up."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    merges = [" ".join(pair) for pair in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (folder / "special_tokens_map.json").write_text(json.dumps(special | {"pad_token": "!"}))
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": MAX_TOKENS, "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(special | settings))


def _common(unet: dict, *, num_levels: int, **autoencoder: float) -> dict:
    text = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        hidden_act="gelu",
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32,) * num_levels,
        down_block_types=("DownEncoderBlock2D",) * num_levels,
        up_block_types=("UpDecoderBlock2D",) * num_levels,
        **autoencoder,
    )
    return {
        "unet": randomise(diffusers.UNet2DConditionModel(**unet)),
        "vae": randomise(vae),
        "text_encoder": randomise(CLIPTextModel(text)),
        "tokenizer": train_tokenizer(CAPTIONS, vocab_size=VOCABULARY, max_tokens=MAX_TOKENS),
    }
