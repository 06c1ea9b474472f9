"""The command line, a tiny model, and a small curated dataset exported in every form."""

from pathlib import Path

import pytest
from command_line import cli
from curated_exports import FORMATS, export, made_dataset
from tiny_model_folder import tiny_image_model, tiny_model

__all__ = ["cli", "tiny_image_model", "tiny_model"]


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    dataset = made_dataset(folder)
    return {form: export(dataset, folder / form, form) for form in FORMATS}
