"""Levels and whole sampling runs against diffusers' schedulers, with the same small function as the network."""

import itertools

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
)
from diffusers.schedulers import AysSchedules
from diffusers.schedulers.scheduling_edm_dpmsolver_multistep import EDMDPMSolverMultistepScheduler

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import (
    DDIM,
    DPMPP2M,
    AlignYourSteps,
    DiscreteEps,
    DiscreteV,
    Euler,
    EulerAncestral,
    Heun,
    Karras,
    SDDiscrete,
    VPrediction,
)
from videoldm.diffusion.denoiser import Preconditioned, scalings
from videoldm.diffusion.samplers.sample import sample
from videoldm.diffusion.schedules import discrete_sigmas, schedule_sigmas

# diffusers turns tensors into arrays in a way that numpy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STABLE_DIFFUSION = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}
SVD = STABLE_DIFFUSION | {
    "prediction_type": "v_prediction",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}


def network(x, c_noise):
    """Any smooth function of the latents, the neighbouring frames and the noise level."""
    return torch.tanh(0.8 * x + 0.2 * x.roll(1, dims=1)) + 0.1 * torch.sin(c_noise / 3)


def standard_noise():
    return torch.randn(1, 3, 4, 6, 5, generator=torch.Generator().manual_seed(0))


def their_run(scheduler, num_steps, x, **step_arguments):
    """Denoise `x`, which has the scale that the scheduler wants, at the scheduler's own levels."""
    scheduler.set_timesteps(num_steps)
    for timestep in scheduler.timesteps:
        output = network(scheduler.scale_model_input(x, timestep), timestep)
        x = scheduler.step(output, timestep, x, **step_arguments).prev_sample
    return x


def our_run(sampler, preconditioning, sigmas, noise=torch.zeros_like):
    denoise = Preconditioned(lambda x, c_noise, conditioning: network(x, c_noise.view(-1, 1, 1, 1, 1)), preconditioning)
    x = standard_noise() * (1 + sigmas[0] ** 2) ** 0.5
    return sample(sampler, denoise, x, sigmas, Conditioning(), noise=noise)


def assert_same(ours, theirs):
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


@pytest.mark.parametrize("num_steps", [25, 30])
def test_levels_and_c_noise_of_svd(num_steps):
    scheduler = EulerDiscreteScheduler(**SVD)
    scheduler.set_timesteps(num_steps)
    sigmas = schedule_sigmas(Karras(), num_steps)
    torch.testing.assert_close(sigmas, scheduler.sigmas, rtol=1e-5, atol=0)
    torch.testing.assert_close(scalings(VPrediction(), sigmas[:-1]).c_noise, scheduler.timesteps, rtol=1e-5, atol=1e-5)


def test_discrete_levels():
    alphas_bar = EulerDiscreteScheduler(**STABLE_DIFFUSION).alphas_cumprod
    torch.testing.assert_close(discrete_sigmas().float(), ((1 - alphas_bar) / alphas_bar).sqrt(), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("spacing", "num_steps"),
    # Where 999 is no multiple of steps - 1, their "linspace" falls between levels, ours takes the nearest.
    [*itertools.product(["leading", "trailing"], [4, 7, 10, 30, 77]), ("linspace", 4), ("linspace", 10)],
)
def test_discrete_spacings_are_theirs(spacing, num_steps):
    scheduler = EulerDiscreteScheduler(**STABLE_DIFFUSION, timestep_spacing=spacing, steps_offset=1)
    scheduler.set_timesteps(num_steps)
    sigmas = schedule_sigmas(SDDiscrete(spacing=spacing), num_steps)
    torch.testing.assert_close(sigmas, scheduler.sigmas, rtol=1e-4, atol=0)
    indices = scalings(DiscreteV(), sigmas[:-1]).c_noise
    torch.testing.assert_close(indices, scheduler.timesteps.to(indices.dtype))


def test_align_your_steps_levels():
    published = torch.tensor(AysSchedules["StableDiffusionVideoSigmas"])
    torch.testing.assert_close(schedule_sigmas(AlignYourSteps(), 10), published)


def test_euler_on_svd_s_levels():
    scheduler = EulerDiscreteScheduler(**SVD)
    scheduler.set_timesteps(25)
    theirs = their_run(scheduler, 25, standard_noise() * scheduler.init_noise_sigma)
    assert_same(our_run(Euler(), VPrediction(), schedule_sigmas(Karras(), 25)), theirs)


def test_dpmpp_2m_on_svd_s_levels():
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=0.002, sigma_max=700.0, sigma_data=1.0, rho=7.0, prediction_type="v_prediction"
    )
    theirs = their_run(scheduler, 25, standard_noise() * (1 + 700.0**2) ** 0.5)
    assert_same(our_run(DPMPP2M(), VPrediction(), schedule_sigmas(Karras(), 25)), theirs)


@pytest.mark.parametrize(
    ("preconditioning", "prediction_type"), [(DiscreteEps(), "epsilon"), (DiscreteV(), "v_prediction")]
)
def test_heun_on_discrete_levels(preconditioning, prediction_type):
    scheduler = HeunDiscreteScheduler(**STABLE_DIFFUSION, prediction_type=prediction_type, timestep_spacing="linspace")
    scheduler.set_timesteps(10)
    theirs = their_run(scheduler, 10, standard_noise() * (1 + scheduler.sigmas[0] ** 2) ** 0.5)
    assert_same(our_run(Heun(), preconditioning, schedule_sigmas(SDDiscrete(spacing="linspace"), 10)), theirs)


def test_dpmpp_2m_on_discrete_levels():
    """At their levels: this scheduler spaces them a little differently than all others of theirs."""
    scheduler = DPMSolverMultistepScheduler(
        **STABLE_DIFFUSION, prediction_type="v_prediction", timestep_spacing="leading", steps_offset=1
    )
    theirs = their_run(scheduler, 20, standard_noise())
    assert_same(our_run(DPMPP2M(), DiscreteV(), scheduler.sigmas), theirs)


@pytest.mark.parametrize(
    ("preconditioning", "prediction_type"), [(DiscreteEps(), "epsilon"), (DiscreteV(), "v_prediction")]
)
def test_ddim_on_discrete_levels(preconditioning, prediction_type):
    """Theirs runs on sqrt(alpha) x0 + sqrt(1 - alpha) n, so this also checks the change of notation."""
    scheduler = DDIMScheduler(
        **STABLE_DIFFUSION,
        prediction_type=prediction_type,
        timestep_spacing="leading",
        steps_offset=1,
        clip_sample=False,
    )
    assert_same(
        our_run(DDIM(), preconditioning, schedule_sigmas(SDDiscrete(), 50)), their_run(scheduler, 50, standard_noise())
    )


def test_ancestral_euler_is_ddim_with_eta():
    scheduler = DDIMScheduler(**STABLE_DIFFUSION, timestep_spacing="leading", steps_offset=1, clip_sample=False)
    theirs = their_run(scheduler, 20, standard_noise(), eta=0.7, generator=torch.Generator().manual_seed(1))
    ours = our_run(EulerAncestral(eta=0.7), DiscreteEps(), schedule_sigmas(SDDiscrete(), 20), seeded(1))
    assert_same(ours, theirs)


def test_ancestral_euler():
    scheduler = EulerAncestralDiscreteScheduler(
        **STABLE_DIFFUSION, prediction_type="v_prediction", timestep_spacing="leading", steps_offset=1
    )
    scheduler.set_timesteps(20)
    start = standard_noise() * (1 + scheduler.sigmas[0] ** 2) ** 0.5
    theirs = their_run(scheduler, 20, start, generator=torch.Generator().manual_seed(1))
    assert_same(our_run(EulerAncestral(), DiscreteV(), schedule_sigmas(SDDiscrete(), 20), seeded(1)), theirs)


def seeded(seed):
    """The noise that diffusers draws from a generator, step by step."""
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=generator)
