"""Names by which published files are known; torch-free."""

INDEX_FILE = "model_index.json"
"""What marks the folder of a pipeline."""
PICKLE_ENDINGS = (".ckpt", ".bin", ".pt", ".pth", ".pkl")
WEIGHTS_ENDINGS = (".safetensors", *PICKLE_ENDINGS)
"""Of single files that hold models."""
