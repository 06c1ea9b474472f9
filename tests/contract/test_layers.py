"""The folder tree is the architecture: imports point down, start-up is fast, files are short."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from source_rules import (
    LEVELS,
    full_inits,
    layer_violations,
    long_files,
    missing_inits,
    shared_class_names,
    third_party,
    torch_configs,
)

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "videoldm"

# (file, imported module) -> why this import may point up or sideways.
LAYER_EXCEPTIONS: dict[tuple[str, str], str] = {}
# file -> why it may be longer than 400 lines.
LENGTH_EXCEPTIONS: dict[str, str] = {}
# class -> why several modules may have a class of this name.
CLASS_EXCEPTIONS: dict[str, str] = {}


def test_imports_point_down() -> None:
    assert layer_violations(SOURCE, LAYER_EXCEPTIONS) == []


def test_public_classes_have_names_of_their_own() -> None:
    assert shared_class_names(SOURCE, CLASS_EXCEPTIONS) == []


def test_init_files_hold_one_docstring() -> None:
    assert full_inits(SOURCE) == []


def test_every_folder_with_modules_is_a_package() -> None:
    assert missing_inits(SOURCE) == []


def test_files_are_short() -> None:
    assert long_files(SOURCE, LENGTH_EXCEPTIONS) == []


def test_config_files_do_not_import_torch() -> None:
    assert torch_configs(SOURCE) == []


def _loaded_by(*modules: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after importing `modules`."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_what_config_files_import_does_not_import_torch_either() -> None:
    names = [
        ".".join(("videoldm", *path.relative_to(SOURCE).with_suffix("").parts)) for path in SOURCE.rglob("config.py")
    ]
    assert "videoldm.core.config" in names
    assert "torch" not in _loaded_by(*names)


def test_command_line_starts_without_heavy_imports() -> None:
    """Importing torch alone takes longer than `videoldm --help` may."""
    assert _loaded_by("videoldm.cli.main").isdisjoint({"torch", "transformers", "cv2", "av", "scipy"})


def test_fresh_interpreter_reports_what_it_loaded() -> None:
    assert "json" in _loaded_by("json")


def test_foreign_imports_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {_name(line) for line in project["dependencies"]}
    # Packages may import what their extra brings; adapters need peft only where they are trained, benchmarks compare
    # with diffusers where it is installed, and the tables of a dataset are there only where it is made or trained on.
    allowed = {
        "training": extras["train"],
        "models": ["peft"],
        "evaluation": [*extras["eval"], "diffusers"],
        "curation": [*extras["curate"], *extras["ray"]],
        "dataset": ["pyarrow"],
    }
    distributions = importlib.metadata.packages_distributions()
    undeclared = [
        (package, module)
        for module, packages in third_party(SOURCE).items()
        if module not in sys.stdlib_module_names
        for package in packages
        if {_name(name) for name in distributions.get(module, [module])}.isdisjoint(
            declared | {_name(line) for line in allowed.get(package, [])}
        )
    ]
    assert undeclared == []


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return match[0].lower().replace("_", "-")


def test_level_table_has_the_packages_of_the_tree() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders <= set(LEVELS)


# The rules themselves, on trees that break them: a rule that cannot fail proves nothing.


def _tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    "statement",
    [
        "import videoldm.training.loop",
        "from videoldm.training.loop import train",
        "from videoldm.training import loop",
        "from videoldm import training",
        "def f():\n    from videoldm.cli import main",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from videoldm.tasks import base",
        "import importlib\nimportlib.import_module('videoldm.models.unet')",
        "from videoldm.video import probe",
        "from ..core import errors",
        "from . import euler",
        "import videoldm.unheard_of",
    ],
)
def test_import_that_does_not_point_down_is_found(tmp_path: Path, statement: str) -> None:
    source = _tree(
        tmp_path, {"diffusion/samplers.py": f"from videoldm.core import errors\nimport torch\n{statement}\n"}
    )
    problems = layer_violations(source, {})
    assert len(problems) == 1
    assert problems[0].startswith("diffusion/samplers.py:")


def test_imports_that_point_down_or_stay_inside_are_allowed(tmp_path: Path) -> None:
    text = "import videoldm\nfrom videoldm.core.errors import InputError\nfrom videoldm.diffusion.loss import weight\n"
    assert layer_violations(_tree(tmp_path, {"diffusion/samplers.py": text}), {}) == []


def test_package_without_level_is_found(tmp_path: Path) -> None:
    source = _tree(tmp_path, {"helpers/all.py": "x = 1"})
    assert layer_violations(source, {}) == ["helpers/all.py: package 'helpers' has no level"]


def test_exception_is_obeyed_and_must_be_needed(tmp_path: Path) -> None:
    source = _tree(tmp_path, {"core/files.py": "import videoldm.video.probe"})
    exceptions = {("core/files.py", "videoldm.video.probe"): "made up"}
    assert layer_violations(source, exceptions) == []
    assert layer_violations(source, {**exceptions, ("core/files.py", "videoldm.cli.main"): "stale"}) == [
        "exception ('core/files.py', 'videoldm.cli.main') is not needed any more"
    ]


def test_full_init_is_found(tmp_path: Path) -> None:
    source = _tree(
        tmp_path,
        {
            "__init__.py": '"""Top."""\n\n__version__ = "1"\n',
            "core/__init__.py": '"""Core."""\n',
            "video/__init__.py": '"""Video."""\n\nfrom videoldm.video.probe import probe\n',
        },
    )
    assert [problem.partition(":")[0] for problem in full_inits(source)] == ["video/__init__.py"]


def test_missing_init_is_found(tmp_path: Path) -> None:
    source = _tree(tmp_path, {"__init__.py": "", "core/__init__.py": "", "core/errors.py": "", "video/probe.py": ""})
    assert missing_inits(source) == ["video"]


def test_long_file_is_found(tmp_path: Path) -> None:
    source = _tree(tmp_path, {"core/long.py": "x = 1\n" * 401, "core/full.py": "x = 1\n" * 400})
    assert long_files(source, {}) == ["core/long.py: 401 lines, split it"]
    assert long_files(source, {"core/long.py": "made up"}) == []
    assert long_files(source, {"core/long.py": "made up", "core/full.py": "stale"}) == [
        "exception core/full.py is not needed any more"
    ]


def test_config_with_torch_is_found(tmp_path: Path) -> None:
    source = _tree(tmp_path, {"models/config.py": "import torch.nn as nn\n", "models/unet.py": "import torch\n"})
    assert torch_configs(source) == ["models/config.py:1: imports torch.nn"]


def test_class_name_of_two_modules_is_found(tmp_path: Path) -> None:
    source = _tree(
        tmp_path,
        {
            "video/cuts.py": "class Found: ...\nclass _Own: ...\nclass Cut: ...\n",
            "core/files.py": "class Found: ...\nclass _Own: ...\n",
        },
    )
    assert shared_class_names(source, {}) == ["Found: core/files.py, video/cuts.py"]
    assert shared_class_names(source, {"Found": "made up"}) == []
    assert shared_class_names(source, {"Found": "made up", "Cut": "stale"}) == ["exception Cut is not needed any more"]
