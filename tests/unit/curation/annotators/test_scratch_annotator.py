"""An annotator that this file alone adds: its config, its class, its registration; nothing else knows of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from curated import Inline, curate, files, rows
from made_tables import typed
from pydantic import PositiveInt

from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Annotator, ClipFrames, Missing, Values
from videoldm.curation.annotators.motion import MotionConfig
from videoldm.curation.annotators.registry import AnnotatorConfig, register
from videoldm.curation.choices import only
from videoldm.curation.config import CurationConfig
from videoldm.curation.executors.local import LocalExecutor
from videoldm.curation.selection.evaluate import judge
from videoldm.curation.store.view import open_dataset

ROOT = Path(__file__).parents[4]


class GreyestConfig(AnnotatorConfig):
    """How grey a clip is."""

    name: Literal["greyest"] = "greyest"
    needs = ("motion",)
    num_levels: PositiveInt = 256

    @property
    def columns(self) -> pa.Schema:
        return pa.schema([("greyest", pa.float32()), ("num_frames", pa.int32())])


@register(GreyestConfig)
class Greyest(Annotator[GreyestConfig]):
    """The mean level of the kept frames; clips that hardly move have none."""

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        return [self._values(clip) for clip in clips]

    @functools.cached_property
    def _levels(self) -> int:
        if self.config.num_levels == 13:
            raise InputError("a model of 13 levels cannot be loaded")
        return self.config.num_levels

    def _values(self, clip: ClipFrames) -> Values:
        if clip.annotations["motion"]["motion"] is None:
            return Missing("the clip has no motion", may_come_later=True)
        means = [float(frame.pixels.mean()) * self._levels / 256 for frame in clip.sampled]
        return {"greyest": sum(means) / len(means), "num_frames": len(means)}


CONFIG = CurationConfig(batch_size=4, annotations=(MotionConfig(), GreyestConfig()))


def test_clips_are_annotated_and_can_be_selected_by_it(videos: Path, tmp_path: Path) -> None:
    dataset = curate(tmp_path / "dataset", videos, config=CONFIG)
    found = rows(dataset, "greyest")
    assert len(found) == 6
    assert all(row["missing"] is None and 0 < row["greyest"] < 256 and row["num_frames"] >= 2 for row in found)
    with open_dataset(dataset.view()) as opened:
        assert judge(opened, typed(["--drop-lowest", "greyest=50%"])).num_left == 3
    again = Inline()
    curate(dataset.folder, videos, config=CONFIG, executor=again)
    assert again.names() == []


def test_worker_knows_it_by_its_config(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # which workers take over, so that they find this file's module
    with LocalExecutor(1) as executor:
        dataset = curate(tmp_path / "dataset", videos, config=CONFIG, executor=executor)
    assert files(dataset.folder) == files(curate(tmp_path / "inline", videos, config=CONFIG).folder)


def test_its_errors_are_reasons(videos: Path, tmp_path: Path) -> None:
    broken = CurationConfig(annotations=(MotionConfig(), GreyestConfig(num_levels=13)))
    found = rows(curate(tmp_path / "dataset", videos, config=broken), "greyest")
    assert {(row["missing"], row["may_come_later"]) for row in found} == {
        ("a model of 13 levels cannot be loaded", True)
    }


def test_command_line_names_it() -> None:
    chosen = only(CurationConfig(), ["greyest", "text_area"]).annotations
    assert [one.name for one in chosen] == ["motion", "text_area", "greyest"]
    assert [one.name for one in only(CurationConfig(annotations=()), ["greyest"]).annotations] == ["motion", "greyest"]


def test_configuration_files_name_it() -> None:
    config = CurationConfig(annotations=(MotionConfig(), GreyestConfig(num_levels=4)))
    assert "name: greyest" in to_yaml(config)
    assert from_yaml(CurationConfig, to_yaml(config)) == config
    with pytest.raises(InputError, match=r"annotations\.1\.num_level is not a known key, did you mean num_levels"):
        from_yaml(CurationConfig, "annotations: [{name: motion}, {name: greyest, num_level: 4}]")
