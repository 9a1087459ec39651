"""A recipe's file read, with the line of every mistake.

Pydantic would check values and types, but it doesn't know the lines of a TOML file, nor does it suggest the key that
was meant: the parts that find them would stay, and everyone would install one more compiled package.
"""
