"""DreamBooth: an image model learns a subject from a few pictures (arXiv 2208.12242)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoldm.core.random import normal
from videoldm.dataset.order import sample_index
from videoldm.diffusion.conditioning import Conditioning
from videoldm.pipelines.load import load_opened
from videoldm.pipelines.open import open_for_task
from videoldm.pipelines.write import write_model
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.stages.diffusion.objective import denoising_losses
from videoldm.training.stages.dreambooth.config import (
    TASK,
    DreamBoothStage,
    PriorPreservation,
    PromptedPictures,
)
from videoldm.video.contact_sheet import contact_sheet
from videoldm.video.picture import fit_picture, load_picture
from videoldm.video.picture_files import pictures_in

TEXT_ENCODER = "text_encoder"
NUM_SAMPLED = 4


@dataclass(frozen=True)
class _PromptedLatents:
    """Posteriors of the pictures of one prompt, and the weight of each sample of them."""

    prompt: str
    weight: float
    mean: Float[Tensor, "n c h w"]
    deviation: Float[Tensor, "n c h w"]


class DreamBoothObjective(Objective):
    """Denoising of the subject's pictures, and of the class's in every second sample."""

    def __init__(self, stage: DreamBoothStage, *, seed: int, device: str = "cpu") -> None:
        self._stage, self._seed = stage, seed
        self._model = load_opened(open_for_task(stage.base, TASK), TASK, device=device)
        self._sets = [_encoded(stage.subject, 1.0, self._model)]
        if isinstance(stage.prior, PriorPreservation):
            self._sets.append(_encoded(stage.prior.pictures, stage.prior.weight, self._model))
        self._trained = nn.ModuleDict({"unet": self._model.unet})
        if stage.trains_text_encoder:
            self._trained[TEXT_ENCODER] = self._model.text_conditioner.model
        self._trained.requires_grad_(True)

    @property
    def players(self) -> list[Player]:
        """The UNet, and the text encoder if it learns."""
        return [Player("dreambooth", self._trained, self.losses, blocks=self._model.unet.blocks)]

    def losses(self, positions: Sequence[int]) -> Losses:
        """Return the denoising loss of the subject and, in every second sample, of the class."""
        kinds = len(self._sets)
        keys = [(self._seed, position) for position in positions]
        sets = [self._sets[position % kinds] for position in positions]
        indices = [
            sample_index(self._seed, position // kinds, len(one.mean))
            for position, one in zip(positions, sets, strict=True)
        ]
        latents = [_drawn(one, index, key) for one, index, key in zip(sets, indices, keys, strict=True)]
        losses = self._losses(torch.stack(latents), [one.prompt for one in sets], keys)
        weights = losses.per_sample.new_tensor([one.weight for one in sets])
        return Losses(per_sample=losses.per_sample * weights, sigma=losses.sigma)

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure the loss of all pictures at fixed noise, and write sampled pictures of each prompt."""
        values: dict[str, float] = {}
        for name, one in zip(("subject", "prior"), self._sets, strict=False):
            keys = [(self._seed + 1, index) for index in range(len(one.mean))]
            parts = [self._losses(one.mean[i : i + 1], [one.prompt], keys[i : i + 1]) for i in range(len(keys))]
            values[f"{name}_loss"] = float(torch.cat([part.per_sample for part in parts]).mean())
        inputs = self._inputs(
            [one.prompt for one in self._sets for _ in range(NUM_SAMPLED)],
            [(self._seed + i,) for _ in self._sets for i in range(NUM_SAMPLED)],
        )
        contact_sheet(list(sample_clips(self._model, inputs)), inputs.prompts).save(folder / "pictures.png")
        return values

    def export(self, folder: Path) -> None:
        """Write the whole model."""
        write_model(folder, self._model)

    def _losses(self, raw: Float[Tensor, "b c h w"], prompts: Sequence[str], keys: Sequence[tuple[int, ...]]) -> Losses:
        x0 = self._model.to_model_latents(raw[:, None].to(self._model.device))
        return denoising_losses(self._model, self._stage, x0, self._conditioning(prompts, keys), keys=keys)

    def _conditioning(self, prompts: Sequence[str], keys: Sequence[tuple[int, ...]]) -> Conditioning:
        """Return the conditioning that sampling would have, with gradients to the text encoder if it learns."""
        with torch.autocast(self._model.device.type, enabled=False):
            return task_named(TASK).conditioning(self._model, self._inputs(prompts, keys), num_frames=1)

    def _inputs(self, prompts: Sequence[str], keys: Sequence[tuple[int, ...]]) -> Inputs:
        signals = self._model.config.signals
        return Inputs(
            samples=keys,
            prompts=prompts,
            fps=[signals.fps] * len(keys),
            motion_bucket=[signals.motion_bucket] * len(keys),
            noise_level=[signals.noise_level] * len(keys),
        )


@torch.no_grad()
def _encoded(pictures: PromptedPictures, weight: float, model: VideoModel) -> _PromptedLatents:
    """Encode all pictures in a folder; raise InputError if there are none."""
    means, deviations = [], []
    for path in pictures_in(Path(pictures.folder)):
        pixels = fit_picture(load_picture(path), model.config.height, model.config.width)
        posterior = model.autoencoder.encode(pixels[None, None].to(model.device))
        means.append(posterior.mean[0, 0].cpu())
        deviations.append(posterior.deviation[0, 0].cpu())
    return _PromptedLatents(pictures.prompt, weight, torch.stack(means), torch.stack(deviations))


def _drawn(pictures: _PromptedLatents, index: int, key: tuple[int, ...]) -> Float[Tensor, "c h w"]:
    seed, *position = key
    noise = normal(tuple(pictures.mean.shape[1:]), seed, "posterior", *position)
    return pictures.mean[index] + pictures.deviation[index] * noise
