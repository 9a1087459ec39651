"""A program as one C file with its header: tables, the runtime that it needs, and the calls in order."""
