"""Many trainings as one study: a record of each, in processes or on a cluster, finished whatever is killed."""
