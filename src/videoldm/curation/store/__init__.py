"""The dataset on disk: parts of tables, each written atomically."""
