"""Models of annotators are loaded by workers alone: whatever becomes of a worker, the run needs none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from curated import Inline, curate, files, rows
from fault_videos import pictures, write
from runs_that_die import annotate_and_die
from tiny_annotator_models import CLIP_WIDTH, write_clip

from videoldm.core.errors import InputError
from videoldm.curation.annotators.aesthetics import AestheticsConfig
from videoldm.curation.annotators.captions import ImageCaptionConfig, SummaryConfig, VideoCaptionConfig
from videoldm.curation.annotators.embeddings import EmbeddingsConfig
from videoldm.curation.annotators.models import clip_model, pretrained
from videoldm.curation.annotators.models.captioner import LocalCaptioner
from videoldm.curation.annotators.models.flow import RaftConfig
from videoldm.curation.annotators.models.local_model import ClipModelConfig
from videoldm.curation.annotators.models.text_detector import TextDetectorConfig
from videoldm.curation.annotators.motion import MotionConfig
from videoldm.curation.annotators.registry import AnnotationConfig
from videoldm.curation.annotators.text_area import TextAreaConfig
from videoldm.curation.annotators.text_similarity import TextSimilarityConfig
from videoldm.curation.config import CurationConfig
from videoldm.curation.executors.local import LocalExecutor
from videoldm.curation.stages.annotate import annotate

pytestmark = pytest.mark.slow


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    for number in range(3):
        write(tmp_path / "raw" / f"{number}.mp4", pictures(60 + number))
    return tmp_path / "raw"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipModelConfig:
    return ClipModelConfig(model=str(write_clip(tmp_path_factory.mktemp("clip"))), width=CLIP_WIDTH, batch_size=4)


def curation(*annotations: AnnotationConfig) -> CurationConfig:
    return CurationConfig(batch_size=2, annotations=annotations)


class FirstBatchKilled(LocalExecutor):
    """Loses the process that annotates the first batch."""

    def run(self, function, tasks, limits):
        return super().run(annotate_and_die if function is annotate else function, tasks, limits)


@pytest.fixture
def no_model_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this process loads of models, which it cannot; workers are processes of their own."""
    loaded: list[str] = []

    def refuse(_: object, config: ClipModelConfig) -> object:
        loaded.append(config.model)
        raise InputError(f"{config.model}: loaded by the run itself")

    monkeypatch.setattr(pretrained, "load_pretrained", refuse)
    monkeypatch.setattr(clip_model, "load_pretrained", refuse)
    return loaded


def test_run_that_loses_a_worker_loads_no_model_itself(
    videos: Path, tmp_path: Path, clip: ClipModelConfig, no_model_here: list[str]
) -> None:
    config = curation(EmbeddingsConfig(clip=clip))
    with FirstBatchKilled(1) as executor:
        dataset = curate(tmp_path / "dataset", videos, config=config, executor=executor)
    assert no_model_here == []
    found = rows(dataset, "embeddings")
    assert [row["missing"] for row in found] == ["crashed (SIGKILL)"] * 2 + [None]
    assert [row["may_come_later"] for row in found] == [True, True, False]
    with LocalExecutor(1) as executor:
        curate(tmp_path / "dataset", videos, config=config, executor=executor)
        whole = curate(tmp_path / "whole", videos, config=config, executor=executor)
    assert files(dataset.folder) == files(whole.folder)


def test_model_that_cannot_be_used_leaves_its_clips_without_values(
    videos: Path, tmp_path: Path, clip: ClipModelConfig, no_model_here: list[str]
) -> None:
    config = curation(EmbeddingsConfig(clip=clip.model_copy(update={"width": 8})))
    with LocalExecutor(1) as executor:
        dataset = curate(tmp_path / "dataset", videos, config=config, executor=executor)
    assert no_model_here == []
    reason = f"{clip.model}: its embeddings have 16 numbers, width is 8"
    assert [(row["missing"], row["may_come_later"]) for row in rows(dataset, "embeddings")] == [(reason, True)] * 3


def test_broken_models_end_no_run(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    (tmp_path / "broken").mkdir()
    clip, captioner = ClipModelConfig(model=str(tmp_path / "broken")), LocalCaptioner(model=str(tmp_path / "broken"))
    config = curation(
        MotionConfig(flow=RaftConfig(model=str(tmp_path / "broken.onnx"))),
        TextAreaConfig(detector=TextDetectorConfig(model=str(tmp_path / "broken.onnx"))),
        EmbeddingsConfig(clip=clip),
        ImageCaptionConfig(captioner=captioner),
        VideoCaptionConfig(captioner=captioner),
        SummaryConfig(captioner=captioner),
        TextSimilarityConfig(clip=clip),
        AestheticsConfig(head=str(tmp_path / "broken.safetensors")),
    )
    dataset = curate(tmp_path / "dataset", videos, config=config, executor=Inline())
    reasons = {one.name: [row["missing"] for row in rows(dataset, one.name)] for one in config.annotations}
    assert {name: len(found) for name, found in reasons.items()} == dict.fromkeys(reasons, 3)
    assert all(reason.startswith(str(tmp_path / "broken")) for found in reasons.values() for reason in found)
