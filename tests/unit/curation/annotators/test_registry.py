"""The set of annotators: found by name, without torch, with the hashes that datasets on disk have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from videoldm.core.config import from_yaml
from videoldm.core.errors import InputError
from videoldm.curation.annotators.registry import default_config, make
from videoldm.curation.choices import as_in_paper
from videoldm.curation.config import DEFAULT_ANNOTATIONS, CurationConfig
from videoldm.curation.store.dataset import Hashes

# Birth certificate: printed by commit 8f311ab, where one module described every annotator, on Linux with Python 3.11,
# in November 2026; exact, as datasets on disk are found by them; self-made.
DEFAULT_HASHES = {
    "motion": "905f6f7818725e44",
    "text_area": "aaf6cfa9f90c7d58",
    "picture_hash": "ab397bbd06bfc1dd",
    "degradation": "7ffe43d0b1f3bdb0",
    "embeddings": "f38d12e3f415086e",
    "image_caption": "9fc39d3b3041f052",
    "video_caption": "2eb7bc47ddff4e4a",
    "summary": "4ae877cd38f5bfb4",
    "text_similarity": "947778f51df49edf",
    "aesthetics": "ef072f5989717e05",
    "near_duplicates": "5f52d1f2e21e859f",
    "repeated_captions": "7caed7db7b73b6af",
}
PAPER_HASHES = {
    "motion": "b1b6b0a17b6244ae",
    "text_area": "aaf6cfa9f90c7d58",
    "embeddings": "ea4451bebbb75cfb",
    "image_caption": "81f030dcd6a47063",
    "video_caption": "e9a6632aa31143ec",
    "summary": "6571bfa51e3325c1",
    "text_similarity": "ab7fd482d5a580fd",
    "aesthetics": "e3d7df45eeb5cf18",
    "near_duplicates": "7e506469dfa21d72",
    "repeated_captions": "3c8126833605c179",
}
TABLE_HASHES = {
    **dict.fromkeys(("sources", "signals", "sidecars"), "ed9fc13a10117d4c"),
    **dict.fromkeys(("transitions", "clips"), "1b3b8c53bef3170a"),
}


def test_hashes_are_those_of_datasets_on_disk() -> None:
    default, paper = CurationConfig(), as_in_paper("openai:http://localhost:8000/v1#Qwen/Qwen3-8B")
    assert Hashes.of(default) == Hashes(tables=TABLE_HASHES, annotations=DEFAULT_HASHES)
    assert Hashes.of(paper) == Hashes(tables=TABLE_HASHES, annotations=PAPER_HASHES)


@pytest.mark.parametrize("name", DEFAULT_ANNOTATIONS)
def test_annotators_are_made_without_a_model(name: str) -> None:
    config = default_config(name)
    assert make(config).config is config
    assert len(config.columns) > 0


def test_configs_and_columns_need_no_torch() -> None:
    code = (
        "import sys; from videoldm.curation.config import CurationConfig;"
        "from videoldm.curation.annotators.registry import make;"
        "assert not {'cv2', 'pyarrow'} & sys.modules.keys(), 'the configuration alone needs neither';"
        "print(len([(one.columns, make(one)) for one in CurationConfig().annotations]));"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{len(DEFAULT_ANNOTATIONS)}\n", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[{name: flow}]", r"annotations\.0 has name 'flow', should be one of .*'aesthetics'.*'motion'"),
        ("[{short_side: 3}]", r"annotations\.0 .*name"),
        ("[{name: motion, least_gian: 3}]", r"annotations\.0\.least_gian .* least_gain"),
        ("[{name: motion, flow: {method: dis, strides: 3}}]", r"annotations\.0\.flow\.strides .*stride_px"),
        ("[{name: motion, least_gain: 3}]", r"annotations\.0\.least_gain is 3, should be less than or equal to 1"),
        ("[7]", r"annotations\.0"),
    ],
)
def test_wrong_configurations_are_one_line(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        from_yaml(CurationConfig, f"annotations: {text}")
    assert "\n" not in str(error.value)
