"""Public networks of other libraries, halved: right, refused or wrong, beside torch-pruning."""
