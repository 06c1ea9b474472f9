"""Training the temporal layers of a decoder on clips, against a discriminator of clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoldm.checkpoints.layouts.native import save_component
from videoldm.core import ranks
from videoldm.core.config import read_config
from videoldm.core.errors import InputError
from videoldm.core.random import normal, python_random, seeded_initialisation
from videoldm.measures.feature_network import load_feature_network
from videoldm.measures.fidelity import psnr
from videoldm.measures.temporal import estimated_warping_error
from videoldm.models.autoencoder.config import AutoencoderConfig, PlainDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.autoencoder.surgery import fold_projection, insert_temporal_layers, is_temporal
from videoldm.models.discriminator.network import Discriminator, decoder_hinge_loss, discriminator_hinge_loss
from videoldm.models.layers import SpatioTemporalResBlock
from videoldm.models.presets import SD21
from videoldm.pipelines.folder import COMPONENT_FILE
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.stages.diffusion.start import autoencoder_at
from videoldm.training.stages.places import autoencoder_folder, judge_folder
from videoldm.training.stages.temporal_decoder.config import (
    FeatureLoss,
    LatentNoise,
    TemporalDecoderStage,
    VideoAdversary,
)
from videoldm.training.stages.temporal_decoder.data import EncodedClips, open_decoder_data
from videoldm.training.stages.temporal_decoder.losses import DecoderLoss, adversarial_factor, frozen
from videoldm.video.contact_sheet import contact_sheet
from videoldm.video.write import write_video

SHOWN, SHOWN_FPS = 4, Fraction(7)
"""Number of held-out clips that are shown beside their reconstructions, and their rate."""


class TemporalDecoderObjective(Objective):
    """Training of the decoder, and of the discriminator if there is one."""

    def __init__(self, stage: TemporalDecoderStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        self._stage, self._seed, self._device = stage, seed, device
        start = autoencoder_at(stage.autoencoder)
        self.autoencoder = start_autoencoder(start, stage, seed).to(device)
        self.discriminator = _discriminator(stage, seed, device)
        perceptual = stage.perceptual
        judge = (
            load_feature_network(judge_folder(perceptual.judge)).to(device)
            if isinstance(perceptual, FeatureLoss)
            else None
        )
        self._loss = DecoderLoss(stage, judge)
        self._for_discriminator: dict[tuple[int, ...], EncodedClips] = {}
        """Clips that the decoder has learned from in this step, so that they are not read again."""
        self._data, self._validation = (
            open_decoder_data(data, pictures, self.autoencoder, cache, num_frames=stage.num_frames, seed=seed)
            for data, pictures in ((stage.data, stage.panned_pictures), (stage.validation, None))
        )
        self.readers = self._data.reader, self._validation.reader

    @property
    def players(self) -> list[Player]:
        """The decoder, and the discriminator if there is one."""
        decoder = self.autoencoder.decoder
        blocks = [module for module in decoder.modules() if isinstance(module, SpatioTemporalResBlock)]
        players = [Player("decoder", decoder, self.decoder_losses, blocks=blocks)]
        if isinstance(self._stage.adversary, VideoAdversary):
            assert self.discriminator is not None
            optimizer = self._stage.adversary.optimizer
            players.append(Player("discriminator", self.discriminator, self.discriminator_losses, optimizer))
        return players

    def decoder_losses(self, positions: Sequence[int]) -> Losses:
        """Return the losses of reconstruction, and of convincing the discriminator once the adversary has started."""
        self._data.reader.announce(positions)
        clips = self._data.encoded(positions)
        if self.discriminator is not None:
            self._for_discriminator[tuple(positions)] = clips
        pixels, decoded = self._decoded(clips, positions)
        loss, parts = self._loss(pixels, decoded)
        is_late = self._is_late(positions)
        if self.discriminator is None or not any(is_late):
            return Losses(per_sample=loss, parts=parts, waiting_s=clips.waiting_s)
        assert isinstance(self._stage.adversary, VideoAdversary)
        with frozen(self.discriminator):
            hinge = decoder_hinge_loss(self.discriminator(decoded).float())
        factor = adversarial_factor(self._stage.adversary.weight, loss, hinge, decoded) * torch.tensor(is_late).to(loss)
        parts |= {"adversarial": hinge.detach(), "adversarial_factor": factor}
        return Losses(per_sample=loss + factor * hinge, parts=parts, waiting_s=clips.waiting_s)

    def discriminator_losses(self, positions: Sequence[int]) -> Losses:
        """Return the hinge loss on true and decoded clips; samples before the adversary starts count nothing."""
        assert self.discriminator is not None
        clips = self._for_discriminator.pop(tuple(positions), None) or self._data.encoded(positions)
        is_late = torch.tensor(self._is_late(positions), device=self._device)
        if not is_late.any():
            nothing = sum(parameter.sum() for parameter in self.discriminator.parameters())
            return Losses(per_sample=0.0 * nothing * is_late)
        with torch.no_grad():
            both = self._decoded(clips, positions)
        real, decoded = (self.discriminator(pixels).float() for pixels in both)
        parts = {"real": real.flatten(1).mean(1).detach(), "decoded": decoded.flatten(1).mean(1).detach()}
        return Losses(per_sample=discriminator_hinge_loss(real, decoded) * is_late, parts=parts)

    def group_of(self, parameter: str) -> str:
        """Return whether a parameter belongs to a temporal or a spatial layer."""
        return "temporal" if is_temporal(parameter) else "spatial"

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure PSNR and warping error along estimated motion on held-out clips, and the error of the true clips."""
        clips = self._validation.held_out(self._stage.num_validation_clips)
        decoded = ranks.map_over_ranks(clips, lambda some: [self._reconstructed(clip) for clip in some])
        pixels, decoded = torch.stack(clips), torch.stack(decoded)
        if ranks.is_first():
            contact_sheet([pixels[0], decoded[0]], ["input", "decoded"]).save(folder / "clip.png")
            for index, both in enumerate(zip(pixels[:SHOWN], decoded[:SHOWN], strict=True)):
                write_video(folder / f"{index:03d}.mp4", torch.cat(both, dim=-1), fps=SHOWN_FPS, metadata=None)
        return {
            "psnr": float(psnr(decoded, pixels).mean()),
            "warping_error": float(estimated_warping_error(decoded).nanmean()),
            "true_warping_error": float(estimated_warping_error(pixels).nanmean()),
            **self.skipped(),
        }

    def _reconstructed(self, clip: Float[Tensor, "t c h w"]) -> Float[Tensor, "t c h w"]:
        return self.autoencoder(clip[None].to(self._device))[0].float().clamp(-1, 1).cpu()

    def export(self, folder: Path) -> None:
        """Write the whole autoencoder: the encoder as it was, the decoder as it is."""
        save_component(folder, self.autoencoder, self.autoencoder.config)

    def _is_late(self, positions: Sequence[int]) -> list[bool]:
        """Return which samples the adversary takes part in."""
        adversary = self._stage.adversary
        return [
            isinstance(adversary, VideoAdversary) and position >= adversary.starts_at_samples for position in positions
        ]

    def _decoded(
        self, clips: EncodedClips, positions: Sequence[int]
    ) -> tuple[Float[Tensor, "b t c h w"], Float[Tensor, "b t c h w"]]:
        """Return true clips, and clips decoded from their latents with the stage's noise."""
        noise = torch.stack([self._noise(tuple(clips.latents.shape[1:]), position) for position in positions])
        latents = (clips.latents + noise).to(self._device)
        return clips.pixels.to(self._device), self.autoencoder.decode(latents).float()

    def _noise(self, shape: tuple[int, ...], position: int) -> Float[Tensor, "t z h2 w2"]:
        """Draw the noise on raw latents."""
        choice = python_random(self._seed, "latent noise", position)
        match self._stage.latent_noise:
            case LatentNoise(share=share, deviation=most) if choice.random() < share:
                deviation = choice.uniform(0, most) / self.autoencoder.config.scaling_factor
                return deviation * normal(shape, self._seed, "latent noise", position)
            case _:
                return torch.zeros(shape)


def start_autoencoder(autoencoder: Autoencoder, stage: TemporalDecoderStage, seed: int) -> Autoencoder:
    """Insert silent temporal layers into a per-frame autoencoder, and freeze all that the stage does not train.

    Raises InputError if its decoder is temporal already.
    """
    if not isinstance(autoencoder.config.decoder, PlainDecoder):
        raise InputError(f"stage.autoencoder is {stage.autoencoder!r}, its decoder should be a per-frame one")
    with seeded_initialisation(seed, "temporal decoder weights"):
        grown = insert_temporal_layers(
            fold_projection(autoencoder) if stage.projection == "folded" else autoencoder, stage.decoder
        )
    grown.requires_grad_(False)
    for name, parameter in grown.decoder.named_parameters():
        parameter.requires_grad_(stage.trained == "decoder" or is_temporal(name))
    return grown


def stage_parameters(stage: TemporalDecoderStage) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield all parameters of a stage with the part that they belong to; a model of the hub is taken to be SD's."""
    path = autoencoder_folder(stage.autoencoder)
    config = SD21.autoencoder if path is None else read_config(path / COMPONENT_FILE, AutoencoderConfig)
    for name, parameter in start_autoencoder(Autoencoder(config), stage, seed=0).named_parameters():
        yield "temporal layers" if is_temporal(name) else name.split(".")[0], parameter
    if isinstance(stage.adversary, VideoAdversary):
        for parameter in Discriminator(stage.adversary.model).parameters():
            yield "discriminator", parameter


def _discriminator(stage: TemporalDecoderStage, seed: int, device: str) -> Discriminator | None:
    if not isinstance(stage.adversary, VideoAdversary):
        return None
    with seeded_initialisation(seed, "discriminator weights"):
        return Discriminator(stage.adversary.model).to(device)
