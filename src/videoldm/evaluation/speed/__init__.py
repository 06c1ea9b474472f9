"""Our networks timed beside those of diffusers, with the same weights and inputs, in one run."""
