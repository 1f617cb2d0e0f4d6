"""Losses that text models are trained with, those of sentence-transformers, one file each."""
