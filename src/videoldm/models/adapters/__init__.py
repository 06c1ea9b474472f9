"""Small additions to a trained network: low-rank updates, merged into its weights or run beside them."""
