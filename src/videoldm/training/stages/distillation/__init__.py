"""The stage of distillation: a student of few steps from a finished model."""
