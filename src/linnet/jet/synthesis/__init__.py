"""What a design takes on a chip: cells by yosys, clock by nextpnr."""
