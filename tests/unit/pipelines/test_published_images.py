"""What keeps a published image model from drawing."""

from dataclasses import replace
from pathlib import Path

import pytest

from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.core.errors import InputError
from videoldm.pipelines.published import PublishedModel
from videoldm.pipelines.reference import ModelRef


def test_a_model_with_a_part_missing_or_a_channel_too_many_says_so(text_to_image_folder: Path) -> None:
    checkpoint = open_folder(text_to_image_folder)
    inpaints = checkpoint.unet.config.model_copy(update={"concat_channels": 5})
    cases = {
        r"m: has no text encoder: take the folder": replace(checkpoint, text_encoder=None, tokenizer=None),
        r"m: reads 5 channels beside the latents": replace(checkpoint, unet=replace(checkpoint.unet, config=inpaints)),
    }
    for line, incomplete in cases.items():
        model = PublishedModel(ref=ModelRef(name="m"), checkpoint=incomplete)
        assert model.tasks == []
        for act in (model.config, model.parts):
            with pytest.raises(InputError, match=line):
                act("text-to-image")
