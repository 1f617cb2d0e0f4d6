"""Text models trained on pairs with sentence-transformers: the pairs, and the training."""
