"""Plain functions that measure videos: fidelity, motion, camera, consistency, feature distances."""
