"""What a rung costs, counted without running a large network."""

import pytest
import torch
from speed_ladder import clip_flops, count_calls
from tiny_networks import UNET, conditioning, numbers, randomise
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from videoldm.diffusion.config import Constant, Guidance, Interval, Karras, VPrediction
from videoldm.diffusion.denoiser import Preconditioned
from videoldm.diffusion.guidance import Guided
from videoldm.diffusion.noise import SeededNoise
from videoldm.diffusion.samplers.sample import sample
from videoldm.diffusion.schedules import schedule_sigmas
from videoldm.inference.config import Reuse, Speed
from videoldm.inference.reuse import ReusingUNet
from videoldm.models.presets import SVD as SVD_NETWORKS
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import SamplingConfig, TaskModelConfig
from videoldm.tasks.image_to_video import svd

SAMPLING = SamplingConfig(
    num_inference_steps=7,
    schedule=Karras(sigma_min=0.02, sigma_max=200),
    guidance=Guidance(scale=Constant(scale=3.0), interval=Interval(lo=1.0, hi=1000.0)),
    reuse=Reuse(interval=3, depth=2),
)


def test_counted_operations_are_those_of_sampling():
    model = TaskModelConfig(task="image-to-video", num_frames=3, height=64, width=48, sampling=SAMPLING)
    unet = randomise(VideoUNet(UNET))
    x = 200 * numbers(1, 3, 4, 8, 6)
    conditions = conditioning(UNET, batch=1, num_frames=3, height=8, width=6, num_tokens=1)
    denoise = Guided(Preconditioned(ReusingUNet(unet, SAMPLING.reuse), VPrediction()), SAMPLING.guidance)
    sigmas = schedule_sigmas(SAMPLING.schedule, SAMPLING.num_inference_steps)
    # The counter does not know the fused attention of CPUs.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        sample(SAMPLING.sampler, denoise, x, sigmas, conditions, noise=SeededNoise([(0,)]))
    calls, flops = clip_flops(UNET, model, SAMPLING)
    # 5 of the 7 levels lie above 1: the branch with the condition runs in full at levels 0, 3, 6, the other at 0, 3.
    assert (calls.full, calls.shallow) == (5, 7)
    assert flops == counter.get_total_flops()


@pytest.mark.parametrize(("speed", "times"), [("fast", 2), ("faster", 3), ("turbo", 5)])
def test_rungs_save_what_they_promise_at_svds_defaults(speed: Speed, times: float):
    small = svd().model_copy(update={"height": 256, "width": 384})
    exact, rung = (clip_flops(SVD_NETWORKS.unet, small, small.sampling.at(name)) for name in ("exact", speed))
    assert exact[0].full == 2 * svd().sampling.num_inference_steps
    assert exact[1] >= times * rung[1]


def test_guidance_of_the_exact_rung_doubles_the_calls():
    assert count_calls(svd(), svd().sampling, 12).full == 50
