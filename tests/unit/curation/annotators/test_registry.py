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
    "motion": "7a408240a773c810",
    "text_area": "7a2bd9dd2a47dc95",
    "embeddings": "90ef2a2cd4d9eaee",
    "image_caption": "1e000ea0ec020260",
    "video_caption": "bc6b077a377462ca",
    "summary": "4cf432eb83f9f942",
    "text_similarity": "9feeb778d0aa5129",
    "aesthetics": "8865e93edd9e587b",
    "near_duplicates": "457e5ba7c34e14fc",
    "repeated_captions": "52451f26831f6649",
}
PAPER_HASHES = {
    "motion": "1aaf3c952e19207c",
    "text_area": "7a2bd9dd2a47dc95",
    "embeddings": "35d8f92e3bd05f4d",
    "image_caption": "8c9ad1307c3a0918",
    "video_caption": "12b32f45e3740ab8",
    "summary": "86a0bc097a61ef90",
    "text_similarity": "a3816e67b4a5d71a",
    "aesthetics": "ef15ce096b18ef9d",
    "near_duplicates": "3050717ebfc3edf3",
    "repeated_captions": "4a10fd0578c57d94",
}
TABLE_HASHES = {
    **dict.fromkeys(("sources", "signals", "sidecars"), "96aa1b2454dd2ce2"),
    **dict.fromkeys(("transitions", "clips"), "bf743e29db6d39f8"),
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
