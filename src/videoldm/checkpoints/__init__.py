"""Published weights: read lazily and strictly from every known layout, and written in another."""
