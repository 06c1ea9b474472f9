"""Training the text and the image encoder to agree on which caption belongs to which frame."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoldm.conditioners.image import ImageConditioner
from videoldm.core.files import write_json
from videoldm.core.random import python_random
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.order import sample_index
from videoldm.models.clip.build import build_image_encoder, build_projected_text_encoder
from videoldm.models.clip.contrastive import INITIAL_LOGIT_SCALE, MAX_LOGIT_SCALE, contrastive_loss
from videoldm.models.clip.tokenizer import train_tokenizer
from videoldm.training.objective import Losses
from videoldm.training.stages.config import EncodersStage
from videoldm.training.world import prepare_world

NUM_VALIDATION_PAIRS = 128


class _Pair(nn.Module):
    """Both encoders and the logarithm of the factor on their cosines."""

    def __init__(self, stage: EncodersStage, *, seed: int) -> None:
        super().__init__()
        self.text = build_projected_text_encoder(stage.text, seed=seed)
        self.image = build_image_encoder(stage.image, seed=seed)
        self.logit_scale = nn.Parameter(torch.tensor(INITIAL_LOGIT_SCALE))


class EncodersObjective:
    """See `EncodersStage`. The loss is one number for the batch, so batches are never accumulated."""

    def __init__(self, stage: EncodersStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        self._seed, self._device = seed, device
        self._clips = prepare_world(stage.data, cache)
        self._validation_clips = prepare_world(stage.validation, cache)
        self._tokenizer = train_tokenizer(
            [text for record in self._clips.records for text in (record.caption, record.image_caption)],
            vocab_size=stage.text.vocab_size,
            max_tokens=stage.text.max_tokens,
        )
        self._pair = _Pair(stage, seed=seed).to(device)
        self._look = ImageConditioner(self._pair.image)

    @property
    def module(self) -> nn.Module:
        """Both encoders."""
        return self._pair

    def losses(self, positions: Sequence[int]) -> Losses:
        """The contrastive loss of the batch, the same number for each of its samples."""
        frames, texts = [], []
        for position in positions:
            choice = python_random(self._seed, "pair", position)
            clip = sample_index(self._seed, position, len(self._clips))
            frames.append(self._frame(self._clips, clip, choice.random()))
            record = self._clips.records[clip]
            texts.append(choice.choice((record.caption, record.image_caption)))
        images, words = self._embed(torch.stack(frames), texts)
        with torch.autocast(images.device.type, enabled=False):  # cosines in 16 bits are too coarse to be told apart
            loss = contrastive_loss(images, words, self._pair.logit_scale.clamp(max=MAX_LOGIT_SCALE))
        return Losses(per_sample=loss.expand(len(positions)))

    def validate(self, folder: Path) -> dict[str, float]:
        """How often, of `NUM_VALIDATION_PAIRS` held-out captions, the frame's own or an equal one is nearest."""
        clips = self._validation_clips
        indices = range(min(NUM_VALIDATION_PAIRS, len(clips)))
        texts = [clips.records[i].image_caption for i in indices]
        images, words = self._embed(torch.stack([self._frame(clips, i, 0.5) for i in indices]), texts)
        nearest = (nn.functional.normalize(images, dim=-1) @ nn.functional.normalize(words, dim=-1).T).argmax(1)
        hits = [texts[i] == texts[j] for i, j in enumerate(nearest.tolist())]
        result = {"retrieval": sum(hits) / len(hits)}
        write_json(folder / "retrieval.json", result | {"num_pairs": len(hits)})
        return result

    def export(self, folder: Path) -> None:
        """Write both encoders and the tokenizer in transformers' layout."""
        self._pair.text.save_pretrained(folder / "text_encoder")
        self._tokenizer.save_pretrained(folder / "text_encoder")
        self._pair.image.save_pretrained(folder / "image_encoder")

    def _frame(self, clips: ClipShards, index: int, place: float) -> Float[Tensor, "c h w"]:
        """The frame at `place` of the clip, 0 (first) to 1 (last)."""
        num_frames = clips.num_frames
        return clips.frame(index, min(int(place * num_frames), num_frames - 1))

    def _embed(
        self, pixels: Float[Tensor, "b c h w"], texts: list[str]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        tokens = self._tokenizer(
            texts, padding="max_length", truncation=True, max_length=self._pair.text.config.max_position_embeddings
        )
        words = self._pair.text(input_ids=torch.tensor(tokens["input_ids"], device=self._device)).text_embeds
        return self._look(pixels)[:, 0].float(), words.float()
