"""Natural gradient descent: one step, its approximations and its report."""
