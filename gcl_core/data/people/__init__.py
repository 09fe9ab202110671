"""Synthetic people: a multi-camera person set made from free parametric bodies."""
