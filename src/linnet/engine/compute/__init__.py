"""Where and how fast things run: device, processes, random numbers, timing."""
