"""Three stages, one file each: baseline, generator warm-up, joint training."""
