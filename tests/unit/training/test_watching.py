"""The page of a run, its model card, and trackers."""

from __future__ import annotations

import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.recipes.registry import RECIPES
from videoldm.training.watching.model_card import write_model_card
from videoldm.training.watching.page import Curve, families, figure, write_page
from videoldm.training.watching.watchers import Tracker, check_trackers

RECIPE = RECIPES["mini-image-to-video"]()
RECORDS = [
    {"samples": 1024, "loss": 2.0, "loss_sigma/0-0.05": 1.0, "loss_sigma/20-inf": 3.0},
    {"samples": 2048, "loss": 1.0, "loss_sigma/0-0.05": 0.5, "loss_sigma/20-inf": None},
    {"samples": 2048, "validation/loss": 0.75, "validation/motion": 0.1},
]


class Files(HTMLParser):
    """What a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names += [value for name, value in attrs if name in ("src", "href") and value]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    (tmp_path / "config.yaml").write_text("")
    for samples in range(1024, 8 * 1024, 1024):
        folder = tmp_path / "validation" / f"{samples:012d}"
        folder.mkdir(parents=True)
        for name in ("000.mp4", "001.mp4", "clips.png"):
            (folder / name).touch()
    write_json(tmp_path / "inputs.json", {"stage.autoencoder": "abc123"})
    (tmp_path / "export").mkdir()
    return tmp_path


def test_plots_show_where_curves_end() -> None:
    values = [1.0] * 99
    assert ">7<" in figure("loss", [Curve("loss", range(100), [*values, 7.0])])
    assert ">7<" not in figure("loss", [Curve("loss", range(100), [7.0, *values])])


def test_page_shows_curves_and_the_newest_clips(run: Path) -> None:
    page = write_page(run, RECIPE).read_text()
    names = Files(page).names
    assert all((run / name).is_file() for name in names)
    shown = sorted({name.split("/")[1] for name in names if name.endswith(".mp4")})
    assert len(shown) == 4
    assert shown[-1] == f"{7 * 1024:012d}"
    assert not any(name.endswith(".png") for name in names)
    assert page.count("<svg") == 4  # loss, loss_sigma, validation/loss, validation/motion
    assert "2,048 of 32,768 (6%)" in page


def test_page_of_a_run_that_has_just_begun(tmp_path: Path) -> None:
    page = write_page(tmp_path, RECIPE).read_text()
    assert "0 of 32,768" in page
    assert "<svg" not in page


def test_families_leave_out_what_is_not_finite() -> None:
    found = families(RECORDS)
    assert list(found) == ["loss", "loss_sigma", "validation/loss", "validation/motion"]
    assert found["loss_sigma"] == [
        Curve("loss_sigma/0-0.05", (1024, 2048), (1.0, 0.5)),
        Curve("loss_sigma/20-inf", (1024,), (3.0,)),
    ]


def test_curve_goes_from_high_to_low_and_long_ones_are_thinned() -> None:
    curve = Curve("loss", range(1, 10_001), [10_000.0 - i for i in range(10_000)])
    drawn = figure("loss", [curve])
    [points] = re.findall(r'points="([^"]*)"', drawn)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert 100 < len(places) <= 240
    assert places[0][1] == 0
    assert places[-1] == (320, 110)
    assert [y for _, y in places] == sorted(y for _, y in places)


def test_constant_curve_is_drawn() -> None:
    assert "55.0" in figure("loss", [Curve("loss", [1, 2], [3.0, 3.0])])


def test_card_tells_what_the_hub_and_people_ask(run: Path) -> None:
    text = write_model_card(run, run / "export", RECIPE).read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["pipeline_tag"] == "image-to-video"
    assert "| loss | 0.75 |" in body
    assert "content abc123" in body
    [config] = re.findall(r"```yaml\n(.*)```", body, re.DOTALL)
    assert yaml.safe_load(config)["training"]["num_samples"] == RECIPE.training.num_samples


def test_tracker_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"training\.trackers has trackio, which is not installed"):
        check_trackers(["trackio"])


def test_tracker_is_given_numbers_at_their_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the service, which keeps to the signatures of trackio 0.43 and wandb 0.31."""
    (tmp_path / "trackio.py").write_text(
        "log_lines = []\n"
        "class Run:\n"
        "    def log(self, metrics, step=None): log_lines.append((step, metrics))\n"
        "    def finish(self): log_lines.append('end')\n"
        "def init(project, name=None, config=None, resume='never'):\n"
        "    log_lines.append((project, name, config, resume))\n"
        "    return Run()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    tracker = Tracker("trackio", project="videoldm", run="mini", folder=tmp_path, config={"a": 1})
    tracker.write(1024, {"loss": 0.5})
    tracker.close()
    import trackio  # pyright: ignore[reportMissingImports]

    assert trackio.log_lines == [("videoldm", "mini", {"a": 1}, "allow"), (1024, {"loss": 0.5}), "end"]
