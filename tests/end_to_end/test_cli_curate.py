"""`videoldm curate`: from raw videos to chosen clips on disk, with models and a server that are really asked."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from chat_server import Reply, chat_server, completion
from command_line import CommandLine
from curated import files
from fault_videos import write
from tiny_annotator_models import CLIP_WIDTH, write_clip

from videoldm.cli.main import main
from videoldm.core.config import from_yaml
from videoldm.curation.annotators.models.aesthetic_head import AestheticFit, AestheticHead, save_head
from videoldm.curation.config import CurationConfig, Limits

NUM_VIDEOS, SHOT_FRAMES = 6, 40
ONE = ("--workers", 1)
"""Each takes a moment to start."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of two shots each, in which a texture moves, faster from video to video."""
    folder = tmp_path_factory.mktemp("raw")
    for number in range(NUM_VIDEOS):
        write(folder / f"video {number}.mp4", shots(number), codec_options={"g": "10"})
    return folder


def shots(number: int) -> list[np.ndarray]:
    """A coarse texture that moves to the left, by night and by day."""
    draw = np.random.default_rng(number)
    frames = []
    for colour in ((15, 25, 70), (200, 160, 110)):
        coarse = draw.integers(-15, 40, (6, 22, 1)) + np.array(colour)
        texture = np.kron(coarse.clip(0, 255).astype(np.uint8), np.ones((16, 16, 1), np.uint8))
        frames += [np.ascontiguousarray(texture[:, i * number // 2 :][:, :128]) for i in range(SHOT_FRAMES)]
    return frames


def config_file(folder: Path, **changes: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(json.dumps({"batch_size": 4, "clips": {"min_s": 0.5, "max_s": 60.0}} | changes))  # JSON is YAML
    return path


def wide(folder: Path) -> list[dict[str, Any]]:
    return pq.ParquetFile(folder / "clips.parquet").read().to_pylist()


@pytest.fixture(scope="module")
def motion_alone(tmp_path_factory: pytest.TempPathFactory, raw: Path) -> Path:
    """A folder with a dataset that has motion alone, and its configuration."""
    folder = tmp_path_factory.mktemp("curated")
    config = config_file(folder, annotations=[{"name": "motion"}])
    words = ("curate", "run", raw, "-o", folder / "dataset", "--config", config, "--workers", 2)
    assert main([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def dataset(cli: CommandLine, motion_alone: Path) -> Path:
    """That dataset, to change."""
    shutil.copytree(motion_alone, cli.folder, dirs_exist_ok=True)
    return cli.folder / "dataset"


def test_the_whole_way(cli: CommandLine, raw: Path, dataset: Path) -> None:
    status = json.loads(cli.succeeds("curate", "status", dataset, "--json"))
    assert (status["inputs"], status["clips"]) == ({"whole": NUM_VIDEOS}, 2 * NUM_VIDEOS)
    assert status["missing"] == {"motion": {}}
    stats = json.loads(cli.succeeds("curate", "stats", dataset, "--json"))
    assert (stats["clips"], stats["clips_per_video"]) == (2 * NUM_VIDEOS, 2.0)
    assert stats["total_s"] == pytest.approx(2 * NUM_VIDEOS * SHOT_FRAMES / 25)

    cli.succeeds("curate", "select", dataset, "--drop-lowest", "motion=25%", "--name", "moving")
    left = pq.ParquetFile(dataset / "selections/moving/v0001/clips.parquet").read().to_pylist()
    assert len(left) == 9
    still = {str(raw / "video 0.mp4")}
    assert still.isdisjoint(row["path"] for row in left)

    cli.succeeds("curate", "export", dataset, "--selection", "moving", "-o", "clips", "--workers", 2)
    rows = wide(cli.folder / "clips")
    assert {row["clip_id"] for row in rows} == {row["clip_id"] for row in left}
    for row in rows:
        with av.open(str(cli.folder / "clips" / row["file"])) as container:
            assert sum(1 for _ in container.decode(video=0)) == row["exported_num_frames"] == SHOT_FRAMES
        assert Fraction(row["lost_start_ticks"]) == row["lost_end_ticks"] == 0
        assert row["motion"] > 0


def test_reports_are_written(cli: CommandLine, dataset: Path) -> None:
    cli.succeeds("curate", "stats", dataset, "--report", "report")
    page = (cli.folder / "report/stats.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    cli.succeeds("curate", "select", dataset, "--drop-lowest", "motion=50%", "--dry-run", "--gallery", "gallery")
    outcome = cli("curate", "select", dataset, "--where", "duration_s > 99", "--dry-run")
    assert (outcome.code, outcome.out.count("duration_s > 99")) == (2, 1)
    assert outcome.err == "error: no clip is left of 12: 0 after where duration_s > 99\n"
    assert (cli.folder / "gallery/dropped.png").stat().st_size > 1000
    assert not (dataset / "selections").exists()


def test_shards_hold_what_the_index_says(cli: CommandLine, dataset: Path) -> None:
    words = ("curate", "export", dataset, "--format", "webdataset", "--shard-size", 5, *ONE)
    cli.succeeds(*words, "-o", "shards")
    rows = wide(cli.folder / "shards")
    assert [row["file"] for row in rows] == ["00000.tar"] * 5 + ["00001.tar"] * 5 + ["00002.tar"] * 2
    for row in rows:
        data = (cli.folder / "shards" / row["file"]).read_bytes()[row["offset"] :][: row["size"]]
        with av.open(io.BytesIO(data)) as container:
            assert sum(1 for _ in container.decode(video=0)) == SHOT_FRAMES
    with tarfile.open(cli.folder / "shards/00002.tar") as tar:
        keys = [Path(name).stem for name in tar.getnames()]
    assert keys == [row["clip_id"] for row in rows[10:] for _ in range(2)]
    before = files(cli.folder / "shards")
    cli.succeeds(*words, "-o", "shards")
    assert files(cli.folder / "shards") == before


def test_exact_clips_lose_nothing_where_copies_do(cli: CommandLine, tmp_path: Path) -> None:
    """One group of pictures over both shots: the second one holds no point at which a copy could begin."""
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw/one group.mp4", shots(3), codec_options={"g": "250", "sc_threshold": "0"})
    config = config_file(cli.folder, annotations=[])
    cli.succeeds("curate", "run", "raw", "-o", "dataset", "--config", config, *ONE)
    outcome = cli("curate", "export", "dataset", "-o", "clips", *ONE)
    assert outcome.code == 1
    assert "no verified access point in the span; --exact encodes it again" in outcome.err
    cli.succeeds("curate", "export", "dataset", "-o", "clips", "--exact", *ONE)
    assert [row["exported_num_frames"] for row in wide(cli.folder / "clips")] == [SHOT_FRAMES] * 2


def test_changed_source_is_not_exported(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for name in ("stays", "goes", "changes"):
        write(tmp_path / f"raw/{name}.mp4", shots(len(name)))
    config = config_file(cli.folder, annotations=[])
    cli.succeeds("curate", "run", "raw", "-o", "dataset", "--config", config, *ONE)
    (tmp_path / "raw/goes.mp4").unlink()
    write(tmp_path / "raw/changes.mp4", shots(9))
    outcome = cli("curate", "export", "dataset", "-o", "clips", *ONE)
    assert outcome.code == 1
    assert outcome.err.count(": is gone since it was curated: restore it") == 2
    assert outcome.err.count(": has changed since it was curated: run videoldm curate run again") == 2
    assert "clips: 2 of 6 clips" in outcome.out


def test_models_and_server_annotate(cli: CommandLine, raw: Path, tmp_path: Path) -> None:
    clip = {"model": str(write_clip(tmp_path / "clip")), "width": CLIP_WIDTH}
    annotations = [
        {"name": "embeddings", "clip": clip},
        *({"name": name} for name in ("image_caption", "video_caption", "summary")),
        {"name": "text_similarity", "clip": clip},
        {"name": "aesthetics"},
    ]
    config = config_file(cli.folder, annotations=annotations)
    run = ("curate", "run", raw, "-o", "dataset", "--config", config, *ONE)
    with chat_server(lambda number, _: Reply(completion(f"a cat number {number} walks"))) as server:
        cli.succeeds(*run, "--captioner", f"openai:{server.url}#tiny-1")
        num_asked = len(server.asked)
        assert num_asked == 3 * 2 * NUM_VIDEOS
        missing = json.loads(cli.succeeds("curate", "status", "dataset", "--json"))["missing"]
        why = {"no aesthetic head is given, `videoldm curate fit-aesthetic` fits one": 2 * NUM_VIDEOS}
        assert missing.pop("aesthetics") == why
        assert [name for name, reasons in missing.items() if reasons] == []
        cli.succeeds("curate", "export", "dataset", "-o", "index", "--format", "parquet-index")
        ids = [row["clip_id"] for row in wide(cli.folder / "index")]
        draw = random.Random(0)
        (tmp_path / "ratings.csv").write_text(
            "clip_id,rating\n" + "".join(f"{clip_id},{draw.random()}\n" for clip_id in ids)
        )
        message = cli.refuses("curate", "fit-aesthetic", "dataset", "ratings.csv")
        assert message == "ratings: 12 rated clips have embeddings, it should be at least 20"
        head = AestheticHead(weights=np.linspace(-1, 1, CLIP_WIDTH, dtype=np.float32), bias=5.0)
        save_head(
            AestheticFit(head=head, num_ratings=20, penalty=1.0, pearson=0.5, spearman=0.5), Path("head.safetensors")
        )
        cli.succeeds(*run, "--captioner", f"openai:{server.url}#tiny-1", "--aesthetic-head", "head.safetensors")
        assert len(server.asked) == num_asked
    assert json.loads(cli.succeeds("curate", "status", "dataset", "--json"))["missing"]["aesthetics"] == {}
    cli.succeeds("curate", "select", "dataset", "--drop-lowest", "aesthetics=25%", "text_similarity=50%")
    (tmp_path / "list.csv").write_text(f"path,caption\n{raw}/video 1.mp4,a dog\n")
    config = config_file(cli.folder, annotations=[annotations[0], *annotations[4:5]])
    assert "needs image_caption" in cli.refuses("curate", "run", raw, "-o", "dataset", "--config", config)


def test_run_goes_on_without_its_server(cli: CommandLine, raw: Path) -> None:
    with chat_server(lambda *_: Reply(completion("a cat walks"))) as server:
        url = server.url
    quick = [{"name": "image_caption", "captioner": {"kind": "openai", "url": url, "model": "m", "num_retries": 0}}]
    config = config_file(cli.folder, annotations=[*quick, {"name": "motion"}])
    run = ("curate", "run", raw, "-o", "dataset", "--config", config, *ONE)
    out = cli.succeeds(*run)
    assert "motion: 12 of 12" in out
    assert "image_caption: 0 of 12" in out


def test_limits_are_options(cli: CommandLine) -> None:
    print_config = ("curate", "run", "--print-config", "--config", config_file(cli.folder, annotations=[]))
    changed = cli.succeeds(*print_config, "--decode-time-s", 50, "--annotate-memory-gib", 2.5)
    config = from_yaml(CurationConfig, changed, source="printed")
    assert config.decode_limits == Limits(time_s=50.0, memory_gib=4.0)
    assert config.annotate_limits == Limits(time_s=3600.0, memory_gib=2.5)
    assert "--decode-time-s is '0', should be greater than 0" in cli.refuses(*print_config, "--decode-time-s", "0")


def test_faulty_inputs_are_listed(cli: CommandLine, raw: Path) -> None:
    (cli.folder / "no video.mp4").write_text("text")
    config = config_file(cli.folder, annotations=[])
    outcome = cli("curate", "run", raw / "video 1.mp4", "no video.mp4", "-o", "dataset", "--config", config, *ONE)
    assert outcome.code == 1
    path = cli.folder / "no video.mp4"
    assert f"1 of 2 items failed:\n  {path}: is not a video file, or is broken at its start" in outcome.err
    assert "inputs  2 (1 refused, 1 whole)" in outcome.out


def test_nothing_but_faulty_inputs_is_bad_input(cli: CommandLine) -> None:
    (cli.folder / "no video.mp4").write_text("text")
    outcome = cli("curate", "run", "no video.mp4", "-o", "dataset", "--annotations", "picture_hash")
    assert outcome.code == 2
    assert outcome.out == "inputs  1 (1 refused)\nclips   0 (0.0 s)\n"
    assert "no input is a usable video" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["curate"], "curate: the command is missing"),
        (["curate", "seletc"], "did you mean select?"),
        (["curate", "run", "nothing.mp4"], "nothing.mp4: does not exist"),
        (["curate", "run", "x", "--annotations", "flow"], "--annotations has 'flow'"),
        (["curate", "run", "x", "--annotations", ""], "--annotations has ''"),
        (["curate", "run", "x", "--annotations", "motion", "--captioner", "m"], "--captioner has no effect without "),
        (["curate", "run", "x", "--annotations", "none", "--aesthetic-head", "h"], "--aesthetic-head has no effect "),
        (["curate", "run", "x", "--address", "auto"], "--address is for --executor ray"),
        (["curate", "run", "x", "--profile", "paper"], "--profile paper needs a server"),
        (["curate", "status", "nothing"], "nothing: is not a dataset"),
        (["curate", "select", "nothing"], "a selection needs a filter: --drop-lowest, --drop-highest, "),
        (["curate", "select", "x", "--drop-lowes", "motion=25%"], "did you mean --drop-lowest?"),
        (["curate", "select", "x", "--where", "true", "--keep-missing=yes"], "--keep-missing is 'yes', it takes no"),
        (["curate", "select", "x", "--where", "true"], "x: is not a dataset"),
        (["curate", "export", "nothing", "-o", "x"], "nothing: is not a dataset"),
        (["curate", "export", "x", "-o", "y", "--shortest-s", "inf"], "--shortest-s is 'inf', should be a finite"),
        (["curate", "export", "x", "-o", "y", "--shard-size", "9"], "--shard-size has no effect on files, leave"),
        (["curate", "export", "x", "-o", "y", "--exact", "--shortest-s", "2"], "--shortest-s has no effect with"),
        (
            ["curate", "export", "x", "-o", "y", "--exact", "--format", "parquet-index"],
            "--exact has no effect on parquet-index, leave it out",
        ),
    ],
)
def test_bad_input_is_one_line(cli: CommandLine, words: list[str], message: str) -> None:
    assert message in cli.refuses(*words)


def test_killed_run_ends_as_an_undisturbed_one(cli: CommandLine, raw: Path) -> None:
    config = config_file(cli.folder, annotations=[{"name": "motion"}], batch_size=2)
    run = ["curate", "run", str(raw), "--config", str(config), "--workers", "2", "-o"]
    cli.succeeds(*run, "whole")
    for delay_s in (2.5, 4.0):
        command = [sys.executable, "-m", "videoldm.cli.main", *run, "killed"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cli.folder)
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    cli.succeeds(*run, "killed")
    assert files(cli.folder / "killed") == files(cli.folder / "whole")


def test_ray_makes_the_same_dataset(cli: CommandLine, raw: Path, dataset: Path) -> None:
    cli.succeeds("curate", "run", raw, "-o", "on ray", "--config", "config.yaml", "--executor", "ray", "--workers", 2)
    assert files(cli.folder / "on ray") == files(dataset)


def test_export_keeps_to_its_folder(cli: CommandLine, raw: Path, dataset: Path) -> None:
    assert "holds something other than an export" in cli.refuses("curate", "export", dataset, "-o", dataset)
    cli.succeeds("curate", "export", dataset, "-o", "clips", "--format", "parquet-index")
    assert "holds an export as parquet-index" in cli.refuses("curate", "export", dataset, "-o", "clips")
    cli.succeeds("curate", "export", dataset, "-o", "shards", "--format", "webdataset", "--shard-size", 2, *ONE)
    cli.succeeds("curate", "export", dataset, "-o", "shards", "--format", "webdataset", "--shard-size", 8, *ONE)
    assert sorted(path.name for path in (cli.folder / "shards").glob("*.tar")) == ["00000.tar", "00001.tar"]


def test_run_without_annotations_leaves_those_of_earlier_ones(cli: CommandLine, raw: Path, dataset: Path) -> None:
    cli.succeeds("curate", "run", raw, "-o", dataset, "--config", "config.yaml", "--annotations", "none", *ONE)
    cli.succeeds("curate", "select", dataset, "--drop-lowest", "motion=25%")
