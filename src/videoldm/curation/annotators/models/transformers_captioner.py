"""Captioners that run in the worker with transformers: vision-language models, and language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Missing
from videoldm.curation.annotators.models.captioner import Answer, CaptionRequest, LocalCaptioner
from videoldm.curation.annotators.models.pretrained import fixed_threads, load_pretrained, load_processor

Inputs = Mapping[str, Tensor]


class PictureReader:
    """A vision-language model that chats about several pictures, or one such as BLIP that captions a single one.

    Pictures are prepared by the model's own processor with PIL. Raises InputError if that fails, or if there may be
    several pictures and the model takes one.
    """

    def __init__(self, config: LocalCaptioner, *, max_new_tokens: int, num_pictures: int) -> None:
        self._processor: Any = load_processor(AutoProcessor, config)
        self._is_chat = getattr(self._processor, "chat_template", None) is not None
        if num_pictures > 1 and not self._is_chat:
            raise InputError(f"{config.model}: captions one picture, several need a model with a chat template")
        for name, value in config.image_options.items():
            if not hasattr(self._processor.image_processor, name):
                raise InputError(f"{config.model}: its image processor has no option {name}, which image_options sets")
            setattr(self._processor.image_processor, name, value)
        model = load_pretrained(AutoModelForImageTextToText, config)
        self._generator = _Generator(config, model, self._processor.tokenizer, max_new_tokens)

    def answer(self, requests: Sequence[CaptionRequest]) -> list[Answer | Missing]:
        """Return the answer to each request."""
        return self._generator.answer([self._prepare(request) for request in requests])

    def _prepare(self, request: CaptionRequest) -> Inputs:
        pictures = list(request.pictures)
        if not self._is_chat:
            text = {"text": [request.prompt]} if request.prompt else {}
            return dict(self._processor(images=pictures, **text, return_tensors="pt"))
        content = [{"type": "image"} for _ in pictures] + [{"type": "text", "text": request.prompt}]
        messages = [{"role": "user", "content": content}]
        text = self._processor.apply_chat_template(messages, add_generation_prompt=True)
        return dict(self._processor(text=[text], images=[pictures], return_tensors="pt"))


class TextWriter:
    """A language model, used through its chat template if it has one."""

    def __init__(self, config: LocalCaptioner, *, max_new_tokens: int) -> None:
        self._tokenizer: Any = load_processor(AutoTokenizer, config, padding_side="left")
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._multiple = config.padding_multiple
        model = load_pretrained(AutoModelForCausalLM, config)
        self._generator = _Generator(config, model, self._tokenizer, max_new_tokens)

    def answer(self, requests: Sequence[CaptionRequest]) -> list[Answer | Missing]:
        """Return the answer to each request."""
        return self._generator.answer([self._prepare(request.prompt) for request in requests])

    def _prepare(self, prompt: str) -> Inputs:
        is_chat = self._tokenizer.chat_template is not None
        if is_chat:
            messages = [{"role": "user", "content": prompt}]
            prompt = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        tokens = self._tokenizer(
            [prompt],
            padding=True,
            pad_to_multiple_of=self._multiple,
            add_special_tokens=not is_chat,
            return_tensors="pt",
        )
        return {name: tokens[name] for name in ("input_ids", "attention_mask")}


@dataclass(frozen=True, eq=False)
class _Generator:
    """Generates greedily, in batches of one size whose rows have inputs of equal shapes.

    Nothing is padded to match another row and the last batch is filled up, so that an answer does not depend on the
    other requests.
    """

    config: LocalCaptioner
    model: Any
    tokenizer: Any
    max_new_tokens: int
    ends: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        of_model = self.model.generation_config.eos_token_id
        ends = [*(of_model if isinstance(of_model, list) else [of_model])]
        # BLIP ends with its separator, whatever its configuration calls the end.
        ends += [self.tokenizer.eos_token_id, self.tokenizer.sep_token_id]
        object.__setattr__(self, "ends", frozenset(end for end in ends if end is not None))
        if self.model.generation_config.pad_token_id is None:
            self.model.generation_config.pad_token_id = self.tokenizer.pad_token_id

    def answer(self, prepared: Sequence[Inputs]) -> list[Answer | Missing]:
        answers: list[Answer | Missing | None] = [None] * len(prepared)
        by_shape: dict[tuple[object, ...], list[int]] = {}
        for index, inputs in enumerate(prepared):
            shape = tuple((name, tuple(values.shape)) for name, values in sorted(inputs.items()))
            by_shape.setdefault(shape, []).append(index)
        size = self.config.batch_size
        with fixed_threads(self.config.num_threads):
            for places in by_shape.values():
                for start in range(0, len(places), size):
                    batch = places[start : start + size]
                    for place, answer in zip(batch, self._batch([prepared[i] for i in batch]), strict=True):
                        answers[place] = answer
        assert None not in answers
        return [answer for answer in answers if answer is not None]

    def _batch(self, rows: Sequence[Inputs]) -> list[Answer | Missing]:
        tokens = rows[0].get("input_ids")
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        num_wanted = self.max_new_tokens + (0 if tokens is None else tokens.shape[1])
        if limit is not None and num_wanted > limit:
            missing = Missing(f"the prompt and its answer take {num_wanted} tokens, the model has {limit}")
            return [missing] * len(rows)
        filled = [*rows, *[rows[-1]] * (self.config.batch_size - len(rows))]
        inputs = {name: self._moved(torch.cat([row[name] for row in filled])) for name in rows[0]}
        output: Tensor = self.model.generate(
            **inputs,
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            num_beams=1,
            # Models made for sampling come with these settings, which only cause warnings without it.
            temperature=None,
            top_p=None,
            top_k=None,
        )
        return [self._read(row, written) for row, written in zip(rows, output.cpu(), strict=False)]

    def _moved(self, values: Tensor) -> Tensor:
        values = values.to(self.model.device)
        return values.to(self.model.dtype) if values.is_floating_point() else values

    def _read(self, inputs: Inputs, written: Tensor) -> Answer:
        tokens = inputs.get("input_ids")
        mask = inputs.get("attention_mask")
        # Some models repeat the prompt before their answer; others, such as BLIP, make it part of the caption.
        if tokens is not None and torch.equal(written[: tokens.shape[1]], tokens[0]):
            written = written[tokens.shape[1] :]
        numbers: list[int] = written.tolist()
        end = next((place for place, number in enumerate(numbers) if place and number in self.ends), None)
        new = numbers if end is None else numbers[: end + 1]
        return Answer(
            text=self.tokenizer.decode(new, skip_special_tokens=True).strip(),
            model=self.config.model,
            num_prompt_tokens=0 if mask is None else int(mask.sum()),
            num_new_tokens=len(new),
            is_cut=end is None and len(new) >= self.max_new_tokens,
        )
