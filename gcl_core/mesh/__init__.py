"""Human bodies: rest shape, pose, and grey projections at a yaw angle."""
