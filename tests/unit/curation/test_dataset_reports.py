"""Reports with pictures: what they show, and that they are whole."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from made_tables import clip_row, made_view, typed, valued
from PIL import Image

from videoldm.core.reading import read_json
from videoldm.curation.report.drawing import sheet
from videoldm.curation.report.pages import (
    NEAREST,
    SPREAD,
    WITHOUT,
    DroppedSamples,
    dropped_samples,
    write_gallery,
    write_stats_report,
)
from videoldm.curation.report.stats import measure_stats
from videoldm.curation.selection.evaluate import judge
from videoldm.curation.store.view import DatasetView, open_dataset

NUM_CLIPS = 30
WORDS = ["--drop-lowest", "motion=50%", "--text-area-max", "7%", "--where", "clip_id <> 'c03'"]


def _jpeg(grey: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 36), (grey, grey, grey)).save(data, "JPEG")
    return data.getvalue()


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> DatasetView:
    """Clips as bright as their motion; the last two have no picture, the first two no motion."""
    ids = [f"c{index:02}" for index in range(NUM_CLIPS)]
    clips = [clip_row(clip_id, f"s{i % 3}", start_pts=100 * i) for i, clip_id in enumerate(ids)]
    clips[5]["path"] = "raw/<i>&.mp4"
    clips[6]["path"] = f"raw/{'long ' * 40}猫.mp4"
    motion = {clip_id: None if i < 2 else i / 10 for i, clip_id in enumerate(ids)}
    caption = [{"clip_id": clip_id, "text": "<script>alert(1)</script>"} for clip_id in ids]
    kept = [
        {"source_id": clip["source_id"], "pts": clip["middle_pts"] + shift, "kind": kind, "jpeg": _jpeg(grey)}
        for i, clip in enumerate(clips[:-2])
        for shift, kind, grey in ((0, "sampled", 8 * i), (12, "sampled", 255), (-1, "edge", 255))
    ]
    return made_view(
        tmp_path_factory.mktemp("reports"),
        clips,
        {
            "motion": valued("motion", motion),
            "text_area": valued("text_area", {clip_id: 0.0 if i % 2 else 0.1 for i, clip_id in enumerate(ids)}),
            "caption": ({"text": pa.string()}, caption),
            "embedding": ({"vector": pa.list_(pa.float32())}, [{"clip_id": i, "vector": [1.0]} for i in ids]),
        },
        sidecars=kept,
        num_parts=2,
    )


class _Page(HTMLParser):
    """Tags that were not closed, and attributes by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: dict[str, list[dict[str, Any]]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.setdefault(tag, []).append(dict(attrs))
        if tag not in ("meta", "img", "br", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.setdefault(tag, []).append(dict(attrs))


def _page(path: Path) -> _Page:
    page = _Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert "script" not in page.attributes
    assert not re.search(r'(src|href)="(?!data:)', path.read_text(encoding="utf-8"))  # it needs no other file
    return page


def _grey(source: str) -> Any:
    data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
    return Image.open(io.BytesIO(data)).convert("L").getpixel((30, 20))


def test_report_is_whole_and_escaped(view: DatasetView, tmp_path: Path) -> None:
    with open_dataset(view) as dataset:
        stats = measure_stats(dataset)
        data, html, png = write_stats_report(dataset, stats, tmp_path, title="A <b> title", num_thumbnails=NUM_CLIPS)
    page = _page(html)
    assert len(page.attributes["svg"]) == len(stats.distributions) == 7
    assert len(page.attributes["img"]) == NUM_CLIPS - 2
    assert "&lt;i&gt;&amp;.mp4 at 20.83 s" in html.read_text()
    assert "long long long long ...g long 猫.mp4 at 25.00 s" in html.read_text(encoding="utf-8")
    assert read_json(data)["clips"] == NUM_CLIPS
    assert Image.open(png).width == 3 * 376 + 16


def _gone(view: DatasetView) -> list[DroppedSamples]:
    with open_dataset(view) as dataset:
        return dropped_samples(dataset, judge(dataset, typed(WORDS)), num_each=4)


def test_gallery_shows_those_nearest_to_the_line_and_a_spread_sample(view: DatasetView) -> None:
    motion, text_area, where = _gone(view)
    assert list(motion.samples) == [NEAREST, SPREAD, WITHOUT]
    assert [each.clip_id for each in motion.samples[NEAREST]] == ["c15", "c14", "c13", "c12"]
    assert motion.samples[NEAREST][0].lines == ("motion 1.5", "s0.mp4 at 62.50 s")
    spread = [each.clip_id for each in motion.samples[SPREAD]]
    assert spread == sorted(spread)
    assert set(spread) <= {f"c{i:02}" for i in range(2, 16)}
    assert sorted(each.clip_id for each in motion.samples[WITHOUT]) == ["c00", "c01"]
    assert list(text_area.samples) == [NEAREST, SPREAD]
    assert [each.clip_id for each in text_area.samples[NEAREST]] == ["c28", "c26", "c24", "c22"]
    assert {what: [each.clip_id for each in found] for what, found in where.samples.items()} == {SPREAD: ["c03"]}


def test_pictures_are_the_middle_frames_of_their_clips(view: DatasetView, tmp_path: Path) -> None:
    with open_dataset(view) as dataset:
        html, png = write_gallery(dataset, judge(dataset, typed(WORDS)), tmp_path, num_each=4)
    images = _page(html).attributes["img"]
    assert [_grey(image["src"]) for image in images[:4]] == pytest.approx([120, 112, 104, 96], abs=2)
    assert 'class="no-picture"' in html.read_text()  # c28 has none
    with Image.open(png) as sheet:
        assert sheet.convert("L").getpixel((16 + 80, 16 + 18 + 20)) == pytest.approx(120, abs=2)


def test_each_clip_is_shown_once_where_few_go(view: DatasetView) -> None:
    with open_dataset(view) as dataset:
        few = judge(dataset, typed(["--drop-lowest", "motion=10%", "--keep-missing"]))
        [all_shown] = dropped_samples(dataset, few, num_each=2)
        [some_shown] = dropped_samples(dataset, few, num_each=1)
    assert {what: len(found) for what, found in all_shown.samples.items()} == {NEAREST: 2}
    assert list(some_shown.samples) == [NEAREST, SPREAD]


def test_no_picture_where_nothing_goes(view: DatasetView, tmp_path: Path) -> None:
    with open_dataset(view) as dataset:
        write_gallery(dataset, judge(dataset, typed(["--where", "clip_id <> 'c03'"])), tmp_path)
        assert (tmp_path / "dropped.png").exists()
        [html] = write_gallery(dataset, judge(dataset, typed(["--where", "true"])), tmp_path)
    assert "Nothing would be dropped" in html.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["dropped.html"]


def test_report_on_no_clips_has_no_picture(tmp_path: Path) -> None:
    with open_dataset(DatasetView(clips=[])) as dataset:
        _, html = write_stats_report(dataset, measure_stats(dataset), tmp_path, title="nothing")
    assert _page(html).attributes.get("svg") is None
    assert "There are no clips yet" in html.read_text()
    assert not (tmp_path / "stats.png").exists()


def test_sheet_has_a_heading_in_any_script() -> None:
    """The font has no letters but those of English; what it lacks is neither an error nor an empty box."""
    plain, other = (sheet([(heading, [])]) for heading in ("nave cafe ?", "näve café 猫"))
    assert plain.tobytes() == other.tobytes()
