"""What measures save, and which of them are chosen."""

from dataclasses import replace

import pytest
import torch
from tiny_networks import AUTOENCODER, MASKED_UNET, UNET

from videoldm.inference.config import Decoding, MemoryPlan, Reuse, Tiles
from videoldm.inference.memory.forecast import ClipSize, Forecaster, first_fit, measures_on
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.config import SVD_IMAGE_ENCODER
from videoldm.models.clip.encoders import build_image_encoder
from videoldm.models.presets import SVD_XT
from videoldm.models.unet.network import VideoUNet

pytestmark = pytest.mark.slow

GIB = 2**30
CLIP = ClipSize(num_frames=25, height=576, width=1024, num_branches=2, has_picture=True)


def svd_xt(device):
    with torch.device("meta"):
        return Forecaster(
            unet=VideoUNet(SVD_XT.unet).half(),
            autoencoder=Autoencoder(SVD_XT.autoencoder),
            encoders=[build_image_encoder(SVD_IMAGE_ENCODER)],
            num_tokens=1,
            device=device,
        )


@pytest.fixture(scope="module")
def forecast():
    return svd_xt("cuda")


def gib(forecast, *measures, clip=CLIP, **plan):
    return {phase: peak / GIB for phase, peak in forecast(clip, MemoryPlan(measures=measures, **plan)).items()}


def test_weights_of_all_networks_are_in_each_phase(forecast):
    """1.52 billion in 16 bits, 632 million of CLIP and 98 of the autoencoder in 32."""
    weights = (2 * 1_524_623_082 + 4 * 632_076_800 + 4 * 97_738_439) / GIB
    assert min(gib(forecast).values()) > 0.99 * weights
    small = replace(CLIP, num_frames=1, height=64, width=64)
    assert gib(forecast, clip=small)["denoise"] == pytest.approx(weights, rel=0.02)


def test_each_measure_lowers_its_own_phase(forecast):
    plain = gib(forecast)
    assert gib(forecast, "decode-from-host")["decode"] < plain["decode"] - 6
    idle = gib(forecast, "idle-networks-leave")
    assert all(idle[phase] < plain[phase] - 2 for phase in plain)
    assert gib(forecast, "unet-by-block")["denoise"] < plain["denoise"] - 2


def test_tiles_and_chunks_lower_decoding(forecast):
    plain = gib(forecast, decoding=Decoding(chunk_size=25))["decode"]
    assert gib(forecast, decoding=Decoding(chunk_size=1))["decode"] < plain
    assert gib(forecast, decoding=Decoding(tiles=Tiles(size_px=256, overlap_px=64)))["decode"] < plain - 6


def test_kept_features_count_and_are_those_of_the_finest_level(forecast):
    """Two for each branch, of 320 channels in 16 bits."""
    feature = 25 * 320 * 72 * 128 * 2 / GIB
    without = gib(forecast)["denoise"]
    kept = gib(forecast, clip=replace(CLIP, reuse=Reuse(interval=2)))["denoise"]
    assert kept - without == pytest.approx(4 * feature, rel=0.01)


def test_more_clips_need_more(forecast):
    assert gib(forecast, clip=replace(CLIP, num_clips=2))["denoise"] > gib(forecast)["denoise"] + 2


def test_what_is_needed_at_least_is_less_than_any_plan_needs(forecast):
    plan = MemoryPlan(measures=measures_on("cuda"))
    for clip in (CLIP, replace(CLIP, num_frames=100), replace(CLIP, height=1152, width=2048)):
        assert forecast.at_least(clip) < forecast(clip, plan)["denoise"]


@pytest.mark.parametrize(
    ("limit", "chosen"),
    [
        (24, ()),
        (10, ("idle-networks-leave",)),
        (6, ("idle-networks-leave", "decode-from-host")),
        (4, ("idle-networks-leave", "decode-from-host", "unet-by-block")),
        (1, None),
    ],
)
def test_as_few_measures_as_suffice_are_taken(forecast, limit, chosen):
    plan = first_fit(
        limit * GIB, lambda plan: forecast(CLIP, plan), MemoryPlan(decoding=Decoding(chunk_size=1)), measures_on("cuda")
    )
    assert (None if plan is None else plan.measures) == chosen
    if plan is not None:
        assert plan.decoding.chunk_size == 1
        assert max(forecast(CLIP, plan).values()) <= limit * GIB


def test_a_measure_that_does_not_help_is_left_out():
    def forecast(plan):
        return {"denoise": 5 if plan.has("unet-by-block") else 10}

    plan = first_fit(6, forecast, MemoryPlan(), measures_on("cuda"))
    assert plan is not None
    assert plan.measures == ("unet-by-block",)


def test_a_cpu_has_nowhere_to_offload_to():
    assert measures_on("cpu") == ("idle-networks-leave",)
    assert "unet-by-block" in set(measures_on("cuda")) - set(measures_on("cuda", is_compiled=True))
    with torch.device("meta"):
        small = Forecaster(
            unet=VideoUNet(UNET), autoencoder=Autoencoder(AUTOENCODER), encoders=[torch.nn.Linear(2, 2)],
            num_tokens=1, device="cpu",
        )  # fmt: skip
    assert set(small(replace(CLIP, height=64, width=64), MemoryPlan())) == {"encode", "denoise", "decode"}


def test_a_frame_mask_is_part_of_the_forecast():
    """A batch of clips for a UNet with a mask needs what the same UNet takes with one more joined channel."""
    clip = ClipSize(num_frames=5, height=64, width=64, has_picture=True)
    wider = UNET.model_copy(update={"concat_channels": UNET.concat_channels + 1})
    with torch.device("meta"):
        networks = {"autoencoder": Autoencoder(AUTOENCODER), "encoders": [build_image_encoder(SVD_IMAGE_ENCODER)]}
        masked, joined = (
            Forecaster(unet=VideoUNet(config), **networks, num_tokens=1, device="cpu")(clip, MemoryPlan())
            for config in (MASKED_UNET, wider)
        )
    assert masked["denoise"] == pytest.approx(joined["denoise"], rel=0.01)
