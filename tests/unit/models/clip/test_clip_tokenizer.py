from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, CLIPTokenizer

from videoldm.core.errors import InputError
from videoldm.models.clip.tokenizer import END_TOKEN, START_TOKEN, UNKNOWN_TOKEN, train_tokenizer

COLOURS = ("red", "green", "blue", "yellow", "purple")
SHAPES = ("cube", "sphere", "cone", "torus", "cylinder")
MOTIONS = ("moves left", "moves right", "stays still", "rotates")
CAPTIONS = [f"A {c} {s} {m}, the camera pans." for c in COLOURS for s in SHAPES for m in MOTIONS]
CHARACTERS = (26 + 10 + 32) * 2  # lower-case letters, digits, punctuation; inside and at the end of a word


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return train_tokenizer(CAPTIONS, vocab_size=210, max_tokens=16)


@cache
def longer_tokenizer() -> CLIPTokenizer:
    return train_tokenizer(CAPTIONS, vocab_size=210, max_tokens=64)


def tokens_of(tokenizer: CLIPTokenizer, text: str) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]))


def test_the_vocabulary_has_the_asked_size_and_ends_with_the_special_tokens(tokenizer: CLIPTokenizer) -> None:
    assert len(tokenizer) == 210
    assert tokenizer.convert_tokens_to_ids([UNKNOWN_TOKEN, START_TOKEN, END_TOKEN]) == [207, 208, 209]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (208, 209, 209)


def test_frequent_words_are_one_token_and_unseen_words_fall_back_to_characters(tokenizer: CLIPTokenizer) -> None:
    assert tokens_of(tokenizer, "Red CUBE") == [START_TOKEN, "red</w>", "cube</w>", END_TOKEN]
    assert tokens_of(tokenizer, "qwk 7?") == [START_TOKEN, "q", "w", "k</w>", "7</w>", "?</w>", END_TOKEN]


def test_rows_are_filled_up_with_end_tokens_or_cut_before_one(tokenizer: CLIPTokenizer) -> None:
    short, long = tokenizer(["red", "q w " * 20], padding="max_length", truncation=True)["input_ids"]
    assert len(short) == len(long) == 16
    assert short[2:] == [tokenizer.eos_token_id] * 14
    assert long[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in long[:-1]


def test_characters_outside_the_alphabet_are_unknown_unless_the_captions_have_them(tokenizer: CLIPTokenizer) -> None:
    assert tokens_of(tokenizer, "\u00e9") == [START_TOKEN, UNKNOWN_TOKEN, UNKNOWN_TOKEN, END_TOKEN]
    french = train_tokenizer(["caf\u00e9"] * 3, vocab_size=CHARACTERS + 7, max_tokens=16)
    assert UNKNOWN_TOKEN not in tokens_of(french, "\u00e9")


def test_merges_come_by_falling_frequency_and_ties_by_the_alphabet() -> None:
    few = train_tokenizer(["ab ab ab cd cd fe fe"], vocab_size=CHARACTERS + 3 + 2, max_tokens=8)
    assert few.convert_ids_to_tokens([CHARACTERS, CHARACTERS + 1]) == ["ab</w>", "cd</w>"]


def test_training_does_not_depend_on_the_order_of_the_captions(tokenizer: CLIPTokenizer) -> None:
    again = train_tokenizer(reversed(CAPTIONS), vocab_size=210, max_tokens=16)
    assert again.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("loader", [CLIPTokenizer, AutoTokenizer])
def test_it_survives_saving_and_loading(tokenizer: CLIPTokenizer, tmp_path: Path, loader: type) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = loader.from_pretrained(tmp_path)
    for text in (CAPTIONS[0], "", "qwk, \u00e9 unseen"):
        assert loaded(text, padding="max_length")["input_ids"] == tokenizer(text, padding="max_length")["input_ids"]
    assert loaded.model_max_length == 16
    assert loaded.unk_token == UNKNOWN_TOKEN


@settings(max_examples=20, deadline=None)
@given(text=st.text(alphabet=[chr(code) for code in range(32, 127)], max_size=30))
def test_no_ascii_text_has_unknown_tokens_and_decoding_gives_its_characters_back(text: str) -> None:
    tokenizer = longer_tokenizer()
    ids = tokenizer(text)["input_ids"]
    if not any(token in text.lower() for token in (START_TOKEN, END_TOKEN, UNKNOWN_TOKEN)):
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert tokenizer.unk_token_id not in ids
        assert decoded.replace(" ", "") == text.lower().replace(" ", "")


def test_sizes_the_captions_cannot_fill_are_refused() -> None:
    with pytest.raises(InputError, match=f"vocab_size is 100, it should be at least {CHARACTERS + 3}"):
        train_tokenizer(CAPTIONS, vocab_size=100, max_tokens=8)
    with pytest.raises(InputError, match=f"vocab_size is 5000, these captions give at most {CHARACTERS + 3 + 2}"):
        train_tokenizer(["red"], vocab_size=5000, max_tokens=8)
