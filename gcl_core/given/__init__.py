"""Trained networks that come with the project: written from a finished profile, and taken in the place of training."""
