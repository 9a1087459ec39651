"""A top with few pins around a design: its wide ports would need more pins than a package has."""

from __future__ import annotations

HARNESS = """module {top} (input clk, input rst, input bit_in, input valid, output bit_out);
    reg [{ins} - 1:0] shift_in, pixel;
    reg in_valid;
    reg [{outs} - 1:0] shift_out;
    wire out_valid;
    wire [{outs} - 1:0] out_data;
{inside}
    always @(posedge clk) begin
        shift_in <= {{bit_in, shift_in}} >> 1;
        pixel <= shift_in;
        in_valid <= valid;
        shift_out <= out_valid ? out_data : shift_out >> 1;
    end
    assign bit_out = shift_out[0];
endmodule
"""


def harness(top: str, net: str, ins: int, outs: int) -> str:
    """The Verilog of the harness; without a net, what it takes by itself.

    Args:
        top: Its name.
        net: Module inside; "" for none.
        ins: Bits of its input.
        outs: Bits of its output.
    """
    ports = ".clk(clk), .rst(rst), .in_valid(in_valid), .in_data(pixel), .out_valid(out_valid), .out_data(out_data)"
    inside = f"    {net} net ({ports});" if net else _EMPTY.format(ins=ins, outs=outs)
    return HARNESS.format(top=top, ins=ins, outs=outs, inside=inside)


_EMPTY = """    // As many bits as the ports have, one of them from each input, so that nothing is left out.
    reg [{outs} - 1:0] kept;
    assign out_valid = in_valid;
    assign out_data = kept;
    always @(posedge clk) kept <= {{kept, ^pixel}};"""
