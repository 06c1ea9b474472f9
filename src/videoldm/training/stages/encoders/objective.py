"""Training the text and the image encoder to agree on which caption belongs to which frame or clip."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from videoldm.conditioners.image import ImageConditioner
from videoldm.core.files import write_json
from videoldm.core.progress import hide_transformers_bars
from videoldm.core.random import python_random, seeded_initialisation
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.order import sample_index
from videoldm.models.clip.encoders import (
    INITIAL_LOGIT_SCALE,
    MAX_LOGIT_SCALE,
    build_image_encoder,
    build_projected_text_encoder,
    contrastive_loss,
)
from videoldm.models.clip.tokenizer import train_tokenizer
from videoldm.synthetic.captions import mirrored_caption
from videoldm.synthetic.vocabulary import LABELS, mirrored
from videoldm.training.data.world import prepare_world
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.stages.encoders.config import EncodersStage

NUM_VALIDATION_PAIRS = 128
NAMING_WEIGHT = 0.5
"""Weight of the heads' loss beside the contrastive one."""


class _Pair(nn.Module):
    """Both encoders, the logarithm of the factor on their cosines, and the map from three frames to a clip.

    A clip is its middle frame plus a linear map of what changes from its first frame to its last: that, and not one
    frame, is what words about motion can be compared with. The heads say what a text is about, so that it keeps words
    which pictures hardly distinguish, such as left and right. Map and heads are thrown away after training.
    """

    def __init__(self, stage: EncodersStage, *, seed: int) -> None:
        super().__init__()
        self.text = build_projected_text_encoder(stage.text, seed=seed)
        self.image = build_image_encoder(stage.image, seed=seed)
        self.change = nn.Linear(stage.image.projection_dim, stage.image.projection_dim, bias=False)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(stage.text.projection_dim, len(classes)) for name, classes in LABELS.items()}
        )
        self.logit_scale = nn.Parameter(torch.tensor(INITIAL_LOGIT_SCALE))
        self._look = ImageConditioner(self.image)

    def look(self, frames: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """Return embeddings of frames."""
        return self._look(frames)[:, 0]

    def watch(self, clips: Float[Tensor, "b 3 c h w"]) -> Float[Tensor, "b d"]:
        """Return embeddings of clips, each given by three frames."""
        first, middle, last = self.look(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]).unbind(1)
        return middle + self.change(last - first)


class EncodersObjective(Objective):
    """Contrastive training of both encoders; the loss is one number for the whole batch."""

    def __init__(self, stage: EncodersStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        self._seed, self._device = seed, device
        self._clips = prepare_world(stage.data, cache)
        self._validation_clips = prepare_world(stage.validation, cache)
        self._tokenizer = train_tokenizer(
            [text for record in self._clips.records for text in (record.caption, record.image_caption)],
            vocab_size=stage.text.vocab_size,
            max_tokens=stage.text.max_tokens,
        )
        with seeded_initialisation(seed, "encoder weights"):
            self._pair = _Pair(stage, seed=seed).to(device)

    @property
    def players(self) -> list[Player]:
        """Both encoders."""
        return [Player("encoders", self._pair, self.losses)]

    def losses(self, positions: Sequence[int]) -> Losses:
        """Return the contrastive loss of the batch, the same number for each of its samples.

        Half of the batch are frames with captions of what is seen, half clips with captions that also name the motion.
        Each clip comes with its mirror image, which only its direction distinguishes from it: otherwise left and right
        are so seldom what decides that their words mean nearly the same.
        """
        half = len(positions) // 2
        frames = [self._drawn(position) for position in positions[:half]]
        clips = [self._drawn(position) for position in positions[half:]]
        seen = [self._frame(self._clips, index, place) for index, place in frames]
        watched = torch.stack([self._watched(self._clips, index) for index, _ in clips])
        records = self._clips.records
        captions = [records[index].caption for index, _ in clips]
        texts = [records[index].image_caption for index, _ in frames] + captions + list(map(mirrored_caption, captions))
        looked = [self._pair.look(torch.stack(seen))] if seen else []
        images = torch.cat([*looked, self._pair.watch(torch.cat([watched, watched.flip(-1)]))]).float()
        words = self._words(texts)
        with torch.autocast(images.device.type, enabled=False):  # cosines in 16 bits are too coarse to compare
            scale = self._pair.logit_scale.clamp(max=MAX_LOGIT_SCALE)
            contrast = contrastive_loss(images, words, scale, ignored=_equal(texts).to(images.device))
            named = self._naming(words[len(frames) :], [records[index].labels for index, _ in clips])
        loss = contrast + NAMING_WEIGHT * named
        parts = {"contrast": contrast.expand(len(positions)), "naming": named.expand(len(positions))}
        return Losses(per_sample=loss.expand(len(positions)), parts=parts)

    def _naming(self, words: Float[Tensor, "b d"], labels: Sequence[Mapping[str, int]]) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of what captions of clips, and then of their mirror images, are about."""
        losses = []
        for name, classes in LABELS.items():
            swapped = [classes.index(mirrored(one)) for one in classes]
            targets = [one[name] for one in labels] + [swapped[one[name]] for one in labels]
            losses.append(
                functional.cross_entropy(self._pair.heads[name](words), torch.tensor(targets).to(words.device))
            )
        return torch.stack(losses).mean()

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure how often the nearest of `NUM_VALIDATION_PAIRS` held-out captions is a frame's or clip's own.

        Also measure how often a clip's caption that names left or right is nearer than the one with the other word.
        """
        clips = self._validation_clips
        indices = range(min(NUM_VALIDATION_PAIRS, len(clips)))
        frames = torch.stack([self._watched(clips, i) for i in indices])
        records = [clips.records[i] for i in indices]
        watched, captions = self._pair.watch(frames), [one.caption for one in records]
        result = {
            "frame_retrieval": self._retrieval(self._pair.look(frames[:, 1]), [one.image_caption for one in records]),
            "clip_retrieval": self._retrieval(watched, captions),
            "left_from_right": self._left_from_right(watched, captions),
        }
        write_json(folder / "retrieval.json", result | {"num_pairs": len(indices)})
        return result

    def export(self, folder: Path) -> None:
        """Write both encoders and the tokenizer in transformers' layout."""
        with hide_transformers_bars():
            self._pair.text.save_pretrained(folder / "text_encoder")
            self._tokenizer.save_pretrained(folder / "text_encoder")
            self._pair.image.save_pretrained(folder / "image_encoder")

    def _frame(self, clips: ClipShards, index: int, place: float) -> Float[Tensor, "c h w"]:
        """Read the frame at `place` of the clip, 0 (first) to 1 (last)."""
        num_frames = clips.num_frames
        return clips.frame(index, min(int(place * num_frames), num_frames - 1))

    def _watched(self, clips: ClipShards, index: int) -> Float[Tensor, "3 c h w"]:
        """Read the three frames that stand for a clip."""
        return torch.stack([self._frame(clips, index, place) for place in (0, 0.5, 1)])

    def _drawn(self, position: int) -> tuple[int, float]:
        """Draw the clip of a sample, and the moment of it for a single frame."""
        clip = sample_index(self._seed, position, len(self._clips))
        return clip, python_random(self._seed, "moment", position).random()

    def _words(self, texts: list[str]) -> Float[Tensor, "b d"]:
        max_tokens = self._pair.text.config.max_position_embeddings
        rows = self._tokenizer(texts, padding="max_length", truncation=True, max_length=max_tokens)
        return self._pair.text(input_ids=torch.tensor(rows["input_ids"], device=self._device)).text_embeds.float()

    def _retrieval(self, images: Float[Tensor, "b d"], texts: list[str]) -> float:
        """Return the share of pictures whose nearest text is their own or reads the same."""
        cosines = functional.normalize(images, dim=-1) @ functional.normalize(self._words(texts), dim=-1).T
        hits = [texts[i] == texts[j] for i, j in enumerate(cosines.argmax(1).tolist())]
        return sum(hits) / len(hits)

    def _left_from_right(self, clips: Float[Tensor, "b d"], texts: list[str]) -> float:
        """Return the share of clips with a direction whose own caption is nearer than the one of the mirror image."""
        words, others = self._words(texts), self._words([mirrored_caption(text) for text in texts])
        own, other = (functional.cosine_similarity(clips, part) for part in (words, others))
        names_direction = torch.tensor([text != mirrored_caption(text) for text in texts])
        return float((own > other).cpu()[names_direction].float().mean())


def _equal(texts: Sequence[str]) -> Bool[Tensor, "b b"]:
    """Return which other samples have the same text, so that choosing theirs is not a mistake."""
    return torch.tensor([[i != j and left == right for j, right in enumerate(texts)] for i, left in enumerate(texts)])
