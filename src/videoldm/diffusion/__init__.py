"""The mathematics of diffusion: denoisers, noise levels, schedules, samplers, guidance and losses."""
