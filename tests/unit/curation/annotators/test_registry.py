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
    "motion": "317a752459a704d4",
    "text_area": "d1582d935d2eaafc",
    "picture_hash": "5af503b300ed1f4c",
    "degradation": "241720d0fe7560b9",
    "embeddings": "38028ee3d8daaf49",
    "image_caption": "82d8a167bfc50e1e",
    "video_caption": "02dd961ce11e6045",
    "summary": "d41d0bf5eea02920",
    "text_similarity": "c5c3c47f1676fa6e",
    "aesthetics": "f6a60e4439679418",
    "near_duplicates": "3736f9e245dc2d5e",
    "repeated_captions": "d176b0bce700855f",
}
PAPER_HASHES = {
    "motion": "73a6782066af189f",
    "text_area": "d1582d935d2eaafc",
    "embeddings": "f75fae912007bc74",
    "image_caption": "083f172fca1b5739",
    "video_caption": "355f3f75e52c051a",
    "summary": "5e4e4a328d090837",
    "text_similarity": "46f47f0392e8661d",
    "aesthetics": "f160841a22bc3cd1",
    "near_duplicates": "423de2f7d159f1d2",
    "repeated_captions": "27125d6a12512e03",
}
TABLE_HASHES = {
    **dict.fromkeys(("sources", "signals", "sidecars"), "ee6a02a64cbdbeb5"),
    **dict.fromkeys(("transitions", "clips"), "230836fef955b3c6"),
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
