"""The three captions of a clip: what is asked, what is stored, and what is missing with which reason."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from chat_server import Asked, ChatServer, Reply, chat_server, completion
from tiny_annotator_models import made_clip, write_language_model, write_llava

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Missing
from videoldm.curation.annotators.captions import (
    COLUMNS,
    ImageCaption,
    ImageCaptionConfig,
    Summary,
    SummaryConfig,
    VideoCaption,
    VideoCaptionConfig,
    evenly_spaced,
)
from videoldm.curation.annotators.models.captioner import LocalCaptioner, ServerCaptioner

BOTH = {
    "image_caption": {"text": "a {video_caption} cube", "is_caught": False},
    "video_caption": {"text": "it moves", "is_caught": False},
}


def captioner(server: ChatServer) -> ServerCaptioner:
    return ServerCaptioner(url=server.url, model="tiny", first_wait_s=0.01, num_retries=1)


def echo(number: int, asked: Asked) -> Reply:
    """Says how many pictures it got."""
    content = asked.body["messages"][0]["content"]
    return Reply(completion(f"a caption of {len(content) - 1} pictures"))


def test_captions_of_a_server() -> None:
    clips = [made_clip(1), made_clip(2, num_frames=20)]
    with chat_server(echo) as server:
        image = ImageCaption(ImageCaptionConfig(captioner=captioner(server))).annotate(clips)
        video = VideoCaption(VideoCaptionConfig(captioner=captioner(server), num_frames=8)).annotate(clips)
        Summary(SummaryConfig(captioner=captioner(server))).annotate([made_clip(1, annotations=BOTH)])
    assert [values["text"] for values in image] == ["a caption of 1 pictures"] * 2
    assert [values["text"] for values in video] == ["a caption of 5 pictures", "a caption of 8 pictures"]
    assert image[0]["prompt_hash"] != video[0]["prompt_hash"]
    prompt: str = server.asked[-1].body["messages"][0]["content"]
    assert prompt.endswith("Frame: a {video_caption} cube\nMotion: it moves")


def test_rows_fit_their_columns() -> None:
    with chat_server(lambda number, asked: Reply(completion("A dog runs.", usage=None))) as server:
        made = ImageCaption(ImageCaptionConfig(captioner=captioner(server)))
        rows = made.annotate([made_clip(1)])
    table = pa.Table.from_pylist(rows, schema=made.config.columns)
    assert list(rows[0]) == COLUMNS.names
    (row,) = table.to_pylist()
    assert row["text"] == "A dog runs."
    assert row["model"] == "tiny-1"
    assert row["num_words"] == 3
    assert row["num_prompt_tokens"] is row["num_new_tokens"] is None
    assert not any(value for name, value in row.items() if name.startswith("is_"))


def test_caught_captions_keep_their_text_and_are_not_summarised() -> None:
    refusal = "I'm sorry, I cannot see pictures."
    with chat_server(lambda number, asked: Reply(completion(refusal))) as server:
        (image,) = ImageCaption(ImageCaptionConfig(captioner=captioner(server))).annotate([made_clip(1)])
        assert image["text"] == refusal
        assert image["is_refusal"]
        assert image["is_caught"]
        summary = Summary(SummaryConfig(captioner=captioner(server)))
        caught = made_clip(1, annotations=BOTH | {"image_caption": image})
        absent = made_clip(2, annotations={"image_caption": BOTH["image_caption"]})
        null = made_clip(3, annotations=BOTH | {"video_caption": {"text": None, "is_caught": None}})
        values = summary.annotate([caught, absent, made_clip(4, annotations=BOTH), null])
    assert values[0] == Missing("its image_caption was caught by a guard")
    assert values[1] == values[3] == Missing("the clip has no video_caption", may_come_later=True)
    assert values[2]["text"] == refusal


def test_failures_of_the_server_are_missing_values() -> None:
    def reply(number: int, asked: Asked) -> Reply:
        return Reply({"error": "bad picture"}, status=400) if number == 0 else Reply(completion("fine"))

    with chat_server(reply) as server:
        config = ImageCaptionConfig(captioner=captioner(server).model_copy(update={"concurrency": 1}))
        bad, good = ImageCaption(config).annotate([made_clip(1), made_clip(2)])
    assert bad == Missing(f"{server.url}: answers 400, bad picture")
    assert good["text"] == "fine"


def test_captions_of_models_in_the_worker(tmp_path: Path) -> None:
    pictures = LocalCaptioner(model=str(write_llava(tmp_path / "llava")))
    writer = LocalCaptioner(model=str(write_language_model(tmp_path / "llama")))
    image = ImageCaption(ImageCaptionConfig(captioner=pictures, max_new_tokens=5)).annotate([made_clip(1)])[0]
    video = VideoCaption(VideoCaptionConfig(captioner=pictures, max_new_tokens=5)).annotate([made_clip(1)])[0]
    assert image["num_new_tokens"] == video["num_new_tokens"] == 5
    assert image["is_overlong"]  # stopped at its limit
    # Five pictures of four tokens each against one, and a longer prompt.
    assert video["num_prompt_tokens"] >= image["num_prompt_tokens"] + 16
    clip = made_clip(1, annotations=BOTH)
    summary = Summary(SummaryConfig(captioner=writer, max_new_tokens=5)).annotate([clip])[0]
    assert summary["text"]
    assert summary["model"] == writer.model


@pytest.mark.parametrize(
    ("kind", "config"),
    [(ImageCaption, ImageCaptionConfig()), (VideoCaption, VideoCaptionConfig()), (Summary, SummaryConfig())],
)
def test_models_that_are_not_here_leave_captions_missing(kind: type, config: ImageCaptionConfig) -> None:
    """As are the default models where tests run."""
    name = "nobody/no-such-model"
    away = config.model_copy(update={"captioner": config.captioner.model_copy(update={"model": name})})
    made = kind(away)
    (values,) = made.annotate([made_clip(1)])
    assert values.may_come_later
    assert f"the model {name} is not on this machine" in values.reason
    assert made.config.columns == COLUMNS


def test_where_a_server_is_does_not_belong_to_what_captions_depend_on() -> None:
    base = ServerCaptioner(url="http://a/v1", model="m")
    same = ServerCaptioner(url="https://b:1/v1", model="m", timeout_s=3, concurrency=1, num_retries=0, rest_s=0)
    identity = ImageCaptionConfig(captioner=base).identity()
    assert ImageCaptionConfig(captioner=same).identity() == identity
    for change in ({"model": "n"}, {"options": {"top_k": 1}}):
        assert ImageCaptionConfig(captioner=base.model_copy(update=change)).identity() != identity
    assert ImageCaptionConfig(captioner=base, prompt="other").identity() != identity
    assert ImageCaptionConfig(captioner=LocalCaptioner(model="m")).identity() != identity


def test_frames_are_taken_evenly() -> None:
    frames = made_clip(1, num_frames=16).frames
    assert [frames.index(frame) for frame in evenly_spaced(frames, 8)] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert [frames.index(frame) for frame in evenly_spaced(frames, 1)] == [8]
    assert [frames.index(frame) for frame in evenly_spaced(frames, 5)] == [1, 4, 8, 11, 14]
    assert evenly_spaced(frames[:3], 8) == frames[:3]


def test_a_summary_needs_places_for_captions() -> None:
    with pytest.raises(ValueError, match=r"should contain \{video_caption\}, the place of a caption"):
        SummaryConfig(prompt="Merge {image_caption}")


def test_a_model_of_one_picture_cannot_caption_videos(tmp_path: Path) -> None:
    from tiny_annotator_models import write_blip

    blip = LocalCaptioner(model=str(write_blip(tmp_path / "blip")))
    with pytest.raises(InputError, match="several need a model with a chat template"):
        VideoCaption(VideoCaptionConfig(captioner=blip)).annotate([made_clip(1)])
