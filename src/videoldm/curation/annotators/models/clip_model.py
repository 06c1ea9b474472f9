"""A CLIP model whose embeddings do not depend on the rest of the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from videoldm.core.errors import InputError
from videoldm.curation.annotators.models.local_model import ClipModelConfig
from videoldm.curation.annotators.models.pretrained import fixed_threads, load_pretrained, load_processor


class ClipModel:
    """Embeds pictures and texts as unit vectors in the space that they share.

    All batches are padded to one size and all texts to one length, and the number of threads is fixed, so that an
    embedding has the same bits in any batch and at any position.
    """

    def __init__(self, config: ClipModelConfig) -> None:
        self.config = config
        self._model = load_pretrained(AutoModel, config)
        self._processor = load_processor(AutoImageProcessor, config, backend="pil")
        self._tokenizer = load_processor(AutoTokenizer, config)
        if not hasattr(self._model, "get_image_features") or not hasattr(self._model.config, "text_config"):
            raise InputError(f"{config.model}: is a {self._model.config.model_type} model, it should be CLIP")
        width = self.embed_texts(["a"]).shape[1]
        if width != config.width:
            raise InputError(f"{config.model}: its embeddings have {width} numbers, width is {config.width}")

    @property
    def max_tokens(self) -> int:
        """Length of a text, including start and end token; longer texts are cut."""
        return self._model.config.text_config.max_position_embeddings

    def embed_images(self, pictures: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float32[np.ndarray, "n d"]:
        """Embed pictures of any sizes, each resized and cropped as the model's own files say."""
        return self._in_batches(pictures, self._prepare_images, "get_image_features")

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Embed texts; the model sees their first `max_tokens` tokens."""
        return self._in_batches(texts, self._prepare_texts, "get_text_features")

    def _in_batches(
        self, items: Sequence[object], prepare: Callable[[Sequence[object]], dict[str, Tensor]], method: str
    ) -> Float32[np.ndarray, "n d"]:
        size = self.config.batch_size
        vectors = [np.empty((0, self.config.width), np.float32)]
        with fixed_threads(self.config.num_threads):
            for start in range(0, len(items), size):
                batch = items[start : start + size]
                inputs = {name: self._filled(values) for name, values in prepare(batch).items()}
                features = getattr(self._model, method)(**inputs).pooler_output.float()
                unit = torch.nn.functional.normalize(features, dim=-1)
                vectors.append(unit[: len(batch)].cpu().numpy())
        return np.concatenate(vectors[1:] or vectors)

    def _filled(self, values: Tensor) -> Tensor:
        """Return a batch padded to the full size with its last row, on the model's device."""
        values = values.to(self._model.device)
        num_lacking = self.config.batch_size - len(values)
        filled = torch.cat([values, values[-1:].expand(num_lacking, *values.shape[1:])])
        return filled.to(self._model.dtype) if filled.is_floating_point() else filled

    def _prepare_images(self, pictures: Sequence[object]) -> dict[str, Tensor]:
        return {"pixel_values": self._processor(images=list(pictures), return_tensors="pt")["pixel_values"]}

    def _prepare_texts(self, texts: Sequence[object]) -> dict[str, Tensor]:
        # Without a mask of the padding: CLIP looks only back from its end token, and SigLIP was trained without.
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        return {"input_ids": tokens["input_ids"]}
