"""Ways from D to d coordinates without training; one file each."""
