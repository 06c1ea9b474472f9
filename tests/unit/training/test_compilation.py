"""When a run compiles its blocks by itself: what is left of it against what compiling takes."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from tiny_networks import UNET
from torch import nn

from videoldm.core.errors import InputError
from videoldm.models.layers import ResBlock
from videoldm.models.unet.network import VideoUNet
from videoldm.training import compilation
from videoldm.training.compilation import (
    MEASURED_FILE,
    TIMED_STEPS,
    AutomaticCompilation,
    CompileCost,
    kinds_of,
    parts_of,
)

CPU = torch.device("cpu")


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sequence[nn.Module]]:
    """Blocks of one kind; `compiled` of the module counts how often they were compiled."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    blocks = [nn.Linear(2, 2), nn.Linear(2, 2)]
    monkeypatch.setattr(compilation, "compile_parts", lambda parts, device: compiled.append((list(parts), device)))
    yield blocks
    compiled.clear()


compiled: list[tuple[list[nn.Module], torch.device]] = []


def costs(monkeypatch: pytest.MonkeyPatch, *, seconds: float, share: float) -> None:
    monkeypatch.setitem(compilation.UNMEASURED, "cpu", CompileCost(seconds_per_kind=seconds, share_saved=share))


def steps(decides: AutomaticCompilation, *seconds: float, left: int) -> None:
    for one in seconds:
        decides.stepped(one, steps_left=left)


@pytest.mark.parametrize(("left", "pays"), [(81, True), (79, False)])
def test_blocks_are_compiled_where_what_is_left_is_worth_it(
    blocks: Sequence[nn.Module],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    left: int,
    pays: bool,
) -> None:
    """One kind takes 20 s, and a step of a second becomes a quarter faster: 80 steps are the limit."""
    costs(monkeypatch, seconds=20, share=0.25)
    decides = AutomaticCompilation(blocks, CPU)
    steps(decides, *[3.0, 1.5, 1.0, 1.0], left=left)
    assert (compiled, capsys.readouterr().err) == ([], "")
    steps(decides, 1.0, left=left)
    assert compiled == ([(blocks, CPU)] if pays else [])
    told = capsys.readouterr().err
    assert told.startswith("Compiling: about 20 s" if pays else "Not compiling: it would take 20 s")
    assert told.count("\n") == 1


def test_cpus_do_not_compile_by_themselves(blocks: Sequence[nn.Module], capsys: pytest.CaptureFixture[str]) -> None:
    steps(AutomaticCompilation(blocks, CPU), *[1.0] * TIMED_STEPS, left=10**9)
    assert compiled == []
    assert capsys.readouterr().err == "Not compiling: steps take no less time compiled on this cpu\n"


def test_next_run_knows_what_this_one_measured(
    blocks: Sequence[nn.Module], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    costs(monkeypatch, seconds=20, share=0.25)
    steps(AutomaticCompilation(blocks, CPU), *[1.0] * TIMED_STEPS, *[100.8, *[0.8] * (TIMED_STEPS - 1)], left=1000)
    (measured,) = json.loads((tmp_path / MEASURED_FILE).read_text()).values()
    assert measured == {"seconds_per_kind": pytest.approx(100), "share_saved": pytest.approx(0.2)}
    compiled.clear()
    steps(AutomaticCompilation(blocks, CPU), *[1.0] * TIMED_STEPS, left=499)
    assert compiled == []
    steps(AutomaticCompilation(blocks, CPU), *[1.0] * TIMED_STEPS, left=501)
    assert len(compiled) == 1


def test_run_goes_on_without_a_compiler(
    blocks: Sequence[nn.Module], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise InputError("the compiler does not work here")

    costs(monkeypatch, seconds=1, share=0.5)
    monkeypatch.setattr(compilation, "compile_parts", fails)
    decides = AutomaticCompilation(blocks, CPU)
    steps(decides, *[1.0] * (3 * TIMED_STEPS), left=1000)
    assert capsys.readouterr().err.splitlines()[-1] == "Not compiling: the compiler does not work here"


def test_parts_are_of_fewer_kinds_than_blocks() -> None:
    unet = VideoUNet(UNET)
    parts = list(parts_of(unet.blocks))
    resblocks = [part for part in parts if isinstance(part, ResBlock)]
    assert len(resblocks) == 2 * len(unet.blocks)  # over space and over time
    assert len(kinds_of(unet.blocks)) < len(parts) / 2
