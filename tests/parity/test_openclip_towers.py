"""Our encoders, loaded from OpenCLIP's layout, against OpenCLIP's computation on torch's own attention.

The module below has OpenCLIP's names and does what its ViT-H/14 does (the paper's transformer with layer norm first,
exact GELU); `nn.MultiheadAttention` keeps query, key and value in one tensor, as the published files do.
"""

from collections import OrderedDict

import pytest
import torch
from tiny_networks import numbers, randomise, relative_error
from torch import nn

from videoldm.checkpoints.layouts import openclip, transformers
from videoldm.checkpoints.part import load_weights
from videoldm.checkpoints.storage.safetensors import loaded_tensors
from videoldm.conditioners.config import PenultimateLayer, TextConditionerConfig
from videoldm.conditioners.text import TextConditioner
from videoldm.core.errors import InputError
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder

TOLERANCE = 1e-5
IMAGE = ImageEncoderConfig(image_size=16, patch_size=4, width=24, num_layers=3, num_heads=3, projection_dim=10)
TEXT = TextEncoderConfig(vocab_size=40, max_tokens=9, width=24, num_layers=3, num_heads=3, projection_dim=10)


class ResidualBlock(nn.Module):
    def __init__(self, width, num_heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, num_heads, batch_first=True)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": nn.GELU(), "c_proj": nn.Linear(4 * width, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x, mask):
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.resblocks = nn.ModuleList(ResidualBlock(config.width, config.num_heads) for _ in range(config.num_layers))


class ImageTower(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, num_patches = config.width, (config.image_size // config.patch_size) ** 2
        self.conv1 = nn.Conv2d(3, width, config.patch_size, config.patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(num_patches + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Transformer(config)
        self.proj = nn.Parameter(torch.empty(width, config.projection_dim))

    def forward(self, pixels):
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(pixels), 1, -1), patches], dim=1)
        x = self.ln_pre(x + self.positional_embedding)
        for block in self.transformer.resblocks:
            x = block(x, None)
        return self.ln_post(x[:, 0]) @ self.proj


class TextTower(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.max_tokens, config.width))
        self.transformer = Transformer(config)
        self.ln_final = nn.LayerNorm(config.width)
        self.text_projection = nn.Parameter(torch.empty(config.width, config.projection_dim))
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, tokens, *, num_layers):
        x = self.token_embedding(tokens) + self.positional_embedding
        mask = torch.full((x.shape[1], x.shape[1]), -torch.inf).triu(1)
        for block in self.transformer.resblocks[:num_layers]:
            x = block(x, mask)
        return self.ln_final(x)


@pytest.fixture(scope="module")
def image_tower():
    return randomise(ImageTower(IMAGE))


@pytest.fixture(scope="module")
def text_tower():
    return randomise(TextTower(TEXT))


def leftovers(text_tower):
    return {key: tensor for key, tensor in text_tower.state_dict().items() if not key.startswith("transformer.")}


@pytest.mark.parametrize("with_leftovers", [False, True])
@torch.no_grad()
def test_image_encoder_computes_what_openclip_does(image_tower, text_tower, with_leftovers):
    extra = leftovers(text_tower) if with_leftovers else {}
    weights = {f"visual.{key}": tensor for key, tensor in image_tower.state_dict().items()} | extra
    model = build_image_encoder(IMAGE).eval()
    assert load_weights(model, loaded_tensors(weights), openclip.image_encoder(IMAGE), source="openclip") == list(extra)
    pixels = numbers(2, 3, 16, 16)
    assert relative_error(model(pixel_values=pixels).image_embeds, image_tower(pixels)) < TOLERANCE


@torch.no_grad()
def test_text_encoder_computes_what_openclip_does(text_tower):
    model = build_text_encoder(TEXT).eval()
    dropped = load_weights(
        model, loaded_tensors(text_tower.state_dict()), openclip.text_encoder(TEXT), source="openclip"
    )
    assert sorted(dropped) == ["logit_scale", "text_projection"]
    tokens = torch.arange(18).view(2, 9)
    hidden = model(input_ids=tokens).last_hidden_state
    assert relative_error(hidden, text_tower(tokens, num_layers=3)) < TOLERANCE


@torch.no_grad()
def test_penultimate_layer_of_the_tower_or_last_one_of_a_shorter_encoder(text_tower):
    tokens = torch.arange(18).view(2, 9)
    expected = text_tower(tokens, num_layers=2)
    short = TEXT.model_copy(update={"num_layers": 2})
    penultimate = TextConditionerConfig(layer=PenultimateLayer())
    for config, layer in ((TEXT, penultimate), (short, TextConditionerConfig())):
        model = build_text_encoder(config).eval()
        load_weights(model, loaded_tensors(text_tower.state_dict()), openclip.text_encoder(config), source="openclip")
        conditioner = TextConditioner(model, range(TEXT.vocab_size), layer)
        assert relative_error(conditioner.encode_tokens(tokens), expected) < TOLERANCE


def test_the_layer_that_a_shorter_encoder_lacks_is_dropped_and_no_other(text_tower):
    short = TEXT.model_copy(update={"num_layers": 2})
    dropped = load_weights(
        build_text_encoder(short),
        loaded_tensors(text_tower.state_dict()),
        openclip.text_encoder(short),
        source="openclip",
    )
    unused = {key for key in dropped if not key.startswith("transformer.resblocks.2.")}
    assert unused == {"logit_scale", "text_projection"}
    assert len(dropped) - len(unused) == 12
    shorter = TEXT.model_copy(update={"num_layers": 1})
    with pytest.raises(InputError, match=r"12 unexpected \(transformer.resblocks.2"):
        load_weights(
            build_text_encoder(shorter),
            loaded_tensors(text_tower.state_dict()),
            openclip.text_encoder(shorter),
            source="openclip",
        )


@pytest.mark.parametrize("which", ["image", "text"])
def test_towers_come_back_bit_for_bit(image_tower, text_tower, which):
    if which == "image":
        tower = {f"visual.{key}": tensor for key, tensor in image_tower.state_dict().items()}
        key_map, model = openclip.image_encoder(IMAGE), build_image_encoder(IMAGE)
    else:
        tower = text_tower.state_dict()
        key_map, model = openclip.text_encoder(TEXT), build_text_encoder(TEXT)
    load_weights(model, loaded_tensors(tower), key_map, source="openclip")
    back = key_map.to_foreign(model.state_dict())
    assert back.keys() == {key for key in tower if not key.startswith(key_map.droppable)}
    assert all(torch.equal(tensor, tower[key]) for key, tensor in back.items())


@pytest.mark.parametrize("module", ["text_model", ""])
def test_text_encoders_of_both_generations_of_transformers(module):
    prefix = f"{module}." if module else ""
    model, key_map = randomise(build_text_encoder(TEXT)), transformers.text_encoder(TEXT, module=module)
    published = {f"{prefix}{key}": tensor for key, tensor in model.state_dict().items()}
    positions = {f"{prefix}embeddings.position_ids": torch.arange(9)[None]}
    other = build_text_encoder(TEXT, seed=1)
    assert load_weights(other, loaded_tensors(published), key_map, source="file") == []
    assert load_weights(other, loaded_tensors(published | positions), key_map, source="file") == list(positions)
    assert all(torch.equal(tensor, published[f"{prefix}{key}"]) for key, tensor in other.state_dict().items())
    assert key_map.to_foreign(other.state_dict()).keys() == published.keys()


def test_image_encoders_of_transformers():
    model, key_map = randomise(build_image_encoder(IMAGE)), transformers.image_encoder(IMAGE)
    positions = {"vision_model.embeddings.position_ids": torch.arange(17)[None]}
    other = build_image_encoder(IMAGE, seed=1)
    assert load_weights(other, loaded_tensors(model.state_dict() | positions), key_map, source="file") == list(
        positions
    )
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in other.state_dict().items())
    assert key_map.to_foreign(other.state_dict()).keys() == model.state_dict().keys()
