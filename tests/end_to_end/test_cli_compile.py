"""`videoldm generate --compile`: said to the user, stored with the clip, repeated from there.

torch.compile itself is put aside here: tests/unit/inference/test_compiled.py runs it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import CommandLine
from made_clips import frames

from videoldm.video.metadata import read_metadata

Function = Callable[..., object]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[Function]:
    """What has been given to torch.compile."""
    given: list[Function] = []

    def compile_(function: Function, **_: object) -> Function:
        given.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("code")))
    return given


def test_compiled_clips_are_repeated_compiled(
    cli: CommandLine, tiny_model: Path, cat: Path, compiled: list[Function]
) -> None:
    cli.succeeds("generate", cat, "--model", tiny_model, "-o", "plain.mkv")
    assert not compiled
    outcome = cli("generate", cat, "--model", tiny_model, "--compile", "-o", "clip.mkv")
    assert outcome.code == 0
    assert "Compiling: the first step takes minutes" in outcome.err
    given = len(compiled)
    assert given > 5
    cli.succeeds("generate", "--from", "clip.mkv", "-o", "again.mkv")
    assert len(compiled) == 2 * given
    assert np.array_equal(frames(Path("clip.mkv")), frames(Path("again.mkv")))
    clip, plain = read_metadata("again.mkv"), read_metadata("plain.mkv")
    assert clip is not None
    assert plain is not None
    assert clip == read_metadata("clip.mkv")
    assert clip == plain | {"compiled": True}
    assert "--compile cannot be given beside --from" in cli.refuses("generate", "--from", "clip.mkv", "--compile")


def test_without_a_compiler_nothing_loads(
    cli: CommandLine, tiny_model: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tiny_model.parent / "code"))
    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", _no_compiler)
    monkeypatch.setattr("videoldm.pipelines.load.load_opened", _not_to_be_called)
    error = cli.refuses("generate", cat, "--model", tiny_model, "--compile")
    assert error.startswith("the compiler does not work here (")
    assert "install a C++ compiler" in error


def _no_compiler() -> str:
    raise torch._inductor.exc.InvalidCxxCompiler


def _not_to_be_called(*_: object, **__: object) -> None:
    raise AssertionError("the model was loaded")
