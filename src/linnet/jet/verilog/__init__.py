"""Verilog: a stream of one pixel a clock, one module a layer, made of adders, comparators and line buffers."""
