"""ACT, the Action Chunking Transformer: model, training windows, training, checkpoint."""
