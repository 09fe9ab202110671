"""Losses of the joint training: reconstruction, adversarial, view-invariant contrast (METHOD.md §3)."""
