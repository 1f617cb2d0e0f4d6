"""Text models that a training begins with, one file each."""
