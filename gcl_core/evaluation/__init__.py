"""What a trained network is worth: retrieval accuracy, Fréchet and kernel distances, fidelity of drawn pictures."""
