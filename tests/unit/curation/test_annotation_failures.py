"""An annotator that fails unexpectedly at one clip: the other clips of its task have their values."""

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pytest
from curated import CONFIG, curate, rows
from fault_videos import pictures, write

from videoldm.curation.annotators.annotator import Annotator, ClipFrames, Values
from videoldm.curation.annotators.registry import AnnotatorConfig, register


class FragileConfig(AnnotatorConfig):
    """An annotation of wide clips alone."""

    name: Literal["fragile"] = "fragile"

    @property
    def columns(self) -> pa.Schema:
        """The width."""
        return pa.schema([("width", pa.int32())])


@register(FragileConfig)
class Fragile(Annotator[FragileConfig]):
    """Fails at narrow clips, with the words of some library."""

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Return widths."""
        for clip in clips:
            if clip.width < 100:
                raise IndexError("Tensor::expand(): 0x7f3a21 mismatched at dim 3")
        return [{"width": clip.width} for clip in clips]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict]:
    folder = tmp_path_factory.mktemp("videos")
    for width in (64, 128, 160):
        write(folder / f"{width}.mp4", pictures(1, width=width) * 60)
    config = CONFIG.model_copy(update={"annotations": (FragileConfig(),)})
    dataset = curate(folder / "dataset", folder, config=config)
    widths = {row["clip_id"]: row["width"] for row in rows(dataset, "clips")}
    return {widths[row["clip_id"]]: row for row in rows(dataset, "fragile")}


def test_siblings_of_a_failed_clip_keep_their_values(found: dict[int, dict]) -> None:
    assert {width: row["width"] for width, row in found.items()} == {64: None, 128: 128, 160: 160}
    assert found[64]["may_come_later"]


def test_the_reason_has_kind_and_place_and_no_words_of_a_library(found: dict[int, dict]) -> None:
    reason = found[64]["missing"]
    assert reason.startswith("unexpected IndexError in test_annotation_failures.py, line ")
    assert "Tensor" not in reason
