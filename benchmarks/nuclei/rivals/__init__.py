"""Other nucleus detectors, each trained in an environment of its own on the images that linnet's is trained on."""
