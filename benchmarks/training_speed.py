"""A training step beside the same network from diffusers in a plain loop: from cached latents, and encoding as it goes.

    python benchmarks/training_speed.py [--preset small|svd] [--num-frames 14] [--height 128] [--width 192] [--rounds 5]

Image to video, AdamW, an average of the weights, gradients clipped to norm 1, mixed precision as named. Both have the same
weights, clips and conditions: the condition frame is noised and encoded in every step, by the autoencoder and by CLIP, as its
noise is drawn anew. The plain loop is what community scripts do: diffusers' UNet, its autoencoder frame by frame and its
EMA. Contenders take turns; medians of the rounds and of their ratios are printed.
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.random import generator, normal
from videoldm.diffusion.config import SVD_NOISE_LEVELS, VWeighting
from videoldm.diffusion.loss import denoising_loss
from videoldm.diffusion.noise_levels import draw_sigmas
from videoldm.evaluation.speed.contenders import diffusers_autoencoder, diffusers_unet, random_model
from videoldm.evaluation.speed.presets import SIZES
from videoldm.evaluation.speed.timing import interleaved, speed_ratio
from videoldm.tasks.image_to_video import ImageToVideo
from videoldm.tasks.model import VideoModel
from videoldm.tasks.task import Inputs, signal_vector
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.log import Clock, Meter
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.state import build_state
from videoldm.training.step import Steps

FPS, MOTION_BUCKET = 7.0, 127.0
LEARNING_RATE = 1e-5
P_MEAN, P_STD = -3.0, 0.5
"""Of the log noise level of the condition frame (SVD, D.4)."""
