"""Views of a picture that carry its own colours over the surface of its body (ours; no learning)."""
