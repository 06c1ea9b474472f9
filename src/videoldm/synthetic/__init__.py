"""A small rendered world with exact captions, motion, camera paths, cuts and text."""
