"""Text conditioning on a tiny model and tokenizer, saved and loaded by the real library."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from transformers import CLIPTextModel, CLIPTokenizer

from videoldm.conditioners.config import PenultimateLayer, TextConditionerConfig
from videoldm.conditioners.text import TextConditioner
from videoldm.core.errors import InputError
from videoldm.models.clip.config import TextEncoderConfig
from videoldm.models.clip.encoders import build_text_encoder
from videoldm.models.clip.tokenizer import train_tokenizer

CONFIG = TextEncoderConfig(vocab_size=150, max_tokens=10, width=12, num_layers=3, num_heads=3, projection_dim=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    build_text_encoder(CONFIG).save_pretrained(folder / "text_encoder")
    captions = ["a red cube moves left", "a red cone moves right"]
    train_tokenizer(captions, vocab_size=150, max_tokens=10).save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> CLIPTextModel:
    return CLIPTextModel.from_pretrained(folder / "text_encoder").eval()


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder / "tokenizer")


@pytest.fixture(scope="module")
def conditioner(model: CLIPTextModel, tokenizer: CLIPTokenizer) -> TextConditioner:
    return TextConditioner(model, tokenizer)


def test_context_is_the_last_hidden_state_of_transformers(conditioner: TextConditioner) -> None:
    prompts = ["a red cube", "a cone", ""]
    rows = conditioner.tokenizer(
        prompts, padding="max_length", max_length=10, truncation=True, return_tensors="pt", return_attention_mask=False
    )
    expected = conditioner.model(**rows).last_hidden_state
    assert expected.shape == (3, 10, 12)
    assert torch.equal(conditioner(prompts), expected)


def test_padding_does_not_change_the_tokens_before_it(conditioner: TextConditioner) -> None:
    ids = conditioner.tokenizer("a red cube", return_tensors="pt").input_ids
    assert ids.shape[1] < 10
    alone = conditioner.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(conditioner(["a red cube"])[:, : ids.shape[1]], alone, rtol=1e-5, atol=1e-6)


def test_a_batch_equals_single_runs(conditioner: TextConditioner) -> None:
    prompts = ["a red cube", "a cone", ""]
    single = torch.cat([conditioner([prompt]) for prompt in prompts])
    torch.testing.assert_close(conditioner(prompts), single, rtol=0, atol=1e-5)


def test_null_is_the_empty_prompt(conditioner: TextConditioner) -> None:
    start, end = conditioner.tokenizer.bos_token_id, conditioner.tokenizer.eos_token_id
    expected = conditioner.model(input_ids=torch.tensor([[start] + [end] * 9])).last_hidden_state
    assert torch.equal(conditioner.null(), expected)


def test_penultimate_layer_is_the_same_model_without_its_last_layer(folder: Path, conditioner: TextConditioner) -> None:
    shorter = CLIPTextModel.from_pretrained(folder / "text_encoder", num_hidden_layers=2).eval()
    penultimate = TextConditioner(
        conditioner.model, conditioner.tokenizer, TextConditionerConfig(layer=PenultimateLayer())
    )
    expected = TextConditioner(shorter, conditioner.tokenizer)(["a red cube"])
    torch.testing.assert_close(penultimate(["a red cube"]), expected)
    assert (expected - conditioner(["a red cube"])).abs().max() > 0.01


def test_long_prompts_are_cut_with_one_warning_that_names_the_words(conditioner: TextConditioner) -> None:
    with pytest.warns(UserWarning, match="prompt longer than 8 tokens") as caught:
        tokens = conditioner.tokenize(["a red cube", "a a a a a a a a,\n red  cube ", "qqqqqq zzzz cone"])
    assert len(caught) == 1
    # The second is cut between two words, the third within one, which is named from its beginning.
    assert str(caught[0].message).endswith("not used: ', red cube', 'zzzz cone'")
    assert tokens.shape == (3, 10)
    kept = conditioner.tokenizer.convert_ids_to_tokens(tokens[2].tolist())
    assert kept[1:] == ["q"] * 5 + ["q</w>", "z", "z", "<|endoftext|>"]


def test_prompts_of_just_the_right_length_are_not_cut(conditioner: TextConditioner) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokens = conditioner.tokenize(["a " * 8])
    assert tokens[0, -1] == conditioner.tokenizer.eos_token_id
    assert tokens[0, -2] == conditioner.tokenizer.convert_tokens_to_ids("a</w>")


def test_gradients_reach_the_model(conditioner: TextConditioner) -> None:
    assert conditioner(["a red cube"]).requires_grad


@pytest.mark.parametrize("prompts", ["a red cube", []])
def test_what_is_no_list_of_prompts_is_refused(conditioner: TextConditioner, prompts: str | list[str]) -> None:
    with pytest.raises(InputError, match="should be a list of at least one text"):
        conditioner(prompts)


def test_a_tokenizer_with_more_entries_than_the_model_is_refused(tokenizer: CLIPTokenizer) -> None:
    model = build_text_encoder(CONFIG.model_copy(update={"vocab_size": 149}))
    with pytest.raises(InputError, match="tokenizer has 150 entries, the text model knows 149"):
        TextConditioner(model, tokenizer)
