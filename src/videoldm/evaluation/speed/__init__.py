"""Speed of our networks beside those of diffusers, with the same weights and inputs in one run."""
