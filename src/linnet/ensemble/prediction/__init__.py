"""What an ensemble answers: pooled probabilities or values, and both kinds of uncertainty."""
