"""Training LoRAs of a tiny model: what learns, what is kept and exported, and what comes back."""

import copy
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny_lora import is_same
from tiny_model_folder import NUM_FRAMES, SIZE, UNET, task_config
from tiny_networks import relative_error, unet_inputs

from videoldm.checkpoints.layouts.native import load_unet
from videoldm.checkpoints.lora.read import read_lora
from videoldm.conditioners.config import DropoutConfig
from videoldm.core.config import apply_overrides, from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.diffusion.config import LogNormal
from videoldm.generation.load import load_model
from videoldm.models.adapters.config import SpatialAttentionLora, TemporalAttentionLora, TemporalLayersLora
from videoldm.models.adapters.fresh import fresh_lora, target_layers
from videoldm.models.adapters.injection import inject
from videoldm.models.adapters.low_rank import Adapter, merge
from videoldm.models.unet.surgery import is_temporal
from videoldm.training.config import ExecutionConfig, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import WorldData
from videoldm.training.recipe import Recipe
from videoldm.training.run import run
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel
from videoldm.training.stages.diffusion.objective import DiffusionObjective
from videoldm.training.stages.lora.config import LoraStage
from videoldm.training.stages.lora.objective import LoraObjective

DATA = WorldData(num_clips=64, num_frames=NUM_FRAMES, height=SIZE, width=SIZE)
VALIDATION = DATA.model_copy(update={"split": "validation"})
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_validation_losses")]
WRAPPER_WORDS = ("lora_", "base_layer", "adapter_", "base_model")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def stage_of(model, **changes):
    stage = LoraStage(
        base=str(model),
        task="image-to-video",
        preset=TemporalAttentionLora(rank=4, alpha=8.0),
        data=DATA,
        validation=VALIDATION,
        noise_levels=LogNormal(p_mean=0.0, p_std=1.0),
        dropout=DropoutConfig(joint=0.2),
        num_validation_clips=1,
    )
    return stage.model_copy(update=changes)


def recipe_of(stage, **changes):
    training = TrainingConfig(
        num_samples=8,
        batch_size=4,
        optimizer=OptimizerConfig(learning_rate=1e-2),
        log_every_samples=4,
        validate_every_samples=8,
        checkpoint_every_samples=4,
    )
    return Recipe(name="lora", summary="tiny", stage=stage, training=training.model_copy(update=changes))


@pytest.fixture(scope="module")
def trained(tiny_model, cache, tmp_path_factory):
    """The folder of a finished run."""
    recipe = recipe_of(stage_of(tiny_model))
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    folder = tmp_path_factory.mktemp("run")
    run(recipe, folder, cache)
    return folder


@pytest.fixture
def unet(tiny_model):
    # As in generation: whether a weight takes gradients decides on the kernel, and so on the last bits.
    return load_unet(tiny_model / "image-to-video/unet").requires_grad_(False)


def exported(trained, unet):
    return read_lora(trained / "export/peft", unet, has_one_token=True).lora


@torch.no_grad()
def output(unet):
    return unet(*unet_inputs(unet.config, num_tokens=1))


@pytest.mark.filterwarnings("error")
def test_both_styles_read_back_equal(trained, unet):
    lora = exported(trained, unet)
    diffusers = trained / "export/diffusers/pytorch_lora_weights.safetensors"
    assert is_same(read_lora(diffusers, unet, has_one_token=True).lora, lora)
    assert {(update.rank, update.alpha) for update in lora.values()} == {(4, 8.0)}
    assert set(lora) == set(target_layers(unet, TemporalAttentionLora(), has_one_token=True))


def test_what_was_trained_changes_the_output_alike_merged_and_beside(trained, unet):
    adapters = [Adapter(exported(trained, unet))]
    plain = output(unet)
    injection = inject(unet, adapters)
    beside = output(unet)
    injection.set_weights([0.0])
    assert torch.equal(output(unet), plain)
    injection.eject()
    assert torch.equal(output(unet), plain)
    merged = merge(unet, adapters)
    assert relative_error(output(unet), beside) < 1e-5
    merged.unmerge()
    assert torch.equal(output(unet), plain)
    assert relative_error(beside, plain) > 1e-3


def test_checkpoint_holds_the_updates_alone_under_the_networks_own_names(trained, unet):
    newest = max((trained / "checkpoints").iterdir())
    from torch.distributed.checkpoint import FileSystemReader

    keys = list(FileSystemReader(newest).read_metadata().state_dict_metadata)
    layers = target_layers(unet, TemporalAttentionLora(), has_one_token=True)
    assert not [key for key in keys if any(word in key for word in WRAPPER_WORDS)]
    matrices = [key for key in keys if key.endswith((".down", ".up"))]
    assert {f"{path}.{side}" for path in layers for side in ("down", "up")} <= {
        key[key.index(path) :] for key in matrices for path in layers if f"{path}." in key
    }
    assert not [key for key in keys if key.endswith((".weight", ".bias"))]


def test_exported_keys_are_those_of_diffusers_and_peft(trained):
    keys = load_file(trained / "export/peft/adapter_model.safetensors").keys()
    assert all(key.startswith("base_model.model.") and ".temporal_transformer_blocks.0.attn" in key for key in keys)
    keys = load_file(trained / "export/diffusers/pytorch_lora_weights.safetensors").keys()
    assert all(key.startswith("unet.") for key in keys)


def test_run_that_was_interrupted_ends_the_same(trained, tiny_model, cache, tmp_path):
    recipe = recipe_of(stage_of(tiny_model))
    run(recipe_of(stage_of(tiny_model), num_samples=4), tmp_path, cache)
    (tmp_path / "config.yaml").write_text(to_yaml(recipe))
    shutil.rmtree(tmp_path / "export")  # the run is not finished any more
    run(recipe, tmp_path, cache)
    first, again = (load_file(folder / "export/peft/adapter_model.safetensors") for folder in (trained, tmp_path))
    assert all(torch.equal(first[key], value) for key, value in again.items())


@pytest.mark.parametrize(
    "preset", [TemporalAttentionLora(rank=2), TemporalLayersLora(rank=2), SpatialAttentionLora(rank=2)]
)
@pytest.mark.parametrize("task", ["image-to-video", "text-to-video"])
def test_everything_that_is_trained_learns_and_nothing_else_does(tiny_model, cache, preset, task):
    # Where the middle's latents are one pixel, attention within a frame has nothing to choose from.
    wide = {"data": DATA.model_copy(update={"width": 32}), "validation": VALIDATION.model_copy(update={"width": 32})}
    objective = LoraObjective(stage_of(tiny_model, preset=preset, task=task, **wide), seed=0, cache=cache)
    (player,) = objective.players
    unet = objective._model.unet
    base = {name: value.clone() for name, value in objective._injection.state_dict().items()}
    optimizer = torch.optim.SGD(player.module.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        player.losses(range(4 * step, 4 * step + 4)).per_sample.mean().backward()
        optimizer.step()
    gradients = {name: parameter.grad for name, parameter in player.module.named_parameters()}
    assert not [name for name, gradient in gradients.items() if float(gradient.abs().max()) <= 1e-8]
    assert all(
        is_temporal(name) == isinstance(preset, TemporalAttentionLora | TemporalLayersLora) for name in gradients
    )
    trained = {parameter for parameter in unet.parameters() if parameter.requires_grad}
    assert trained == set(player.module.parameters())
    after = objective._injection.state_dict()
    assert base.keys() == load_unet(tiny_model / task / "unet").state_dict().keys()
    assert all(torch.equal(after[name], value) for name, value in base.items())


def test_layers_of_the_presets(unet):
    temporal = target_layers(unet, TemporalAttentionLora(), has_one_token=True)
    along_time = target_layers(unet, TemporalLayersLora(), has_one_token=True)
    assert set(temporal) < set(along_time)
    assert all(is_temporal(path) for path in along_time)
    assert any(path.endswith("temporal.conv1") for path in along_time)
    spatial = target_layers(unet, SpatialAttentionLora(), has_one_token=True)
    read_text = target_layers(unet, TemporalAttentionLora(), has_one_token=False)
    assert len(temporal) == len(spatial)
    assert set(read_text) - set(temporal) == {
        path for path in read_text if path.endswith(("cross_attention.to_q", "cross_attention.to_k"))
    }
    assert not set(temporal) & set(spatial)
    assert all(".self_attention." in path or ".cross_attention." in path for path in temporal + spatial)


def test_fresh_lora_changes_nothing_and_follows_its_seed(unet):
    first, same, other = (
        fresh_lora(unet, SpatialAttentionLora(rank=2), has_one_token=True, seed=seed) for seed in (0, 0, 1)
    )
    assert is_same(first, same)
    assert not is_same(first, other)
    plain = output(unet)
    inject(unet, [Adapter(first)])
    torch.testing.assert_close(output(unet), plain, rtol=0, atol=0)


def test_loss_is_that_of_training_the_whole_model(tiny_model, cache):
    shared = stage_of(tiny_model, task="text-to-video")
    names = ("data", "validation", "noise_levels", "dropout", "num_validation_clips")
    whole = DiffusionStage(
        unet=UNET,
        start=FromModel(model=str(tiny_model)),
        autoencoder=str(tiny_model),
        encoders=str(tiny_model),
        model=task_config("text-to-video"),
        **{name: getattr(shared, name) for name in names},
    )
    ours = LoraObjective(shared, seed=3, cache=cache).losses(range(4)).per_sample
    theirs = DiffusionObjective(whole, seed=3, cache=cache).losses(range(4)).per_sample
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


def test_frozen_weights_may_have_16_bits(tiny_model, cache):
    ours = LoraObjective(stage_of(tiny_model, frozen_precision="bfloat16"), seed=0, cache=cache)
    (player,) = ours.players
    losses = player.losses(range(4)).per_sample
    losses.mean().backward()
    assert {parameter.dtype for parameter in player.module.parameters()} == {torch.float32}
    assert ours._model.unet.conv_in.weight.dtype == torch.bfloat16
    exact = LoraObjective(stage_of(tiny_model), seed=0, cache=cache).losses(range(4)).per_sample
    torch.testing.assert_close(losses, exact, rtol=0.1, atol=0.05)
    assert any(parameter.grad.abs().max() > 0 for parameter in player.module.parameters())


def test_trained_lora_is_taken_by_generation(trained, tiny_model):
    lora = trained / "export/peft"
    plain, with_lora = (
        load_model(str(tiny_model), "image-to-video"),
        load_model(str(tiny_model), "image-to-video", lora=f"{lora}:0.5"),
    )
    expected = copy.deepcopy(plain.unet)
    merge(expected, [Adapter(exported(trained, expected), 0.5)])
    assert torch.equal(output(with_lora.unet), output(expected))
    assert not torch.equal(output(with_lora.unet), output(plain.unet))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": DATA.model_copy(update={"num_frames": 2})}, "stage.data has no clips of 16x16 with 3 frames"),
        (
            {"data": DATA.model_copy(update={"width": 20}), "validation": VALIDATION.model_copy(update={"width": 20})},
            "stage.data has a width of 20, it should be a multiple of 8",
        ),
        ({"validation": VALIDATION.model_copy(update={"width": 24})}, "stage.validation has no clips of 16x16 with 3"),
        ({"task": "text-to-image"}, "cannot do text-to-image, it can do text-to-video, image-to-video"),
        ({"base": "nothing"}, "model 'nothing' is neither in the package"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_rendered(tiny_model, tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        LoraObjective(stage_of(tiny_model, **changes), seed=0, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_sharding_a_lora_is_refused(tiny_model):
    recipe = recipe_of(stage_of(tiny_model))
    with pytest.raises(InputError, match="a LoRA is small: it should be replicated"):
        apply_overrides(recipe, ["training.execution.distributed.kind=sharded"], source="lora")


def test_recomputed_blocks_give_the_same_lora(trained, tiny_model, cache, tmp_path):
    run(recipe_of(stage_of(tiny_model), execution=ExecutionConfig(recompute="blocks")), tmp_path, cache)
    first, again = (load_file(folder / "export/peft/adapter_model.safetensors") for folder in (trained, tmp_path))
    assert all(torch.equal(first[key], value) for key, value in again.items())


def test_image_model_has_no_temporal_layers_to_adapt(tiny_model, tiny_image_model, tmp_path):
    stage = stage_of(tiny_model, base=str(tiny_image_model), task="text-to-image")
    with pytest.raises(InputError, match=r"stage.preset is temporal-attention, but the model has no such layers"):
        LoraObjective(stage, seed=0, cache=tmp_path / "cache")
