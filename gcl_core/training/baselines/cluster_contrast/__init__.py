"""Cluster contrast as a stage 1."""
