// Test bench of ${name}: feeds ${name}_frames.hex and compares with ${name}_expected.hex.
//     iverilog -o bench ${name}.v ${name}_tb.v && vvp bench
// +frames=FILE and +expected=FILE read other files of the same length, +seed=N draws other gaps.
`timescale 1ns / 1ps
module ${name}_tb;
    localparam PIXELS = ${pixels}, RESULTS = ${results}, LATENCY = ${latency};
    reg clk, rst, in_valid, counting;
    reg [${in_high}:0] in_data;
    wire out_valid;
    wire [${out_high}:0] out_data;
    reg [${in_high}:0] frames [0:PIXELS - 1];
    reg [${out_high}:0] expected [0:RESULTS - 1];
    reg [8191:0] file;
    integer n, gaps, wait_clocks, seed, found, wrong;

    ${name} net (
        .clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .out_valid(out_valid), .out_data(out_data)
    );

    always #5 clk = !clk;

    always @(posedge clk)
        if (counting && out_valid !== 1'b0 && !rst) begin
            if (found >= RESULTS || out_valid !== 1'b1 || out_data !== expected[found]) begin
                if (wrong == 0) $$display("WRONG output %0d: %h, expected %h", found, out_data, expected[found]);
                wrong = wrong + 1;
            end
            found = found + 1;
        end

    initial begin
        file = "${name}_frames.hex";
        if ($$value$$plusargs("frames=%s", file)) ;
        $$readmemh(file, frames);
        file = "${name}_expected.hex";
        if ($$value$$plusargs("expected=%s", file)) ;
        $$readmemh(file, expected);
        seed = 1;
        if ($$value$$plusargs("seed=%d", seed)) ;
        clk = 0;
        rst = 1;
        in_valid = 0;
        in_data = 0;
        found = 0;
        wrong = 0;
        counting = 0;
        @(negedge clk);
        @(negedge clk);
        rst = 0;
        // Pixels that a reset of one clock breaks off: nothing of them may come out.
        for (n = LATENCY + ($$random(seed) & 63); n > 0; n = n - 1) begin
            in_valid = 1;
            in_data = $$random(seed);
            @(negedge clk);
        end
        in_valid = 0;
        rst = 1;
        @(negedge clk);
        rst = 0;
        counting = 1;
        gaps = 0;
        for (n = 0; n < PIXELS; n = n + 1) begin
            // A new way of gaps from time to time: none, single clocks, some clocks, or a long one now and then.
            if ($$random(seed) % 50 == 0) gaps = $$random(seed) & 3;
            wait_clocks = $$random(seed) & (gaps == 0 ? 0 : gaps == 2 ? 7 : 1);
            if (gaps == 3 && $$random(seed) % 40 == 0) wait_clocks = LATENCY + 2;
            in_valid = 0;
            while (wait_clocks > 0) begin
                in_data = $$random(seed);
                @(negedge clk);
                wait_clocks = wait_clocks - 1;
            end
            in_valid = 1;
            in_data = frames[n];
            @(negedge clk);
        end
        in_valid = 0;
        in_data = 0;
        for (n = 0; n < LATENCY + 2; n = n + 1) @(negedge clk);
        if (wrong == 0 && found == RESULTS) $$display("PASS %0d outputs", found);
        else $$display("FAIL %0d outputs of %0d, %0d wrong", found, RESULTS, wrong);
        $$finish;
    end
endmodule
