"""The speed ladder changes what it says, and nothing else."""

from typing import get_args

import pytest

from videoldm.diffusion.config import DPMPP2M, AlignYourSteps, Constant, Guidance, Interval, Karras
from videoldm.inference.config import LADDER, Reuse, Rung, Speed
from videoldm.tasks.config import SamplingConfig

GUIDANCE = Guidance(scale=Constant(scale=3.0))
SVD = SamplingConfig(num_inference_steps=25, schedule=Karras(), sampler=DPMPP2M(), guidance=GUIDANCE)
RUNG = Rung(max_steps=10, uses_ays=True, guidance_interval=Interval(lo=1, hi=9), reuse=Reuse(interval=2))


def changes(rung: Rung, sampling: SamplingConfig) -> dict:
    return rung.changes(
        num_inference_steps=sampling.num_inference_steps, schedule=sampling.schedule, guidance=sampling.guidance
    )


def test_exact_changes_nothing():
    assert SVD.at("exact") == SVD


def test_every_other_rung_changes_something_and_keeps_sampler_and_scale():
    assert set(LADDER) == set(get_args(Speed))
    for speed in set(LADDER) - {"exact"}:
        changed = SVD.at(speed)
        assert changed != SVD
        assert (changed.sampler, changed.guidance.scale) == (SVD.sampler, SVD.guidance.scale)


def test_a_rung_changes_all_that_it_names():
    assert changes(RUNG, SVD) == {
        "num_inference_steps": 10,
        "schedule": AlignYourSteps(),
        "guidance": Guidance(scale=GUIDANCE.scale, interval=Interval(lo=1, hi=9)),
        "reuse": Reuse(interval=2),
    }


@pytest.mark.parametrize("schedule", [Karras(sigma_min=0.02, sigma_max=200), AlignYourSteps()])
def test_other_schedules_than_svds_stay(schedule):
    assert "schedule" not in changes(RUNG, SVD.model_copy(update={"schedule": schedule}))


def test_a_model_of_fewer_steps_gets_no_more_and_keeps_its_schedule():
    distilled = changes(RUNG, SVD.model_copy(update={"num_inference_steps": 4}))
    assert not {"num_inference_steps", "schedule"} & set(distilled)


@pytest.mark.parametrize("speed", get_args(Speed))
def test_a_student_is_the_same_on_every_rung(speed: Speed):
    student = SVD.distilled(4)
    assert student.at(speed) == student


def test_a_models_own_guidance_interval_stays():
    guided = GUIDANCE.model_copy(update={"interval": Interval(lo=2, hi=3)})
    assert "guidance" not in changes(RUNG, SVD.model_copy(update={"guidance": guided}))
