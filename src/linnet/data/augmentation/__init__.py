"""Random changes of training images: flips and shifts, brightness and colour, and the artefacts of microscopes."""
