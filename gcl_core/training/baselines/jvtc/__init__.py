"""JVTC (stage 1 of the paper)."""
