"""Compiled blocks: the same results, compiled once for each size, the code kept on disk.

What compiles runs in processes of its own, as the compiler would otherwise follow the tests' checks of shapes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_networks import UNET

from videoldm.core.errors import InputError
from videoldm.inference.compiled import check_compiler, code_folder, compile_blocks, is_compiled
from videoldm.models.unet.network import VideoUNet

pytestmark = pytest.mark.slow

COUNT = """
import functools, json, torch
from tiny_networks import UNET, randomise, unet_inputs
from torch._dynamo.testing import CompileCounter
from videoldm.inference.compiled import compile_blocks
from videoldm.inference.config import Reuse
from videoldm.inference.reuse import ReusingUNet
from videoldm.models.unet.blocks import UNetBlock
from videoldm.models.unet.network import VideoUNet

UNET = UNET.model_copy(update={"attention_levels": (False, False)})  # the block in the middle has some in any case
counter = CompileCounter()  # in place of the compiler, which would take minutes
torch.compile = functools.partial(torch.compile, backend=counter)
unet = compile_blocks(randomise(VideoUNet(UNET)))
blocks = [module for module in unet.modules() if isinstance(module, UNetBlock)]
kinds = {tuple(parameter.shape for parameter in block.parameters()) for block in blocks}
sizes, runs = [], []
with torch.no_grad():
    for height, frames in ((8, 3), (8, 3), (16, 3), (8, 3), (8, 4), (16, 3)):
        unet(*unet_inputs(UNET, height=height, num_frames=frames))
        sizes.append(counter.frame_count)
    for run in range(2):
        reusing = ReusingUNet(unet, Reuse(interval=2))
        for _ in range(4):
            x, c_noise, conditions = unet_inputs(UNET, batch=1)
            reusing(x + run, c_noise - run, conditions)
        runs.append(counter.frame_count)
print(json.dumps({"kinds": len(kinds), "sizes": sizes, "runs": runs}))
"""
COMPILE = """
import json, torch
from tiny_networks import IMAGE_UNET, randomise, relative_error, unet_inputs
from torch._dynamo.utils import counters
from videoldm.inference.compiled import check_compiler, compile_blocks
from videoldm.models.unet.network import VideoUNet

check_compiler("cpu")
config = IMAGE_UNET.model_copy(update={"channels": (16,), "attention_levels": (True,)})
inputs = unet_inputs(config)
with torch.no_grad():
    plain = randomise(VideoUNet(config))(*inputs)
    compiled = compile_blocks(randomise(VideoUNet(config)))(*inputs)
counts = counters["inductor"]
print(json.dumps({"error": relative_error(compiled, plain), "is_same": torch.equal(compiled, plain),
                  "found": counts["fxgraph_cache_hit"], "made": counts["fxgraph_cache_miss"]}))
"""


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Compilations after each of several calls."""
    return run(COUNT, tmp_path_factory.mktemp("caches"))


def run(script: str, caches: Path) -> dict[str, Any]:
    caches_and_code = {"XDG_CACHE_HOME": str(caches), "PYTHONPATH": os.pathsep.join(sys.path)}
    # What the processor understands is taken from what it says, not from compiling programs that try it.
    environment = os.environ | caches_and_code | {"TORCHINDUCTOR_VEC_ISA_OK": "1"}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    command = [sys.executable, "-c", script]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)


def test_each_kind_of_block_is_compiled_once_for_each_size(counts: dict[str, Any]) -> None:
    """A part that the compiler cannot follow would split a block and count twice."""
    first, again, larger, back, longer, back_again = counts["sizes"]
    assert first == again == counts["kinds"]
    assert larger == back == 2 * first
    assert longer == back_again == 3 * first


def test_a_second_clip_with_reuse_needs_no_new_code(counts: dict[str, Any]) -> None:
    one_run, two_runs = counts["runs"]
    assert one_run == two_runs > counts["sizes"][-1]


def test_equal_results_and_code_found_on_disk_by_the_next_process(tmp_path: Path) -> None:
    first, second = run(COMPILE, tmp_path), run(COMPILE, tmp_path)
    for result in (first, second):
        assert result["error"] < 1e-5
        assert not result["is_same"]  # or nothing was compiled
    assert first["found"] == second["made"] == 0
    assert second["found"] == first["made"] > 1
    assert list((tmp_path / "videoldm" / "compiled").iterdir())


def test_a_network_says_whether_it_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    unet = VideoUNet(UNET)
    names = list(unet.state_dict())
    assert not is_compiled(unet)
    assert is_compiled(compile_blocks(unet))
    assert list(unet.state_dict()) == names


def test_folder_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert code_folder() == tmp_path / "videoldm" / "compiled"
    torch._inductor.runtime.cache_dir_utils.cache_dir()  # which puts torch's own default into the environment
    assert code_folder() == tmp_path / "videoldm" / "compiled"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert code_folder() == tmp_path / "home" / ".cache" / "videoldm" / "compiled"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "chosen"))
    assert code_folder() == tmp_path / "chosen"


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match=r"the compiler does not work here.*file"):
        check_compiler("cpu")
