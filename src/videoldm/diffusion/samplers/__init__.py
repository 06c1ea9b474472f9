"""Samplers: one small function each, all over the same denoiser contract."""
