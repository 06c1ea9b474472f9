"""`curate run --download`: models come from the hub once, with their size and licence said before."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_videos import pictures, write
from hub_server import hub
from tiny_annotator_models import write_clip

from videoldm.cli.curation.run import CurateRunOptions, bring_models
from videoldm.core.config import to_yaml
from videoldm.curation.annotators.captions import ImageCaptionConfig
from videoldm.curation.annotators.embeddings import EmbeddingsConfig
from videoldm.curation.annotators.models import hub_models
from videoldm.curation.annotators.models.captioner import LocalCaptioner, ServerCaptioner
from videoldm.curation.annotators.models.hub_models import HubModel, missing_models, model_folder
from videoldm.curation.annotators.models.local_model import ClipModelConfig, MissingModelError
from videoldm.curation.annotators.motion import MotionConfig
from videoldm.curation.config import CurationConfig

pytestmark = pytest.mark.slow

WIDTH = 16


def run(home: Path, address: str, *words: object) -> subprocess.CompletedProcess[str]:
    """`videoldm curate run` in a process of its own, as the hub's client reads its settings when it is imported."""
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "videoldm.cli.main", "curate", "run", *map(str, words)]
    return subprocess.run(
        command, env=os.environ | settings, text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with one model of the hub."""
    clip = ClipModelConfig(model="owner/clip", width=WIDTH)
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(CurationConfig(annotations=(EmbeddingsConfig(clip=clip),), comparisons=())))
    return path


def test_models_are_downloaded_once_if_asked_for(tmp_path: Path, config: Path) -> None:
    write(tmp_path / "video.mp4", pictures(60))
    words = (tmp_path / "video.mp4", "-o", tmp_path / "dataset", "--config", config, "--workers", 1)
    with hub({"owner/clip": write_clip(tmp_path / "clip")}) as (address, fetched):
        without = run(tmp_path / "home", address, *words)
        assert without.returncode == 0, without.stderr
        reason = "1: the model owner/clip is not on this machine: add --download, or name a folder"
        assert f"embeddings: 0 of 1 ({reason})" in without.stdout.splitlines()
        assert fetched == []
        found = run(tmp_path / "home", address, *words, "--download")
        assert found.returncode == 0, found.stderr
        assert "Downloading model 1 of 1: owner/clip (" in found.stderr
        assert " GB, licence mit)" in found.stderr
        assert "embeddings: 1 of 1" in found.stdout.splitlines()
        first = list(fetched)
        assert "model.safetensors" in first
        again = run(tmp_path / "home", address, *words, "--download")
        assert "Downloading" not in again.stderr
        assert fetched == first


@pytest.mark.parametrize(
    ("model", "reason"),
    [("owner/gated", "owner/gated is gated: accept its licence on"), ("owner/broken", "answers with status 418")],
)
def test_a_download_that_fails_is_one_line_and_nothing_is_done(
    tmp_path: Path, config: Path, model: str, reason: str
) -> None:
    write(tmp_path / "video.mp4", pictures(10))
    config.write_text(config.read_text().replace("owner/clip", model))
    with hub({}) as (address, _):
        done = run(tmp_path / "home", address, tmp_path / "video.mp4", "-o", tmp_path / "d", "--config", config,
                   "--download")  # fmt: skip
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line]
    assert reason in line
    assert not (tmp_path / "d").exists()


def test_a_download_that_was_cut_off_continues(tmp_path: Path) -> None:
    model = tmp_path / "clip"
    model.mkdir()
    # The client keeps what it has received in units of 10 MiB.
    (model / "model.safetensors").write_bytes(bytes(24 * 2**20))
    script = "from videoldm.curation.annotators.models.hub_models import *; print(download_model('owner/clip'))"
    with hub({"owner/clip": model}, cut=["model.safetensors"]) as (address, fetched):
        settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-c", script], env=os.environ | settings, text=True, capture_output=True, check=True
        )
    assert fetched == ["model.safetensors", f"model.safetensors from {10 * 2**20}"]
    found = Path(done.stdout.strip()) / "model.safetensors"
    assert found.read_bytes() == (model / "model.safetensors").read_bytes()


def test_models_of_all_annotations_are_found_at_any_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    configs = (
        MotionConfig(),
        EmbeddingsConfig(clip=ClipModelConfig(model="nobody/clip-1")),
        ImageCaptionConfig(captioner=LocalCaptioner(model="nobody/reader-1")),
        ImageCaptionConfig(captioner=ServerCaptioner(model="owner/big", url="http://localhost:8000/v1")),
        EmbeddingsConfig(clip=ClipModelConfig(model=str(tmp_path))),
    )
    assert missing_models(configs) == ["nobody/clip-1", "nobody/reader-1"]


def test_a_model_of_which_a_shard_is_missing_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("ab", shards, strict=True))})
    )
    (tmp_path / shards[0]).touch()
    with pytest.raises(MissingModelError):
        model_folder("owner/large")
    (tmp_path / shards[1]).touch()
    assert model_folder("owner/large") == tmp_path


def test_a_model_says_its_size_and_licence() -> None:
    assert str(HubModel("o/m", 605_000_000, "mit")) == "o/m (0.6 GB, licence mit)"
    assert str(HubModel("o/m", 3_400_000_000, None)) == "o/m (3.4 GB, licence not stated)"


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "is_wanted"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_on_a_terminal_a_run_asks_whether_to_download(
    monkeypatch: pytest.MonkeyPatch, answer: str, is_wanted: bool
) -> None:
    asked, fetched = asked_on_a_terminal(monkeypatch, answer)
    assert "not on this machine, 3 GB in all:\n  owner/clip (3 GB, licence mit)\n" in asked
    assert asked.endswith("[y/N] ") or is_wanted
    assert fetched == (["owner/clip"] if is_wanted else [])


def test_nothing_is_asked_where_nobody_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_on_a_terminal(monkeypatch, "y\n", **{"--json": True}) == ("", [])
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    bring_models(CurateRunOptions(), CurationConfig())  # would reach for the hub


def asked_on_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str, **options: bool) -> tuple[str, list[str]]:
    """What a run with a missing model prints on a terminal where this is typed, and what it then downloads."""
    terminal, fetched = Terminal(), list[str]()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(hub_models, "missing_models", lambda _: ["owner/clip"])
    monkeypatch.setattr(hub_models, "look_up", lambda names: [HubModel(name, 3 * 10**9, "mit") for name in names])
    monkeypatch.setattr(hub_models, "download_model", fetched.append)
    bring_models(CurateRunOptions(**options), CurationConfig())
    return terminal.getvalue(), fetched
