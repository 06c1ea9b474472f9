"""Models that annotators run: configuration, loading, inference."""
