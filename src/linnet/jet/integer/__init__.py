"""The integer program: its operations, graph, proven ranges, cost, table and file."""
