"""Guards of captions, on sentences written for the purpose: what must be caught and what must not."""

from __future__ import annotations

import pyarrow as pa
import pytest

from videoldm.curation.annotators.captions import ImageCaptionConfig, SummaryConfig, VideoCaptionConfig
from videoldm.curation.annotators.guards import check_caption, num_words, repeated_captions

PROMPT = "Describe this picture in one sentence: what is seen, where, and how it looks."
GOOD = [
    "A dog runs along a beach at sunset, kicking up sand.",
    "A woman in a red coat can't open a door and walks away.",
    "Two men shake hands; a sign behind them reads 'Sorry, we are closed'.",
    "Sorry looking clouds hang over a village while a tractor crosses a field.",
    "A very very very long train passes.",
    "A user types on a laptop: the assistant beside him points at the screen.",
    "Waves roll in, and in, and in, over dark rocks.",
    "No people are in the street; a cat sits on a wall.",
    "A picture frame hangs on a wall.",
    "Ein Hund läuft über eine Wiese.",
    "狗在海滩上奔跑",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_captions_pass(text: str) -> None:
    flags = check_caption(text, prompt=PROMPT)
    assert not flags.is_caught
    assert not flags.is_boilerplate


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m unable to see the image you mention.",
        "Sorry, I cannot identify people.",
        "As an AI language model, I have no eyes.",
        "As a large language model I describe nothing.",
        "There is no image provided.",
        "No image was attached, so I cannot say.",
        "Please provide the picture that I should describe.",
        "The scene is dark. I cannot tell what happens.",
        "Unfortunately, there is nothing to see.",
        "I do not have the ability to watch videos.",
    ],
)
def test_refusals_are_caught(text: str) -> None:
    flags = check_caption(text, prompt=PROMPT)
    assert flags.is_refusal
    assert flags.is_caught


@pytest.mark.parametrize(
    "text",
    [
        "Describe this picture in one sentence: a dog.",
        "A dog. WHAT IS SEEN - where, and how -- a beach",
        "USER: describe. ASSISTANT: A dog on a beach.",
        "A dog.<|im_end|>",
        "[INST] a dog [/INST]",
        "<think> the user wants a caption </think> A dog.",
        "### Caption\nA dog.",
        "A dog.\nAssistant: a cat.",
    ],
)
def test_leaks_of_the_prompt_are_caught(text: str) -> None:
    flags = check_caption(text, prompt=PROMPT)
    assert flags.is_prompt_leak
    assert flags.is_caught


def test_a_short_prompt_that_begins_the_caption_is_no_leak() -> None:
    assert not check_caption("a photo of a dog", prompt="a photo of").is_prompt_leak


@pytest.mark.parametrize(
    "text",
    [
        "a dog dog dog dog on a beach",
        "a man walks and a man walks and a man walks and",
        "the dog runs. the dog runs. the dog runs.",
        "up and down and up and down and up and down and up and down",
    ],
)
def test_loops_are_caught(text: str) -> None:
    assert check_caption(text, prompt=PROMPT).is_looping


@pytest.mark.parametrize("text", ["", "  \n", "...", "!?"])
def test_empty_captions_are_caught(text: str) -> None:
    flags = check_caption(text, prompt=PROMPT)
    assert flags.is_empty
    assert flags.is_caught


def test_long_captions_are_caught() -> None:
    words = [f"word{i}" for i in range(101)]
    assert check_caption(" ".join(words), prompt=PROMPT).is_overlong
    assert not check_caption(" ".join(words[:100]), prompt=PROMPT).is_overlong
    assert check_caption("a dog runs along", prompt=PROMPT, is_cut=True).is_overlong


@pytest.mark.parametrize(
    "text",
    [
        "The image shows a dog.",
        "In this video, a dog runs.",
        "This short clip features a dog.",
        "Sure! A dog runs.",
        "Here\N{RIGHT SINGLE QUOTATION MARK}s a caption: a dog runs.",
        "A photo of a dog.",
        "These frames show a dog.",
    ],
)
def test_boilerplate_is_flagged_and_not_caught(text: str) -> None:
    flags = check_caption(text, prompt=PROMPT)
    assert flags.is_boilerplate
    assert not flags.is_caught


@pytest.mark.parametrize("config", [ImageCaptionConfig(), VideoCaptionConfig(), SummaryConfig()])
def test_default_prompts_said_back_are_caught(config: ImageCaptionConfig) -> None:
    assert check_caption(config.prompt, prompt=config.prompt).is_prompt_leak


def test_words_are_counted() -> None:
    assert num_words("A dog's ball, red-hot; 3 men.") == 7


@pytest.mark.parametrize("is_chunked", [False, True])
def test_repeated_captions(*, is_chunked: bool) -> None:
    texts = ["A dog.", "a  dog", None, "a cat", "A DOG!", "a cat", None, None, "", "", ""]
    column = pa.chunked_array([texts[:2], texts[2:]], pa.string()) if is_chunked else pa.array(texts)
    dog, cat = [True, True, None, False, True, False], [False, False, None, True, False, True]
    assert repeated_captions(column, min_clips=3).to_pylist() == [*dog, None, None, True, True, True]
    both = [a if a is None else a or b for a, b in zip(dog, cat, strict=True)]
    assert repeated_captions(column, min_clips=2).to_pylist() == [*both, None, None, True, True, True]
    assert not any(repeated_captions(column).to_pylist())
    assert repeated_captions(pa.array([], pa.string())).to_pylist() == []
