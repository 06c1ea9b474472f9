import subprocess
import sys

import pytest
import torch
from tiny_decoders import DECODERS
from tiny_networks import numbers, randomise

from videoldm.inference.config import Tiles
from videoldm.inference.decode import decode
from videoldm.inference.decoder_sizes import decode_peak_bytes
from videoldm.inference.memory.live import LiveTensors
from videoldm.inference.precision import DTYPES
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import SVD

pytestmark = pytest.mark.slow


def peak_bytes(config, *, num_frames, height, width, precision, chunk_frames, tiles=None):
    dtype = DTYPES[precision]
    autoencoder = randomise(Autoencoder(config)).to(dtype)
    size = (height // config.factor, width // config.factor)
    latents = numbers(1, num_frames, config.latent_channels, *size).to(dtype)
    with LiveTensors() as live:
        decode(autoencoder, latents, chunk_frames=chunk_frames, tiles=tiles)
    return live.peak_bytes


WIDE = {"channels": (32, 64, 64), "num_res_blocks": 1, "norm_groups": 8}
CONFIGS = {name: DECODERS[name].model_copy(update=WIDE) for name in ("plain", "temporal", "patches")}
CONFIGS["equal widths"] = CONFIGS["temporal"].model_copy(update={"channels": (32, 32, 32)})


@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize(("num_frames", "chunk_frames"), [(6, 1), (6, 2), (12, 1), (3, 3), (3, None)])
def test_forecast_is_what_tensors_take(name, num_frames, chunk_frames):
    setting = {"num_frames": num_frames, "height": 64, "width": 96, "chunk_frames": chunk_frames}
    forecast = decode_peak_bytes(CONFIGS[name], precision="float32", **setting)
    assert peak_bytes(CONFIGS[name], precision="float32", **setting) == pytest.approx(forecast, rel=0.1)


def test_forecast_knows_of_precision_and_tiles():
    config, tiles = CONFIGS["temporal"], Tiles(size_px=64, overlap_px=16)
    setting = {"num_frames": 6, "height": 128, "width": 96, "chunk_frames": 1, "precision": "bfloat16"}
    forecast = decode_peak_bytes(config, tiles=tiles, **setting)
    assert peak_bytes(config, tiles=tiles, **setting) == pytest.approx(forecast, rel=0.1)
    assert 2 * forecast == decode_peak_bytes(config, tiles=tiles, **setting | {"precision": "float32"})
    assert forecast < 0.6 * decode_peak_bytes(config, **setting)


def test_memory_stays_below_half_of_that_for_the_whole_clip_at_once():
    autoencoder = randomise(Autoencoder(CONFIGS["temporal"]))
    latents = numbers(1, 14, 3, 16, 24)
    with torch.no_grad(), LiveTensors() as whole:
        autoencoder.decode(latents)
    with LiveTensors() as by_layer:
        decode(autoencoder, latents, chunk_frames=1)
    assert by_layer.peak_bytes < 0.5 * whole.peak_bytes


def test_forecast_for_svd():
    """One map of 128 channels in 16 bits, five such frames in work, and some weights."""
    frame = 128 * 576 * 1024 * 2
    setting = {"num_frames": 25, "height": 576, "width": 1024, "precision": "float16", "chunk_frames": 1}
    forecast = decode_peak_bytes(SVD.autoencoder, device="cuda", **setting)
    assert 30 * frame < forecast < 30.1 * frame
    assert decode_peak_bytes(SVD.autoencoder, device="cpu", **setting) == forecast + 25 * 3 * 576 * 1024 * 2


def test_forecast_needs_no_torch():
    code = "import sys, videoldm.inference.decoder_sizes; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_a_map_on_the_host_is_not_on_the_gpu():
    setting = {"num_frames": 25, "height": 576, "width": 1024, "precision": "float16", "chunk_frames": 1}
    here = decode_peak_bytes(SVD.autoencoder, device="cuda", **setting)
    away = decode_peak_bytes(SVD.autoencoder, device="cuda", map_device="cpu", **setting)
    frame = 128 * 576 * 1024 * 2
    assert here - 25 * frame < away < here - 20 * frame
