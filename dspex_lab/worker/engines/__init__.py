"""Language-model engines, one file for each way to reach a model."""
