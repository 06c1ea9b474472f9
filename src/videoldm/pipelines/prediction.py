"""What an image model predicts, where its files do not say: one denoising call of pure noise tells noise from v."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from videoldm.checkpoints.checkpoint import Assumption, Checkpoint
from videoldm.checkpoints.layouts.diffusers_image_config import ImageScheduler
from videoldm.checkpoints.part import TextEncoder
from videoldm.core.progress import notice
from videoldm.core.random import generator
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import PredictionType
from videoldm.diffusion.schedules import NUM_LEVELS
from videoldm.pipelines.published import PublishedModel

_LATENT_SIDE = 32
_LEAST_IF_NOISE, _MOST_IF_V = 0.7, 0.35
"""Shares of the input in the output: at the last level 0.998 if the noise is predicted, 0.068 if v is."""
_LEAST_OUTPUT = 0.03
"""Size of the output over that of the input; even v is larger, so that less comes from an untrained network."""
_WORDS = {"epsilon": "noise", "v_prediction": "v"}
_HOW_TO_STATE = "state it with --prediction-type epsilon or v_prediction"


def assumed_prediction(checkpoint: Checkpoint) -> str | None:
    """Return what a model is assumed to predict and why, with a warning if that is in doubt; None if it is stated."""
    found, scheduler = checkpoint.assumption, checkpoint.scheduler
    if found is None or not isinstance(scheduler, ImageScheduler):
        return None
    text = f"{_WORDS[scheduler.prediction_type]} ({scheduler.prediction_type}), as {found.reason}"
    if found.is_sure:
        return text
    warnings.warn(
        f"{checkpoint.source}: is taken to predict {text}; generate measures it, or {_HOW_TO_STATE}", stacklevel=2
    )
    return f"{text}; generate measures it"


def with_known_prediction(files: PublishedModel) -> PublishedModel:
    """Return a model whose prediction type is not in doubt any more, or warn that it is."""
    checkpoint = files.checkpoint
    scheduler, found = checkpoint.scheduler, checkpoint.assumption
    if found is None or found.is_sure or not isinstance(scheduler, ImageScheduler) or files.obstacle is not None:
        return files
    share = share_of_noise(checkpoint)
    measured = None if share is None else _prediction(share)
    if measured is None:
        warnings.warn(
            f"{checkpoint.source}: is taken to predict {_WORDS[scheduler.prediction_type]}, as {found.reason}, and a "
            f"measurement is not conclusive: {_HOW_TO_STATE}",
            stacklevel=2,
        )
        return files
    reason = f"its output for pure noise shows, of which {share:.0%} is that noise"
    notice(
        f"{checkpoint.source}: predicts {_WORDS[measured]}, as {reason}; --prediction-type {measured} saves this test"
    )
    scheduler = scheduler.model_copy(update={"prediction_type": measured})
    decided = replace(checkpoint, scheduler=scheduler, assumption=Assumption(reason=reason, is_sure=True))
    return replace(files, checkpoint=decided)


@torch.inference_mode()
def share_of_noise(checkpoint: Checkpoint) -> float | None:
    """Return how much of pure noise a UNet returns at the last level, under the empty prompt; None if it is silent."""
    assert checkpoint.text_encoder is not None
    dtype = torch.bfloat16
    context = _empty_prompt(checkpoint.text_encoder).to(dtype)
    unet = checkpoint.unet.load(dtype=dtype)
    shape = (1, 1, unet.config.in_channels, _LATENT_SIDE, _LATENT_SIDE)
    noise = torch.randn(shape, generator=generator(0, "prediction type", 0))
    output = unet(noise.to(dtype), torch.tensor([NUM_LEVELS - 1.0]), Conditioning(context=context)).float()
    if not output.isfinite().all() or output.norm() < _LEAST_OUTPUT * noise.norm():
        return None
    return float((output * noise).sum() / noise.square().sum())


def _empty_prompt(encoder: TextEncoder) -> torch.Tensor:
    """Encode the start and the end token, padded with the first entry of the vocabulary as OpenCLIP does."""
    model = encoder.load()
    ids = torch.zeros((1, model.config.max_position_embeddings), dtype=torch.long)
    ids[0, 0], ids[0, 1] = model.config.vocab_size - 2, model.config.vocab_size - 1
    return model(ids).last_hidden_state


def _prediction(share: float) -> PredictionType | None:
    if share > _LEAST_IF_NOISE:
        return "epsilon"
    return "v_prediction" if abs(share) < _MOST_IF_V else None
