"""Which plan: width, dtype, index, shortlist and rerank that meet a target at the least cost."""
