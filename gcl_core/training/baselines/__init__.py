"""Ways of training stage 1, and the methods that the paper compares with."""
