"""Training the autoencoder on frames of the synthetic world and crops of real pictures."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.checkpoints.layouts.native import save_component
from videoldm.core.random import normal, python_random, seeded_initialisation
from videoldm.dataset.order import sample_index
from videoldm.measures.fidelity import psnr
from videoldm.models.autoencoder.network import Autoencoder, Posterior
from videoldm.training.data.pictures import PictureCrops
from videoldm.training.data.world import prepare_world
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.video.contact_sheet import contact_sheet

NUM_VALIDATION_FRAMES = 64
SMALLEST_ERROR = 1e-5
"""Keeps the logarithm finite; for pixels in [-1, 1] it is 56 dB."""


class AutoencoderObjective(Objective):
    """Reconstruction of frames and crops of pictures, and divergence of the posterior."""

    def __init__(self, stage: AutoencoderStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        self._stage, self._seed, self._device = stage, seed, device
        with seeded_initialisation(seed, "autoencoder weights"):
            self.autoencoder = Autoencoder(stage.model).to(device)
        self._pictures = PictureCrops(stage.pictures, size=(stage.data.height, stage.data.width))
        self._clips = prepare_world(stage.data, cache)
        self._validation_clips = prepare_world(stage.validation, cache)

    @property
    def players(self) -> list[Player]:
        """The whole autoencoder."""
        return [Player("autoencoder", self.autoencoder, self.losses)]

    def losses(self, positions: Sequence[int]) -> Losses:
        """Return the loss of each frame."""
        pixels = torch.stack([self._frame(position) for position in positions])[:, None].to(self._device)
        posterior = self.autoencoder.encode(pixels)
        posterior = Posterior(posterior.mean.float(), posterior.log_variance.float())
        shape = tuple(posterior.mean.shape[1:])
        noise = torch.stack([normal(shape, self._seed, "posterior", position) for position in positions])
        decoded = self.autoencoder.decode(posterior.draw(noise.to(pixels))).float()
        error = decoded - pixels
        squared = _mean_per_sample(error.square())
        divergence = _mean_per_sample(posterior.kl())
        loss = torch.log(squared + SMALLEST_ERROR) + self._stage.kl_weight * divergence
        return Losses(per_sample=loss, parts={"squared_error": squared, "divergence": divergence})

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure PSNR over held-out frames, one from each clip; write originals above reconstructions."""
        pixels = self._validation_frames()
        decoded = self.autoencoder(pixels)
        contact_sheet([pixels[:14, 0], decoded[:14, 0]], ["input", "decoded"]).save(folder / "frames.png")
        return {"psnr": float(psnr(decoded, pixels).mean())}

    def export(self, folder: Path) -> None:
        """Write the weights with the measured scaling factor: 1 / standard deviation of the latents."""
        with torch.no_grad():
            deviation = float(self.autoencoder.eval().encode(self._validation_frames()).mean.std())
        config = self._stage.model.model_copy(update={"scaling_factor": round(1 / deviation, 5)})
        save_component(folder, self.autoencoder, config)

    def _validation_frames(self) -> Float[Tensor, "b 1 c h w"]:
        """Return the middle frame of each of the first validation clips."""
        clips = self._validation_clips
        indices = range(min(NUM_VALIDATION_FRAMES, len(clips)))
        return torch.stack([clips.frame(i, clips.num_frames // 2) for i in indices])[:, None].to(self._device)

    def _frame(self, position: int) -> Float[Tensor, "c h w"]:
        choice = python_random(self._seed, "frame choice", position)
        if choice.random() < self._stage.picture_fraction:
            return self._pictures.crop(choice)
        clip = sample_index(self._seed, position, len(self._clips))
        return self._clips.frame(clip, choice.randrange(self._clips.num_frames))


def _mean_per_sample(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1)
