"""Captions: of the middle frame, of the whole clip, and a summary of both."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeVar

import pyarrow as pa
from pydantic import PositiveInt, field_validator

from videoldm.curation.annotators.annotator import Annotator, ClipFrames, KeptFrame, Missing, Values
from videoldm.curation.annotators.guards import Flags, check_caption, num_words
from videoldm.curation.annotators.models.captioner import (
    Answer,
    Captioner,
    CaptionerConfig,
    CaptionRequest,
    LocalCaptioner,
    ServerCaptioner,
    open_captioner,
)
from videoldm.curation.annotators.models.local_model import unless_missing
from videoldm.curation.annotators.registry import AnnotatorConfig, register

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
"""Columns of every caption; the text is stored as the model gave it, whatever the flags say."""

SMALL_PICTURES: dict[str, Any] = {"do_image_splitting": False}
"""Option for SmolVLM: frames of the sidecar are smaller than the tiles into which it would split their enlargements."""
_SPEED_ONLY = {"url", "concurrency", "timeout_s", "num_retries", "first_wait_s", "rest_s"}


class CaptionConfig(AnnotatorConfig):
    """Who is asked what; for models without a chat, such as BLIP, `prompt` is the beginning of the answer."""

    captioner: CaptionerConfig
    prompt: str
    max_new_tokens: PositiveInt = 96

    @property
    def columns(self) -> pa.Schema:
        """The columns of every caption."""
        return COLUMNS

    def identity(self) -> dict[str, Any]:
        """Return all settings but where a server is and how it is asked: the same model gives the same captions."""
        excluded = _SPEED_ONLY if isinstance(self.captioner, ServerCaptioner) else set[str]()
        return self.model_dump(mode="json", exclude={"captioner": excluded})


class ImageCaptionConfig(CaptionConfig):
    """A caption of the middle frame."""

    name: Literal["image_caption"] = "image_caption"
    captioner: CaptionerConfig = LocalCaptioner(image_options=SMALL_PICTURES)
    prompt: str = "Describe this picture in one sentence: what is seen, where, and how it looks."


class VideoCaptionConfig(CaptionConfig):
    """A caption of some frames, evenly spaced over the clip."""

    name: Literal["video_caption"] = "video_caption"
    captioner: CaptionerConfig = LocalCaptioner(image_options=SMALL_PICTURES)
    num_frames: PositiveInt = 8
    prompt: str = (
        "These pictures are frames of one video in the order of time. Say in one sentence what happens in it: who or "
        "what moves, how, and what the camera does."
    )


class SummaryConfig(CaptionConfig):
    """Both captions in one sentence, by a language model."""

    needs: ClassVar[tuple[str, ...]] = ("image_caption", "video_caption")
    name: Literal["summary"] = "summary"
    captioner: CaptionerConfig = LocalCaptioner(model="HuggingFaceTB/SmolLM2-1.7B-Instruct")
    prompt: str = (
        "Two captions describe the same video, one a single frame of it, the other its motion. Merge them into one "
        "plain sentence that keeps what both of them say and adds nothing. Answer with that sentence only.\n"
        "Frame: {image_caption}\nMotion: {video_caption}"
    )

    @field_validator("prompt")
    @classmethod
    def _check_places(cls, prompt: str) -> str:
        if lacking := [place for name in cls.needs if (place := f"{{{name}}}") not in prompt]:
            raise ValueError(f"should contain {' and '.join(lacking)}, the place of a caption")
        return prompt


C = TypeVar("C", bound=CaptionConfig)
_PLACE = re.compile("{(" + "|".join(SummaryConfig.needs) + ")}")


class _Captions(Annotator[C]):
    """Base of the three kinds of captions."""

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Caption each clip, and check the caption with the guards."""
        if isinstance(self._captioner, Missing):
            return [self._captioner] * len(clips)
        asked = [self._request(clip) for clip in clips]
        answers = iter(self._captioner.answer([request for request in asked if isinstance(request, CaptionRequest)]))
        given = [next(answers) if isinstance(request, CaptionRequest) else request for request in asked]
        return [answer if isinstance(answer, Missing) else self._values(answer) for answer in given]

    @abstractmethod
    def _num_pictures(self) -> int:
        """Return the largest number of pictures in a request."""

    @abstractmethod
    def _request(self, clip: ClipFrames) -> CaptionRequest | Missing:
        """Return what is asked about a clip."""

    @cached_property
    def _captioner(self) -> Captioner | Missing:
        captioner, max_new_tokens = self.config.captioner, self.config.max_new_tokens
        return unless_missing(
            lambda: open_captioner(captioner, max_new_tokens=max_new_tokens, num_pictures=self._num_pictures())
        )

    def _values(self, answer: Answer) -> Values:
        flags = check_caption(answer.text, prompt=self.config.prompt, is_cut=answer.is_cut)
        return {
            "text": answer.text,
            "model": answer.model,
            "prompt_hash": hashlib.blake2b(self.config.prompt.encode(), digest_size=8).hexdigest(),
            "num_prompt_tokens": answer.num_prompt_tokens,
            "num_new_tokens": answer.num_new_tokens,
            "num_words": num_words(answer.text),
            **asdict(flags),
            "is_caught": flags.is_caught,
        }


@register(ImageCaptionConfig)
class ImageCaption(_Captions[ImageCaptionConfig]):
    """A caption of the middle frame, about what is seen. SVD, appendix C: by CoCa."""

    def _num_pictures(self) -> int:
        return 1

    def _request(self, clip: ClipFrames) -> CaptionRequest:
        return CaptionRequest(self.config.prompt, [clip.first_middle_last[1].pixels])


@register(VideoCaptionConfig)
class VideoCaption(_Captions[VideoCaptionConfig]):
    """A caption of frames evenly spaced over the clip, about what happens. SVD, appendix C: by V-BLIP."""

    def _num_pictures(self) -> int:
        return self.config.num_frames

    def _request(self, clip: ClipFrames) -> CaptionRequest:
        frames = evenly_spaced(clip.sampled or clip.frames, self.config.num_frames)
        return CaptionRequest(self.config.prompt, [frame.pixels for frame in frames])


@register(SummaryConfig)
class Summary(_Captions[SummaryConfig]):
    """Both captions in one sentence, by a language model. SVD, appendix C."""

    def _num_pictures(self) -> int:
        return 0

    def _request(self, clip: ClipFrames) -> CaptionRequest | Missing:
        texts: dict[str, str] = {}
        for name in SummaryConfig.needs:
            row = clip.annotations.get(name) or {}
            if row.get("text") is None:
                return Missing(f"the clip has no {name}", may_come_later=True)
            if row["is_caught"]:
                return Missing(f"its {name} was caught by a guard")
            texts[name] = row["text"]
        return CaptionRequest(_PLACE.sub(lambda place: texts[place[1]], self.config.prompt))


def evenly_spaced(frames: Sequence[KeptFrame], num_frames: int) -> list[KeptFrame]:
    """Return `num_frames` of the frames in order, the middles of equal parts; all of them if there are no more."""
    if len(frames) <= num_frames:
        return list(frames)
    return [frames[(2 * i + 1) * len(frames) // (2 * num_frames)] for i in range(num_frames)]
