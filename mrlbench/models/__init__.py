"""Backbones and encoders; one file each."""
