"""Names by which published files are known; torch-free."""

INDEX_FILE = "model_index.json"
"""What marks the folder of a pipeline."""
PICKLE_ENDINGS = (".ckpt", ".bin", ".pt", ".pth", ".pkl")
WEIGHTS_ENDINGS = (".safetensors", *PICKLE_ENDINGS)
"""Of single files that hold models."""
CONFIG_FILE = "config.json"
"""What describes the network of a folder."""
SCHEDULER_FILE = "scheduler/scheduler_config.json"
NETWORK_WEIGHTS, ENCODER_WEIGHTS = "diffusion_pytorch_model", "model"
"""Names, without ending, of the files in which diffusers and transformers hold weights."""
