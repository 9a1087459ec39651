"""Which channels live and die together: the channel graph and what it is found by."""
