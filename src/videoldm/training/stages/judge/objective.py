"""Training the feature network to name shape, colour, motion and camera of a clip."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from videoldm.core.files import write_json
from videoldm.core.random import generator, python_random, seeded_initialisation
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.order import sample_index
from videoldm.measures.config import HeadAccuracy
from videoldm.measures.feature_network import FeatureNetwork, save_feature_network
from videoldm.synthetic.vocabulary import mirrored
from videoldm.training.data.world import prepare_world
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.stages.judge.config import JudgeStage

VALIDATION_BATCH = 16
WINDOW_FRAMES = 6


class JudgeObjective(Objective):
    """Training on clips that are mirrored, blurred, brightened and noisy, as generated ones are not crisp."""

    def __init__(self, stage: JudgeStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        self._stage, self._seed, self._device = stage, seed, device
        self._clips = prepare_world(stage.data, cache)
        self._validation_clips = prepare_world(stage.validation, cache)
        with seeded_initialisation(seed, "judge weights"):
            self.network = FeatureNetwork(stage.model).to(device)
        self._mirrored = {
            head: [classes.index(mirrored(name)) for name in classes] for head, classes in stage.model.heads.items()
        }

    @property
    def players(self) -> list[Player]:
        """The feature network."""
        return [Player("judge", self.network, self.losses)]

    def losses(self, positions: Sequence[int]) -> Losses:
        """Return the cross-entropy, summed over the heads."""
        samples = [self._sample(position) for position in positions]
        logits = self.network(torch.stack([pixels for pixels, _ in samples]).to(self._device)).logits
        smoothing = self._stage.label_smoothing
        parts: dict[str, Tensor] = {}
        for head, values in logits.items():
            targets = torch.tensor([labels[head] for _, labels in samples], device=self._device)
            parts[head] = F.cross_entropy(values.float(), targets, reduction="none", label_smoothing=smoothing)
        return Losses(per_sample=torch.stack(list(parts.values())).sum(dim=0), parts=parts)

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure the accuracy of each head on held-out clips."""
        accuracy = self._accuracy(self.network)
        write_json(folder / "accuracy.json", {head: value.model_dump() for head, value in accuracy.items()})
        return {f"accuracy/{head}": value.fraction for head, value in accuracy.items()}

    def export(self, folder: Path) -> None:
        """Write the network in 16 bits, with the accuracy that it then has on held-out clips."""
        network = copy.deepcopy(self.network).half().float().eval()
        with torch.no_grad():
            network.accuracy = self._accuracy(network)
        data = self._stage.validation
        network.measured_on = f"{len(self._validation_clips)} rendered {data.split} clips, seed {data.seed}"
        save_feature_network(folder, network, weights_dtype=torch.float16)

    def _accuracy(self, network: FeatureNetwork) -> dict[str, HeadAccuracy]:
        clips = self._validation_clips
        correct = dict.fromkeys(self._stage.model.heads, 0)
        for start in range(0, len(clips), VALIDATION_BATCH):
            indices = range(start, min(start + VALIDATION_BATCH, len(clips)))
            logits = network(torch.stack([clips.pixels(i) for i in indices]).to(self._device)).logits
            for head, values in logits.items():
                correct[head] += int((values.argmax(dim=1) == self._targets(clips, indices, head)).sum())
        return {head: HeadAccuracy(num_correct=count, num_clips=len(clips)) for head, count in correct.items()}

    def _targets(self, clips: ClipShards, indices: Sequence[int], head: str) -> Tensor:
        return torch.tensor([clips.records[i].labels[head] for i in indices], device=self._device)

    def _sample(self, position: int) -> tuple[Float[Tensor, "num_frames c h w"], Mapping[str, int]]:
        """Draw a window of a clip with its labels, every second one mirrored."""
        index = sample_index(self._seed, position, len(self._clips))
        pixels, labels = self._augmented(self._window(index, position), position), self._clips.records[index].labels
        if python_random(self._seed, "mirror", position).random() < 0.5:
            return pixels, labels
        return pixels.flip(-1), {head: swapped[labels[head]] for head, swapped in self._mirrored.items()}

    def _window(self, index: int, position: int) -> Float[Tensor, "num_frames c h w"]:
        """Draw a few frames of a clip, successive or every second one: they show motion as well, at less cost."""
        pixels, choice = self._clips.pixels(index), python_random(self._seed, "window", position)
        count = min(WINDOW_FRAMES, len(pixels))
        stride = choice.choice([stride for stride in (1, 2) if stride * (count - 1) < len(pixels)])
        start = choice.randint(0, len(pixels) - 1 - stride * (count - 1))
        return pixels[start : start + stride * (count - 1) + 1 : stride]

    def _augmented(self, pixels: Float[Tensor, "t c h w"], position: int) -> Float[Tensor, "t c h w"]:
        draws = generator(self._seed, "augmentation", position)
        blur, gain, shift, noise = torch.rand(4, generator=draws).tolist()
        soft = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        mixed = torch.lerp(pixels, soft, max(0.0, 1.6 * blur - 0.6))
        changed = mixed * (0.85 + 0.3 * gain) + 0.2 * (shift - 0.5)
        return changed + 0.08 * noise * torch.randn(pixels.shape, generator=draws)
