"""Measures that only a GPU has: the same bits in less of its memory."""

from pathlib import Path

import pytest
import torch
from tiny_networks import UNET, conditioning, numbers, randomise

from videoldm.generation.memory_plan import clip_size, forecaster
from videoldm.inference.config import Measure, MemoryPlan
from videoldm.inference.memory.forecast import measures_on
from videoldm.inference.memory.meter import PeakMeter
from videoldm.inference.memory.residence import stream_blocks
from videoldm.models.unet.network import VideoUNet
from videoldm.pipelines.load import load_opened
from videoldm.pipelines.open import open_model
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

INPUTS = Inputs(
    samples=[(7,)],
    pictures=numbers(1, 3, 256, 384).clamp(-1, 1),
    fps=[7],
    motion_bucket=[127],
    noise_level=[0.02],
)
SIZE = {"num_frames": 8, "height": 256, "width": 384}


def made(folder: Path, *measures: Measure) -> tuple[torch.Tensor, PeakMeter]:
    meter = PeakMeter("cuda")
    plan = MemoryPlan(measures=measures)
    model = load_opened(open_model(str(folder)), "image-to-video", device="cuda", memory=plan)
    sampling = model.config.sampling.model_copy(update={"num_inference_steps": 2})
    clip = sample_clips(model, INPUTS, sampling=sampling, watch=meter.watch, **SIZE)
    return clip, meter


@pytest.mark.parametrize("measure", measures_on("cuda"))
def test_each_measure_keeps_every_bit(pipeline_folder: Path, measure: Measure) -> None:
    assert torch.equal(made(pipeline_folder, measure)[0], made(pipeline_folder)[0])


def test_no_phase_takes_more_than_its_forecast(pipeline_folder: Path) -> None:
    files = open_model(str(pipeline_folder))
    sampling = files.config("image-to-video").sampling
    forecast = forecaster(files, "image-to-video", device="cuda", dtype=torch.float32)
    clip = clip_size(SIZE["num_frames"], SIZE["height"], SIZE["width"], sampling, has_picture=True)
    for measures in [(), *((measure,) for measure in measures_on("cuda"))]:
        expected = forecast(clip, MemoryPlan(measures=measures))
        for phase, peak in made(pipeline_folder, *measures)[1].peaks.items():
            assert peak <= 1.1 * expected[phase] + 32 * 2**20, (measures, phase)


@torch.no_grad()
def test_weights_do_not_come_ahead_of_what_is_computed() -> None:
    config = UNET.model_copy(update={"channels": (256, 512), "head_channels": 64, "norm_groups": 32})
    unet = randomise(VideoUNet(config)).requires_grad_(False)
    sizes = [sum(parameter.nbytes for parameter in block.parameters()) for block in unet.blocks]
    stream_blocks(unet, "cuda")
    inputs = (numbers(1, 14, 4, 32, 32).cuda(), torch.ones(1).cuda())
    conditions = conditioning(config, batch=1, num_frames=14, height=32, width=32, num_tokens=1).to("cuda")
    unet(*inputs, conditions)
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()["active_bytes.all.current"]
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        unet(*inputs, conditions)
    torch.cuda.synchronize()
    activations = 12 * 14 * 32 * 32 * 512 * 4
    assert torch.cuda.memory_stats()["active_bytes.all.peak"] - before < sum(sorted(sizes)[-2:]) + activations
    assert activations < sum(sizes) / 3
