"""Programs that train a detector and search images with it; each runs in the environment of its library."""
