"""Cost of compiling the UNet: time of the first call and memory, uncompiled, newly compiled, and from disk.

The last row is diffusers' UNet, uncompiled, on the same weights and inputs, if diffusers is installed.

Each case runs in its own process. `peak` is its highest resident set; `rose` is the part of it that is neither weights
nor modules imported before them; `helpers` is the highest memory, at one time, of all processes that it started (the
C++ compiler, torch's compile workers); all in MB. `later_s` is the median of the calls after the first.

  python benchmarks/compile_start.py
  python benchmarks/compile_start.py --preset svd --num-frames 14 --height 256 --width 384 --dtype bfloat16
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SAMPLE_EVERY_S = 0.05
COLUMNS = ("first_s", "later_s", "weights", "rose", "peak", "helpers")
STARTS = ("uncompiled", "compiled anew", "compiled, from the disk", "diffusers")


def main() -> None:
    """Measure every start in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=("small", "mini", "svd"), default="small")
    parser.add_argument("--num-frames", type=int, default=4)
    parser.add_argument("--height", type=int, default=128, help="in pixels, a multiple of 64")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1, help="2 for both branches of guidance at once")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--calls", type=int, default=3, help="calls after the first, of which the median counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--only", choices=STARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only is not None:
        print(json.dumps(measure(arguments)))
        return
    if not arguments.json:
        print(f"{'':24}" + "".join(f"{name:>12}" for name in COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        for start in STARTS if find_spec("diffusers") else STARTS[:-1]:
            row = run(start, Path(folder))
            if arguments.json:
                print(json.dumps({"start": start, **row}), flush=True)
                continue
            cells = [f"{row[name]:12.3f}" if name.endswith("_s") else f"{row[name] / 1e6:12.0f}" for name in COLUMNS]
            print(f"{start:24}" + "".join(cells), flush=True)


def run(start: str, folder: Path) -> dict[str, Any]:
    """One start, with compiled code kept in `folder`."""
    command = [sys.executable, *sys.argv, "--only", start]
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(folder)}
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """First and later calls of the UNet in this process, and its memory."""
    import statistics

    import torch

    from videoldm.evaluation.speed.contenders import random_unet
    from videoldm.evaluation.speed.presets import SIZES
    from videoldm.inference.compiled import compile_blocks
    from videoldm.inference.memory.meter import resident_bytes
    from videoldm.inference.precision import DTYPES
    from videoldm.models.presets import MINI

    config = (MINI if arguments.preset == "mini" else SIZES[arguments.preset]).unet
    before = resident_bytes("VmRSS")
    unet = random_unet(config, dtype=DTYPES[arguments.dtype], device=torch.device("cpu"))
    weights = sum(parameter.nbytes for parameter in unet.parameters())
    inputs = _inputs(config, arguments)
    call: Callable[[], object] = partial(unet, *inputs)
    if arguments.only == "diffusers":
        call = _diffusers_call(unet, *inputs)
    elif arguments.only != "uncompiled":
        compile_blocks(unet)
    seconds: list[float] = []
    with torch.inference_mode(), _Helpers() as helpers:
        for _ in range(1 + arguments.calls):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    # Not getrusage: its maximum begins with the size of the process that started this one.
    peak = resident_bytes("VmHWM")
    return {
        "first_s": seconds[0],
        "later_s": statistics.median(seconds[1:]),
        "weights": weights,
        "rose": peak - before - weights,
        "peak": peak,
        "helpers": helpers.most,
    }


def _diffusers_call(unet: Any, x: Any, c_noise: Any, conditioning: Any) -> Callable[[], object]:
    import torch

    from videoldm.evaluation.speed.contenders import diffusers_unet

    embedding_dim = unet.config.vector_dim // 3
    theirs = diffusers_unet(unet, embedding_dim=embedding_dim, num_frames=x.shape[1])
    joined = torch.cat([x, conditioning.concat], dim=2)
    signals = torch.tensor([[6.0, 127.0, 0.02]], dtype=x.dtype)
    return lambda: theirs(joined, c_noise[0], conditioning.context, signals, return_dict=False)


def _inputs(config: Any, arguments: argparse.Namespace) -> tuple[Any, ...]:
    import torch

    from videoldm.core.random import normal
    from videoldm.diffusion.conditioning import Conditioning
    from videoldm.inference.precision import DTYPES

    dtype, frames = DTYPES[arguments.dtype], (arguments.batch, arguments.num_frames)
    size = (arguments.height // 8, arguments.width // 8)
    conditioning = Conditioning(
        context=normal((arguments.batch, 1, config.context_dim), 0, "context"),
        vector=normal((*frames, config.vector_dim), 0, "vector"),
        concat=normal((*frames, config.concat_channels, *size), 0, "concat") if config.concat_channels else None,
    )
    x = normal((*frames, config.in_channels, *size), 0, "x")
    return x.to(dtype), torch.full((arguments.batch,), 0.3), conditioning.to(dtype=dtype)


class _Helpers:
    """The most memory that all processes below this one held at one time, looked at now and then."""

    def __init__(self) -> None:
        self.most = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Helpers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_EVERY_S):
            self.most = max(self.most, sum(_own_memory(process) for process in _below(os.getpid())))


def _below(parent: int) -> list[int]:
    """All processes that this one started, directly or not."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything; the parent comes second after it.
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found = [parent]
    for process in found:
        found += [child for child, its_parent in parents.items() if its_parent == process]
    return found[1:]


def _own_memory(process: int) -> int:
    """Resident bytes, pages that several processes share counted in parts; 0 if it has ended."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


if __name__ == "__main__":
    main()
