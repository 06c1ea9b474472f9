"""Captioners in the worker, against transformers used directly on one request at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_annotator_models import made_clip, write_blip, write_idefics3, write_language_model, write_llava
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Missing
from videoldm.curation.annotators.models.captioner import Answer, CaptionRequest, LocalCaptioner
from videoldm.curation.annotators.models.local_model import MissingModelError
from videoldm.curation.annotators.models.transformers_captioner import PictureReader, TextWriter

NUM_NEW = 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("captioners")
    writers = {"blip": write_blip, "llava": write_llava, "idefics3": write_idefics3, "llama": write_language_model}
    return {name: write(base / name) for name, write in writers.items()}


def pictures(number: int, num: int) -> list[Any]:
    return [frame.pixels for frame in made_clip(number).frames[:num]]


def picture_reader(folder: Path, num_pictures: int, **changes: object) -> PictureReader:
    config = LocalCaptioner(**{"model": str(folder), "batch_size": 2} | changes)
    return PictureReader(config, max_new_tokens=NUM_NEW, num_pictures=num_pictures)


def generated(model: Any, inputs: Any) -> list[int]:
    with torch.no_grad():
        return model.generate(**inputs, max_new_tokens=NUM_NEW, do_sample=False)[0].tolist()


@pytest.mark.parametrize(("name", "options"), [("llava", {}), ("idefics3", {"do_image_splitting": False})])
def test_chats_about_pictures(folders: dict[str, Path], name: str, options: dict[str, object]) -> None:
    requests = [CaptionRequest("describe the picture", pictures(k, 3)) for k in range(3)]
    requests.insert(1, CaptionRequest("a red cube moves", pictures(7, 2)))
    answers = picture_reader(folders[name], 3, image_options=options).answer(requests)
    processor = AutoProcessor.from_pretrained(folders[name])
    vars(processor.image_processor).update(options)
    model = AutoModelForImageTextToText.from_pretrained(folders[name]).eval()
    for request, answer in zip(requests, answers, strict=True):
        text = f"USER : {'<image> ' * len(request.pictures)}{request.prompt} ASSISTANT :"
        inputs = processor(text=[text], images=[list(request.pictures)], return_tensors="pt")
        prompt = inputs["input_ids"][0].tolist()
        expected = generated(model, inputs)
        assert expected[: len(prompt)] == prompt
        new = expected[len(prompt) :]
        assert answer == Answer(
            text=processor.tokenizer.decode(new, skip_special_tokens=True).strip(),
            model=str(folders[name]),
            num_prompt_tokens=len(prompt),
            num_new_tokens=len(new),
            is_cut=new[-1] != processor.tokenizer.eos_token_id,
        )
    assert len({answer.text for answer in answers}) > 1


def test_captions_one_picture(folders: dict[str, Path]) -> None:
    requests = [CaptionRequest("", pictures(k, 1)) for k in range(3)] + [CaptionRequest("a red", pictures(1, 1))]
    answers = picture_reader(folders["blip"], 1).answer(requests)
    processor = AutoProcessor.from_pretrained(folders["blip"])
    model = AutoModelForImageTextToText.from_pretrained(folders["blip"]).eval()
    for request, answer in zip(requests, answers, strict=True):
        text = {"text": [request.prompt]} if request.prompt else {}
        expected = generated(model, processor(images=list(request.pictures), **text, return_tensors="pt"))
        assert answer.text == processor.tokenizer.decode(expected, skip_special_tokens=True)
        assert answer.num_new_tokens == len(expected)
    assert len({answer.text for answer in answers}) > 2
    assert answers[3].text.startswith("a red")


def test_writes_text(folders: dict[str, Path]) -> None:
    prompts = ["a red cube moves to the left", "a ball", "describe the picture", "blue cone stands still " * 9]
    config = LocalCaptioner(model=str(folders["llama"]), batch_size=2, padding_multiple=16)
    answers = TextWriter(config, max_new_tokens=NUM_NEW).answer([CaptionRequest(prompt) for prompt in prompts])
    tokenizer = AutoTokenizer.from_pretrained(folders["llama"])
    model = AutoModelForCausalLM.from_pretrained(folders["llama"]).eval()
    for prompt, answer in zip(prompts, answers, strict=True):
        inputs = tokenizer([f"USER : {prompt} ASSISTANT :"], return_tensors="pt")
        new = generated(model, inputs)[inputs["input_ids"].shape[1] :]
        assert answer.text == tokenizer.decode(new, skip_special_tokens=True)
        assert (answer.num_prompt_tokens, answer.num_new_tokens) == (inputs["input_ids"].shape[1], len(new))


def test_answers_do_not_depend_on_company(folders: dict[str, Path]) -> None:
    requests = [CaptionRequest("describe the picture", pictures(k, 1 + k % 2)) for k in range(5)]
    reader = picture_reader(folders["llava"], 2)
    together = reader.answer(requests)
    assert reader.answer(requests[::-1]) == together[::-1]
    assert [reader.answer([request])[0] for request in requests] == together


def test_prompts_that_are_too_long_have_no_answer(folders: dict[str, Path]) -> None:
    writer = TextWriter(LocalCaptioner(model=str(folders["llama"])), max_new_tokens=NUM_NEW)
    long, short = writer.answer([CaptionRequest("red " * 300), CaptionRequest("red")])
    assert long == Missing("the prompt and its answer take 326 tokens, the model has 256")
    assert isinstance(short, Answer)


def test_wrong_models_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="captions one picture, several need a model with a chat template"):
        picture_reader(folders["blip"], 8)
    with pytest.raises(InputError, match="its image processor has no option splitting"):
        picture_reader(folders["llava"], 1, image_options={"splitting": 1})
    with pytest.raises(InputError, match="cannot be read as a model"):
        picture_reader(folders["llama"], 1)
    with pytest.raises(MissingModelError, match="is not on this machine"):
        picture_reader(Path("nobody/no-such-model"), 1)


def test_image_options_are_used(folders: dict[str, Path]) -> None:
    num_tokens = {}
    for is_split in (False, True):
        reader = picture_reader(folders["idefics3"], 1, image_options={"do_image_splitting": is_split})
        (answer,) = reader.answer([CaptionRequest("describe", pictures(1, 1))])
        num_tokens[is_split] = answer.num_prompt_tokens
    assert num_tokens[False] < num_tokens[True]
