// linnet_jet behind six pins: a pixel is shifted in bit by bit, and what comes out is shifted out.
module linnet_jet_demo (
    input clk,
    input rst,
    input bit_in,
    input take,  // the shifted bits are a pixel
    input next,  // one more bit out
    output reg bit_out
);
    reg [8 - 1:0] pixel;
    reg valid;
    reg [100 - 1:0] result;
    wire out_valid;
    wire [100 - 1:0] out_data;

    linnet_jet net (
        .clk(clk), .rst(rst), .in_valid(valid), .in_data(pixel), .out_valid(out_valid), .out_data(out_data)
    );

    always @(posedge clk) begin
        pixel <= {bit_in, pixel} >> 1;
        valid <= !rst && take;
        if (out_valid) result <= out_data;
        else if (next) result <= result >> 1;
        bit_out <= result[0];
    end
endmodule
