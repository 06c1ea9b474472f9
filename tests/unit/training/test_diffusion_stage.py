"""What a diffusion stage feeds its network: levels, noise, conditions, single frames among clips."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tiny_model_folder import UNET, task_config
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.random import generator
from videoldm.diffusion.conditioning import FIELDS, Conditioning
from videoldm.diffusion.config import DiscreteUniform, DiscreteV, LogNormal, OffsetNoise
from videoldm.diffusion.noise import training_noise
from videoldm.diffusion.schedules import discrete_sigmas
from videoldm.models.unet.groups import is_temporal
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Inputs
from videoldm.training.data.config import WorldData
from videoldm.training.stages.diffusion.config import DiffusionStage, FromScratch
from videoldm.training.stages.diffusion.objective import DiffusionObjective

WORLD = WorldData(num_clips=64, num_frames=3, height=16, width=16)
Calls = list[tuple[Tensor, Tensor, Conditioning]]
Make = Callable[..., DiffusionObjective]

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:prompt longer than")]


@pytest.fixture(scope="module")
def make(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Builds the objective of a stage on the tiny model; clips are rendered once."""
    cache = tmp_path_factory.mktemp("cache")

    def objective(task: str = "text-to-video", **changes: Any) -> DiffusionObjective:
        concat = UNET.in_channels if task == "image-to-video" else 0
        values = {
            "unet": UNET.model_copy(update={"concat_channels": concat}),
            "start": FromScratch(),
            "autoencoder": str(tiny_model),
            "encoders": str(tiny_model),
            "data": WORLD,
            "validation": WORLD,
            "noise_levels": LogNormal(p_mean=0.0, p_std=1.0),
            "dropout": DropoutConfig(joint=0.2),
            "model": task_config(task),
        }
        made = DiffusionObjective(DiffusionStage(**values | changes), seed=7, cache=cache)
        for parameter in made.players[0].module.parameters():  # no output is zero any more
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator(0, "shift", parameter.numel()))
        return made

    return objective


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What the UNet is called with."""
    seen: Calls = []
    real = VideoUNet.forward

    def forward(self: VideoUNet, x: Tensor, c_noise: Tensor, conditioning: Conditioning) -> Tensor:
        seen.append((x, c_noise, conditioning))
        return real(self, x, c_noise, conditioning)

    monkeypatch.setattr(VideoUNet, "forward", forward)
    return seen


def gradients(objective: DiffusionObjective, batches: list[range]) -> dict[str, Tensor]:
    module = objective.players[0].module
    module.zero_grad()
    for batch in batches:
        (objective.losses(batch).per_sample.sum() / 4).backward()
    return {name: value.grad.clone() for name, value in module.named_parameters() if value.grad is not None}


def test_a_batch_of_four_equals_four_of_one(make: Make) -> None:
    """With clips and single frames among the four."""
    objective = make(image_probability=0.9, noise=OffsetNoise())
    kinds = {objective._is_image(position) for position in range(4)}
    assert kinds == {True, False}
    together, alone = gradients(objective, [range(4)]), gradients(objective, [range(i, i + 1) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        objective.losses(range(4)).per_sample,
        torch.cat([objective.losses([i]).per_sample for i in range(4)]),
        rtol=1e-5,
        atol=1e-6,
    )


def test_single_frames_leave_the_temporal_layers_alone(make: Make, calls: Calls) -> None:
    found = gradients(make(image_probability=1.0), [range(4)])
    assert all(float(value.abs().max()) == 0 for key, value in found.items() if is_temporal(key))
    assert all(float(value.abs().max()) > 0 for key, value in found.items() if key.startswith("conv_in"))
    x, _, conditioning = calls[0]
    assert x.shape[1] == 1
    assert conditioning.image_only is not None
    assert bool(conditioning.image_only.all())
    sometimes = make(image_probability=0.3)
    assert sum(sometimes._is_image(position) for position in range(2000)) / 2000 == pytest.approx(0.3, abs=0.03)


def test_single_frames_are_for_text_to_video_only(make: Make) -> None:
    with pytest.raises(ValidationError, match="only text-to-video learns from single frames: it should be 0 for image"):
        make("image-to-video", image_probability=0.1)


@pytest.mark.parametrize("is_discrete", [False, True])
def test_all_frames_of_a_clip_have_one_noise_level(make: Make, calls: Calls, *, is_discrete: bool) -> None:
    """The network's input is c_in (x0 + sigma n) with the same sigma in every frame; discrete ones are of the table."""
    changes = {"noise_levels": DiscreteUniform(), "noise": OffsetNoise(strength=0.5)} if is_discrete else {}
    model = task_config("text-to-video")
    objective = make(**changes, model=model.model_copy(update={"preconditioning": DiscreteV()}))
    losses = objective.losses(range(4))
    assert losses.sigma is not None
    assert len(set(losses.sigma.tolist())) == 4
    keys = [(7, position) for position in range(4)]
    x0 = objective._model.to_model_latents(objective._data.samples(range(4), is_image=False).latents)
    noise = training_noise(objective._stage.noise, keys, tuple(x0.shape[1:]))
    sigma = losses.sigma.view(4, 1, 1, 1, 1)
    torch.testing.assert_close(calls[0][0], (x0 + sigma * noise) / (sigma**2 + 1).sqrt())
    assert calls[0][1].shape == (4,)
    if is_discrete:
        levels = discrete_sigmas().float()
        assert all(bool((levels == one).any()) for one in losses.sigma)
        assert torch.equal(levels[calls[0][1].long()], losses.sigma)


@pytest.mark.parametrize("task", ["text-to-video", "image-to-video"])
def test_the_network_is_told_what_sampling_would_tell_it(make: Make, calls: Calls, task: str) -> None:
    """Bit for bit: same pixels, level and stream, a batch of one, no cache."""
    objective, position = make(task, dropout=DropoutConfig()), 5
    objective.losses([position])
    clips = objective._data.samples([position], is_image=False).clips
    trained = task_named(task).training_inputs(clips)
    asked = Inputs(
        samples=[(7, position)],
        prompts=trained.prompts,
        pictures=clips.first_frames if task == "image-to-video" else None,
        fps=[float(clips.records[0].fps)],
        motion_bucket=trained.motion_bucket,
        noise_level=trained.noise_level,
    )
    with torch.no_grad():
        sampled = task_named(task).conditioning(objective._model, asked, num_frames=3)
    for name in FIELDS:
        ours, theirs = getattr(calls[0][2], name), getattr(sampled, name)
        assert (ours is None) == (theirs is None), name
        assert ours is None or torch.equal(ours, theirs), name


def test_offset_noise_is_shared_by_positions_and_frames() -> None:
    """What offset noise adds is one number a channel, of the strength's deviation."""
    keys, shape = [(0, i) for i in range(500)], (3, 4, 2, 2)
    plain = training_noise(OffsetNoise(strength=1e-9), keys, shape)
    added = training_noise(OffsetNoise(strength=0.5), keys, shape) - plain
    torch.testing.assert_close(added, added[:, :1, :, :1, :1].expand_as(added), rtol=0, atol=1e-5)
    assert float(added[:, 0, :, 0, 0].std()) == pytest.approx(0.5, rel=0.05)
    assert float(torch.corrcoef(added[:, 0, :, 0, 0].T)[0, 1]) == pytest.approx(0, abs=0.15)
