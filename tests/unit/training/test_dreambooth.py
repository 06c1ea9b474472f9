"""DreamBooth runs of a tiny image model, and what they exported under a video model's temporal layers."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_model_folder import SIZE

from videoldm.checkpoints.layouts.native import load_unet
from videoldm.cli.main import main
from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.diffusion.config import LogNormal
from videoldm.generation.load import load_model
from videoldm.models.unet.surgery import is_temporal
from videoldm.pipelines.personalise import personalise
from videoldm.tasks.conditioning import unconditional
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.recipe import Recipe
from videoldm.training.run import run
from videoldm.training.stages.dreambooth.config import (
    DreamBoothStage,
    FrozenText,
    NoPrior,
    PriorPreservation,
    PromptedPictures,
    TrainedText,
)
from videoldm.training.stages.dreambooth.objective import DreamBoothObjective


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two folders: the subject, larger and not square, and its class."""
    folder = tmp_path_factory.mktemp("pictures")
    numbers = np.random.default_rng(0)
    for name, count, shape in (("subject", 2, (40, 24, 3)), ("class", 3, (SIZE, SIZE, 3))):
        (folder / name).mkdir()
        for index in range(count):
            picture = numbers.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(picture).save(folder / name / f"{index}.png")
    return folder


def stage_of(base, pictures, **changes):
    stage = DreamBoothStage(
        base=str(base),
        subject=PromptedPictures(folder=str(pictures / "subject"), prompt="a red cube"),
        prior=PriorPreservation(
            pictures=PromptedPictures(folder=str(pictures / "class"), prompt="a green ball"), weight=0.5
        ),
        noise_levels=LogNormal(p_mean=0.0, p_std=1.0),
    )
    return stage.model_copy(update=changes)


@pytest.fixture(scope="module")
def trained(tiny_image_model, pictures, tmp_path_factory):
    """The export of a run that trained the text encoder too."""
    training = TrainingConfig(
        num_samples=8,
        batch_size=4,
        optimizer=OptimizerConfig(learning_rate=1e-3),
        log_every_samples=4,
        validate_every_samples=8,
        checkpoint_every_samples=4,
    )
    recipe = Recipe(name="dreambooth", summary="tiny", stage=stage_of(tiny_image_model, pictures), training=training)
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    folder = tmp_path_factory.mktemp("run")
    export = run(recipe, folder, tmp_path_factory.mktemp("cache"))
    assert (folder / "validation/000000000008/pictures.png").is_file()
    assert '"validation/prior_loss"' in (folder / "log.jsonl").read_text()
    return export


def test_both_networks_learn_and_the_autoencoder_does_not(tiny_image_model, pictures):
    objective = DreamBoothObjective(stage_of(tiny_image_model, pictures, text_encoder=TrainedText()), seed=0)
    (player,) = objective.players
    player.losses(range(4)).per_sample.mean().backward()
    text = objective._model.text_conditioner.model
    for network in (objective._model.unet, text):
        assert sum(float(p.grad.abs().sum()) for p in network.parameters() if p.grad is not None) > 0
    assert {name.split(".")[0] for name, _ in player.module.named_parameters()} == {"unet", "text_encoder"}
    assert not any(parameter.requires_grad for parameter in objective._model.autoencoder.parameters())


def test_frozen_text_encoder_takes_no_gradients(tiny_image_model, pictures):
    objective = DreamBoothObjective(stage_of(tiny_image_model, pictures, text_encoder=FrozenText()), seed=0)
    (player,) = objective.players
    player.losses(range(2)).per_sample.mean().backward()
    text = objective._model.text_conditioner.model
    assert all(parameter.grad is None for parameter in text.parameters())
    assert {name.split(".")[0] for name, _ in player.module.named_parameters()} == {"unet"}


def test_every_second_sample_is_of_the_class_and_counts_as_told(tiny_image_model, pictures):
    half = DreamBoothObjective(stage_of(tiny_image_model, pictures), seed=0).losses(range(4)).per_sample
    prior = stage_of(tiny_image_model, pictures).prior.model_copy(update={"weight": 2.0})
    double = DreamBoothObjective(stage_of(tiny_image_model, pictures, prior=prior), seed=0).losses(range(4)).per_sample
    torch.testing.assert_close(double / half, torch.tensor([1.0, 4.0, 1.0, 4.0]), rtol=1e-5, atol=0)


def test_losses_follow_from_the_position_alone(tiny_image_model, pictures):
    objective = DreamBoothObjective(stage_of(tiny_image_model, pictures), seed=0)
    whole = objective.losses(range(4)).per_sample
    parts = torch.cat([objective.losses([position]).per_sample for position in range(4)])
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=0)


def test_without_a_prior_all_samples_are_of_the_subject(tiny_image_model, pictures):
    objective = DreamBoothObjective(stage_of(tiny_image_model, pictures, prior=NoPrior()), seed=0)
    assert [one.prompt for one in objective._sets] == ["a red cube"]
    assert bool(objective.losses(range(4)).per_sample.isfinite().all())


def test_folder_without_pictures_is_refused(tiny_image_model, pictures, tmp_path):
    empty = PromptedPictures(folder=str(tmp_path), prompt="a red cube")
    with pytest.raises(InputError, match="is a folder without pictures"):
        DreamBoothObjective(stage_of(tiny_image_model, pictures, subject=empty), seed=0)


def test_personalised_model_draws_with_the_tuned_layers_and_moves_with_its_own(trained, tiny_model, tmp_path):
    personalise(str(tiny_model), str(trained), tmp_path / "mine")
    unet = load_file(tmp_path / "mine/text-to-video/unet/model.safetensors")
    tuned, video = (
        load_unet(trained / "text-to-image/unet").state_dict(),
        load_unet(tiny_model / "text-to-video/unet").state_dict(),
    )
    assert all(torch.equal(weight, (video if is_temporal(key) else tuned)[key]) for key, weight in unet.items())
    ours, original = load_model(str(tmp_path / "mine"), "text-to-video"), load_model(str(tiny_model), "text-to-video")
    tuned_text = load_file(trained / "text_encoder/model.safetensors")
    assert not all(
        torch.equal(weight, tuned_text[key])
        for key, weight in load_file(tiny_model / "text_encoder/model.safetensors").items()
    )
    inputs = Inputs(samples=[(0,)], prompts=["a red cube"], fps=[7.0], motion_bucket=[50.0], noise_level=[0.0])
    conditioning, before = (
        task_named("text-to-video").conditioning(model, inputs, num_frames=3) for model in (ours, original)
    )
    assert torch.equal(conditioning.temporal_context, before.context)
    assert not torch.equal(conditioning.context, before.context)
    without, empty = unconditional(task_named("text-to-video"), ours)(conditioning), original.text_conditioner.null()
    assert torch.equal(without.temporal_context, empty)
    assert not torch.equal(without.context, empty)
    clip = sample_clips(ours, inputs)
    assert bool(clip.isfinite().all())
    assert not torch.equal(clip, sample_clips(original, inputs))


def test_verb_writes_the_model(trained, tiny_model, tmp_path, capsys):
    assert main(["personalise", str(tiny_model), str(trained), "-o", str(tmp_path / "mine")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine'}\n"
    assert load_model(str(tmp_path / "mine"), "text-to-video").temporal_text is not None
    assert main(["personalise", "nothing", str(trained), "-o", str(tmp_path / "other")]) == 2
    assert "model 'nothing' is neither in the package" in capsys.readouterr().err
    assert main(["personalise", str(trained / "text-to-image/unet"), str(trained), "-o", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()


def test_frozen_text_encoder_is_shared_by_both_kinds_of_layers(tiny_image_model, tiny_model, tmp_path):
    personalise(str(tiny_model), str(tiny_image_model), tmp_path / "mine")
    assert not (tmp_path / "mine/temporal_text_encoder").exists()
    assert load_model(str(tmp_path / "mine"), "text-to-video").temporal_text is None


def test_what_makes_no_pictures_is_refused(tiny_model, tmp_path):
    with pytest.raises(InputError, match=r"tiny cannot do text-to-image, it can do text-to-video"):
        personalise(str(tiny_model), str(tiny_model), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
