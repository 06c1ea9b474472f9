"""Captions: of the middle frame, of the whole clip, and a summary of both."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, fields

import pyarrow as pa

from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame, Missing, Values
from videoldm.curation.annotators.config import (
    CaptionConfig,
    ImageCaptionConfig,
    ServerCaptioner,
    SummaryConfig,
    VideoCaptionConfig,
)
from videoldm.curation.annotators.guards import Flags, check_caption, num_words
from videoldm.curation.annotators.models.captioner import Answer, Captioner, Request
from videoldm.curation.annotators.models.local_model import unless_missing

COLUMNS = pa.schema(
    [
        ("text", pa.string()),
        ("model", pa.string()),
        ("prompt_hash", pa.string()),
        ("num_prompt_tokens", pa.int32()),
        ("num_new_tokens", pa.int32()),
        ("num_words", pa.int32()),
        *((flag.name, pa.bool_()) for flag in fields(Flags)),
        ("is_caught", pa.bool_()),
    ]
)
"""Of every caption; the text is as the model gave it, whatever the flags say."""

_PLACE = re.compile("{(" + "|".join(SummaryConfig.needs) + ")}")


class _Captions(ABC):
    """What the three kinds of captions have in common."""

    def __init__(self, config: CaptionConfig, *, num_pictures: int) -> None:
        self._prompt = config.prompt
        self._prompt_hash = hashlib.blake2b(config.prompt.encode(), digest_size=8).hexdigest()
        self._captioner = unless_missing(lambda: _open(config, num_pictures))

    @property
    def columns(self) -> pa.Schema:
        """Names and types of the values."""
        return COLUMNS

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """The caption of each clip with what its guards say."""
        if isinstance(self._captioner, Missing):
            return [self._captioner] * len(clips)
        asked = [self._request(clip) for clip in clips]
        answers = iter(self._captioner.answer([request for request in asked if isinstance(request, Request)]))
        given = [next(answers) if isinstance(request, Request) else request for request in asked]
        return [answer if isinstance(answer, Missing) else self._values(answer) for answer in given]

    @abstractmethod
    def _request(self, clip: ClipFrames) -> Request | Missing:
        """What is asked for a clip."""

    def _values(self, answer: Answer) -> Values:
        flags = check_caption(answer.text, prompt=self._prompt, is_cut=answer.is_cut)
        return {
            "text": answer.text,
            "model": answer.model,
            "prompt_hash": self._prompt_hash,
            "num_prompt_tokens": answer.num_prompt_tokens,
            "num_new_tokens": answer.num_new_tokens,
            "num_words": num_words(answer.text),
            **asdict(flags),
            "is_caught": flags.is_caught,
        }


class ImageCaption(_Captions):
    """A caption of the middle frame, for what is seen. SVD, C: by CoCa."""

    def __init__(self, config: ImageCaptionConfig) -> None:
        super().__init__(config, num_pictures=1)

    def _request(self, clip: ClipFrames) -> Request:
        return Request(self._prompt, [clip.first_middle_last[1].pixels])


class VideoCaption(_Captions):
    """A caption of frames evenly over the clip, for what happens. SVD, C: by V-BLIP."""

    def __init__(self, config: VideoCaptionConfig) -> None:
        self._num_frames = config.num_frames
        super().__init__(config, num_pictures=config.num_frames)

    def _request(self, clip: ClipFrames) -> Request:
        frames = evenly_spaced(clip.sampled or clip.frames, self._num_frames)
        return Request(self._prompt, [frame.pixels for frame in frames])


class Summary(_Captions):
    """Both captions in one sentence, by a language model. SVD, C."""

    def __init__(self, config: SummaryConfig) -> None:
        super().__init__(config, num_pictures=0)

    def _request(self, clip: ClipFrames) -> Request | Missing:
        texts: dict[str, str] = {}
        for name in SummaryConfig.needs:
            row = clip.annotations.get(name) or {}
            if row.get("text") is None:
                return Missing(f"the clip has no {name}", may_come_later=True)
            if row["is_caught"]:
                return Missing(f"its {name} was caught by a guard")
            texts[name] = row["text"]
        return Request(_PLACE.sub(lambda place: texts[place[1]], self._prompt))


def evenly_spaced(frames: Sequence[KeptFrame], num_frames: int) -> list[KeptFrame]:
    """That many of the frames in order, the middles of equal parts; all of them if there are no more."""
    if len(frames) <= num_frames:
        return list(frames)
    return [frames[(2 * i + 1) * len(frames) // (2 * num_frames)] for i in range(num_frames)]


def _open(config: CaptionConfig, num_pictures: int) -> Captioner:
    """The captioner of `config`, transformers only being imported for one that runs here."""
    if isinstance(config.captioner, ServerCaptioner):
        from videoldm.curation.annotators.models.server_captioner import ServerReader

        return ServerReader(config.captioner, max_new_tokens=config.max_new_tokens)
    from videoldm.curation.annotators.models.transformers_captioner import PictureReader, TextWriter

    if num_pictures == 0:
        return TextWriter(config.captioner, max_new_tokens=config.max_new_tokens)
    return PictureReader(config.captioner, max_new_tokens=config.max_new_tokens, num_pictures=num_pictures)
