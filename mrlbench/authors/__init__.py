"""The files that the paper's authors released: checkpoints, arrays, neighbours; one file each."""
