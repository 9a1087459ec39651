"""From an image to points: brightness, scale, tiles, network, peaks."""
