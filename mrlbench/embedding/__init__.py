"""Embeddings: how they are made, and the folder they live in."""
