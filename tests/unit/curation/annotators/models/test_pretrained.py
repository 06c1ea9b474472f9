"""Models of the hub: nothing asks for them but a download, and then they are in its cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hub_server import hub
from tiny_annotator_models import write_clip

SCRIPT = """
from videoldm.core.errors import InputError
from videoldm.curation.annotators.models.hub_models import download_model, model_folder
def attempt(function, name):
    try:
        print(function(name))
    except InputError as error:
        print(type(error).__name__, error)
attempt(model_folder, "owner/clip")
attempt(download_model, "owner/missing")
attempt(download_model, "owner/clip")
attempt(model_folder, "owner/clip")
"""


def test_models_come_from_the_cache_unless_asked_for(tmp_path: Path) -> None:
    """In a process of its own, as the client reads its settings when it is imported."""
    model = write_clip(tmp_path / "clip")
    (model / "pytorch_model.bin").write_bytes(b"a pickle")
    (model / "open_clip_model.safetensors").write_bytes(b"the same weights once more")
    with hub({"owner/clip": model}) as (address, fetched):
        settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | settings, text=True, capture_output=True, check=True
        )
    before, missing, downloaded, after = done.stdout.splitlines()
    assert before.startswith("MissingModelError the model owner/clip is not on this machine")
    assert missing.startswith("InputError owner/missing: is neither here nor on the hub")
    assert downloaded == after
    names = {path.name for path in Path(after).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert names == set(fetched)
    assert names.isdisjoint({"pytorch_model.bin", "open_clip_model.safetensors"})
