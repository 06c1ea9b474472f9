"""Training and sampling build the same conditions, and a clip does not depend on its batch."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from tiny_model_folder import NUM_FRAMES, SIZE

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.errors import InputError
from videoldm.core.random import normal
from videoldm.dataset.clips import ClipRecord
from videoldm.diffusion.conditioning import FIELDS, Conditioning
from videoldm.diffusion.config import Constant, EulerAncestral, Guidance
from videoldm.generation.choices import Choices
from videoldm.generation.clips import generate
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.load import load_model
from videoldm.tasks.conditioning import training_conditioning
from videoldm.tasks.config import TaskName
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs, TrainingClips
from videoldm.video.picture import fit_picture, load_picture
from videoldm.video.write import write_video

NEVER = DropoutConfig()
VIDEO_TASKS: tuple[TaskName, ...] = ("text-to-video", "image-to-video")
CAPTIONS = ("a red cube moves to the left", "a green ball moves", "a blue cone stands still", "a red ball")


def training_clips(count: int = 4, seed: int = 5) -> TrainingClips:
    pictures = torch.stack([normal((3, SIZE, SIZE), seed, "picture", i) for i in range(count)]).clamp(-1, 1)
    records = [
        ClipRecord(caption=CAPTIONS[i], image_caption="a cube", fps=Fraction(5 + i), motion=0.02 * i)
        for i in range(count)
    ]
    return TrainingClips(
        samples=[(seed, i) for i in range(count)],
        records=records,
        read_frames=lambda row, positions: torch.stack([pictures[row] for _ in positions]),
    )


def one(clips: TrainingClips, index: int) -> TrainingClips:
    return clips[[index]]


def assert_bit_equal(left: Conditioning, right: Conditioning) -> None:
    for name in FIELDS:
        ours, theirs = getattr(left, name), getattr(right, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("task", VIDEO_TASKS)
@pytest.mark.parametrize("is_16_bit", [False, True])
def test_training_and_sampling_see_the_same_conditions(tiny_model: Path, task: TaskName, *, is_16_bit: bool) -> None:
    """Contract 2: same pixels, noise level and stream give the same bits, whatever the precision of training."""
    model, clips = load_model(str(tiny_model), task), one(training_clips(), 2)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_16_bit):
        trained = training_conditioning(task_named(task), model, clips, num_frames=NUM_FRAMES, dropout=NEVER)
    by_image = task == "image-to-video"
    asked = Inputs(
        samples=clips.samples,
        prompts=() if by_image else [CAPTIONS[2]],
        pictures=clips.first_frames if by_image else None,
        fps=[7.0],
        motion_bucket=task_named(task).training_inputs(clips).motion_bucket,
        noise_level=task_named(task).training_inputs(clips).noise_level,
    )
    with torch.no_grad():
        sampled = task_named(task).conditioning(model, asked, num_frames=NUM_FRAMES)
    assert_bit_equal(trained, sampled)
    other = replace(asked, samples=[(6, 2)], prompts=[CAPTIONS[1]] if not by_image else ())
    with torch.no_grad(), pytest.raises(AssertionError):
        assert_bit_equal(trained, task_named(task).conditioning(model, other, num_frames=NUM_FRAMES))


def test_incomplete_model_is_refused_by_name(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model/text_encoder/tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"text_encoder: has neither tokenizer\.json"):
        load_model(str(tmp_path / "model"), "text-to-video")


def test_noise_levels_of_training_follow_the_paper(tiny_model: Path) -> None:
    """ln sigma ~ N(-3, 0.5^2) (SVD, D.4), a level of its own for each clip."""
    clips = TrainingClips(
        samples=[(0, i) for i in range(4000)],
        records=[training_clips(1).records[0]] * 4000,
        read_frames=lambda row, positions: torch.zeros(len(positions), 3, SIZE, SIZE),
    )
    levels = torch.tensor(task_named("image-to-video").training_inputs(clips).noise_level).log()
    assert float(levels.mean()) == pytest.approx(-3.0, abs=0.03)
    assert float(levels.std()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("task", VIDEO_TASKS)
def test_dropped_conditions_are_those_of_the_unconditional_branch(tiny_model: Path, task: TaskName) -> None:
    model, clips = load_model(str(tiny_model), task), training_clips()
    dropped = training_conditioning(
        task_named(task), model, clips, num_frames=NUM_FRAMES, dropout=DropoutConfig(joint=1.0)
    )
    assert dropped.context is not None
    null = task_named(task).null_context(model)
    expected = torch.zeros_like(dropped.context) if null is None else null.expand_as(dropped.context)
    torch.testing.assert_close(dropped.context, expected, rtol=0, atol=0)
    if dropped.concat is not None:
        assert not bool(dropped.concat.any())
    kept = training_conditioning(task_named(task), model, clips, num_frames=NUM_FRAMES, dropout=NEVER)
    assert kept.vector is not None
    torch.testing.assert_close(dropped.vector, kept.vector, rtol=0, atol=0)


@pytest.mark.parametrize("task", VIDEO_TASKS)
@pytest.mark.parametrize("stochastic", [False, True])
def test_batch_of_four_equals_four_single_clips(tiny_model: Path, task: TaskName, *, stochastic: bool) -> None:
    """Contract 4, also for samplers that draw noise."""
    model = load_model(str(tiny_model), task)
    inputs = task_named(task).training_inputs(training_clips())
    inputs = replace(inputs, samples=[(seed,) for seed in (3, 1, 4, 15)])
    sampling = model.config.sampling
    if stochastic:
        sampling = sampling.model_copy(update={"sampler": EulerAncestral()})
    together = sample_clips(model, inputs, sampling=sampling)
    alone = torch.cat([sample_clips(model, row(inputs, i), sampling=sampling) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=0, atol=5e-5)
    assert float((together[0] - together[1]).abs().max()) > 1e-2


def row(inputs: Inputs, index: int) -> Inputs:
    rows = slice(index, index + 1)
    return Inputs(
        samples=inputs.samples[rows],
        prompts=inputs.prompts[rows],
        pictures=None if inputs.pictures is None else inputs.pictures[rows],
        fps=inputs.fps[rows],
        motion_bucket=inputs.motion_bucket[rows],
        noise_level=inputs.noise_level[rows],
    )


def test_generate_sees_the_fitted_picture(tiny_model: Path, tmp_path: Path) -> None:
    """A picture of another size enters as contract 14 says: cropped to the aspect, then resized."""
    picture = tmp_path / "wide.png"
    write_video(picture, normal((1, 3, 20, 48), 0, "picture").clamp(-1, 1), Fraction(1))
    model = load_model(str(tiny_model), "image-to-video")
    request = Choices(seed=9, guidance_scale=1.0).request(ClipInputs(image=str(picture)), model.files.ref, model.config)
    made = generate(model, [request])
    inputs = Inputs(
        samples=[(9,)],
        pictures=fit_picture(load_picture(picture), SIZE, SIZE, "crop")[None],
        fps=[request.fps],
        motion_bucket=[request.motion_bucket_id],
        noise_level=[request.noise_aug_strength],
    )
    sampling = model.config.sampling.model_copy(update={"guidance": Guidance(scale=Constant(scale=1.0))})
    torch.testing.assert_close(made, sample_clips(model, inputs, sampling=sampling), rtol=0, atol=0)


@pytest.mark.parametrize(("num_frames", "height", "width"), [(1, 16, 16), (7, 16, 16), (3, 24, 40)])
@pytest.mark.parametrize("task", VIDEO_TASKS)
def test_other_lengths_and_sizes_work(
    tiny_model: Path, task: TaskName, num_frames: int, height: int, width: int
) -> None:
    model: VideoModel = load_model(str(tiny_model), task)
    inputs = task_named(task).training_inputs(training_clips(2))
    if inputs.pictures is not None:
        inputs = replace(inputs, pictures=torch.zeros(2, 3, height, width))
    clips = sample_clips(model, inputs, num_frames=num_frames, height=height, width=width)
    assert clips.shape == (2, num_frames, 3, height, width)
    assert bool(clips.isfinite().all())
