"""A training step beside the same network from diffusers in a plain loop: from cached latents, and encoding as it goes.

    python benchmarks/training_speed.py [--preset small|svd] [--num-frames 14] [--height 128] [--width 192] [--rounds 5]

Image to video, AdamW, an average of the weights, gradients clipped to norm 1, mixed precision as named. Both have the same
weights, clips and conditions: the condition frame is noised and encoded in every step, by the autoencoder and by CLIP, as its
noise is drawn anew. The plain loop is what community scripts do: diffusers' UNet, its autoencoder frame by frame and its
EMA. Contenders take turns; medians of the rounds and of their ratios are printed.
"""

from __future__ import annotations

FPS, MOTION_BUCKET = 7.0, 127.0
LEARNING_RATE = 1e-5
P_MEAN, P_STD = -3.0, 0.5
"""Of the log noise level of the condition frame (SVD, D.4)."""
