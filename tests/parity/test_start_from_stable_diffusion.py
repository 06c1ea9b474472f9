"""A video stage starts as the image model that diffusers wrote: at step 0 it says of each frame what that says."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from tiny_networks import numbers

from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.conditioners.config import DropoutConfig, MicroConfig
from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import Constant, DiscreteUniform, Guidance, Karras
from videoldm.models.unet.config import TemporalLayers, UNetConfig
from videoldm.tasks.config import SamplingConfig, TaskModelConfig
from videoldm.training.data.config import WorldData
from videoldm.training.stages.diffusion.config import (
    AllParameters,
    DiffusionStage,
    FromModel,
    TemporalParameters,
    TimeEmbedding,
)
from videoldm.training.stages.diffusion.start import start_model

SIDE, NUM_FRAMES = 64, 3
DATA = WorldData(num_clips=64, num_frames=NUM_FRAMES, height=SIDE, width=SIDE)


def stage(folder: Path, **changes: Config) -> DiffusionStage:
    """Text to video, told rate and motion, from a tiny Stable Diffusion 2.1."""
    micro = MicroConfig(signals=("fps", "motion_bucket"), embedding_dim=8)
    unet = open_folder(folder).unet.config
    values = {"temporal": TemporalLayers(), "vector_dim": micro.vector_dim}
    return DiffusionStage(
        unet=changes.pop("unet", unet.model_copy(update=values)),
        start=FromModel(model=str(folder)),
        autoencoder=str(folder),
        encoders=str(folder),
        data=DATA,
        validation=DATA,
        noise_levels=DiscreteUniform(),
        dropout=DropoutConfig(),
        model=TaskModelConfig(
            task="text-to-video",
            num_frames=NUM_FRAMES,
            height=SIDE,
            width=SIDE,
            micro=micro,
            sampling=SamplingConfig(
                num_inference_steps=2, schedule=Karras(), guidance=Guidance(scale=Constant(scale=2.0))
            ),
        ),
        **changes,
    )


def test_step_0_equals_the_image_model(text_to_image_folder: Path) -> None:
    """Also with signals in the vector, which the image model was never told."""
    chosen = stage(text_to_image_folder)
    video = start_model(chosen, "cpu")
    image = UNet2DConditionModel.from_pretrained(text_to_image_folder, subfolder="unet")
    x, steps = numbers(2, NUM_FRAMES, 4, 8, 6), torch.tensor([20, 700])
    context = numbers(2, 5, chosen.unet.context_dim, stream="context")
    vector = numbers(2, NUM_FRAMES, chosen.unet.vector_dim, stream="vector")
    with torch.no_grad():
        ours = video.unet(x, steps.float(), Conditioning(context=context, vector=vector))
        theirs = torch.stack([image(x[:, i], steps, context).sample for i in range(NUM_FRAMES)], dim=1)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert float(theirs.abs().max()) > 0.1
    context = video.text_conditioner(["a red cube"])
    assert context.shape[2] == chosen.unet.context_dim


@pytest.mark.parametrize(
    ("trained", "is_trained"),
    [
        (AllParameters(), lambda key: True),
        (TimeEmbedding(), lambda key: key.startswith("time_embedding.linear")),
        (
            TemporalParameters(),
            lambda key: any(part in key for part in (".temporal.", ".frame_embedding.", ".merge.")),
        ),
    ],
)
def test_frozen_is_what_the_stage_does_not_train(text_to_image_folder: Path, trained: Config, is_trained) -> None:
    unet = start_model(stage(text_to_image_folder, trained=trained), "cpu").unet
    assert {key for key, value in unet.named_parameters() if value.requires_grad} == {
        key for key, _ in unet.named_parameters() if is_trained(key)
    }


def test_other_sizes_are_refused_by_name(text_to_image_folder: Path) -> None:
    there = open_folder(text_to_image_folder).unet.config
    wider: UNetConfig = there.model_copy(update={"temporal": TemporalLayers(), "num_res_blocks": 2, "vector_dim": 16})
    with pytest.raises(
        InputError, match=r"stage\.unet has num_res_blocks=2, but the weights of stage\.start have num_"
    ):
        start_model(stage(text_to_image_folder, unet=wider), "cpu")


def test_a_model_without_the_encoder_is_refused(text_to_image_folder: Path, pipeline_folder: Path) -> None:
    chosen = stage(text_to_image_folder).model_copy(update={"encoders": str(pipeline_folder)})
    with pytest.raises(InputError, match=r"can do image-to-video, so it has no text_encoder"):
        start_model(chosen, "cpu")
