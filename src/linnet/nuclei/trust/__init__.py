"""How far a result can be trusted: whether a picture is like those that the detector learned from."""
