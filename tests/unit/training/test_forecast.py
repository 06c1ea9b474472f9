"""The forecast of a training step against real tensors and published sizes."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from tiny_model_folder import NUM_FRAMES, SIZE
from tiny_networks import UNET as TWO_LEVELS
from transformers import CLIPTextModel

from videoldm.checkpoints.layouts.native import load_autoencoder, load_unet
from videoldm.checkpoints.layouts.transformers import open_image_encoder
from videoldm.conditioners.config import DropoutConfig
from videoldm.dataset.config import Bucket
from videoldm.diffusion.config import LogNormal
from videoldm.inference.memory.live import LiveTensors
from videoldm.models.adapters.config import LoraPreset, TemporalAttentionLora, TemporalLayersLora
from videoldm.models.adapters.fresh import fresh_lora, num_lora_parameters, put_stand_ins
from videoldm.models.adapters.injection import inject
from videoldm.models.adapters.low_rank import Adapter
from videoldm.models.clip.config import TextEncoderConfig
from videoldm.models.clip.encoders import text_config
from videoldm.models.unet.network import VideoUNet
from videoldm.recipes.registry import RECIPES
from videoldm.training.config import AdamW8bit, ExecutionConfig, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import CuratedData, WorldData
from videoldm.training.distributed import recompute
from videoldm.training.dry_run import parameter_counts, preview, steps_line
from videoldm.training.forecast import (
    LatentBatch,
    Rehearsal,
    StepMemory,
    denoise,
    forecast_step,
    optimizer_bytes,
    read_and_denoise,
    run_step,
)
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import DiffusionStage
from videoldm.training.stages.lora.config import LoraStage

pytestmark = pytest.mark.slow

UNET = TWO_LEVELS.model_copy(update={"channels": (16,), "attention_levels": (True,)})
BATCH = LatentBatch(num_samples=2, num_frames=3, height=8, width=8, num_tokens=3)
TRAINING = TrainingConfig(num_samples=8, batch_size=2, optimizer=OptimizerConfig(learning_rate=1e-3))


def forecast(**changes: object) -> StepMemory:
    """Of the tiny UNet."""
    return forecast_step(lambda: denoise(VideoUNet(UNET), BATCH), TRAINING.model_copy(update=changes))


@pytest.mark.parametrize("kind", ["none", "blocks"])
def test_forecast_is_what_real_tensors_take(kind: Literal["none", "blocks"]) -> None:
    unet = VideoUNet(UNET).train()
    if kind == "blocks":
        recompute(unet.blocks)
    with LiveTensors() as live:
        run_step(denoise(unet, BATCH))
    assert forecast(execution=ExecutionConfig(recompute=kind)).computing == pytest.approx(live.peak_bytes, rel=0.02)


@pytest.mark.parametrize("preset", [TemporalAttentionLora(rank=4), TemporalLayersLora(rank=4)])
def test_forecast_of_a_lora_is_what_that_of_peft_takes(preset: LoraPreset) -> None:
    unet = VideoUNet(UNET).train()
    inject(unet, [Adapter(fresh_lora(unet, preset, has_one_token=False, seed=0))]).train(0)

    def make() -> Rehearsal:
        stand_in = VideoUNet(UNET).requires_grad_(False)
        put_stand_ins(stand_in, preset, has_one_token=False)
        return denoise(stand_in, BATCH)

    with LiveTensors() as live:
        run_step(denoise(unet, BATCH))
    expected = forecast_step(make, TRAINING)
    assert expected.computing == pytest.approx(live.peak_bytes, rel=0.03)
    assert expected.gradients == 4 * num_lora_parameters(VideoUNet(UNET), preset, has_one_token=False)


def test_forecast_of_a_text_encoder_that_learns_is_what_real_tensors_take() -> None:
    text = TextEncoderConfig(
        vocab_size=20, max_tokens=3, width=UNET.context_dim, num_layers=2, num_heads=2, projection_dim=8
    )

    def make() -> Rehearsal:
        return read_and_denoise(VideoUNet(UNET), CLIPTextModel(text_config(text)), BATCH)

    rehearsal = make()
    with LiveTensors() as live:
        run_step(rehearsal)
    memory = forecast_step(make, TRAINING)
    assert memory.computing == pytest.approx(live.peak_bytes, rel=0.02)
    assert memory.gradients == 4 * sum(parameter.numel() for parameter in rehearsal.networks.parameters())


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
    assert steps_line(recipe) == "38,400,000 samples in 50,000 steps of 768"


def test_video_ldm_trains_its_656_million_temporal_parameters() -> None:
    """656M in the model on Stable Diffusion 2.1 (Video LDM, appendix), 38 merges among them; 866M are frozen."""
    counts = parameter_counts(RECIPES["video-ldm"]().stage).values()
    assert sum(count.trained for count in counts) == 656_076_800 + 38
    assert sum(count.frozen for count in counts) == 865_910_724
    warmup = parameter_counts(RECIPES["svd-image-warmup"]().stage)
    assert {name for name, count in warmup.items() if count.trained} == {"time embedding"}


def test_dreambooth_trains_all_of_stable_diffusion_1() -> None:
    """859,520,964 in its UNet and 123,060,480 in its text encoder (its release)."""
    counts = parameter_counts(RECIPES["dreambooth"]().stage)
    assert sum(count.frozen for count in counts.values()) == 0
    assert counts["text encoder"].trained == 123_060_480
    assert sum(count.trained for count in counts.values()) == 859_520_964 + 123_060_480


def test_lora_of_svd_is_counted_without_its_weights() -> None:
    counts = parameter_counts(RECIPES["camera-horizontal"]().stage)
    assert sum(count.frozen for count in counts.values()) == 1_524_623_082
    # Rank 16: four projections of the self-attention, and of that to one token those of value and output.
    widths = [320] * 5 + [640] * 5 + [1280] * 6
    assert sum(count.trained for count in counts.values()) == 16 * sum(6 * 2 * w - w + 1024 for w in widths)


def test_dry_run_reckons_with_all_buckets() -> None:
    """Two buckets taken turn and turn about, of 8 and of 2 samples: 10 of 1,000 in two steps."""
    recipe = RECIPES["mini-finetune"]()
    assert isinstance(recipe.stage, DiffusionStage)
    assert isinstance(recipe.stage.data, CuratedData)
    [bucket] = recipe.stage.data.buckets
    large = bucket.model_copy(update={"height": 128, "width": 192, "batch_size": 2})

    def with_buckets(*buckets: Bucket) -> Recipe:
        data = recipe.stage.data.model_copy(update={"buckets": buckets})
        stage = recipe.stage.model_copy(update={"data": data})
        return recipe.model_copy(
            update={"stage": stage, "training": recipe.training.model_copy(update={"num_samples": 1000})}
        )

    assert steps_line(with_buckets(bucket, large)) == "1,000 samples in 200 steps of 2 to 8"
    small, both = preview(with_buckets(bucket)), preview(with_buckets(bucket, large))
    assert float(both[-2].split()[2]) > 2 * float(small[-2].split()[2])
    assert small[-1].endswith("GiB with the 8 of this recipe in one process")
    assert both[-1].endswith("GiB with the 2 of this recipe in one process")
    assert float(both[-1].split()[0]) > float(both[-2].split()[2])


def test_dry_run_says_why_it_cannot_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no run has left anything
    unknown = RECIPES["mini-dreambooth"]()
    assert preview(unknown) == [
        "parameters and memory are not known: that takes the model of stage.base on this machine"
    ]
    decoder = preview(RECIPES["mini-temporal-decoder"]())
    assert decoder[0].split() == ["parameters", "trained", "frozen"]
    assert decoder[-1] == "memory of a step is not forecast: so far it is for stages that denoise"


def test_lora_of_a_model_on_disk_is_forecast_with_frozen_weights_in_16_bits(tiny_model: Path) -> None:
    data = WorldData(num_clips=64, num_frames=NUM_FRAMES, height=SIZE, width=SIZE)
    stage = LoraStage(
        base=str(tiny_model),
        task="image-to-video",
        preset=TemporalAttentionLora(rank=2),
        frozen_precision="bfloat16",
        data=data,
        validation=data,
        noise_levels=LogNormal(p_mean=0.0, p_std=1.0),
        dropout=DropoutConfig(),
    )
    memory = stage.step_memory(TRAINING.model_copy(update={"precision": "bfloat16"}), num_samples=1)
    unet = load_unet(tiny_model / "image-to-video/unet")
    trained = 4 * num_lora_parameters(unet, stage.preset, has_one_token=True)
    assert (memory.gradients, memory.optimizer) == (trained, 2 * trained)
    assert memory.weights == trained + 2 * sum(parameter.numel() for parameter in unet.parameters())
    networks = load_autoencoder(tiny_model / "autoencoder"), open_image_encoder(tiny_model / "image_encoder").load()
    assert memory.others == 4 * sum(one.numel() for network in networks for one in network.state_dict().values())
    assert memory.encoding > 0
