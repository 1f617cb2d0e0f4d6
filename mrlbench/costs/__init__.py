"""What things cost: FLOPs, bytes, and the machine that was measured on."""
