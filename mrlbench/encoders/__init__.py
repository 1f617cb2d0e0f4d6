"""Pretrained models of text and images that give full-width vectors; one file each."""
