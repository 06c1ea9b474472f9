"""Videos and pictures: exact time, probing, reading, writing, resizing; no models."""
