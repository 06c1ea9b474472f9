"""What an earlier version wrote still opens, goes on and repeats; the README beside the files says how it was made.

On other hardware, or with another build of torch, the last bits may differ, and training may have got other kernels
since: the tolerances below are for these.
"""

import json
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import fsspec.config
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from command_line import CommandLine
from made_clips import frames
from safetensors.torch import load_file

from videoldm.training.recipe import Recipe

OLDER = Path(__file__).parents[1] / "data/older_files"
MADE_BY = ("2.13.0+cpu", "AVX512", "AMD EPYC")
LEVELS, LOSS, WEIGHT = 2, 1e-4, 1e-4
TOLERANCE = {"validation/motion": 1e-2}
"""Of sampled clips, motion is estimated from pixels: flow jumps where the last bits decide."""
TIMING = {"seconds", "samples_per_second", "waiting_share", "peak_memory_gib"}
ANSWERS = json.loads((OLDER / "expected/answers.json").read_text())


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None]:
    """Sums round as they did then."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture
def older(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line in a copy of the older files; URLs like dir://1.mp4 are videos in the folder raw there."""
    shutil.copytree(OLDER, cli.folder, dirs_exist_ok=True)
    place = {"path": "raw", "target_protocol": "file"}
    monkeypatch.setitem(fsspec.config.conf, "dir", place)
    monkeypatch.setenv("FSSPEC_DIR", json.dumps(place))  # for the processes of curation
    monkeypatch.setenv("XDG_CACHE_HOME", str(cli.folder / "cache"))
    return cli


def is_same_machine() -> bool:
    """Whether nothing here rounds differently."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return (torch.__version__, torch.backends.cpu.get_cpu_capability(), *names) == MADE_BY


def holds(new: Any, old: Any) -> bool:
    """Whether all that was said is still said; mappings may have got more keys."""
    if isinstance(old, Mapping):
        return isinstance(new, Mapping) and all(key in new and holds(new[key], old[key]) for key in old)
    if isinstance(old, list):
        return isinstance(new, list) and len(new) == len(old) and all(map(holds, new, old))
    return new == old


def with_one_model(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of before the model was one value of the request: name, variant, unet and tokenizer were four."""
    request = dict(settings["request"])
    assert isinstance(request["model"], str)
    model = {"name": request.pop("model")} | {name: request.pop(name) for name in ("variant", "unet", "tokenizer")}
    return settings | {"request": request | {"model": model}}


def test_recipes_mean_what_they_meant() -> None:
    recipes = list(yaml.load_all((OLDER / "recipes.yaml").read_text(), yaml.CSafeLoader))
    assert len(recipes) == 50
    for recipe in recipes:
        assert holds(Recipe.model_validate(recipe).model_dump(mode="json"), recipe), recipe["name"]


def test_answers_are_those_of_before(older: CommandLine) -> None:
    """Of `info`, `curate status`, `curate stats` and `dataset check`."""
    assert len(ANSWERS) == 21
    for words, answer in ANSWERS.items():
        assert holds(json.loads(older.succeeds(*words.split(), "--json")), answer), words


@pytest.mark.parametrize(("name", "export"), [("whole-unet", "image-to-video/unet"), ("lora", "")])
def test_interrupted_run_ends_as_it_would_have(older: CommandLine, name: str, export: str) -> None:
    shutil.unpack_archive(f"runs/{name}.tar.xz", "runs")
    folder, expected = Path("runs", name), Path("expected", name)
    assert 0 < len(records(folder)) < len(records(expected))
    older.succeeds("train", f"{name}.yaml")
    if name == "whole-unet":
        older.succeeds("train", f"{name}.yaml", "--export-average", "0.2")
    assert len(records(folder)) == len(records(expected))
    for ours, theirs in zip(records(folder), records(expected), strict=True):
        assert ours == {key: pytest.approx(value, rel=TOLERANCE.get(key, LOSS)) for key, value in theirs.items()}
    files = [path.relative_to(expected) for path in expected.rglob("*.safetensors")]
    assert len(files) == 2
    assert (expected / "export" / export).is_dir()
    for path in files:
        ours, theirs = load_file(folder / path), load_file(expected / path)
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, rtol=0, atol=WEIGHT)


def records(folder: Path) -> list[dict[str, float]]:
    """The log without what is measured of the machine."""
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in TIMING} for line in lines]


def test_curated_dataset_is_used_as_it_is(older: CommandLine) -> None:
    chosen = older.succeeds("curate", "select", "dataset", "--drop-lowest", "motion=25%", "--name", "moving")
    assert chosen.splitlines()[-1] == "dataset/selections/moving/v0001  (nothing has changed since)"
    older.succeeds("curate", "export", "dataset", "--selection", "moving", "-o", "again")
    for name in (path.relative_to("clips") for path in Path("clips").rglob("*.mp4")):
        assert np.array_equal(frames(Path("again", name)), frames(Path("clips", name)))
        beside = name.with_suffix(".json")
        assert json.loads(Path("again", beside).read_text()) == json.loads(Path("clips", beside).read_text())
    assert same_columns(rows("again"), rows("clips")) == rows("clips")
    # An export of then goes on.
    older.succeeds("curate", "export", "dataset", "--selection", "moving", "-o", "clips")
    assert rows("again") == rows("clips")


def test_curated_dataset_is_made_anew_with_the_same_clips(older: CommandLine) -> None:
    def clip_ids() -> list[str]:
        [part] = Path("dataset/clips").rglob("*.parquet")
        return [row["clip_id"] for row in pq.ParquetFile(part).read().to_pylist()]

    before, batches = clip_ids(), Path("dataset/batches/00000.json").read_bytes()
    older.succeeds("curate", "run", "list.csv", "-o", "dataset", "--config", "curate.yaml")
    assert clip_ids() == before
    assert Path("dataset/batches/00000.json").read_bytes() == batches


def same_columns(new: list[dict[str, Any]], old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the columns that came later, which say nothing here."""
    added = set(new[0]) - set(old[0])
    assert all(row[name] is None for row in new for name in added)
    return [{name: row[name] for name in old[0]} for row in new]


def rows(folder: str) -> list[dict[str, Any]]:
    return pq.ParquetFile(Path(folder, "clips.parquet")).read().to_pylist()


@pytest.mark.parametrize(
    ("source", "expected"),
    [("text.mkv", "text.mkv"), ("picture-moves.mp4", "picture-moves.mkv"), ("lora.mkv.json", "lora.mkv")],
)
def test_clip_is_repeated(older: CommandLine, source: str, expected: str) -> None:
    older.succeeds("generate", "--from", source, "-o", "again.mkv")
    difference = np.abs(frames(Path("again.mkv")).astype(int) - frames(Path(expected)).astype(int))
    assert difference.max() <= (0 if is_same_machine() else LEVELS)
    old, new = (json.loads(Path(f"{one}.json").read_text())["videoldm"] for one in (expected, "again.mkv"))
    assert set(old["versions"]) <= set(new["versions"])
    assert holds(new | {"versions": {}}, with_one_model(old) | {"versions": {}})
