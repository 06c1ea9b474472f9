"""Text as a condition; fills `Conditioning.context`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from videoldm.conditioners.config import LAST_LAYER, PenultimateLayer, TextConditionerConfig
from videoldm.core.errors import InputError

_LONGEST_SHOWN = 60
"""Letters of a text that a warning shows."""


class TextConditioner:
    """Encodes prompts as the hidden states of a CLIP text model, padding tokens included as in Stable Diffusion.

    The length n is the model's maximum. Gradients reach the model unless the caller disables them.
    """

    def __init__(
        self,
        model: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        config: TextConditionerConfig = LAST_LAYER,
    ) -> None:
        if len(tokenizer) > model.config.vocab_size:
            raise InputError(
                f"tokenizer has {len(tokenizer)} entries, the text model knows {model.config.vocab_size}: "
                "they do not belong together"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.config = config

    @property
    def context_dim(self) -> int:
        """Width of the context."""
        return self.model.config.hidden_size

    @property
    def max_tokens(self) -> int:
        """Length of the context, start and end token included."""
        return self.model.config.max_position_embeddings

    def __call__(self, prompts: Sequence[str]) -> Float[Tensor, "b n d"]:
        """Encode each prompt; prompts that are too long are cut, with a warning that names the words cut."""
        return self.encode_tokens(self.tokenize(prompts))

    def null(self) -> Float[Tensor, "1 n d"]:
        """Encode the empty prompt: the context of guidance's unconditional branch and of dropped texts."""
        return self([""])

    def tokenize(self, prompts: Sequence[str]) -> Int[Tensor, "b n"]:
        """Return the token ids of each prompt, padded or cut to the model's length."""
        if isinstance(prompts, str) or not prompts:
            raise InputError(f"prompts is {prompts!r}, it should be a list of at least one text")
        rows = self.tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=self.max_tokens,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_attention_mask=True,
        )
        first_rows: dict[int, int] = {}
        words_cut: dict[int, str] = {}
        prompt_of_row: list[int] = rows["overflow_to_sample_mapping"]
        for row, prompt in enumerate(prompt_of_row):
            if first_rows.setdefault(prompt, row) != row and prompt not in words_cut:
                start = rows["offset_mapping"][row][rows["special_tokens_mask"][row].index(0)][0]
                words_cut[prompt] = _words_from(prompts[prompt], start)
        if words_cut:
            cut = ", ".join(repr(_shortened(words)) for words in dict.fromkeys(words_cut.values()))
            warnings.warn(f"prompt longer than {self.max_tokens - 2} tokens, not used: {cut}", stacklevel=2)
        first = [first_rows[prompt] for prompt in range(len(prompts))]
        tokens = torch.tensor([rows["input_ids"][row] for row in first])
        if self.config.pad_id is None:
            return tokens
        is_padding = torch.tensor([rows["attention_mask"][row] for row in first]) == 0
        return tokens.masked_fill(is_padding, self.config.pad_id)

    def encode_tokens(self, tokens: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        """Return the hidden states of tokens, after the final norm."""
        tokens = tokens.to(self.model.device)
        if isinstance(self.config.layer, PenultimateLayer):
            hidden = self.model(input_ids=tokens, output_hidden_states=True).hidden_states[-2]
            return _final_norm(self.model)(hidden)
        return self.model(input_ids=tokens).last_hidden_state


def _words_from(prompt: str, start: int) -> str:
    """Return the rest of the prompt, from the beginning of the word that contains character `start`."""
    while start > 0 and prompt[start - 1 : start + 1].isalnum():
        start -= 1
    return " ".join(prompt[start:].split())


def _final_norm(model: CLIPTextModel) -> nn.Module:
    # Its place differs between versions of transformers: in the model itself or in its `text_model`.
    return next(module for name, module in model.named_modules() if name.endswith("final_layer_norm"))


def _shortened(words: str) -> str:
    """Return the beginning of a long text, with the number of words that follow."""
    if len(words) <= _LONGEST_SHOWN:
        return words
    start = words[:_LONGEST_SHOWN].rsplit(" ", 1)[0]
    return f"{start} ... (and {len(words[len(start) :].split())} more words)"
