"""One rule for each kind of layer: per-sample gradients, Gram matrices and Kronecker factors."""
