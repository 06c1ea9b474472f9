"""A whole picture of Stable Diffusion against diffusers' pipeline, from the same start noise."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from tiny_networks import relative_error
from tiny_stable_diffusion import LEVELS, write_text_to_image

from videoldm.diffusion.config import DDIM, Euler
from videoldm.diffusion.noise import start_noise
from videoldm.diffusion.schedules import schedule_sigmas
from videoldm.generation.load import load_model
from videoldm.tasks.sampling import sample_latents
from videoldm.tasks.task import Inputs

SEED, STEPS, SCALE = 2026, 4, 5.0
PROMPT, HEIGHT, WIDTH = "a red cube, not blue!", 64, 96

# diffusers turns tensors into arrays in a way that numpy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PUBLISHED = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
SCHEDULERS = {
    "published": (DDIM, diffusers.DDIMScheduler, PUBLISHED),
    "to zero": (DDIM, diffusers.DDIMScheduler, PUBLISHED | {"set_alpha_to_one": True}),
    # The pipeline puts a 1 in the place of another offset.
    "no offset": (DDIM, diffusers.DDIMScheduler, PUBLISHED | {"steps_offset": 0}),
    "trailing": (DDIM, diffusers.DDIMScheduler, PUBLISHED | {"timestep_spacing": "trailing"}),
    "Euler": (Euler, diffusers.EulerDiscreteScheduler, {"timestep_spacing": "leading", "steps_offset": 1}),
}


@pytest.fixture(scope="module", params=["v_prediction", "epsilon"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_to_image(tmp_path_factory.mktemp("sd") / "tiny", prediction_type=request.param)


def by_diffusers(folder: Path, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"height": HEIGHT, "width": WIDTH, "num_inference_steps": STEPS, "guidance_scale": SCALE}
    latents = pipeline(PROMPT, latents=noise, output_type="latent", **arguments).images
    picture = pipeline(PROMPT, latents=noise, output_type="pt", **arguments).images
    return latents, picture * 2 - 1


@pytest.mark.parametrize("name", SCHEDULERS)
def test_latents_and_picture_agree(folder: Path, name: str) -> None:
    sampler, scheduler, changes = SCHEDULERS[name]
    old = diffusers.DDIMScheduler.from_pretrained(folder / "scheduler")
    scheduler(**LEVELS, prediction_type=old.config["prediction_type"], **changes).save_pretrained(folder / "scheduler")
    model = load_model(str(folder), "text-to-image")
    default = model.config.sampling
    guidance = default.guidance.model_copy(update={"scale": default.guidance.scale.model_copy(update={"scale": SCALE})})
    sampling = default.model_copy(update={"sampler": sampler(), "num_inference_steps": STEPS, "guidance": guidance})
    inputs = Inputs(samples=[(SEED,)], prompts=[PROMPT], fps=[1], motion_bucket=[0], noise_level=[0])
    with torch.no_grad():
        latents = sample_latents(model, inputs, sampling=sampling, num_frames=1, height=HEIGHT, width=WIDTH)
        picture = model.autoencoder.decode(model.to_raw_latents(latents)).clamp(-1, 1)
    unit = start_noise([(SEED,)], (1, 4, HEIGHT // 8, WIDTH // 8), 0.0)
    first = float(schedule_sigmas(sampling.schedule, STEPS)[0])
    assert torch.allclose(start_noise([(SEED,)], (1, 4, HEIGHT // 8, WIDTH // 8), first), unit * (1 + first**2) ** 0.5)
    theirs, their_picture = by_diffusers(folder, unit[:, 0])
    assert relative_error(latents[:, 0], theirs) < 1e-4
    assert relative_error(picture[:, 0], their_picture) < 1e-4
    assert float(picture.std()) > 0.05
