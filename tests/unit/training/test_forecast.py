"""The forecast of a training step against real tensors and published sizes."""

from typing import Literal

import pytest
import torch
from tiny_networks import UNET as TWO_LEVELS

from videoldm.inference.memory.live import LiveTensors
from videoldm.models.unet.network import VideoUNet
from videoldm.recipes.registry import RECIPES
from videoldm.training.config import AdamW8bit, ExecutionConfig, OptimizerConfig, TrainingConfig
from videoldm.training.forecast import Batch, StepMemory, forecast_step, optimizer_bytes, run_step
from videoldm.training.preview import num_steps, parameter_counts
from videoldm.training.recompute import recompute

UNET = TWO_LEVELS.model_copy(update={"channels": (16,), "attention_levels": (True,)})
BATCH = Batch(num_samples=2, num_frames=3, height=8, width=8, num_tokens=2)
TRAINING = TrainingConfig(num_samples=8, batch_size=2, optimizer=OptimizerConfig(learning_rate=1e-3))


def forecast(**changes: object) -> StepMemory:
    """Of the tiny UNet."""
    return forecast_step(lambda: VideoUNet(UNET), BATCH, TRAINING.model_copy(update=changes))


@pytest.mark.parametrize("kind", ["none", "blocks"])
def test_forecast_is_what_real_tensors_take(kind: Literal["none", "blocks"]) -> None:
    unet = VideoUNet(UNET).train()
    if kind == "blocks":
        recompute(unet.blocks)
    with LiveTensors() as live:
        run_step(unet, BATCH)
    assert forecast(execution=ExecutionConfig(recompute=kind)).computing == pytest.approx(live.peak_bytes, rel=0.02)


def test_parts_follow_from_the_number_of_parameters() -> None:
    """And gradients of the micro-batch before are there while the next one is computed."""
    size = 4 * sum(parameter.numel() for parameter in VideoUNet(UNET).parameters())
    memory, accumulated = forecast(), forecast(accumulation_steps=2)
    assert (memory.weights, memory.average, memory.gradients, memory.optimizer) == (size, size, size, 2 * size)
    assert memory.peak == 4 * size + max(memory.computing, size)
    assert accumulated.computing > memory.computing
    eight_bit = TRAINING.model_copy(update={"optimizer": OptimizerConfig(learning_rate=1e-3, algorithm=AdamW8bit())})
    assert optimizer_bytes(eight_bit, size) == pytest.approx(size / 2, rel=0.02)
    assert not torch.is_autocast_enabled("cpu")
    assert type(torch.empty(1)) is torch.Tensor


def test_counts_of_svd_are_the_published_ones() -> None:
    """1,524,623,082 in all (SVD's release); the cross-attention of one token leaves 50 million of them idle."""
    recipe = RECIPES["svd-image-to-video-576x1024"]()
    counts = parameter_counts(recipe.stage).values()
    assert sum(count.trained + count.frozen for count in counts) == 1_524_623_082
    widths = [320] * 5 + [640] * 5 + [1280] * 6
    assert sum(count.frozen for count in counts) == 2 * sum(w * w + 1024 * w + 2 * w for w in widths)
    assert num_steps(recipe.training) == 50_000


def test_video_ldm_trains_its_656_million_temporal_parameters() -> None:
    """656M in the model on Stable Diffusion 2.1 (Video LDM, appendix), 38 merges among them; 866M are frozen."""
    counts = parameter_counts(RECIPES["video-ldm"]().stage).values()
    assert sum(count.trained for count in counts) == 656_076_800 + 38
    assert sum(count.frozen for count in counts) == 865_910_724
    warmup = parameter_counts(RECIPES["svd-image-warmup"]().stage)
    assert {name for name, count in warmup.items() if count.trained} == {"time embedding"}
