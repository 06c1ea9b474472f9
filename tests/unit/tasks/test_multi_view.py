"""Turns around an object: conditions by the formulas of SV3D, and a whole run against a slow readable twin."""

import math
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from tiny_networks import relative_error
from tiny_sv3d import tiny_sv3d
from torch import Tensor

from videoldm.conditioners.image import clip_pixels
from videoldm.core.errors import InputError
from videoldm.core.random import normal
from videoldm.diffusion.conditioning import Conditioning
from videoldm.generation.choices import Choices, elevations_of
from videoldm.generation.clips import generate
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.load import load_model
from videoldm.generation.request import Request
from videoldm.tasks.conditioning import unconditional
from videoldm.tasks.model import VideoModel
from videoldm.tasks.multi_view import sv3d_p, sv3d_u
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import sample_latents
from videoldm.tasks.task import Inputs

NUM_FRAMES, SIZE, STEPS, SEED = 6, 64, 3, 7
ELEVATIONS = [0.0, 10.0, 25.0, -5.0, 3.0, 40.0]
AZIMUTHS = [30.0, 100.0, 190.0, 250.0, 330.0, 350.0]


@pytest.fixture(params=["sv3d-u", "sv3d-p"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[VideoModel]:
    with tiny_sv3d(tmp_path, request.param) as path:
        yield load_model(str(path), "multi-view")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = Image.new("RGBA", (80, 80))
    ImageDraw.Draw(image).ellipse((5, 20, 45, 60), fill=(200, 40, 90, 255))
    image.save(tmp_path / "object.png")
    return tmp_path / "object.png"


def sinusoids(values: np.ndarray, dim: int) -> np.ndarray:
    frequencies = 10_000 ** (-np.arange(dim // 2) / (dim // 2))
    angles = values[:, None] * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def official_vector(name: str) -> Tensor:
    """One row a frame: the noise level, then, for sv3d_p, polar angle and azimuth as the official script has them."""
    rows = [sinusoids(np.full(NUM_FRAMES, 1e-5), 256)]
    if name == "sv3d_p":
        polar = np.array([math.radians(90 - elevation) for elevation in ELEVATIONS])
        azimuth = np.array([math.radians((azimuth - AZIMUTHS[-1]) % 360) for azimuth in AZIMUTHS])
        rows += [sinusoids(polar, 512), sinusoids(azimuth, 512)]
    return torch.from_numpy(np.concatenate(rows, axis=1)).float()


def inputs_of(pictures: Tensor) -> Inputs:
    return Inputs(
        samples=[(SEED,)],
        pictures=pictures,
        fps=[7],
        motion_bucket=[127],
        noise_level=[1e-5],
        elevation_deg=[ELEVATIONS],
        azimuth_deg=[AZIMUTHS],
    )


def twin(model: VideoModel, picture: Tensor) -> Tensor:
    """The official run, step by step: Euler on Karras' levels, v scaling, triangular guidance, zeros for nothing."""
    name = Path(model.files.ref.name).stem
    assert model.image is not None
    token = model.image.model(pixel_values=clip_pixels(picture[None], 16, 16)).image_embeds[:, None]
    noised = picture + 1e-5 * normal((1, 3, SIZE, SIZE), SEED, "augmentation")
    latent = model.autoencoder.encode(noised[None]).mode().expand(-1, NUM_FRAMES, -1, -1, -1)
    vector = official_vector(name)[None]
    given = Conditioning(context=token, vector=vector, concat=latent)
    nothing = Conditioning(context=0 * token, vector=vector, concat=0 * latent)
    ramp = np.linspace(700 ** (1 / 7), 0.002 ** (1 / 7), STEPS) ** 7
    position = np.linspace(0, 1, NUM_FRAMES)
    wave = 2 * np.abs(position - np.floor(position + 0.5))
    scale = torch.from_numpy(1 + 1.5 * wave).float()[:, None, None, None]
    x = normal((NUM_FRAMES, 4, SIZE // 8, SIZE // 8), SEED, "start noise")[None] * (1 + ramp[0] ** 2) ** 0.5
    for sigma, sigma_next in zip(ramp, [*ramp[1:], 0], strict=True):
        scaled, level = x / (1 + sigma**2) ** 0.5, torch.tensor([math.log(sigma) / 4]).float()
        clean = [
            x / (1 + sigma**2) - sigma / (1 + sigma**2) ** 0.5 * model.unet(scaled, level, conditioning)
            for conditioning in (nothing, given)
        ]
        denoised = clean[0] + scale * (clean[1] - clean[0])
        x = x + (sigma_next - sigma) * (x - denoised) / sigma
    return x


def test_conditions_are_those_of_the_official_script(model: VideoModel) -> None:
    picture = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    task = task_named("multi-view")
    with torch.no_grad():
        given = task.conditioning(model, inputs_of(picture), num_frames=NUM_FRAMES)
    assert given.vector is not None
    torch.testing.assert_close(given.vector[0], official_vector(Path(model.files.ref.name).stem), rtol=0, atol=1e-6)
    without = unconditional(task, model)(given)
    assert torch.equal(without.vector, given.vector)
    assert not without.context.any()
    assert not without.concat.any()


@torch.no_grad()
def test_a_run_equals_the_twin(model: VideoModel) -> None:
    picture = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    sampling = model.config.sampling.model_copy(update={"num_inference_steps": STEPS})
    ours = sample_latents(
        model, inputs_of(picture[None]), sampling=sampling, num_frames=NUM_FRAMES, height=SIZE, width=SIZE
    )
    assert relative_error(ours, twin(model, picture)) < 1e-4


def request_of(model: VideoModel, picture: Path, **choices: object) -> Request:
    sizes = {"num_frames": NUM_FRAMES, "height": SIZE, "width": SIZE, "num_inference_steps": 1}
    return Choices.model_validate(sizes | choices).request(
        ClipInputs(image=str(picture)), model.files.ref, model.config
    )


def test_the_last_frame_is_the_picture(model: VideoModel, picture: Path) -> None:
    request = request_of(model, picture)
    [clip] = generate(model, [request])
    last = ((clip[-1] + 1) * 127.5).round()
    assert last[:, 0, 0].tolist() == [255, 255, 255]
    assert last[:, SIZE // 2, SIZE // 2].tolist() == [200, 40, 90]
    assert not torch.equal(clip[0], clip[-1])
    assert request.elevations_deg == ((10.0,) if model.config.camera else None)


def test_clips_of_a_batch_have_their_own_cameras(model: VideoModel, picture: Path) -> None:
    if model.config.camera is None:
        pytest.skip("is not told where the camera is")
    requests = [
        request_of(model, picture, seed=1),
        request_of(model, picture, elevations_deg=ELEVATIONS, azimuths_deg=AZIMUTHS, seed=2),
    ]
    together = generate(model, requests)
    for row, request in enumerate(requests):
        torch.testing.assert_close(together[row], generate(model, [request])[0], rtol=0, atol=1e-4)
    elsewhere = generate(model, [request_of(model, picture, elevations_deg=[60], seed=1)])
    assert not torch.allclose(elsewhere[0], together[0], atol=1e-4)


def test_what_cameras_cannot_be() -> None:
    assert elevations_of(None, None, sv3d_p(), 21) == (10,)
    assert elevations_of([5], None, sv3d_p(), 21) == [5]
    assert elevations_of(None, None, sv3d_u(), 21) is None
    with pytest.raises(
        InputError, match="elevations_deg is given, but this model takes no camera angles: it turns once"
    ):
        elevations_of([5], None, sv3d_u(), 21)
    with pytest.raises(InputError, match="azimuths_deg has 1 value, it should have 21, one a frame"):
        elevations_of(None, [5], sv3d_p(), 21)


def test_defaults_are_those_of_the_official_script() -> None:
    for config in (sv3d_u(), sv3d_p()):
        sampling = config.sampling
        assert (config.num_frames, config.height, config.width, config.signals.noise_level) == (21, 576, 576, 1e-5)
        assert sampling.model_dump()["guidance"]["scale"] == {"kind": "triangle", "min_scale": 1.0, "max_scale": 2.5}
        assert sampling.num_inference_steps == 50
    assert (sv3d_u().signal_names, sv3d_p().signal_names) == (("noise_level",), ("noise_level",))
