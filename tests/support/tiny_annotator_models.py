"""Tiny models of transformers with random weights in folders, and clips for them to look at."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from tiny_networks import randomise
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame
from videoldm.models.clip.tokenizer import train_tokenizer

CAPTIONS = ["a red cube moves to the left", "a green ball moves to the right", "a blue cone stands still"]
WORDS = [".", ",", ":", "describe", "picture", "frame", *dict.fromkeys(" ".join(CAPTIONS).split())]
CHAT = (
    "{% for message in messages %}USER : {% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{% if part.type == 'image' %}<image> {% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %} {% endfor %}ASSISTANT :"
)
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
PAD, END, IMAGE = 0, 3, 4
CLIP_WIDTH, CLIP_TOKENS, VOCABULARY = 16, 12, 170


def write_clip(folder: Path, *, width: int = CLIP_WIDTH) -> Path:
    """A CLIP model for pictures of 32x32."""
    text = {"vocab_size": VOCABULARY, "max_position_embeddings": CLIP_TOKENS, "eos_token_id": VOCABULARY - 1}
    config = CLIPConfig(
        text_config=SIZES | text, vision_config=SIZES | {"image_size": 32, "patch_size": 8}, projection_dim=width
    )
    randomise(CLIPModel(config)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    train_tokenizer(CAPTIONS, vocab_size=VOCABULARY, max_tokens=CLIP_TOKENS).save_pretrained(folder)
    return folder


def write_blip(folder: Path) -> Path:
    """BLIP, which completes captions of one picture and knows no chat."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    text = {
        "vocab_size": len(words),
        "encoder_hidden_size": 32,
        "max_position_embeddings": 64,
        "bos_token_id": 2,
        "eos_token_id": END,
        "sep_token_id": END,
        "pad_token_id": PAD,
    }
    config = BlipConfig(text_config=SIZES | text, vision_config=SIZES | {"image_size": 32, "patch_size": 8})
    model = randomise(BlipForConditionalGeneration(config))
    model.text_decoder.cls.predictions.bias.data[:5] = -10
    for name, parameter in model.named_parameters():
        if name.endswith("LayerNorm.weight"):  # or each word would depend on the biases alone
            parameter.data += 1
    model.save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def write_llava(folder: Path) -> Path:
    """LLaVA, which chats about several pictures."""
    tokenizer = _chat_tokenizer()
    vision = CLIPVisionConfig(**SIZES, image_size=32, patch_size=16, projection_dim=16)
    config = LlavaConfig(
        vision_config=vision, text_config=_llama(len(tokenizer)), image_token_index=IMAGE, image_seq_length=4
    )
    _talkative(randomise(LlavaForConditionalGeneration(config))).save_pretrained(folder)
    LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    ).save_pretrained(folder)
    return folder


def write_idefics3(folder: Path) -> Path:
    """Idefics3, the kind of the default captioner SmolVLM."""
    tokenizer = _chat_tokenizer("<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    vision = SIZES | {"image_size": 32, "patch_size": 8}
    config = Idefics3Config(
        vision_config=vision,
        text_config=_llama(len(tokenizer)).to_dict(),
        image_token_id=IMAGE,
        scale_factor=2,
    )
    _talkative(randomise(Idefics3ForConditionalGeneration(config))).save_pretrained(folder)
    pictures = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    Idefics3Processor(pictures, tokenizer, image_seq_len=4, chat_template=CHAT).save_pretrained(folder)
    return folder


def write_language_model(folder: Path) -> Path:
    """A small Llama that chats."""
    tokenizer = _chat_tokenizer()
    tokenizer.chat_template = CHAT
    _talkative(randomise(LlamaForCausalLM(_llama(len(tokenizer))))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _talkative(model: PreTrainedModel) -> PreTrainedModel:
    """The model saying words rather than marks, the end apart; chance would have some say marks alone."""
    marks = [number for number in range(10) if number != END]
    model.get_output_embeddings().weight.data[marks] = 0
    return model


def _chat_tokenizer(*marks: str) -> PreTrainedTokenizerFast:
    words = ["<pad>", "<unk>", "<s>", "</s>", "<image>", "USER", "ASSISTANT", *marks, *WORDS]
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    marks_by_name = {"image_token": "<image>"}
    if marks:
        names = ("fake_image_token", "global_image_token", "end_of_utterance_token")
        marks_by_name |= dict(zip(names, marks, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special, extra_special_tokens=marks_by_name)


def _llama(num_words: int) -> LlamaConfig:
    numbers = {"bos_token_id": 2, "eos_token_id": END, "pad_token_id": PAD}
    return LlamaConfig(**SIZES, **numbers, vocab_size=num_words, num_key_value_heads=2, max_position_embeddings=256)


def made_clip(
    number: int,
    *,
    num_frames: int = 5,
    metadata: Mapping[str, str] | None = None,
    annotations: Mapping[str, Mapping[str, Any]] | None = None,
) -> ClipFrames:
    """A clip of frames with smooth random colours; the same number gives the same clip."""
    random = np.random.default_rng(number)
    frames = [KeptFrame(pts=12 * i, is_sampled=True, stored=_picture(random)) for i in range(num_frames)]
    return ClipFrames(
        clip_id=f"clip-{number:03}",
        time_base=Fraction(1, 24),
        start_pts=0,
        end_pts=12 * num_frames,
        width=640,
        height=360,
        frames=frames,
        metadata=metadata or {},
        annotations=annotations or {},
    )


def _picture(random: np.random.Generator) -> np.ndarray:
    return np.kron(random.integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
