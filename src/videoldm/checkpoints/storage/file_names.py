"""Names of the files of published models; torch-free."""

INDEX_FILE = "model_index.json"
"""File that marks the folder of a pipeline."""
PICKLE_ENDINGS = (".ckpt", ".bin", ".pt", ".pth", ".pkl")
WEIGHTS_ENDINGS = (".safetensors", *PICKLE_ENDINGS)
"""Endings of single files with weights."""
CONFIG_FILE = "config.json"
"""File that describes the network in its folder."""
PEFT_CONFIG = "adapter_config.json"
"""File that describes the adapter in its folder."""
SCHEDULER_FILE = "scheduler/scheduler_config.json"
NETWORK_WEIGHTS, ENCODER_WEIGHTS = "diffusion_pytorch_model", "model"
"""Names, without ending, of the files with weights that diffusers and transformers write."""
