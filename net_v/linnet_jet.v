// linnet_jet: an integer program as a stream, written by linnet.
//
// layer        operation  shape    range        bits  xnor    adds  weight bits  buffer bits
// -----------  ---------  -------  -----------  ----  ----  ------  -----------  -----------
// input        input      1x16x16  0..255          8
// features.0   jet 3x3    8x16x16  -2040..2040    12         3,328           40          288
// features.2   threshold  8x16x16  -1..1           1                                     104
// features.3   jet 3x3    8x16x16  -88..88         8        37,120          320          288
// features.5   threshold  8x16x16  -1..1           1                                      72
// features.6   pool bits  8x8x8    -1..1           1                                     128
// features.7   jet 3x3    16x8x8   -112..112       8        14,400          640          160
// features.9   threshold  16x8x8   -1..1           1                                     144
// features.10  pool bits  16x4x4   -1..1           1                                     128
// pool         pool sum   16x1x1   -16..16         6
// flatten      flatten    16       -16..16         6
// head         linear     10       -256..256      10           150          160
// hash 52a1c0eb9a0ace77

// Line buffer of linnet_jet_features_0.
module linnet_jet_features_0_rows (
    input clk, input rst, input in_valid,
    input [7:0] in_data,
    output reg move, output reg emit, output reg first,
    output reg [0:0] beyond,
    output [23:0] column
);
    // Place of the next pixel.
    reg [3:0] x;
    reg [3:0] y;
    wire row_ends = x == 4'd15;
    wire frame_ends = row_ends && y == 4'd15;
    always @(posedge clk)
        if (rst) begin
            x <= 0;
            y <= 0;
        end else if (in_valid) begin
            x <= row_ends ? 4'd0 : x + 4'd1;
            if (row_ends) y <= frame_ends ? 4'd0 : y + 4'd1;
        end
    // The steps after the last pixel: row dy below the map, position dx.
    reg draining, previous;
    reg [3:0] dx;
    reg [0:0] dy;
    wire tail = dy == 1'd1;  // only the last outputs of the last row are missing
    wire met = dx == x && dy == y;
    wire idle = draining && !in_valid && !previous;
    wire advance = draining && (idle || (in_valid && (met || tail)));
    wire move0 = in_valid ? !draining || met || tail : idle;
    always @(posedge clk)
        if (rst) begin
            draining <= 0;
            previous <= 0;
            dx <= 0;
            dy <= 0;
        end else begin
            previous <= in_valid;
            if (advance) begin
                dx <= dx == 4'd15 ? 4'd0 : dx + 4'd1;
                if (dx == 4'd15) dy <= dy + 1'd1;
                if (dx == 4'd0 && dy == 1'd1) draining <= 0;
            end
            if (in_valid && frame_ends) begin
                draining <= 1;
                dx <= 0;
                dy <= 0;
            end
        end
    // Where this step completes a window.
    wire [4:0] row = advance ? 5'd16 + dy : y;
    wire [3:0] place = advance ? dx : x;
    localparam [17:0] ROWS = 18'b011111111111111110;
    localparam [15:0] PLACES = 16'b1111111111111110;
    localparam [17:0] ROWS_BEFORE = 18'b111111111111111100;
    localparam [15:0] PLACES_BEFORE = 16'b0000000000000001;
    wire before = ROWS_BEFORE[row] && PLACES_BEFORE[place];
    always @(posedge clk) begin
        move <= !rst && move0;
        emit <= !rst && (advance || (in_valid && !draining)) && (before || (ROWS[row] && PLACES[place]));
        first <= place == 4'd1;
        beyond <= {before && place >= 4'd0};
    end
    reg pixel1;
    reg [7:0] data1;
    always @(posedge clk) begin
        pixel1 <= !rst && in_valid;
        data1 <= in_data;
    end
    // The rows above, the nearest in the lowest bits.
    (* no_rw_check *) reg [15:0] memory [0:15];
    reg [15:0] above;
    reg [3:0] x1;
    wire [3:0] address = in_valid ? x : dx;
    always @(posedge clk) begin
        x1 <= x;
        above <= memory[address];
        if (pixel1) memory[x1] <= {above[7:0], data1};
    end
    // The column with its border.
    wire [4:0] newest = advance && !tail ? 5'd16 + dy : y;
    reg [2:0] outside;
    always @(posedge clk) begin
        outside[0] <= newest >= 5'd16;
        outside[1] <= 0;
        outside[2] <= newest < 5'd2;
    end
    assign column[0 +: 8] = outside[0] ? 8'd0 : (data1);
    assign column[8 +: 8] = above[0 +: 8];
    assign column[16 +: 8] = outside[2] ? 8'd0 : (above[8 +: 8]);
endmodule

// features.0: jet convolution 3 x 3 on 1 channels of 16 x 16.
module linnet_jet_features_0 (
    input clk,
    input rst,
    input in_valid,
    input [7:0] in_data,
    output out_valid,
    output [95:0] out_data
);
    wire move, emit, first;
    wire [0:0] beyond;
    wire [23:0] column;
    linnet_jet_features_0_rows rows(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .move(move), .emit(emit),
        .first(first), .beyond(beyond), .column(column));
    wire [7:0] row0 = column[0 +: 8];
    wire [7:0] row1 = column[8 +: 8];
    wire [7:0] row2 = column[16 +: 8];
    wire signed [8:0] x1 = {1'b0, row0[0 +: 8]};
    wire signed [8:0] x2 = {1'b0, row1[0 +: 8]};
    wire signed [8:0] x3 = {1'b0, row2[0 +: 8]};
    wire signed [9:0] t4 = x3 + x1;
    wire signed [9:0] t5 = $signed({x2[8:0], 1'b0});
    wire signed [10:0] t6 = t4 + t5;
    wire signed [8:0] t7 = x3 - x1;
    wire signed [9:0] t8 = t4 - t5;
    reg [0:0] beyond2;
    reg signed [10:0] r9;
    reg signed [10:0] r10;
    reg signed [10:0] r11;
    wire signed [10:0] c12 = beyond2[0] ? 1'sd0 : r9;
    reg signed [8:0] r13;
    reg signed [8:0] r14;
    reg signed [8:0] r15;
    wire signed [8:0] c16 = beyond2[0] ? 1'sd0 : r13;
    reg signed [9:0] r17;
    reg signed [9:0] r18;
    reg signed [9:0] r19;
    wire signed [9:0] c20 = beyond2[0] ? 1'sd0 : r17;
    reg v21;
    wire signed [10:0] t22 = r11 - c12;
    reg signed [10:0] r23;
    wire signed [11:0] t24 = r11 + c12;
    wire signed [11:0] t25 = $signed({r10[10:0], 1'b0});
    wire signed [11:0] t26 = t24 - t25;
    reg signed [11:0] r27;
    wire signed [9:0] t28 = r15 + c16;
    wire signed [9:0] t29 = $signed({r14[8:0], 1'b0});
    wire signed [10:0] t30 = t28 + t29;
    reg signed [10:0] r31;
    wire signed [10:0] t32 = r19 + c20;
    wire signed [10:0] t33 = $signed({r18[9:0], 1'b0});
    wire signed [11:0] t34 = t32 + t33;
    reg signed [11:0] r35;
    wire signed [9:0] t36 = r15 - c16;
    reg signed [9:0] r37;
    wire signed [10:0] t38 = r19 - c20;
    reg signed [10:0] r39;
    reg v40;
    assign out_valid = v40;
    assign out_data[0 +: 12] = r23;
    assign out_data[12 +: 12] = r27;
    assign out_data[24 +: 12] = r23;
    assign out_data[36 +: 12] = r31;
    assign out_data[48 +: 12] = r35;
    assign out_data[60 +: 12] = r37;
    assign out_data[72 +: 12] = r39;
    assign out_data[84 +: 12] = r37;

    always @(posedge clk) begin
        beyond2 <= beyond;
        if (move) r9 <= t6;
        if (move) r10 <= r9;
        if (move) r11 <= first ? 1'sd0 : r10;
        if (move) r13 <= t7;
        if (move) r14 <= r13;
        if (move) r15 <= first ? 1'sd0 : r14;
        if (move) r17 <= t8;
        if (move) r18 <= r17;
        if (move) r19 <= first ? 1'sd0 : r18;
        v21 <= !rst && emit;
        r23 <= t22;
        r27 <= t26;
        r31 <= t30;
        r35 <= t34;
        r37 <= t36;
        r39 <= t38;
        v40 <= !rst && v21;
    end
endmodule

// features.2: threshold on 8 channels of 16 x 16.
module linnet_jet_features_2 (
    input clk,
    input rst,
    input in_valid,
    input [95:0] in_data,
    output out_valid,
    output [7:0] out_data
);
    wire signed [11:0] x1 = in_data[0 +: 12];
    wire signed [10:0] x2 = x1[10:0];
    wire signed [11:0] x3 = in_data[12 +: 12];
    wire signed [11:0] x4 = in_data[24 +: 12];
    wire signed [10:0] x5 = x4[10:0];
    wire signed [11:0] x6 = in_data[36 +: 12];
    wire signed [10:0] x7 = x6[10:0];
    wire signed [11:0] x8 = in_data[48 +: 12];
    wire signed [11:0] x9 = in_data[60 +: 12];
    wire signed [9:0] x10 = x9[9:0];
    wire signed [11:0] x11 = in_data[72 +: 12];
    wire signed [10:0] x12 = x11[10:0];
    wire signed [11:0] x13 = in_data[84 +: 12];
    wire signed [9:0] x14 = x13[9:0];
    wire signed [1:0] t15 = {1'b0, x2 >= -6'sd31};
    reg signed [1:0] r16;
    wire signed [1:0] t17 = {1'b0, x3 < -4'sd5};
    reg signed [1:0] r18;
    wire signed [1:0] t19 = {1'b0, x5 < -3'sd2};
    reg signed [1:0] r20;
    wire signed [1:0] t21 = {1'b0, x7 < 4'sd4};
    reg signed [1:0] r22;
    wire signed [1:0] t23 = {1'b0, x8 < -8'sd75};
    reg signed [1:0] r24;
    wire signed [1:0] t25 = {1'b0, x10 >= -6'sd21};
    reg signed [1:0] r26;
    wire signed [1:0] t27 = {1'b0, x12 >= -6'sd16};
    reg signed [1:0] r28;
    wire signed [1:0] t29 = {1'b0, x14 < 7'sd63};
    reg signed [1:0] r30;
    reg v31;
    assign out_valid = v31;
    assign out_data[0 +: 1] = r16[0:0];
    assign out_data[1 +: 1] = r18[0:0];
    assign out_data[2 +: 1] = r20[0:0];
    assign out_data[3 +: 1] = r22[0:0];
    assign out_data[4 +: 1] = r24[0:0];
    assign out_data[5 +: 1] = r26[0:0];
    assign out_data[6 +: 1] = r28[0:0];
    assign out_data[7 +: 1] = r30[0:0];

    always @(posedge clk) begin
        r16 <= t15;
        r18 <= t17;
        r20 <= t19;
        r22 <= t21;
        r24 <= t23;
        r26 <= t25;
        r28 <= t27;
        r30 <= t29;
        v31 <= !rst && in_valid;
    end
endmodule

// Line buffer of linnet_jet_features_3.
module linnet_jet_features_3_rows (
    input clk, input rst, input in_valid,
    input [7:0] in_data,
    output reg move, output reg emit, output reg first,
    output reg [0:0] beyond,
    output [23:0] column
);
    // Place of the next pixel.
    reg [3:0] x;
    reg [3:0] y;
    wire row_ends = x == 4'd15;
    wire frame_ends = row_ends && y == 4'd15;
    always @(posedge clk)
        if (rst) begin
            x <= 0;
            y <= 0;
        end else if (in_valid) begin
            x <= row_ends ? 4'd0 : x + 4'd1;
            if (row_ends) y <= frame_ends ? 4'd0 : y + 4'd1;
        end
    // The steps after the last pixel: row dy below the map, position dx.
    reg draining, previous;
    reg [3:0] dx;
    reg [0:0] dy;
    wire tail = dy == 1'd1;  // only the last outputs of the last row are missing
    wire met = dx == x && dy == y;
    wire idle = draining && !in_valid && !previous;
    wire advance = draining && (idle || (in_valid && (met || tail)));
    wire move0 = in_valid ? !draining || met || tail : idle;
    always @(posedge clk)
        if (rst) begin
            draining <= 0;
            previous <= 0;
            dx <= 0;
            dy <= 0;
        end else begin
            previous <= in_valid;
            if (advance) begin
                dx <= dx == 4'd15 ? 4'd0 : dx + 4'd1;
                if (dx == 4'd15) dy <= dy + 1'd1;
                if (dx == 4'd0 && dy == 1'd1) draining <= 0;
            end
            if (in_valid && frame_ends) begin
                draining <= 1;
                dx <= 0;
                dy <= 0;
            end
        end
    // Where this step completes a window.
    wire [4:0] row = advance ? 5'd16 + dy : y;
    wire [3:0] place = advance ? dx : x;
    localparam [17:0] ROWS = 18'b011111111111111110;
    localparam [15:0] PLACES = 16'b1111111111111110;
    localparam [17:0] ROWS_BEFORE = 18'b111111111111111100;
    localparam [15:0] PLACES_BEFORE = 16'b0000000000000001;
    wire before = ROWS_BEFORE[row] && PLACES_BEFORE[place];
    always @(posedge clk) begin
        move <= !rst && move0;
        emit <= !rst && (advance || (in_valid && !draining)) && (before || (ROWS[row] && PLACES[place]));
        first <= place == 4'd1;
        beyond <= {before && place >= 4'd0};
    end
    reg pixel1;
    reg [7:0] data1;
    always @(posedge clk) begin
        pixel1 <= !rst && in_valid;
        data1 <= in_data;
    end
    // The rows above, the nearest in the lowest bits.
    (* no_rw_check *) reg [15:0] memory [0:15];
    reg [15:0] above;
    reg [3:0] x1;
    wire [3:0] address = in_valid ? x : dx;
    always @(posedge clk) begin
        x1 <= x;
        above <= memory[address];
        if (pixel1) memory[x1] <= {above[7:0], data1};
    end
    // The column with its border.
    wire [4:0] newest = advance && !tail ? 5'd16 + dy : y;
    reg [2:0] outside;
    always @(posedge clk) begin
        outside[0] <= newest >= 5'd16;
        outside[1] <= 0;
        outside[2] <= newest < 5'd2;
    end
    assign column[0 +: 8] = outside[0] ? 8'd0 : (data1);
    assign column[8 +: 8] = above[0 +: 8];
    assign column[16 +: 8] = outside[2] ? 8'd0 : (above[8 +: 8]);
endmodule

// features.3: jet convolution 3 x 3 on 8 channels of 16 x 16.
module linnet_jet_features_3 (
    input clk,
    input rst,
    input in_valid,
    input [7:0] in_data,
    output out_valid,
    output [55:0] out_data
);
    wire move, emit, first;
    wire [0:0] beyond;
    wire [23:0] column;
    linnet_jet_features_3_rows rows(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .move(move), .emit(emit),
        .first(first), .beyond(beyond), .column(column));
    wire [7:0] row0 = column[0 +: 8];
    wire [7:0] row1 = column[8 +: 8];
    wire [7:0] row2 = column[16 +: 8];
    wire signed [1:0] x1 = {1'b0, row0[0]};
    wire signed [1:0] x2 = {1'b0, row0[1]};
    wire signed [1:0] x3 = {1'b0, row0[2]};
    wire signed [1:0] x4 = {1'b0, row0[3]};
    wire signed [1:0] x5 = {1'b0, row0[4]};
    wire signed [1:0] x6 = {1'b0, row0[5]};
    wire signed [1:0] x7 = {1'b0, row0[6]};
    wire signed [1:0] x8 = {1'b0, row0[7]};
    wire signed [1:0] x9 = {1'b0, row1[0]};
    wire signed [1:0] x10 = {1'b0, row1[1]};
    wire signed [1:0] x11 = {1'b0, row1[2]};
    wire signed [1:0] x12 = {1'b0, row1[3]};
    wire signed [1:0] x13 = {1'b0, row1[4]};
    wire signed [1:0] x14 = {1'b0, row1[5]};
    wire signed [1:0] x15 = {1'b0, row1[6]};
    wire signed [1:0] x16 = {1'b0, row1[7]};
    wire signed [1:0] x17 = {1'b0, row2[0]};
    wire signed [1:0] x18 = {1'b0, row2[1]};
    wire signed [1:0] x19 = {1'b0, row2[2]};
    wire signed [1:0] x20 = {1'b0, row2[3]};
    wire signed [1:0] x21 = {1'b0, row2[4]};
    wire signed [1:0] x22 = {1'b0, row2[5]};
    wire signed [1:0] x23 = {1'b0, row2[6]};
    wire signed [1:0] x24 = {1'b0, row2[7]};
    wire signed [2:0] t25 = x17 + x1;
    wire signed [2:0] t26 = $signed({x9[1:0], 1'b0});
    wire signed [3:0] t27 = t25 + t26;
    wire signed [1:0] t28 = x17 - x1;
    wire signed [2:0] t29 = t25 - t26;
    wire signed [2:0] t30 = x18 + x2;
    wire signed [2:0] t31 = $signed({x10[1:0], 1'b0});
    wire signed [3:0] t32 = t30 + t31;
    wire signed [1:0] t33 = x18 - x2;
    wire signed [2:0] t34 = t30 - t31;
    wire signed [2:0] t35 = x19 + x3;
    wire signed [2:0] t36 = $signed({x11[1:0], 1'b0});
    wire signed [3:0] t37 = t35 + t36;
    wire signed [1:0] t38 = x19 - x3;
    wire signed [2:0] t39 = t35 - t36;
    wire signed [2:0] t40 = x20 + x4;
    wire signed [2:0] t41 = $signed({x12[1:0], 1'b0});
    wire signed [3:0] t42 = t40 + t41;
    wire signed [1:0] t43 = x20 - x4;
    wire signed [2:0] t44 = t40 - t41;
    wire signed [2:0] t45 = x21 + x5;
    wire signed [2:0] t46 = $signed({x13[1:0], 1'b0});
    wire signed [3:0] t47 = t45 + t46;
    wire signed [1:0] t48 = x21 - x5;
    wire signed [2:0] t49 = t45 - t46;
    wire signed [2:0] t50 = x22 + x6;
    wire signed [2:0] t51 = $signed({x14[1:0], 1'b0});
    wire signed [3:0] t52 = t50 + t51;
    wire signed [1:0] t53 = x22 - x6;
    wire signed [2:0] t54 = t50 - t51;
    wire signed [2:0] t55 = x23 + x7;
    wire signed [2:0] t56 = $signed({x15[1:0], 1'b0});
    wire signed [3:0] t57 = t55 + t56;
    wire signed [1:0] t58 = x23 - x7;
    wire signed [2:0] t59 = t55 - t56;
    wire signed [2:0] t60 = x24 + x8;
    wire signed [2:0] t61 = $signed({x16[1:0], 1'b0});
    wire signed [3:0] t62 = t60 + t61;
    wire signed [1:0] t63 = x24 - x8;
    wire signed [2:0] t64 = t60 - t61;
    reg [0:0] beyond2;
    reg signed [3:0] r65;
    reg signed [3:0] r66;
    reg signed [3:0] r67;
    wire signed [3:0] c68 = beyond2[0] ? 1'sd0 : r65;
    reg signed [1:0] r69;
    reg signed [1:0] r70;
    reg signed [1:0] r71;
    wire signed [1:0] c72 = beyond2[0] ? 1'sd0 : r69;
    reg signed [2:0] r73;
    reg signed [2:0] r74;
    reg signed [2:0] r75;
    wire signed [2:0] c76 = beyond2[0] ? 1'sd0 : r73;
    reg signed [3:0] r77;
    reg signed [3:0] r78;
    reg signed [3:0] r79;
    wire signed [3:0] c80 = beyond2[0] ? 1'sd0 : r77;
    reg signed [1:0] r81;
    reg signed [1:0] r82;
    reg signed [1:0] r83;
    wire signed [1:0] c84 = beyond2[0] ? 1'sd0 : r81;
    reg signed [2:0] r85;
    reg signed [2:0] r86;
    reg signed [2:0] r87;
    wire signed [2:0] c88 = beyond2[0] ? 1'sd0 : r85;
    reg signed [3:0] r89;
    reg signed [3:0] r90;
    reg signed [3:0] r91;
    wire signed [3:0] c92 = beyond2[0] ? 1'sd0 : r89;
    reg signed [1:0] r93;
    reg signed [1:0] r94;
    reg signed [1:0] r95;
    wire signed [1:0] c96 = beyond2[0] ? 1'sd0 : r93;
    reg signed [2:0] r97;
    reg signed [2:0] r98;
    reg signed [2:0] r99;
    wire signed [2:0] c100 = beyond2[0] ? 1'sd0 : r97;
    reg signed [3:0] r101;
    reg signed [3:0] r102;
    reg signed [3:0] r103;
    wire signed [3:0] c104 = beyond2[0] ? 1'sd0 : r101;
    reg signed [1:0] r105;
    reg signed [1:0] r106;
    reg signed [1:0] r107;
    wire signed [1:0] c108 = beyond2[0] ? 1'sd0 : r105;
    reg signed [2:0] r109;
    reg signed [2:0] r110;
    reg signed [2:0] r111;
    wire signed [2:0] c112 = beyond2[0] ? 1'sd0 : r109;
    reg signed [3:0] r113;
    reg signed [3:0] r114;
    reg signed [3:0] r115;
    wire signed [3:0] c116 = beyond2[0] ? 1'sd0 : r113;
    reg signed [1:0] r117;
    reg signed [1:0] r118;
    reg signed [1:0] r119;
    wire signed [1:0] c120 = beyond2[0] ? 1'sd0 : r117;
    reg signed [2:0] r121;
    reg signed [2:0] r122;
    reg signed [2:0] r123;
    wire signed [2:0] c124 = beyond2[0] ? 1'sd0 : r121;
    reg signed [3:0] r125;
    reg signed [3:0] r126;
    reg signed [3:0] r127;
    wire signed [3:0] c128 = beyond2[0] ? 1'sd0 : r125;
    reg signed [1:0] r129;
    reg signed [1:0] r130;
    reg signed [1:0] r131;
    wire signed [1:0] c132 = beyond2[0] ? 1'sd0 : r129;
    reg signed [2:0] r133;
    reg signed [2:0] r134;
    reg signed [2:0] r135;
    wire signed [2:0] c136 = beyond2[0] ? 1'sd0 : r133;
    reg signed [3:0] r137;
    reg signed [3:0] r138;
    reg signed [3:0] r139;
    wire signed [3:0] c140 = beyond2[0] ? 1'sd0 : r137;
    reg signed [1:0] r141;
    reg signed [1:0] r142;
    reg signed [1:0] r143;
    wire signed [1:0] c144 = beyond2[0] ? 1'sd0 : r141;
    reg signed [2:0] r145;
    reg signed [2:0] r146;
    reg signed [2:0] r147;
    wire signed [2:0] c148 = beyond2[0] ? 1'sd0 : r145;
    reg signed [3:0] r149;
    reg signed [3:0] r150;
    reg signed [3:0] r151;
    wire signed [3:0] c152 = beyond2[0] ? 1'sd0 : r149;
    reg signed [1:0] r153;
    reg signed [1:0] r154;
    reg signed [1:0] r155;
    wire signed [1:0] c156 = beyond2[0] ? 1'sd0 : r153;
    reg signed [2:0] r157;
    reg signed [2:0] r158;
    reg signed [2:0] r159;
    wire signed [2:0] c160 = beyond2[0] ? 1'sd0 : r157;
    reg v161;
    wire signed [3:0] t162 = r67 - c68;
    reg signed [3:0] r163;
    wire signed [3:0] t164 = r87 + c88;
    wire signed [3:0] t165 = $signed({r86[2:0], 1'b0});
    wire signed [4:0] t166 = t164 - t165;
    reg signed [4:0] r167;
    wire signed [2:0] t168 = r95 - c96;
    reg signed [2:0] r169;
    wire signed [4:0] t170 = r103 + c104;
    wire signed [4:0] t171 = $signed({r102[3:0], 1'b0});
    wire signed [5:0] t172 = t170 + t171;
    reg signed [5:0] r173;
    wire signed [2:0] t174 = r119 + c120;
    wire signed [2:0] t175 = $signed({r118[1:0], 1'b0});
    wire signed [3:0] t176 = t174 + t175;
    reg signed [3:0] r177;
    wire signed [3:0] t178 = r135 + c136;
    wire signed [3:0] t179 = $signed({r134[2:0], 1'b0});
    wire signed [4:0] t180 = t178 - t179;
    reg signed [4:0] r181;
    wire signed [2:0] t182 = r143 + c144;
    wire signed [2:0] t183 = $signed({r142[1:0], 1'b0});
    wire signed [3:0] t184 = t182 + t183;
    reg signed [3:0] r185;
    wire signed [2:0] t186 = r155 + c156;
    wire signed [2:0] t187 = $signed({r154[1:0], 1'b0});
    wire signed [3:0] t188 = t186 - t187;
    reg signed [3:0] r189;
    wire signed [2:0] t190 = r71 + c72;
    wire signed [2:0] t191 = $signed({r70[1:0], 1'b0});
    wire signed [3:0] t192 = t190 + t191;
    reg signed [3:0] r193;
    wire signed [4:0] t194 = t164 + t165;
    reg signed [4:0] r195;
    wire signed [3:0] t196 = r99 - c100;
    reg signed [3:0] r197;
    wire signed [3:0] t198 = r111 - c112;
    reg signed [3:0] r199;
    wire signed [3:0] t200 = r123 - c124;
    reg signed [3:0] r201;
    wire signed [4:0] t202 = r127 + c128;
    wire signed [4:0] t203 = $signed({r126[3:0], 1'b0});
    wire signed [4:0] t204 = t202 - t203;
    reg signed [4:0] r205;
    wire signed [3:0] t206 = t186 + t187;
    reg signed [3:0] r207;
    wire signed [3:0] t208 = r75 - c76;
    reg signed [3:0] r209;
    wire signed [2:0] t210 = r83 + c84;
    wire signed [2:0] t211 = $signed({r82[1:0], 1'b0});
    wire signed [3:0] t212 = t210 - t211;
    reg signed [3:0] r213;
    wire signed [2:0] t214 = r95 + c96;
    wire signed [2:0] t215 = $signed({r94[1:0], 1'b0});
    wire signed [3:0] t216 = t214 - t215;
    reg signed [3:0] r217;
    wire signed [2:0] t218 = r107 + c108;
    wire signed [2:0] t219 = $signed({r106[1:0], 1'b0});
    wire signed [3:0] t220 = t218 + t219;
    reg signed [3:0] r221;
    wire signed [4:0] t222 = r139 + c140;
    wire signed [4:0] t223 = $signed({r138[3:0], 1'b0});
    wire signed [5:0] t224 = t222 + t223;
    reg signed [5:0] r225;
    wire signed [4:0] t226 = r151 + c152;
    wire signed [4:0] t227 = $signed({r150[3:0], 1'b0});
    wire signed [4:0] t228 = t226 - t227;
    reg signed [4:0] r229;
    wire signed [3:0] t230 = t190 - t191;
    reg signed [3:0] r231;
    wire signed [3:0] t232 = r79 - c80;
    reg signed [3:0] r233;
    wire signed [3:0] t234 = t218 - t219;
    reg signed [3:0] r235;
    wire signed [3:0] t236 = t174 - t175;
    reg signed [3:0] r237;
    wire signed [2:0] t238 = r83 - c84;
    reg signed [2:0] r239;
    wire signed [3:0] t240 = r99 + c100;
    wire signed [3:0] t241 = $signed({r98[2:0], 1'b0});
    wire signed [4:0] t242 = t240 - t241;
    reg signed [4:0] r243;
    wire signed [4:0] t244 = r115 + c116;
    wire signed [4:0] t245 = $signed({r114[3:0], 1'b0});
    wire signed [4:0] t246 = t244 - t245;
    reg signed [4:0] r247;
    wire signed [4:0] t248 = t178 + t179;
    reg signed [4:0] r249;
    wire signed [3:0] t250 = r139 - c140;
    reg signed [3:0] r251;
    wire signed [2:0] t252 = r71 - c72;
    reg signed [2:0] r253;
    wire signed [3:0] t254 = r87 - c88;
    reg signed [3:0] r255;
    wire signed [2:0] t256 = r119 - c120;
    reg signed [2:0] r257;
    wire signed [3:0] t258 = r151 - c152;
    reg signed [3:0] r259;
    wire signed [4:0] t260 = r91 + c92;
    wire signed [4:0] t261 = $signed({r90[3:0], 1'b0});
    wire signed [5:0] t262 = t260 + t261;
    reg signed [5:0] r263;
    wire signed [2:0] t264 = r131 - c132;
    reg signed [2:0] r265;
    wire signed [2:0] t266 = r143 - c144;
    reg signed [2:0] r267;
    wire signed [3:0] t268 = r159 + c160;
    wire signed [3:0] t269 = $signed({r158[2:0], 1'b0});
    wire signed [4:0] t270 = t268 + t269;
    reg signed [4:0] r271;
    wire signed [3:0] t272 = r147 - c148;
    reg signed [3:0] r273;
    wire signed [2:0] t274 = r155 - c156;
    reg signed [2:0] r275;
    wire signed [4:0] t276 = r169 + r205;
    wire signed [5:0] t277 = r221 + r225;
    wire signed [4:0] t278 = r163 - r167;
    wire signed [5:0] t279 = r169 - r173;
    wire signed [4:0] t280 = r177 - r181;
    wire signed [4:0] t281 = r185 - r189;
    wire signed [4:0] t282 = r185 + r193;
    wire signed [4:0] t283 = r195 + r197;
    wire signed [4:0] t284 = r199 - r201;
    wire signed [4:0] t285 = r205 - r207;
    wire signed [4:0] t286 = r181 + r201;
    wire signed [4:0] t287 = r209 + r213;
    wire signed [4:0] t288 = r217 - r229;
    wire signed [4:0] t289 = r169 + r181;
    wire signed [5:0] t290 = r207 + r225;
    wire signed [4:0] t291 = r231 + r233;
    wire signed [4:0] t292 = r235 - r237;
    wire signed [4:0] t293 = r189 - r199;
    wire signed [3:0] t294 = r231 + r239;
    wire signed [5:0] t295 = r243 - r247;
    wire signed [4:0] t296 = r249 + r251;
    wire signed [3:0] t297 = r253 + r255;
    wire signed [3:0] t298 = r257 + r259;
    wire signed [4:0] t299 = r199 + r213;
    wire signed [3:0] t300 = r237 - r253;
    wire signed [5:0] t301 = r263 - r265;
    wire signed [4:0] t302 = r267 - r271;
    wire signed [4:0] t303 = r167 + r209;
    wire signed [3:0] t304 = r221 - r257;
    wire signed [3:0] t305 = r273 + r275;
    wire signed [5:0] t306 = t278 - t279;
    wire signed [5:0] t307 = t280 + t281;
    wire signed [5:0] t308 = t282 + t283;
    wire signed [5:0] t309 = t284 - t285;
    wire signed [6:0] t310 = t277 + t286;
    wire signed [5:0] t311 = t287 + t288;
    wire signed [5:0] t312 = t289 - t290;
    wire signed [5:0] t313 = t291 - t292;
    wire signed [4:0] t314 = t293 + t294;
    wire signed [5:0] t315 = t295 + t296;
    wire signed [5:0] t316 = t277 + t276;
    wire signed [4:0] t317 = t297 + t298;
    wire signed [4:0] t318 = t299 + t300;
    wire signed [5:0] t319 = t301 + t302;
    wire signed [5:0] t320 = t276 - t303;
    wire signed [4:0] t321 = t304 - t305;
    reg signed [5:0] r322;
    reg signed [5:0] r323;
    reg signed [5:0] r324;
    reg signed [5:0] r325;
    reg signed [6:0] r326;
    reg signed [5:0] r327;
    reg signed [5:0] r328;
    reg signed [5:0] r329;
    reg signed [4:0] r330;
    reg signed [5:0] r331;
    reg signed [5:0] r332;
    reg signed [4:0] r333;
    reg signed [4:0] r334;
    reg signed [5:0] r335;
    reg signed [5:0] r336;
    reg signed [4:0] r337;
    wire signed [6:0] t338 = r322 - r323;
    wire signed [6:0] t339 = r324 + r325;
    wire signed [6:0] t340 = r326 + r327;
    wire signed [6:0] t341 = r328 - r329;
    wire signed [6:0] t342 = r330 + r331;
    wire signed [6:0] t343 = r332 + r333;
    wire signed [6:0] t344 = r334 - r335;
    wire signed [6:0] t345 = r336 + r337;
    reg signed [6:0] r346;
    reg signed [6:0] r347;
    reg signed [6:0] r348;
    reg signed [6:0] r349;
    reg signed [6:0] r350;
    reg signed [6:0] r351;
    reg signed [6:0] r352;
    reg signed [6:0] r353;
    reg v354;
    reg v355;
    reg v356;
    assign out_valid = v356;
    assign out_data[0 +: 7] = r346;
    assign out_data[7 +: 7] = r347;
    assign out_data[14 +: 7] = r348;
    assign out_data[21 +: 7] = r349;
    assign out_data[28 +: 7] = r350;
    assign out_data[35 +: 7] = r351;
    assign out_data[42 +: 7] = r352;
    assign out_data[49 +: 7] = r353;

    always @(posedge clk) begin
        beyond2 <= beyond;
        if (move) r65 <= t27;
        if (move) r66 <= r65;
        if (move) r67 <= first ? 1'sd0 : r66;
        if (move) r69 <= t28;
        if (move) r70 <= r69;
        if (move) r71 <= first ? 1'sd0 : r70;
        if (move) r73 <= t29;
        if (move) r74 <= r73;
        if (move) r75 <= first ? 1'sd0 : r74;
        if (move) r77 <= t32;
        if (move) r78 <= r77;
        if (move) r79 <= first ? 1'sd0 : r78;
        if (move) r81 <= t33;
        if (move) r82 <= r81;
        if (move) r83 <= first ? 1'sd0 : r82;
        if (move) r85 <= t34;
        if (move) r86 <= r85;
        if (move) r87 <= first ? 1'sd0 : r86;
        if (move) r89 <= t37;
        if (move) r90 <= r89;
        if (move) r91 <= first ? 1'sd0 : r90;
        if (move) r93 <= t38;
        if (move) r94 <= r93;
        if (move) r95 <= first ? 1'sd0 : r94;
        if (move) r97 <= t39;
        if (move) r98 <= r97;
        if (move) r99 <= first ? 1'sd0 : r98;
        if (move) r101 <= t42;
        if (move) r102 <= r101;
        if (move) r103 <= first ? 1'sd0 : r102;
        if (move) r105 <= t43;
        if (move) r106 <= r105;
        if (move) r107 <= first ? 1'sd0 : r106;
        if (move) r109 <= t44;
        if (move) r110 <= r109;
        if (move) r111 <= first ? 1'sd0 : r110;
        if (move) r113 <= t47;
        if (move) r114 <= r113;
        if (move) r115 <= first ? 1'sd0 : r114;
        if (move) r117 <= t48;
        if (move) r118 <= r117;
        if (move) r119 <= first ? 1'sd0 : r118;
        if (move) r121 <= t49;
        if (move) r122 <= r121;
        if (move) r123 <= first ? 1'sd0 : r122;
        if (move) r125 <= t52;
        if (move) r126 <= r125;
        if (move) r127 <= first ? 1'sd0 : r126;
        if (move) r129 <= t53;
        if (move) r130 <= r129;
        if (move) r131 <= first ? 1'sd0 : r130;
        if (move) r133 <= t54;
        if (move) r134 <= r133;
        if (move) r135 <= first ? 1'sd0 : r134;
        if (move) r137 <= t57;
        if (move) r138 <= r137;
        if (move) r139 <= first ? 1'sd0 : r138;
        if (move) r141 <= t58;
        if (move) r142 <= r141;
        if (move) r143 <= first ? 1'sd0 : r142;
        if (move) r145 <= t59;
        if (move) r146 <= r145;
        if (move) r147 <= first ? 1'sd0 : r146;
        if (move) r149 <= t62;
        if (move) r150 <= r149;
        if (move) r151 <= first ? 1'sd0 : r150;
        if (move) r153 <= t63;
        if (move) r154 <= r153;
        if (move) r155 <= first ? 1'sd0 : r154;
        if (move) r157 <= t64;
        if (move) r158 <= r157;
        if (move) r159 <= first ? 1'sd0 : r158;
        v161 <= !rst && emit;
        r163 <= t162;
        r167 <= t166;
        r169 <= t168;
        r173 <= t172;
        r177 <= t176;
        r181 <= t180;
        r185 <= t184;
        r189 <= t188;
        r193 <= t192;
        r195 <= t194;
        r197 <= t196;
        r199 <= t198;
        r201 <= t200;
        r205 <= t204;
        r207 <= t206;
        r209 <= t208;
        r213 <= t212;
        r217 <= t216;
        r221 <= t220;
        r225 <= t224;
        r229 <= t228;
        r231 <= t230;
        r233 <= t232;
        r235 <= t234;
        r237 <= t236;
        r239 <= t238;
        r243 <= t242;
        r247 <= t246;
        r249 <= t248;
        r251 <= t250;
        r253 <= t252;
        r255 <= t254;
        r257 <= t256;
        r259 <= t258;
        r263 <= t262;
        r265 <= t264;
        r267 <= t266;
        r271 <= t270;
        r273 <= t272;
        r275 <= t274;
        r322 <= t306;
        r323 <= t307;
        r324 <= t308;
        r325 <= t309;
        r326 <= t310;
        r327 <= t311;
        r328 <= t312;
        r329 <= t313;
        r330 <= t314;
        r331 <= t315;
        r332 <= t316;
        r333 <= t317;
        r334 <= t318;
        r335 <= t319;
        r336 <= t320;
        r337 <= t321;
        r346 <= t338;
        r347 <= t339;
        r348 <= t340;
        r349 <= t341;
        r350 <= t342;
        r351 <= t343;
        r352 <= t344;
        r353 <= t345;
        v354 <= !rst && v161;
        v355 <= !rst && v354;
        v356 <= !rst && v355;
    end
endmodule

// features.5: threshold on 8 channels of 16 x 16.
module linnet_jet_features_5 (
    input clk,
    input rst,
    input in_valid,
    input [55:0] in_data,
    output out_valid,
    output [7:0] out_data
);
    wire signed [6:0] x1 = in_data[0 +: 7];
    wire signed [6:0] x2 = in_data[7 +: 7];
    wire signed [6:0] x3 = in_data[14 +: 7];
    wire signed [6:0] x4 = in_data[21 +: 7];
    wire signed [6:0] x5 = in_data[28 +: 7];
    wire signed [6:0] x6 = in_data[35 +: 7];
    wire signed [6:0] x7 = in_data[42 +: 7];
    wire signed [6:0] x8 = in_data[49 +: 7];
    wire signed [1:0] t9 = {1'b0, x1 >= 5'sd8};
    reg signed [1:0] r10;
    wire signed [1:0] t11 = {1'b0, x2 < -2'sd1};
    reg signed [1:0] r12;
    wire signed [1:0] t13 = {1'b0, x3 < 4'sd7};
    reg signed [1:0] r14;
    wire signed [1:0] t15 = {1'b0, x4 < -5'sd9};
    reg signed [1:0] r16;
    wire signed [1:0] t17 = {1'b0, x5 < 2'sd1};
    reg signed [1:0] r18;
    wire signed [1:0] t19 = {1'b0, x6 < 4'sd7};
    reg signed [1:0] r20;
    wire signed [1:0] t21 = {1'b0, x7 >= -5'sd9};
    reg signed [1:0] r22;
    wire signed [1:0] t23 = {1'b0, x8 >= 1'sd0};
    reg signed [1:0] r24;
    reg v25;
    assign out_valid = v25;
    assign out_data[0 +: 1] = r10[0:0];
    assign out_data[1 +: 1] = r12[0:0];
    assign out_data[2 +: 1] = r14[0:0];
    assign out_data[3 +: 1] = r16[0:0];
    assign out_data[4 +: 1] = r18[0:0];
    assign out_data[5 +: 1] = r20[0:0];
    assign out_data[6 +: 1] = r22[0:0];
    assign out_data[7 +: 1] = r24[0:0];

    always @(posedge clk) begin
        r10 <= t9;
        r12 <= t11;
        r14 <= t13;
        r16 <= t15;
        r18 <= t17;
        r20 <= t19;
        r22 <= t21;
        r24 <= t23;
        v25 <= !rst && in_valid;
    end
endmodule

// Line buffer of linnet_jet_features_6.
module linnet_jet_features_6_rows (
    input clk, input rst, input in_valid,
    input [7:0] in_data,
    output reg move, output reg emit, output reg first,
    output reg [0:0] beyond,
    output [15:0] column
);
    // Place of the next pixel.
    reg [3:0] x;
    reg [3:0] y;
    wire row_ends = x == 4'd15;
    wire frame_ends = row_ends && y == 4'd15;
    always @(posedge clk)
        if (rst) begin
            x <= 0;
            y <= 0;
        end else if (in_valid) begin
            x <= row_ends ? 4'd0 : x + 4'd1;
            if (row_ends) y <= frame_ends ? 4'd0 : y + 4'd1;
        end
    wire move0 = in_valid;
    // Where this step completes a window.
    wire [4:0] row = y;
    wire [3:0] place = x;
    localparam [16:0] ROWS = 17'b01010101010101010;
    localparam [15:0] PLACES = 16'b1010101010101010;
    wire before = 0;
    always @(posedge clk) begin
        move <= !rst && move0;
        emit <= !rst && in_valid && (before || (ROWS[row] && PLACES[place]));
        first <= 0;
        beyond <= {1'b0};
    end
    reg pixel1;
    reg [7:0] data1;
    always @(posedge clk) begin
        pixel1 <= !rst && in_valid;
        data1 <= in_data;
    end
    // The rows above, the nearest in the lowest bits.
    (* no_rw_check *) reg [7:0] memory [0:15];
    reg [7:0] above;
    reg [3:0] x1;
    wire [3:0] address = x;
    always @(posedge clk) begin
        x1 <= x;
        above <= memory[address];
        if (pixel1) memory[x1] <= data1;
    end
    // The column with its border.
    assign column[0 +: 8] = data1;
    assign column[8 +: 8] = above[0 +: 8];
endmodule

// features.6: pool on 8 channels of 16 x 16.
module linnet_jet_features_6 (
    input clk,
    input rst,
    input in_valid,
    input [7:0] in_data,
    output out_valid,
    output [7:0] out_data
);
    wire move, emit, first;
    wire [0:0] beyond;
    wire [15:0] column;
    linnet_jet_features_6_rows rows(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .move(move), .emit(emit),
        .first(first), .beyond(beyond), .column(column));
    wire [7:0] row0 = column[0 +: 8];
    wire [7:0] row1 = column[8 +: 8];
    wire signed [1:0] x1 = {1'b0, row0[0]};
    wire signed [1:0] x2 = {1'b0, row0[1]};
    wire signed [1:0] x3 = {1'b0, row0[2]};
    wire signed [1:0] x4 = {1'b0, row0[3]};
    wire signed [1:0] x5 = {1'b0, row0[4]};
    wire signed [1:0] x6 = {1'b0, row0[5]};
    wire signed [1:0] x7 = {1'b0, row0[6]};
    wire signed [1:0] x8 = {1'b0, row0[7]};
    wire signed [1:0] x9 = {1'b0, row1[0]};
    wire signed [1:0] x10 = {1'b0, row1[1]};
    wire signed [1:0] x11 = {1'b0, row1[2]};
    wire signed [1:0] x12 = {1'b0, row1[3]};
    wire signed [1:0] x13 = {1'b0, row1[4]};
    wire signed [1:0] x14 = {1'b0, row1[5]};
    wire signed [1:0] x15 = {1'b0, row1[6]};
    wire signed [1:0] x16 = {1'b0, row1[7]};
    wire signed [1:0] t17 = x9 | x1;
    wire signed [1:0] t18 = x10 | x2;
    wire signed [1:0] t19 = x11 | x3;
    wire signed [1:0] t20 = x12 | x4;
    wire signed [1:0] t21 = x13 | x5;
    wire signed [1:0] t22 = x14 | x6;
    wire signed [1:0] t23 = x15 | x7;
    wire signed [1:0] t24 = x16 | x8;
    reg signed [1:0] r25;
    reg signed [1:0] r26;
    reg signed [1:0] r27;
    reg signed [1:0] r28;
    reg signed [1:0] r29;
    reg signed [1:0] r30;
    reg signed [1:0] r31;
    reg signed [1:0] r32;
    reg signed [1:0] r33;
    reg signed [1:0] r34;
    reg signed [1:0] r35;
    reg signed [1:0] r36;
    reg signed [1:0] r37;
    reg signed [1:0] r38;
    reg signed [1:0] r39;
    reg signed [1:0] r40;
    reg v41;
    wire signed [1:0] t42 = r26 | r25;
    reg signed [1:0] r43;
    wire signed [1:0] t44 = r28 | r27;
    reg signed [1:0] r45;
    wire signed [1:0] t46 = r30 | r29;
    reg signed [1:0] r47;
    wire signed [1:0] t48 = r32 | r31;
    reg signed [1:0] r49;
    wire signed [1:0] t50 = r34 | r33;
    reg signed [1:0] r51;
    wire signed [1:0] t52 = r36 | r35;
    reg signed [1:0] r53;
    wire signed [1:0] t54 = r38 | r37;
    reg signed [1:0] r55;
    wire signed [1:0] t56 = r40 | r39;
    reg signed [1:0] r57;
    reg v58;
    assign out_valid = v58;
    assign out_data[0 +: 1] = r43[0:0];
    assign out_data[1 +: 1] = r45[0:0];
    assign out_data[2 +: 1] = r47[0:0];
    assign out_data[3 +: 1] = r49[0:0];
    assign out_data[4 +: 1] = r51[0:0];
    assign out_data[5 +: 1] = r53[0:0];
    assign out_data[6 +: 1] = r55[0:0];
    assign out_data[7 +: 1] = r57[0:0];

    always @(posedge clk) begin
        if (move) r25 <= t17;
        if (move) r26 <= r25;
        if (move) r27 <= t18;
        if (move) r28 <= r27;
        if (move) r29 <= t19;
        if (move) r30 <= r29;
        if (move) r31 <= t20;
        if (move) r32 <= r31;
        if (move) r33 <= t21;
        if (move) r34 <= r33;
        if (move) r35 <= t22;
        if (move) r36 <= r35;
        if (move) r37 <= t23;
        if (move) r38 <= r37;
        if (move) r39 <= t24;
        if (move) r40 <= r39;
        v41 <= !rst && emit;
        r43 <= t42;
        r45 <= t44;
        r47 <= t46;
        r49 <= t48;
        r51 <= t50;
        r53 <= t52;
        r55 <= t54;
        r57 <= t56;
        v58 <= !rst && v41;
    end
endmodule

// Queue of linnet_jet_features_7: at most 7 positions wait, and one goes in each turn of 4 clocks.
module linnet_jet_features_7_queue (
    input clk, input rst, input in_valid,
    input [7:0] in_data,
    output slot, output reg [1:0] phase, output reg due,
    output reg [7:0] next
);
    (* no_rw_check *) reg [7:0] waiting [0:6];
    reg [2:0] head, tail;
    reg [2:0] count;
    wire taken = slot && due;
    assign slot = phase == 2'd3;
    always @(posedge clk) begin
        next <= waiting[head];
        if (in_valid) waiting[tail] <= in_data;
        if (rst) begin
            phase <= 0;
            head <= 0;
            tail <= 0;
            count <= 0;
            due <= 0;
        end else begin
            phase <= slot ? 2'd0 : phase + 2'd1;
            if (in_valid) tail <= tail == 3'd6 ? 3'd0 : tail + 3'd1;
            if (taken) head <= head == 3'd6 ? 3'd0 : head + 3'd1;
            count <= count + (in_valid ? 3'd1 : 3'd0) - (taken ? 3'd1 : 3'd0);
            due <= count != 0 && !taken;
        end
    end
endmodule

// Line buffer of linnet_jet_features_7.
module linnet_jet_features_7_rows (
    input clk, input rst, input slot, input in_valid,
    input [7:0] in_data,
    output reg move, output reg emit, output reg first,
    output reg [0:0] beyond,
    output [23:0] column
);
    // Place of the next pixel.
    reg [2:0] x;
    reg [2:0] y;
    wire row_ends = x == 3'd7;
    wire frame_ends = row_ends && y == 3'd7;
    always @(posedge clk) if (rst || slot)
        if (rst) begin
            x <= 0;
            y <= 0;
        end else if (in_valid) begin
            x <= row_ends ? 3'd0 : x + 3'd1;
            if (row_ends) y <= frame_ends ? 3'd0 : y + 3'd1;
        end
    // The steps after the last pixel: row dy below the map, position dx.
    reg draining, previous;
    reg [2:0] dx;
    reg [0:0] dy;
    wire tail = dy == 1'd1;  // only the last outputs of the last row are missing
    wire met = dx == x && dy == y;
    wire idle = draining && !in_valid && !previous;
    wire advance = draining && (idle || (in_valid && (met || tail)));
    wire move0 = in_valid ? !draining || met || tail : idle;
    always @(posedge clk) if (rst || slot)
        if (rst) begin
            draining <= 0;
            previous <= 0;
            dx <= 0;
            dy <= 0;
        end else begin
            previous <= in_valid;
            if (advance) begin
                dx <= dx == 3'd7 ? 3'd0 : dx + 3'd1;
                if (dx == 3'd7) dy <= dy + 1'd1;
                if (dx == 3'd0 && dy == 1'd1) draining <= 0;
            end
            if (in_valid && frame_ends) begin
                draining <= 1;
                dx <= 0;
                dy <= 0;
            end
        end
    // Where this step completes a window.
    wire [3:0] row = advance ? 4'd8 + dy : y;
    wire [2:0] place = advance ? dx : x;
    localparam [9:0] ROWS = 10'b0111111110;
    localparam [7:0] PLACES = 8'b11111110;
    localparam [9:0] ROWS_BEFORE = 10'b1111111100;
    localparam [7:0] PLACES_BEFORE = 8'b00000001;
    wire before = ROWS_BEFORE[row] && PLACES_BEFORE[place];
    always @(posedge clk) if (rst || slot) begin
        move <= !rst && move0;
        emit <= !rst && (advance || (in_valid && !draining)) && (before || (ROWS[row] && PLACES[place]));
        first <= place == 3'd1;
        beyond <= {before && place >= 3'd0};
    end
    reg pixel1;
    reg [7:0] data1;
    always @(posedge clk) if (rst || slot) begin
        pixel1 <= !rst && in_valid;
        data1 <= in_data;
    end
    // The rows above, the nearest in the lowest bits.
    (* no_rw_check *) reg [15:0] memory [0:7];
    reg [15:0] above;
    reg [2:0] x1;
    wire [2:0] address = in_valid ? x : dx;
    always @(posedge clk) if (rst || slot) begin
        x1 <= x;
        above <= memory[address];
        if (pixel1) memory[x1] <= {above[7:0], data1};
    end
    // The column with its border.
    wire [3:0] newest = advance && !tail ? 4'd8 + dy : y;
    reg [2:0] outside;
    always @(posedge clk) if (rst || slot) begin
        outside[0] <= newest >= 4'd8;
        outside[1] <= 0;
        outside[2] <= newest < 4'd2;
    end
    assign column[0 +: 8] = outside[0] ? 8'd0 : (data1);
    assign column[8 +: 8] = above[0 +: 8];
    assign column[16 +: 8] = outside[2] ? 8'd0 : (above[8 +: 8]);
endmodule

// features.7: jet convolution 3 x 3 on 8 channels of 8 x 8.
module linnet_jet_features_7 (
    input clk,
    input rst,
    input in_valid,
    input [7:0] in_data,
    output out_valid,
    output [127:0] out_data
);
    // One position a turn; what is enabled by `slot` moves once a turn.
    wire slot, due;
    wire [1:0] phase;
    wire [7:0] next;
    linnet_jet_features_7_queue queue(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .slot(slot), .phase(phase),
        .due(due), .next(next));
    wire move, emit, first;
    wire [0:0] beyond;
    wire [23:0] column;
    linnet_jet_features_7_rows rows(.clk(clk), .rst(rst), .slot(slot), .in_valid(due), .in_data(next), .move(move), .emit(emit),
        .first(first), .beyond(beyond), .column(column));
    wire [7:0] row0 = column[0 +: 8];
    wire [7:0] row1 = column[8 +: 8];
    wire [7:0] row2 = column[16 +: 8];
    wire signed [1:0] x1 = {1'b0, row0[0]};
    wire signed [1:0] x2 = {1'b0, row0[1]};
    wire signed [1:0] x3 = {1'b0, row0[2]};
    wire signed [1:0] x4 = {1'b0, row0[3]};
    wire signed [1:0] x5 = {1'b0, row0[4]};
    wire signed [1:0] x6 = {1'b0, row0[5]};
    wire signed [1:0] x7 = {1'b0, row0[6]};
    wire signed [1:0] x8 = {1'b0, row0[7]};
    wire signed [1:0] x9 = {1'b0, row1[0]};
    wire signed [1:0] x10 = {1'b0, row1[1]};
    wire signed [1:0] x11 = {1'b0, row1[2]};
    wire signed [1:0] x12 = {1'b0, row1[3]};
    wire signed [1:0] x13 = {1'b0, row1[4]};
    wire signed [1:0] x14 = {1'b0, row1[5]};
    wire signed [1:0] x15 = {1'b0, row1[6]};
    wire signed [1:0] x16 = {1'b0, row1[7]};
    wire signed [1:0] x17 = {1'b0, row2[0]};
    wire signed [1:0] x18 = {1'b0, row2[1]};
    wire signed [1:0] x19 = {1'b0, row2[2]};
    wire signed [1:0] x20 = {1'b0, row2[3]};
    wire signed [1:0] x21 = {1'b0, row2[4]};
    wire signed [1:0] x22 = {1'b0, row2[5]};
    wire signed [1:0] x23 = {1'b0, row2[6]};
    wire signed [1:0] x24 = {1'b0, row2[7]};
    wire signed [2:0] t25 = x17 + x1;
    wire signed [2:0] t26 = $signed({x9[1:0], 1'b0});
    wire signed [3:0] t27 = t25 + t26;
    wire signed [1:0] t28 = x17 - x1;
    wire signed [2:0] t29 = t25 - t26;
    wire signed [2:0] t30 = x18 + x2;
    wire signed [2:0] t31 = $signed({x10[1:0], 1'b0});
    wire signed [3:0] t32 = t30 + t31;
    wire signed [1:0] t33 = x18 - x2;
    wire signed [2:0] t34 = t30 - t31;
    wire signed [2:0] t35 = x19 + x3;
    wire signed [2:0] t36 = $signed({x11[1:0], 1'b0});
    wire signed [3:0] t37 = t35 + t36;
    wire signed [1:0] t38 = x19 - x3;
    wire signed [2:0] t39 = t35 - t36;
    wire signed [2:0] t40 = x20 + x4;
    wire signed [2:0] t41 = $signed({x12[1:0], 1'b0});
    wire signed [3:0] t42 = t40 + t41;
    wire signed [1:0] t43 = x20 - x4;
    wire signed [2:0] t44 = t40 - t41;
    wire signed [2:0] t45 = x21 + x5;
    wire signed [2:0] t46 = $signed({x13[1:0], 1'b0});
    wire signed [3:0] t47 = t45 + t46;
    wire signed [1:0] t48 = x21 - x5;
    wire signed [2:0] t49 = t45 - t46;
    wire signed [2:0] t50 = x22 + x6;
    wire signed [2:0] t51 = $signed({x14[1:0], 1'b0});
    wire signed [3:0] t52 = t50 + t51;
    wire signed [1:0] t53 = x22 - x6;
    wire signed [2:0] t54 = t50 - t51;
    wire signed [2:0] t55 = x23 + x7;
    wire signed [2:0] t56 = $signed({x15[1:0], 1'b0});
    wire signed [3:0] t57 = t55 + t56;
    wire signed [1:0] t58 = x23 - x7;
    wire signed [2:0] t59 = t55 - t56;
    wire signed [2:0] t60 = x24 + x8;
    wire signed [2:0] t61 = $signed({x16[1:0], 1'b0});
    wire signed [3:0] t62 = t60 + t61;
    wire signed [1:0] t63 = x24 - x8;
    wire signed [2:0] t64 = t60 - t61;
    reg [0:0] beyond2;
    reg signed [3:0] r65;
    reg signed [3:0] r66;
    reg signed [3:0] r67;
    wire signed [3:0] c68 = beyond2[0] ? 1'sd0 : r65;
    reg signed [1:0] r69;
    reg signed [1:0] r70;
    reg signed [1:0] r71;
    wire signed [1:0] c72 = beyond2[0] ? 1'sd0 : r69;
    reg signed [2:0] r73;
    reg signed [2:0] r74;
    reg signed [2:0] r75;
    wire signed [2:0] c76 = beyond2[0] ? 1'sd0 : r73;
    reg signed [3:0] r77;
    reg signed [3:0] r78;
    reg signed [3:0] r79;
    wire signed [3:0] c80 = beyond2[0] ? 1'sd0 : r77;
    reg signed [1:0] r81;
    reg signed [1:0] r82;
    reg signed [1:0] r83;
    wire signed [1:0] c84 = beyond2[0] ? 1'sd0 : r81;
    reg signed [2:0] r85;
    reg signed [2:0] r86;
    reg signed [2:0] r87;
    wire signed [2:0] c88 = beyond2[0] ? 1'sd0 : r85;
    reg signed [3:0] r89;
    reg signed [3:0] r90;
    reg signed [3:0] r91;
    wire signed [3:0] c92 = beyond2[0] ? 1'sd0 : r89;
    reg signed [1:0] r93;
    reg signed [1:0] r94;
    reg signed [1:0] r95;
    wire signed [1:0] c96 = beyond2[0] ? 1'sd0 : r93;
    reg signed [2:0] r97;
    reg signed [2:0] r98;
    reg signed [2:0] r99;
    wire signed [2:0] c100 = beyond2[0] ? 1'sd0 : r97;
    reg signed [3:0] r101;
    reg signed [3:0] r102;
    reg signed [3:0] r103;
    wire signed [3:0] c104 = beyond2[0] ? 1'sd0 : r101;
    reg signed [1:0] r105;
    reg signed [1:0] r106;
    reg signed [1:0] r107;
    wire signed [1:0] c108 = beyond2[0] ? 1'sd0 : r105;
    reg signed [2:0] r109;
    reg signed [2:0] r110;
    reg signed [2:0] r111;
    wire signed [2:0] c112 = beyond2[0] ? 1'sd0 : r109;
    reg signed [3:0] r113;
    reg signed [3:0] r114;
    reg signed [3:0] r115;
    wire signed [3:0] c116 = beyond2[0] ? 1'sd0 : r113;
    reg signed [1:0] r117;
    reg signed [1:0] r118;
    reg signed [1:0] r119;
    wire signed [1:0] c120 = beyond2[0] ? 1'sd0 : r117;
    reg signed [2:0] r121;
    reg signed [2:0] r122;
    reg signed [2:0] r123;
    wire signed [2:0] c124 = beyond2[0] ? 1'sd0 : r121;
    reg signed [3:0] r125;
    reg signed [3:0] r126;
    reg signed [3:0] r127;
    wire signed [3:0] c128 = beyond2[0] ? 1'sd0 : r125;
    reg signed [1:0] r129;
    reg signed [1:0] r130;
    reg signed [1:0] r131;
    wire signed [1:0] c132 = beyond2[0] ? 1'sd0 : r129;
    reg signed [2:0] r133;
    reg signed [2:0] r134;
    reg signed [2:0] r135;
    wire signed [2:0] c136 = beyond2[0] ? 1'sd0 : r133;
    reg signed [3:0] r137;
    reg signed [3:0] r138;
    reg signed [3:0] r139;
    wire signed [3:0] c140 = beyond2[0] ? 1'sd0 : r137;
    reg signed [1:0] r141;
    reg signed [1:0] r142;
    reg signed [1:0] r143;
    wire signed [1:0] c144 = beyond2[0] ? 1'sd0 : r141;
    reg signed [2:0] r145;
    reg signed [2:0] r146;
    reg signed [2:0] r147;
    wire signed [2:0] c148 = beyond2[0] ? 1'sd0 : r145;
    reg signed [3:0] r149;
    reg signed [3:0] r150;
    reg signed [3:0] r151;
    wire signed [3:0] c152 = beyond2[0] ? 1'sd0 : r149;
    reg signed [1:0] r153;
    reg signed [1:0] r154;
    reg signed [1:0] r155;
    wire signed [1:0] c156 = beyond2[0] ? 1'sd0 : r153;
    reg signed [2:0] r157;
    reg signed [2:0] r158;
    reg signed [2:0] r159;
    wire signed [2:0] c160 = beyond2[0] ? 1'sd0 : r157;
    reg v161;
    wire signed [3:0] t162 = r67 - c68;
    reg signed [3:0] r163;
    wire signed [2:0] t164 = r83 + c84;
    wire signed [2:0] t165 = $signed({r82[1:0], 1'b0});
    wire signed [3:0] t166 = t164 + t165;
    reg signed [3:0] r167;
    wire signed [2:0] t168 = r95 + c96;
    wire signed [2:0] t169 = $signed({r94[1:0], 1'b0});
    wire signed [3:0] t170 = t168 + t169;
    reg signed [3:0] r171;
    wire signed [2:0] t172 = r107 - c108;
    reg signed [2:0] r173;
    wire signed [2:0] t174 = r119 - c120;
    reg signed [2:0] r175;
    wire signed [2:0] t176 = r131 - c132;
    reg signed [2:0] r177;
    wire signed [2:0] t178 = r143 + c144;
    wire signed [2:0] t179 = $signed({r142[1:0], 1'b0});
    wire signed [3:0] t180 = t178 + t179;
    reg signed [3:0] r181;
    wire signed [4:0] t182 = r151 + c152;
    wire signed [4:0] t183 = $signed({r150[3:0], 1'b0});
    wire signed [4:0] t184 = t182 - t183;
    reg signed [4:0] r185;
    wire signed [3:0] t186 = r75 + c76;
    wire signed [3:0] t187 = $signed({r74[2:0], 1'b0});
    wire signed [4:0] t188 = t186 - t187;
    reg signed [4:0] r189;
    wire signed [3:0] t190 = r79 - c80;
    reg signed [3:0] r191;
    wire signed [3:0] t192 = t168 - t169;
    reg signed [3:0] r193;
    wire signed [3:0] t194 = r103 - c104;
    reg signed [3:0] r195;
    wire signed [3:0] t196 = r123 + c124;
    wire signed [3:0] t197 = $signed({r122[2:0], 1'b0});
    wire signed [4:0] t198 = t196 - t197;
    reg signed [4:0] r199;
    wire signed [3:0] t200 = r139 - c140;
    reg signed [3:0] r201;
    wire signed [3:0] t202 = r159 + c160;
    wire signed [3:0] t203 = $signed({r158[2:0], 1'b0});
    wire signed [4:0] t204 = t202 + t203;
    reg signed [4:0] r205;
    wire signed [4:0] t206 = r67 + c68;
    wire signed [4:0] t207 = $signed({r66[3:0], 1'b0});
    wire signed [4:0] t208 = t206 - t207;
    reg signed [4:0] r209;
    wire signed [4:0] t210 = r79 + c80;
    wire signed [4:0] t211 = $signed({r78[3:0], 1'b0});
    wire signed [4:0] t212 = t210 - t211;
    reg signed [4:0] r213;
    wire signed [3:0] t214 = r99 + c100;
    wire signed [3:0] t215 = $signed({r98[2:0], 1'b0});
    wire signed [4:0] t216 = t214 - t215;
    reg signed [4:0] r217;
    wire signed [4:0] t218 = r103 + c104;
    wire signed [4:0] t219 = $signed({r102[3:0], 1'b0});
    wire signed [5:0] t220 = t218 + t219;
    reg signed [5:0] r221;
    wire signed [4:0] t222 = t196 + t197;
    reg signed [4:0] r223;
    wire signed [4:0] t224 = r127 + c128;
    wire signed [4:0] t225 = $signed({r126[3:0], 1'b0});
    wire signed [4:0] t226 = t224 - t225;
    reg signed [4:0] r227;
    wire signed [3:0] t228 = t178 - t179;
    reg signed [3:0] r229;
    wire signed [3:0] t230 = r159 - c160;
    reg signed [3:0] r231;
    wire signed [2:0] t232 = r71 + c72;
    wire signed [2:0] t233 = $signed({r70[1:0], 1'b0});
    wire signed [3:0] t234 = t232 + t233;
    reg signed [3:0] r235;
    wire signed [2:0] t236 = r83 - c84;
    reg signed [2:0] r237;
    wire signed [3:0] t238 = r91 - c92;
    reg signed [3:0] r239;
    wire signed [3:0] t240 = r115 - c116;
    reg signed [3:0] r241;
    wire signed [3:0] t242 = r135 - c136;
    reg signed [3:0] r243;
    wire signed [3:0] t244 = r147 + c148;
    wire signed [3:0] t245 = $signed({r146[2:0], 1'b0});
    wire signed [4:0] t246 = t244 - t245;
    reg signed [4:0] r247;
    wire signed [3:0] t248 = r111 - c112;
    reg signed [3:0] r249;
    wire signed [3:0] t250 = r123 - c124;
    reg signed [3:0] r251;
    wire signed [3:0] t252 = r75 - c76;
    reg signed [3:0] r253;
    wire signed [3:0] t254 = r111 + c112;
    wire signed [3:0] t255 = $signed({r110[2:0], 1'b0});
    wire signed [4:0] t256 = t254 + t255;
    reg signed [4:0] r257;
    wire signed [4:0] t258 = r115 + c116;
    wire signed [4:0] t259 = $signed({r114[3:0], 1'b0});
    wire signed [5:0] t260 = t258 + t259;
    reg signed [5:0] r261;
    wire signed [3:0] t262 = r147 - c148;
    reg signed [3:0] r263;
    wire signed [2:0] t264 = r155 - c156;
    reg signed [2:0] r265;
    wire signed [3:0] t266 = r99 - c100;
    reg signed [3:0] r267;
    wire signed [2:0] t268 = r107 + c108;
    wire signed [2:0] t269 = $signed({r106[1:0], 1'b0});
    wire signed [3:0] t270 = t268 + t269;
    reg signed [3:0] r271;
    wire signed [5:0] t272 = t224 + t225;
    reg signed [5:0] r273;
    wire signed [3:0] t274 = r87 - c88;
    reg signed [3:0] r275;
    wire signed [4:0] t276 = r91 + c92;
    wire signed [4:0] t277 = $signed({r90[3:0], 1'b0});
    wire signed [4:0] t278 = t276 - t277;
    reg signed [4:0] r279;
    wire signed [2:0] t280 = r131 + c132;
    wire signed [2:0] t281 = $signed({r130[1:0], 1'b0});
    wire signed [3:0] t282 = t280 + t281;
    reg signed [3:0] r283;
    wire signed [4:0] t284 = r139 + c140;
    wire signed [4:0] t285 = $signed({r138[3:0], 1'b0});
    wire signed [5:0] t286 = t284 + t285;
    reg signed [5:0] r287;
    wire signed [3:0] t288 = r151 - c152;
    reg signed [3:0] r289;
    wire signed [4:0] t290 = t218 - t219;
    reg signed [4:0] r291;
    wire signed [3:0] t292 = r135 + c136;
    wire signed [3:0] t293 = $signed({r134[2:0], 1'b0});
    wire signed [4:0] t294 = t292 + t293;
    reg signed [4:0] r295;
    wire signed [4:0] t296 = t244 + t245;
    reg signed [4:0] r297;
    wire signed [2:0] t298 = r155 + c156;
    wire signed [2:0] t299 = $signed({r154[1:0], 1'b0});
    wire signed [3:0] t300 = t298 - t299;
    reg signed [3:0] r301;
    wire signed [2:0] t302 = r95 - c96;
    reg signed [2:0] r303;
    wire signed [3:0] t304 = t164 - t165;
    reg signed [3:0] r305;
    wire signed [2:0] t306 = r143 - c144;
    reg signed [2:0] r307;
    wire signed [2:0] t308 = r71 - c72;
    reg signed [2:0] r309;
    wire signed [4:0] t310 = t202 - t203;
    reg signed [4:0] r311;
    wire signed [2:0] t312 = r119 + c120;
    wire signed [2:0] t313 = $signed({r118[1:0], 1'b0});
    wire signed [3:0] t314 = t312 + t313;
    reg signed [3:0] r315;
    wire signed [3:0] t316 = r127 - c128;
    reg signed [3:0] r317;
    wire signed [3:0] t318 = t298 + t299;
    reg signed [3:0] r319;
    wire signed [5:0] t320 = t206 + t207;
    reg signed [5:0] r321;
    wire signed [3:0] t322 = t268 - t269;
    reg signed [3:0] r323;
    reg [1:0] phased;
    wire signed [4:0] t324 = ~r189;
    wire signed [4:0] t325 = ~r209;
    localparam [3:0] Pphased_0100 = 4'b0100;
    wire phased_0100 = Pphased_0100[phased];
    localparam [3:0] Pphased_0010 = 4'b0010;
    wire phased_0010 = Pphased_0010[phased];
    localparam [3:0] Pphased_0001 = 4'b0001;
    wire phased_0001 = Pphased_0001[phased];
    wire signed [4:0] m326 = phased_0001 ? r163 : phased_0010 ? t324 : phased_0100 ? t325 : r235;
    wire signed [3:0] t327 = ~r167;
    wire signed [4:0] m328 = phased_0001 ? t327 : phased_0010 ? r191 : phased_0100 ? r213 : r237;
    wire signed [4:0] t329 = ~r217;
    wire signed [4:0] m330 = phased_0001 ? r171 : phased_0010 ? r193 : phased_0100 ? t329 : r239;
    wire signed [2:0] t331 = ~r173;
    wire signed [3:0] t332 = ~r195;
    wire signed [5:0] t333 = ~r221;
    wire signed [5:0] m334 = phased_0001 ? t331 : phased_0010 ? t332 : phased_0100 ? t333 : r173;
    wire signed [2:0] t335 = ~r175;
    wire signed [4:0] t336 = ~r199;
    wire signed [4:0] m337 = phased_0001 ? t335 : phased_0010 ? t336 : phased_0100 ? r223 : r241;
    wire signed [2:0] t338 = ~r177;
    wire signed [4:0] m339 = phased_0001 ? t338 : phased_0010 ? r177 : phased_0100 ? r227 : r243;
    wire signed [4:0] m340 = phased_0001 ? r181 : phased_0010 ? r201 : phased_0100 ? r229 : r247;
    wire signed [4:0] t341 = ~r185;
    wire signed [3:0] t342 = ~r231;
    localparam [3:0] Pphased_1010 = 4'b1010;
    wire phased_1010 = Pphased_1010[phased];
    wire signed [4:0] m343 = phased_0001 ? t341 : phased_1010 ? r205 : t342;
    wire signed [4:0] m344 = phased_0001 ? r235 : phased_0010 ? r253 : phased_0100 ? r163 : r209;
    wire signed [2:0] t345 = ~r237;
    wire signed [3:0] t346 = ~r275;
    wire signed [3:0] m347 = phased_0001 ? t345 : phased_0010 ? r191 : phased_0100 ? r237 : t346;
    wire signed [3:0] t348 = ~r193;
    wire signed [4:0] m349 = phased_0001 ? r171 : phased_0010 ? t348 : phased_0100 ? r267 : r279;
    wire signed [3:0] t350 = ~r249;
    wire signed [4:0] t351 = ~r257;
    wire signed [4:0] m352 = phased_0001 ? t350 : phased_0010 ? t351 : phased_0100 ? r271 : t332;
    wire signed [3:0] t353 = ~r251;
    wire signed [5:0] t354 = ~r261;
    wire signed [3:0] t355 = ~r241;
    wire signed [5:0] m356 = phased_0001 ? t353 : phased_0010 ? t354 : phased_0100 ? t355 : r251;
    wire signed [4:0] t357 = ~r227;
    wire signed [5:0] t358 = ~r273;
    wire signed [5:0] m359 = phased_0001 ? t338 : phased_0010 ? t357 : phased_0100 ? t358 : r283;
    wire signed [5:0] m360 = phased_0001 ? r201 : phased_0010 ? r263 : phased_0100 ? r181 : r287;
    wire signed [3:0] t361 = ~r289;
    wire signed [3:0] m362 = phased_0001 ? t342 : phased_0010 ? r265 : phased_0100 ? r231 : t361;
    wire signed [3:0] t363 = ~r163;
    wire signed [4:0] m364 = phased_0001 ? r209 : phased_0010 ? t363 : phased_0100 ? r189 : r309;
    wire signed [3:0] t365 = ~r305;
    wire signed [3:0] m366 = phased_0001 ? r237 : phased_0010 ? r191 : phased_0100 ? t365 : r275;
    wire signed [3:0] t367 = ~r239;
    wire signed [3:0] m368 = phased_0001 ? r239 : phased_0010 ? r303 : phased_0100 ? r267 : t367;
    wire signed [4:0] t369 = ~r291;
    localparam [3:0] Pphased_1001 = 4'b1001;
    wire phased_1001 = Pphased_1001[phased];
    wire signed [4:0] m370 = phased_1001 ? r291 : phased_0010 ? t369 : r271;
    localparam [3:0] Pphased_0101 = 4'b0101;
    wire phased_0101 = Pphased_0101[phased];
    wire signed [4:0] m371 = phased_0101 ? r241 : phased_0010 ? r223 : t353;
    wire signed [3:0] t372 = ~r283;
    localparam [3:0] Pphased_0011 = 4'b0011;
    wire phased_0011 = Pphased_0011[phased];
    wire signed [4:0] m373 = phased_0011 ? r295 : phased_0100 ? r243 : t372;
    wire signed [4:0] t374 = ~r297;
    wire signed [2:0] t375 = ~r307;
    wire signed [4:0] t376 = ~r247;
    wire signed [4:0] m377 = phased_0001 ? t374 : phased_0010 ? r297 : phased_0100 ? t375 : t376;
    wire signed [3:0] t378 = ~r301;
    wire signed [4:0] m379 = phased_0001 ? t378 : phased_0010 ? r231 : phased_0100 ? r265 : r311;
    wire signed [5:0] t380 = ~r321;
    wire signed [5:0] m381 = phased_0001 ? t363 : phased_0010 ? t380 : r189;
    wire signed [3:0] t382 = ~r191;
    wire signed [3:0] m383 = phased_0001 ? t382 : phased_0010 ? t345 : phased_0100 ? r191 : r305;
    wire signed [3:0] m384 = phased_0011 ? t367 : phased_0100 ? r193 : r239;
    wire signed [3:0] t385 = ~r323;
    localparam [3:0] Pphased_0110 = 4'b0110;
    wire phased_0110 = Pphased_0110[phased];
    wire signed [4:0] m386 = phased_0001 ? t369 : phased_0110 ? t331 : t385;
    wire signed [3:0] t387 = ~r315;
    wire signed [5:0] m388 = phased_0001 ? t387 : phased_0010 ? t354 : phased_0100 ? r241 : r315;
    wire signed [3:0] t389 = ~r317;
    wire signed [3:0] m390 = phased_0001 ? t389 : phased_1010 ? r177 : t338;
    wire signed [5:0] t391 = ~r287;
    wire signed [5:0] m392 = phased_1001 ? r307 : phased_0010 ? t391 : r201;
    wire signed [3:0] t393 = ~r319;
    wire signed [2:0] t394 = ~r265;
    wire signed [3:0] m395 = phased_0001 ? t393 : phased_0010 ? r289 : phased_0100 ? t394 : r319;
    wire signed [5:0] t396 = m326 + m328;
    wire signed [5:0] t397 = m330 + m334;
    wire signed [5:0] t398 = m337 + m339;
    wire signed [5:0] t399 = m340 + m343;
    wire signed [4:0] t400 = m344 + m347;
    wire signed [5:0] t401 = m349 + m352;
    wire signed [6:0] t402 = m356 + m359;
    wire signed [5:0] t403 = m360 + m362;
    wire signed [4:0] t404 = m364 + m366;
    wire signed [4:0] t405 = m368 + m370;
    wire signed [5:0] t406 = m371 + m373;
    wire signed [5:0] t407 = m377 + m379;
    wire signed [5:0] t408 = m381 + m383;
    wire signed [4:0] t409 = m384 + m386;
    wire signed [5:0] t410 = m388 + m390;
    wire signed [5:0] t411 = m392 + m395;
    wire signed [6:0] t412 = t396 + t397;
    wire signed [6:0] t413 = t398 + t399;
    wire signed [5:0] t414 = t400 + t401;
    wire signed [6:0] t415 = t402 + t403;
    wire signed [5:0] t416 = t404 + t405;
    wire signed [6:0] t417 = t406 + t407;
    wire signed [6:0] t418 = t408 + t409;
    wire signed [6:0] t419 = t410 + t411;
    reg signed [6:0] r420;
    reg signed [6:0] r421;
    reg signed [5:0] r422;
    reg signed [6:0] r423;
    reg signed [5:0] r424;
    reg signed [6:0] r425;
    reg signed [6:0] r426;
    reg signed [6:0] r427;
    wire signed [7:0] t428 = r420 + r421;
    wire signed [7:0] t429 = r422 + r423;
    wire signed [6:0] t430 = r424 + r425;
    wire signed [7:0] t431 = r426 + r427;
    reg signed [7:0] r432;
    reg signed [7:0] r433;
    reg signed [6:0] r434;
    reg signed [7:0] r435;
    reg v436;
    reg v437;
    reg v438;
    reg [1:0] phasedd;
    reg [1:0] phaseddd;
    reg signed [7:0] sum0;
    reg signed [7:0] sum1;
    reg signed [7:0] sum2;
    reg signed [7:0] sum3;
    reg signed [7:0] sum4;
    reg signed [7:0] sum5;
    reg signed [7:0] sum6;
    reg signed [7:0] sum7;
    reg signed [6:0] sum8;
    reg signed [6:0] sum9;
    reg signed [6:0] sum10;
    reg signed [6:0] sum11;
    reg signed [7:0] sum12;
    reg signed [7:0] sum13;
    reg signed [7:0] sum14;
    reg signed [7:0] sum15;
    reg ready;
    assign out_valid = ready;
    assign out_data[0 +: 8] = sum0;
    assign out_data[8 +: 8] = sum1;
    assign out_data[16 +: 8] = sum2;
    assign out_data[24 +: 8] = sum3;
    assign out_data[32 +: 8] = sum4;
    assign out_data[40 +: 8] = sum5;
    assign out_data[48 +: 8] = sum6;
    assign out_data[56 +: 8] = sum7;
    assign out_data[64 +: 8] = sum8;
    assign out_data[72 +: 8] = sum9;
    assign out_data[80 +: 8] = sum10;
    assign out_data[88 +: 8] = sum11;
    assign out_data[96 +: 8] = sum12;
    assign out_data[104 +: 8] = sum13;
    assign out_data[112 +: 8] = sum14;
    assign out_data[120 +: 8] = sum15;

    always @(posedge clk) begin
        if (slot) beyond2 <= beyond;
        if (slot && move) r65 <= t27;
        if (slot && move) r66 <= r65;
        if (slot && move) r67 <= first ? 1'sd0 : r66;
        if (slot && move) r69 <= t28;
        if (slot && move) r70 <= r69;
        if (slot && move) r71 <= first ? 1'sd0 : r70;
        if (slot && move) r73 <= t29;
        if (slot && move) r74 <= r73;
        if (slot && move) r75 <= first ? 1'sd0 : r74;
        if (slot && move) r77 <= t32;
        if (slot && move) r78 <= r77;
        if (slot && move) r79 <= first ? 1'sd0 : r78;
        if (slot && move) r81 <= t33;
        if (slot && move) r82 <= r81;
        if (slot && move) r83 <= first ? 1'sd0 : r82;
        if (slot && move) r85 <= t34;
        if (slot && move) r86 <= r85;
        if (slot && move) r87 <= first ? 1'sd0 : r86;
        if (slot && move) r89 <= t37;
        if (slot && move) r90 <= r89;
        if (slot && move) r91 <= first ? 1'sd0 : r90;
        if (slot && move) r93 <= t38;
        if (slot && move) r94 <= r93;
        if (slot && move) r95 <= first ? 1'sd0 : r94;
        if (slot && move) r97 <= t39;
        if (slot && move) r98 <= r97;
        if (slot && move) r99 <= first ? 1'sd0 : r98;
        if (slot && move) r101 <= t42;
        if (slot && move) r102 <= r101;
        if (slot && move) r103 <= first ? 1'sd0 : r102;
        if (slot && move) r105 <= t43;
        if (slot && move) r106 <= r105;
        if (slot && move) r107 <= first ? 1'sd0 : r106;
        if (slot && move) r109 <= t44;
        if (slot && move) r110 <= r109;
        if (slot && move) r111 <= first ? 1'sd0 : r110;
        if (slot && move) r113 <= t47;
        if (slot && move) r114 <= r113;
        if (slot && move) r115 <= first ? 1'sd0 : r114;
        if (slot && move) r117 <= t48;
        if (slot && move) r118 <= r117;
        if (slot && move) r119 <= first ? 1'sd0 : r118;
        if (slot && move) r121 <= t49;
        if (slot && move) r122 <= r121;
        if (slot && move) r123 <= first ? 1'sd0 : r122;
        if (slot && move) r125 <= t52;
        if (slot && move) r126 <= r125;
        if (slot && move) r127 <= first ? 1'sd0 : r126;
        if (slot && move) r129 <= t53;
        if (slot && move) r130 <= r129;
        if (slot && move) r131 <= first ? 1'sd0 : r130;
        if (slot && move) r133 <= t54;
        if (slot && move) r134 <= r133;
        if (slot && move) r135 <= first ? 1'sd0 : r134;
        if (slot && move) r137 <= t57;
        if (slot && move) r138 <= r137;
        if (slot && move) r139 <= first ? 1'sd0 : r138;
        if (slot && move) r141 <= t58;
        if (slot && move) r142 <= r141;
        if (slot && move) r143 <= first ? 1'sd0 : r142;
        if (slot && move) r145 <= t59;
        if (slot && move) r146 <= r145;
        if (slot && move) r147 <= first ? 1'sd0 : r146;
        if (slot && move) r149 <= t62;
        if (slot && move) r150 <= r149;
        if (slot && move) r151 <= first ? 1'sd0 : r150;
        if (slot && move) r153 <= t63;
        if (slot && move) r154 <= r153;
        if (slot && move) r155 <= first ? 1'sd0 : r154;
        if (slot && move) r157 <= t64;
        if (slot && move) r158 <= r157;
        if (slot && move) r159 <= first ? 1'sd0 : r158;
        if (rst || slot) v161 <= !rst && emit;
        r163 <= t162;
        r167 <= t166;
        r171 <= t170;
        r173 <= t172;
        r175 <= t174;
        r177 <= t176;
        r181 <= t180;
        r185 <= t184;
        r189 <= t188;
        r191 <= t190;
        r193 <= t192;
        r195 <= t194;
        r199 <= t198;
        r201 <= t200;
        r205 <= t204;
        r209 <= t208;
        r213 <= t212;
        r217 <= t216;
        r221 <= t220;
        r223 <= t222;
        r227 <= t226;
        r229 <= t228;
        r231 <= t230;
        r235 <= t234;
        r237 <= t236;
        r239 <= t238;
        r241 <= t240;
        r243 <= t242;
        r247 <= t246;
        r249 <= t248;
        r251 <= t250;
        r253 <= t252;
        r257 <= t256;
        r261 <= t260;
        r263 <= t262;
        r265 <= t264;
        r267 <= t266;
        r271 <= t270;
        r273 <= t272;
        r275 <= t274;
        r279 <= t278;
        r283 <= t282;
        r287 <= t286;
        r289 <= t288;
        r291 <= t290;
        r295 <= t294;
        r297 <= t296;
        r301 <= t300;
        r303 <= t302;
        r305 <= t304;
        r307 <= t306;
        r309 <= t308;
        r311 <= t310;
        r315 <= t314;
        r317 <= t316;
        r319 <= t318;
        r321 <= t320;
        r323 <= t322;
        phased <= phase;
        r420 <= t412;
        r421 <= t413;
        r422 <= t414;
        r423 <= t415;
        r424 <= t416;
        r425 <= t417;
        r426 <= t418;
        r427 <= t419;
        r432 <= t428;
        r433 <= t429;
        r434 <= t430;
        r435 <= t431;
        v436 <= !rst && v161;
        v437 <= !rst && v436;
        v438 <= !rst && v437;
        phasedd <= phased;
        phaseddd <= phasedd;
        if (v438 && phaseddd == 2'd0) sum0 <= r432;
        if (v438 && phaseddd == 2'd1) sum1 <= r432;
        if (v438 && phaseddd == 2'd2) sum2 <= r432;
        if (v438 && phaseddd == 2'd3) sum3 <= r432;
        if (v438 && phaseddd == 2'd0) sum4 <= r433;
        if (v438 && phaseddd == 2'd1) sum5 <= r433;
        if (v438 && phaseddd == 2'd2) sum6 <= r433;
        if (v438 && phaseddd == 2'd3) sum7 <= r433;
        if (v438 && phaseddd == 2'd0) sum8 <= r434;
        if (v438 && phaseddd == 2'd1) sum9 <= r434;
        if (v438 && phaseddd == 2'd2) sum10 <= r434;
        if (v438 && phaseddd == 2'd3) sum11 <= r434;
        if (v438 && phaseddd == 2'd0) sum12 <= r435;
        if (v438 && phaseddd == 2'd1) sum13 <= r435;
        if (v438 && phaseddd == 2'd2) sum14 <= r435;
        if (v438 && phaseddd == 2'd3) sum15 <= r435;
        ready <= !rst && v438 && phaseddd == 2'd3;
    end
endmodule

// features.9: threshold on 16 channels of 8 x 8.
module linnet_jet_features_9 (
    input clk,
    input rst,
    input in_valid,
    input [127:0] in_data,
    output out_valid,
    output [15:0] out_data
);
    wire signed [7:0] x1 = in_data[0 +: 8];
    wire signed [7:0] x2 = in_data[8 +: 8];
    wire signed [7:0] x3 = in_data[16 +: 8];
    wire signed [7:0] x4 = in_data[24 +: 8];
    wire signed [7:0] x5 = in_data[32 +: 8];
    wire signed [7:0] x6 = in_data[40 +: 8];
    wire signed [7:0] x7 = in_data[48 +: 8];
    wire signed [7:0] x8 = in_data[56 +: 8];
    wire signed [7:0] x9 = in_data[64 +: 8];
    wire signed [6:0] x10 = x9[6:0];
    wire signed [7:0] x11 = in_data[72 +: 8];
    wire signed [6:0] x12 = x11[6:0];
    wire signed [7:0] x13 = in_data[80 +: 8];
    wire signed [6:0] x14 = x13[6:0];
    wire signed [7:0] x15 = in_data[88 +: 8];
    wire signed [6:0] x16 = x15[6:0];
    wire signed [7:0] x17 = in_data[96 +: 8];
    wire signed [7:0] x18 = in_data[104 +: 8];
    wire signed [7:0] x19 = in_data[112 +: 8];
    wire signed [7:0] x20 = in_data[120 +: 8];
    wire signed [1:0] t21 = {1'b0, x1 >= -4'sd5};
    reg signed [1:0] r22;
    wire signed [1:0] t23 = {1'b0, x2 >= -3'sd2};
    reg signed [1:0] r24;
    wire signed [1:0] t25 = {1'b0, x3 >= -5'sd13};
    reg signed [1:0] r26;
    wire signed [1:0] t27 = {1'b0, x4 >= 2'sd1};
    reg signed [1:0] r28;
    wire signed [1:0] t29 = {1'b0, x5 >= -3'sd3};
    reg signed [1:0] r30;
    wire signed [1:0] t31 = {1'b0, x6 >= -5'sd12};
    reg signed [1:0] r32;
    wire signed [1:0] t33 = {1'b0, x7 >= -5'sd11};
    reg signed [1:0] r34;
    wire signed [1:0] t35 = {1'b0, x8 >= 5'sd10};
    reg signed [1:0] r36;
    wire signed [1:0] t37 = {1'b0, x10 >= -3'sd2};
    reg signed [1:0] r38;
    wire signed [1:0] t39 = {1'b0, x12 >= 1'sd0};
    reg signed [1:0] r40;
    wire signed [1:0] t41 = {1'b0, x14 >= 1'sd0};
    reg signed [1:0] r42;
    wire signed [1:0] t43 = {1'b0, x16 >= -4'sd4};
    reg signed [1:0] r44;
    wire signed [1:0] t45 = {1'b0, x17 >= -4'sd6};
    reg signed [1:0] r46;
    wire signed [1:0] t47 = {1'b0, x18 >= -6'sd29};
    reg signed [1:0] r48;
    wire signed [1:0] t49 = {1'b0, x19 >= -2'sd1};
    reg signed [1:0] r50;
    wire signed [1:0] t51 = {1'b0, x20 >= 2'sd1};
    reg signed [1:0] r52;
    reg v53;
    assign out_valid = v53;
    assign out_data[0 +: 1] = r22[0:0];
    assign out_data[1 +: 1] = r24[0:0];
    assign out_data[2 +: 1] = r26[0:0];
    assign out_data[3 +: 1] = r28[0:0];
    assign out_data[4 +: 1] = r30[0:0];
    assign out_data[5 +: 1] = r32[0:0];
    assign out_data[6 +: 1] = r34[0:0];
    assign out_data[7 +: 1] = r36[0:0];
    assign out_data[8 +: 1] = r38[0:0];
    assign out_data[9 +: 1] = r40[0:0];
    assign out_data[10 +: 1] = r42[0:0];
    assign out_data[11 +: 1] = r44[0:0];
    assign out_data[12 +: 1] = r46[0:0];
    assign out_data[13 +: 1] = r48[0:0];
    assign out_data[14 +: 1] = r50[0:0];
    assign out_data[15 +: 1] = r52[0:0];

    always @(posedge clk) begin
        r22 <= t21;
        r24 <= t23;
        r26 <= t25;
        r28 <= t27;
        r30 <= t29;
        r32 <= t31;
        r34 <= t33;
        r36 <= t35;
        r38 <= t37;
        r40 <= t39;
        r42 <= t41;
        r44 <= t43;
        r46 <= t45;
        r48 <= t47;
        r50 <= t49;
        r52 <= t51;
        v53 <= !rst && in_valid;
    end
endmodule

// Line buffer of linnet_jet_features_10.
module linnet_jet_features_10_rows (
    input clk, input rst, input in_valid,
    input [15:0] in_data,
    output reg move, output reg emit, output reg first,
    output reg [0:0] beyond,
    output [31:0] column
);
    // Place of the next pixel.
    reg [2:0] x;
    reg [2:0] y;
    wire row_ends = x == 3'd7;
    wire frame_ends = row_ends && y == 3'd7;
    always @(posedge clk)
        if (rst) begin
            x <= 0;
            y <= 0;
        end else if (in_valid) begin
            x <= row_ends ? 3'd0 : x + 3'd1;
            if (row_ends) y <= frame_ends ? 3'd0 : y + 3'd1;
        end
    wire move0 = in_valid;
    // Where this step completes a window.
    wire [3:0] row = y;
    wire [2:0] place = x;
    localparam [8:0] ROWS = 9'b010101010;
    localparam [7:0] PLACES = 8'b10101010;
    wire before = 0;
    always @(posedge clk) begin
        move <= !rst && move0;
        emit <= !rst && in_valid && (before || (ROWS[row] && PLACES[place]));
        first <= 0;
        beyond <= {1'b0};
    end
    reg pixel1;
    reg [15:0] data1;
    always @(posedge clk) begin
        pixel1 <= !rst && in_valid;
        data1 <= in_data;
    end
    // The rows above, the nearest in the lowest bits.
    (* no_rw_check *) reg [15:0] memory [0:7];
    reg [15:0] above;
    reg [2:0] x1;
    wire [2:0] address = x;
    always @(posedge clk) begin
        x1 <= x;
        above <= memory[address];
        if (pixel1) memory[x1] <= data1;
    end
    // The column with its border.
    assign column[0 +: 16] = data1;
    assign column[16 +: 16] = above[0 +: 16];
endmodule

// features.10: pool on 16 channels of 8 x 8.
module linnet_jet_features_10 (
    input clk,
    input rst,
    input in_valid,
    input [15:0] in_data,
    output out_valid,
    output [15:0] out_data
);
    wire move, emit, first;
    wire [0:0] beyond;
    wire [31:0] column;
    linnet_jet_features_10_rows rows(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .move(move), .emit(emit),
        .first(first), .beyond(beyond), .column(column));
    wire [15:0] row0 = column[0 +: 16];
    wire [15:0] row1 = column[16 +: 16];
    wire signed [1:0] x1 = {1'b0, row0[0]};
    wire signed [1:0] x2 = {1'b0, row0[1]};
    wire signed [1:0] x3 = {1'b0, row0[2]};
    wire signed [1:0] x4 = {1'b0, row0[3]};
    wire signed [1:0] x5 = {1'b0, row0[4]};
    wire signed [1:0] x6 = {1'b0, row0[5]};
    wire signed [1:0] x7 = {1'b0, row0[6]};
    wire signed [1:0] x8 = {1'b0, row0[7]};
    wire signed [1:0] x9 = {1'b0, row0[8]};
    wire signed [1:0] x10 = {1'b0, row0[9]};
    wire signed [1:0] x11 = {1'b0, row0[10]};
    wire signed [1:0] x12 = {1'b0, row0[11]};
    wire signed [1:0] x13 = {1'b0, row0[12]};
    wire signed [1:0] x14 = {1'b0, row0[13]};
    wire signed [1:0] x15 = {1'b0, row0[14]};
    wire signed [1:0] x16 = {1'b0, row0[15]};
    wire signed [1:0] x17 = {1'b0, row1[0]};
    wire signed [1:0] x18 = {1'b0, row1[1]};
    wire signed [1:0] x19 = {1'b0, row1[2]};
    wire signed [1:0] x20 = {1'b0, row1[3]};
    wire signed [1:0] x21 = {1'b0, row1[4]};
    wire signed [1:0] x22 = {1'b0, row1[5]};
    wire signed [1:0] x23 = {1'b0, row1[6]};
    wire signed [1:0] x24 = {1'b0, row1[7]};
    wire signed [1:0] x25 = {1'b0, row1[8]};
    wire signed [1:0] x26 = {1'b0, row1[9]};
    wire signed [1:0] x27 = {1'b0, row1[10]};
    wire signed [1:0] x28 = {1'b0, row1[11]};
    wire signed [1:0] x29 = {1'b0, row1[12]};
    wire signed [1:0] x30 = {1'b0, row1[13]};
    wire signed [1:0] x31 = {1'b0, row1[14]};
    wire signed [1:0] x32 = {1'b0, row1[15]};
    wire signed [1:0] t33 = x17 | x1;
    wire signed [1:0] t34 = x18 | x2;
    wire signed [1:0] t35 = x19 | x3;
    wire signed [1:0] t36 = x20 | x4;
    wire signed [1:0] t37 = x21 | x5;
    wire signed [1:0] t38 = x22 | x6;
    wire signed [1:0] t39 = x23 | x7;
    wire signed [1:0] t40 = x24 | x8;
    wire signed [1:0] t41 = x25 | x9;
    wire signed [1:0] t42 = x26 | x10;
    wire signed [1:0] t43 = x27 | x11;
    wire signed [1:0] t44 = x28 | x12;
    wire signed [1:0] t45 = x29 | x13;
    wire signed [1:0] t46 = x30 | x14;
    wire signed [1:0] t47 = x31 | x15;
    wire signed [1:0] t48 = x32 | x16;
    reg signed [1:0] r49;
    reg signed [1:0] r50;
    reg signed [1:0] r51;
    reg signed [1:0] r52;
    reg signed [1:0] r53;
    reg signed [1:0] r54;
    reg signed [1:0] r55;
    reg signed [1:0] r56;
    reg signed [1:0] r57;
    reg signed [1:0] r58;
    reg signed [1:0] r59;
    reg signed [1:0] r60;
    reg signed [1:0] r61;
    reg signed [1:0] r62;
    reg signed [1:0] r63;
    reg signed [1:0] r64;
    reg signed [1:0] r65;
    reg signed [1:0] r66;
    reg signed [1:0] r67;
    reg signed [1:0] r68;
    reg signed [1:0] r69;
    reg signed [1:0] r70;
    reg signed [1:0] r71;
    reg signed [1:0] r72;
    reg signed [1:0] r73;
    reg signed [1:0] r74;
    reg signed [1:0] r75;
    reg signed [1:0] r76;
    reg signed [1:0] r77;
    reg signed [1:0] r78;
    reg signed [1:0] r79;
    reg signed [1:0] r80;
    reg v81;
    wire signed [1:0] t82 = r50 | r49;
    reg signed [1:0] r83;
    wire signed [1:0] t84 = r52 | r51;
    reg signed [1:0] r85;
    wire signed [1:0] t86 = r54 | r53;
    reg signed [1:0] r87;
    wire signed [1:0] t88 = r56 | r55;
    reg signed [1:0] r89;
    wire signed [1:0] t90 = r58 | r57;
    reg signed [1:0] r91;
    wire signed [1:0] t92 = r60 | r59;
    reg signed [1:0] r93;
    wire signed [1:0] t94 = r62 | r61;
    reg signed [1:0] r95;
    wire signed [1:0] t96 = r64 | r63;
    reg signed [1:0] r97;
    wire signed [1:0] t98 = r66 | r65;
    reg signed [1:0] r99;
    wire signed [1:0] t100 = r68 | r67;
    reg signed [1:0] r101;
    wire signed [1:0] t102 = r70 | r69;
    reg signed [1:0] r103;
    wire signed [1:0] t104 = r72 | r71;
    reg signed [1:0] r105;
    wire signed [1:0] t106 = r74 | r73;
    reg signed [1:0] r107;
    wire signed [1:0] t108 = r76 | r75;
    reg signed [1:0] r109;
    wire signed [1:0] t110 = r78 | r77;
    reg signed [1:0] r111;
    wire signed [1:0] t112 = r80 | r79;
    reg signed [1:0] r113;
    reg v114;
    assign out_valid = v114;
    assign out_data[0 +: 1] = r83[0:0];
    assign out_data[1 +: 1] = r85[0:0];
    assign out_data[2 +: 1] = r87[0:0];
    assign out_data[3 +: 1] = r89[0:0];
    assign out_data[4 +: 1] = r91[0:0];
    assign out_data[5 +: 1] = r93[0:0];
    assign out_data[6 +: 1] = r95[0:0];
    assign out_data[7 +: 1] = r97[0:0];
    assign out_data[8 +: 1] = r99[0:0];
    assign out_data[9 +: 1] = r101[0:0];
    assign out_data[10 +: 1] = r103[0:0];
    assign out_data[11 +: 1] = r105[0:0];
    assign out_data[12 +: 1] = r107[0:0];
    assign out_data[13 +: 1] = r109[0:0];
    assign out_data[14 +: 1] = r111[0:0];
    assign out_data[15 +: 1] = r113[0:0];

    always @(posedge clk) begin
        if (move) r49 <= t33;
        if (move) r50 <= r49;
        if (move) r51 <= t34;
        if (move) r52 <= r51;
        if (move) r53 <= t35;
        if (move) r54 <= r53;
        if (move) r55 <= t36;
        if (move) r56 <= r55;
        if (move) r57 <= t37;
        if (move) r58 <= r57;
        if (move) r59 <= t38;
        if (move) r60 <= r59;
        if (move) r61 <= t39;
        if (move) r62 <= r61;
        if (move) r63 <= t40;
        if (move) r64 <= r63;
        if (move) r65 <= t41;
        if (move) r66 <= r65;
        if (move) r67 <= t42;
        if (move) r68 <= r67;
        if (move) r69 <= t43;
        if (move) r70 <= r69;
        if (move) r71 <= t44;
        if (move) r72 <= r71;
        if (move) r73 <= t45;
        if (move) r74 <= r73;
        if (move) r75 <= t46;
        if (move) r76 <= r75;
        if (move) r77 <= t47;
        if (move) r78 <= r77;
        if (move) r79 <= t48;
        if (move) r80 <= r79;
        v81 <= !rst && emit;
        r83 <= t82;
        r85 <= t84;
        r87 <= t86;
        r89 <= t88;
        r91 <= t90;
        r93 <= t92;
        r95 <= t94;
        r97 <= t96;
        r99 <= t98;
        r101 <= t100;
        r103 <= t102;
        r105 <= t104;
        r107 <= t106;
        r109 <= t108;
        r111 <= t110;
        r113 <= t112;
        v114 <= !rst && v81;
    end
endmodule

// pool: pool on 16 channels of 4 x 4.
module linnet_jet_pool (
    input clk,
    input rst,
    input in_valid,
    input [15:0] in_data,
    output out_valid,
    output [79:0] out_data
);
    reg [3:0] position;
    wire last = position == 4'd15;
    wire signed [1:0] x1 = {1'b0, in_data[0]};
    wire signed [1:0] x2 = {1'b0, in_data[1]};
    wire signed [1:0] x3 = {1'b0, in_data[2]};
    wire signed [1:0] x4 = {1'b0, in_data[3]};
    wire signed [1:0] x5 = {1'b0, in_data[4]};
    wire signed [1:0] x6 = {1'b0, in_data[5]};
    wire signed [1:0] x7 = {1'b0, in_data[6]};
    wire signed [1:0] x8 = {1'b0, in_data[7]};
    wire signed [1:0] x9 = {1'b0, in_data[8]};
    wire signed [1:0] x10 = {1'b0, in_data[9]};
    wire signed [1:0] x11 = {1'b0, in_data[10]};
    wire signed [1:0] x12 = {1'b0, in_data[11]};
    wire signed [1:0] x13 = {1'b0, in_data[12]};
    wire signed [1:0] x14 = {1'b0, in_data[13]};
    wire signed [1:0] x15 = {1'b0, in_data[14]};
    wire signed [1:0] x16 = {1'b0, in_data[15]};
    reg signed [5:0] held0;
    wire signed [5:0] t17 = held0 + x1;
    reg signed [5:0] held1;
    wire signed [5:0] t18 = held1 + x2;
    reg signed [5:0] held2;
    wire signed [5:0] t19 = held2 + x3;
    reg signed [5:0] held3;
    wire signed [5:0] t20 = held3 + x4;
    reg signed [5:0] held4;
    wire signed [5:0] t21 = held4 + x5;
    reg signed [5:0] held5;
    wire signed [5:0] t22 = held5 + x6;
    reg signed [5:0] held6;
    wire signed [5:0] t23 = held6 + x7;
    reg signed [5:0] held7;
    wire signed [5:0] t24 = held7 + x8;
    reg signed [5:0] held8;
    wire signed [5:0] t25 = held8 + x9;
    reg signed [5:0] held9;
    wire signed [5:0] t26 = held9 + x10;
    reg signed [5:0] held10;
    wire signed [5:0] t27 = held10 + x11;
    reg signed [5:0] held11;
    wire signed [5:0] t28 = held11 + x12;
    reg signed [5:0] held12;
    wire signed [5:0] t29 = held12 + x13;
    reg signed [5:0] held13;
    wire signed [5:0] t30 = held13 + x14;
    reg signed [5:0] held14;
    wire signed [5:0] t31 = held14 + x15;
    reg signed [5:0] held15;
    wire signed [5:0] t32 = held15 + x16;
    reg done;
    assign out_valid = done;
    assign out_data[0 +: 5] = held0[4:0];
    assign out_data[5 +: 5] = held1[4:0];
    assign out_data[10 +: 5] = held2[4:0];
    assign out_data[15 +: 5] = held3[4:0];
    assign out_data[20 +: 5] = held4[4:0];
    assign out_data[25 +: 5] = held5[4:0];
    assign out_data[30 +: 5] = held6[4:0];
    assign out_data[35 +: 5] = held7[4:0];
    assign out_data[40 +: 5] = held8[4:0];
    assign out_data[45 +: 5] = held9[4:0];
    assign out_data[50 +: 5] = held10[4:0];
    assign out_data[55 +: 5] = held11[4:0];
    assign out_data[60 +: 5] = held12[4:0];
    assign out_data[65 +: 5] = held13[4:0];
    assign out_data[70 +: 5] = held14[4:0];
    assign out_data[75 +: 5] = held15[4:0];

    always @(posedge clk) begin
        if (rst) position <= 0; else if (in_valid) position <= last ? 4'd0 : position + 4'd1;
        if (in_valid) held0 <= position == 0 ? x1 : t17;
        if (in_valid) held1 <= position == 0 ? x2 : t18;
        if (in_valid) held2 <= position == 0 ? x3 : t19;
        if (in_valid) held3 <= position == 0 ? x4 : t20;
        if (in_valid) held4 <= position == 0 ? x5 : t21;
        if (in_valid) held5 <= position == 0 ? x6 : t22;
        if (in_valid) held6 <= position == 0 ? x7 : t23;
        if (in_valid) held7 <= position == 0 ? x8 : t24;
        if (in_valid) held8 <= position == 0 ? x9 : t25;
        if (in_valid) held9 <= position == 0 ? x10 : t26;
        if (in_valid) held10 <= position == 0 ? x11 : t27;
        if (in_valid) held11 <= position == 0 ? x12 : t28;
        if (in_valid) held12 <= position == 0 ? x13 : t29;
        if (in_valid) held13 <= position == 0 ? x14 : t30;
        if (in_valid) held14 <= position == 0 ? x15 : t31;
        if (in_valid) held15 <= position == 0 ? x16 : t32;
        done <= !rst && in_valid && last;
    end
endmodule

// head: linear on 16 channels of 1 x 1.
module linnet_jet_head_numbers (
    input clk,
    input rst,
    input in_valid,
    input [79:0] in_data,
    output out_valid,
    output [95:0] out_data
);
    wire signed [5:0] x1 = {1'b0, in_data[0 +: 5]};
    wire signed [5:0] x2 = {1'b0, in_data[5 +: 5]};
    wire signed [5:0] x3 = {1'b0, in_data[10 +: 5]};
    wire signed [5:0] x4 = {1'b0, in_data[15 +: 5]};
    wire signed [5:0] x5 = {1'b0, in_data[20 +: 5]};
    wire signed [5:0] x6 = {1'b0, in_data[25 +: 5]};
    wire signed [5:0] x7 = {1'b0, in_data[30 +: 5]};
    wire signed [5:0] x8 = {1'b0, in_data[35 +: 5]};
    wire signed [5:0] x9 = {1'b0, in_data[40 +: 5]};
    wire signed [5:0] x10 = {1'b0, in_data[45 +: 5]};
    wire signed [5:0] x11 = {1'b0, in_data[50 +: 5]};
    wire signed [5:0] x12 = {1'b0, in_data[55 +: 5]};
    wire signed [5:0] x13 = {1'b0, in_data[60 +: 5]};
    wire signed [5:0] x14 = {1'b0, in_data[65 +: 5]};
    wire signed [5:0] x15 = {1'b0, in_data[70 +: 5]};
    wire signed [5:0] x16 = {1'b0, in_data[75 +: 5]};
    wire signed [6:0] t17 = $signed({x1[5:0], 1'b0});
    wire signed [4:0] k18 = -6'sd16;
    wire signed [6:0] t19 = $signed({x2[5:0], 1'b0});
    wire signed [6:0] t20 = $signed({x3[5:0], 1'b0});
    wire signed [6:0] t21 = $signed({x4[5:0], 1'b0});
    wire signed [6:0] t22 = $signed({x5[5:0], 1'b0});
    wire signed [6:0] t23 = $signed({x6[5:0], 1'b0});
    wire signed [6:0] t24 = $signed({x7[5:0], 1'b0});
    wire signed [6:0] t25 = $signed({x8[5:0], 1'b0});
    wire signed [6:0] t26 = $signed({x9[5:0], 1'b0});
    wire signed [6:0] t27 = $signed({x10[5:0], 1'b0});
    wire signed [6:0] t28 = $signed({x11[5:0], 1'b0});
    wire signed [6:0] t29 = $signed({x12[5:0], 1'b0});
    wire signed [6:0] t30 = $signed({x13[5:0], 1'b0});
    wire signed [6:0] t31 = $signed({x14[5:0], 1'b0});
    wire signed [6:0] t32 = $signed({x15[5:0], 1'b0});
    wire signed [6:0] t33 = $signed({x16[5:0], 1'b0});
    wire signed [5:0] t34 = t17 + k18;
    wire signed [5:0] t35 = k18 + t19;
    wire signed [5:0] t36 = k18 + t20;
    wire signed [5:0] t37 = k18 + t21;
    wire signed [5:0] t38 = k18 + t22;
    wire signed [5:0] t39 = k18 + t23;
    wire signed [5:0] t40 = k18 + t24;
    wire signed [5:0] t41 = k18 + t25;
    wire signed [5:0] t42 = k18 + t26;
    wire signed [5:0] t43 = k18 + t27;
    wire signed [5:0] t44 = k18 + t28;
    wire signed [5:0] t45 = k18 + t29;
    wire signed [5:0] t46 = k18 + t30;
    wire signed [5:0] t47 = k18 + t31;
    wire signed [5:0] t48 = k18 + t32;
    wire signed [5:0] t49 = k18 + t33;
    reg signed [5:0] r50;
    reg signed [5:0] r51;
    reg signed [5:0] r52;
    reg signed [5:0] r53;
    reg signed [5:0] r54;
    reg signed [5:0] r55;
    reg signed [5:0] r56;
    reg signed [5:0] r57;
    reg signed [5:0] r58;
    reg signed [5:0] r59;
    reg signed [5:0] r60;
    reg signed [5:0] r61;
    reg signed [5:0] r62;
    reg signed [5:0] r63;
    reg signed [5:0] r64;
    reg signed [5:0] r65;
    reg v66;
    assign out_valid = v66;
    assign out_data[0 +: 6] = r50;
    assign out_data[6 +: 6] = r51;
    assign out_data[12 +: 6] = r52;
    assign out_data[18 +: 6] = r53;
    assign out_data[24 +: 6] = r54;
    assign out_data[30 +: 6] = r55;
    assign out_data[36 +: 6] = r56;
    assign out_data[42 +: 6] = r57;
    assign out_data[48 +: 6] = r58;
    assign out_data[54 +: 6] = r59;
    assign out_data[60 +: 6] = r60;
    assign out_data[66 +: 6] = r61;
    assign out_data[72 +: 6] = r62;
    assign out_data[78 +: 6] = r63;
    assign out_data[84 +: 6] = r64;
    assign out_data[90 +: 6] = r65;

    always @(posedge clk) begin
        r50 <= t34;
        r51 <= t35;
        r52 <= t36;
        r53 <= t37;
        r54 <= t38;
        r55 <= t39;
        r56 <= t40;
        r57 <= t41;
        r58 <= t42;
        r59 <= t43;
        r60 <= t44;
        r61 <= t45;
        r62 <= t46;
        r63 <= t47;
        r64 <= t48;
        r65 <= t49;
        v66 <= !rst && in_valid;
    end
endmodule

// Queue of linnet_jet_head: at most 3 positions wait, and one goes in each turn of 10 clocks.
module linnet_jet_head_queue (
    input clk, input rst, input in_valid,
    input [95:0] in_data,
    output slot, output reg [3:0] phase, output reg due,
    output reg [95:0] next
);
    (* no_rw_check *) reg [95:0] waiting [0:2];
    reg [1:0] head, tail;
    reg [1:0] count;
    wire taken = slot && due;
    assign slot = phase == 4'd9;
    always @(posedge clk) begin
        next <= waiting[head];
        if (in_valid) waiting[tail] <= in_data;
        if (rst) begin
            phase <= 0;
            head <= 0;
            tail <= 0;
            count <= 0;
            due <= 0;
        end else begin
            phase <= slot ? 4'd0 : phase + 4'd1;
            if (in_valid) tail <= tail == 2'd2 ? 2'd0 : tail + 2'd1;
            if (taken) head <= head == 2'd2 ? 2'd0 : head + 2'd1;
            count <= count + (in_valid ? 2'd1 : 2'd0) - (taken ? 2'd1 : 2'd0);
            due <= count != 0 && !taken;
        end
    end
endmodule

// head: linear on 16 channels of 1 x 1.
module linnet_jet_head (
    input clk,
    input rst,
    input in_valid,
    input [95:0] in_data,
    output out_valid,
    output [99:0] out_data
);
    // One position a turn; what is enabled by `slot` moves once a turn.
    wire slot, due;
    wire [3:0] phase;
    wire [95:0] next;
    linnet_jet_head_queue queue(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .slot(slot), .phase(phase),
        .due(due), .next(next));
    wire signed [5:0] x1 = next[0 +: 6];
    wire signed [5:0] x2 = next[6 +: 6];
    wire signed [5:0] x3 = next[12 +: 6];
    wire signed [5:0] x4 = next[18 +: 6];
    wire signed [5:0] x5 = next[24 +: 6];
    wire signed [5:0] x6 = next[30 +: 6];
    wire signed [5:0] x7 = next[36 +: 6];
    wire signed [5:0] x8 = next[42 +: 6];
    wire signed [5:0] x9 = next[48 +: 6];
    wire signed [5:0] x10 = next[54 +: 6];
    wire signed [5:0] x11 = next[60 +: 6];
    wire signed [5:0] x12 = next[66 +: 6];
    wire signed [5:0] x13 = next[72 +: 6];
    wire signed [5:0] x14 = next[78 +: 6];
    wire signed [5:0] x15 = next[84 +: 6];
    wire signed [5:0] x16 = next[90 +: 6];
    reg signed [5:0] r17;
    reg signed [5:0] r18;
    reg signed [5:0] r19;
    reg signed [5:0] r20;
    reg signed [5:0] r21;
    reg signed [5:0] r22;
    reg signed [5:0] r23;
    reg signed [5:0] r24;
    reg signed [5:0] r25;
    reg signed [5:0] r26;
    reg signed [5:0] r27;
    reg signed [5:0] r28;
    reg signed [5:0] r29;
    reg signed [5:0] r30;
    reg signed [5:0] r31;
    reg signed [5:0] r32;
    reg v33;
    wire signed [5:0] t34 = ~r17;
    localparam [9:0] Pphase_0001011101 = 10'b0001011101;
    wire phase_0001011101 = Pphase_0001011101[phase];
    wire signed [5:0] m35 = phase_0001011101 ? r17 : t34;
    wire signed [5:0] t36 = ~r18;
    localparam [9:0] Pphase_0100000001 = 10'b0100000001;
    wire phase_0100000001 = Pphase_0100000001[phase];
    wire signed [5:0] m37 = phase_0100000001 ? t36 : r18;
    wire signed [5:0] t38 = ~r19;
    localparam [9:0] Pphase_0010010101 = 10'b0010010101;
    wire phase_0010010101 = Pphase_0010010101[phase];
    wire signed [5:0] m39 = phase_0010010101 ? r19 : t38;
    wire signed [5:0] t40 = ~r20;
    localparam [9:0] Pphase_0111000101 = 10'b0111000101;
    wire phase_0111000101 = Pphase_0111000101[phase];
    wire signed [5:0] m41 = phase_0111000101 ? r20 : t40;
    wire signed [5:0] t42 = ~r21;
    localparam [9:0] Pphase_0101010001 = 10'b0101010001;
    wire phase_0101010001 = Pphase_0101010001[phase];
    wire signed [5:0] m43 = phase_0101010001 ? t42 : r21;
    wire signed [5:0] t44 = ~r22;
    localparam [9:0] Pphase_0101111101 = 10'b0101111101;
    wire phase_0101111101 = Pphase_0101111101[phase];
    wire signed [5:0] m45 = phase_0101111101 ? r22 : t44;
    wire signed [5:0] t46 = ~r23;
    localparam [9:0] Pphase_0111111011 = 10'b0111111011;
    wire phase_0111111011 = Pphase_0111111011[phase];
    wire signed [5:0] m47 = phase_0111111011 ? r23 : t46;
    wire signed [5:0] t48 = ~r24;
    localparam [9:0] Pphase_0001011011 = 10'b0001011011;
    wire phase_0001011011 = Pphase_0001011011[phase];
    wire signed [5:0] m49 = phase_0001011011 ? r24 : t48;
    wire signed [5:0] t50 = ~r25;
    localparam [9:0] Pphase_0101101001 = 10'b0101101001;
    wire phase_0101101001 = Pphase_0101101001[phase];
    wire signed [5:0] m51 = phase_0101101001 ? r25 : t50;
    wire signed [5:0] t52 = ~r26;
    localparam [9:0] Pphase_1101111101 = 10'b1101111101;
    wire phase_1101111101 = Pphase_1101111101[phase];
    wire signed [5:0] m53 = phase_1101111101 ? r26 : t52;
    wire signed [5:0] t54 = ~r27;
    localparam [9:0] Pphase_1111110111 = 10'b1111110111;
    wire phase_1111110111 = Pphase_1111110111[phase];
    wire signed [5:0] m55 = phase_1111110111 ? r27 : t54;
    wire signed [5:0] t56 = ~r28;
    localparam [9:0] Pphase_1111000001 = 10'b1111000001;
    wire phase_1111000001 = Pphase_1111000001[phase];
    wire signed [5:0] m57 = phase_1111000001 ? t56 : r28;
    wire signed [5:0] t58 = ~r29;
    localparam [9:0] Pphase_0110100011 = 10'b0110100011;
    wire phase_0110100011 = Pphase_0110100011[phase];
    wire signed [5:0] m59 = phase_0110100011 ? t58 : r29;
    wire signed [5:0] t60 = ~r30;
    localparam [9:0] Pphase_1101011011 = 10'b1101011011;
    wire phase_1101011011 = Pphase_1101011011[phase];
    wire signed [5:0] m61 = phase_1101011011 ? r30 : t60;
    wire signed [5:0] t62 = ~r31;
    localparam [9:0] Pphase_1011100101 = 10'b1011100101;
    wire phase_1011100101 = Pphase_1011100101[phase];
    wire signed [5:0] m63 = phase_1011100101 ? r31 : t62;
    wire signed [5:0] t64 = ~r32;
    localparam [9:0] Pphase_1000111001 = 10'b1000111001;
    wire phase_1000111001 = Pphase_1000111001[phase];
    wire signed [5:0] m65 = phase_1000111001 ? t64 : r32;
    wire signed [6:0] t66 = m35 + m37;
    wire signed [6:0] t67 = m39 + m41;
    wire signed [6:0] t68 = m43 + m45;
    wire signed [6:0] t69 = m47 + m49;
    wire signed [6:0] t70 = m51 + m53;
    wire signed [6:0] t71 = m55 + m57;
    wire signed [6:0] t72 = m59 + m61;
    wire signed [6:0] t73 = m63 + m65;
    wire signed [7:0] t74 = t66 + t67;
    wire signed [7:0] t75 = t68 + t69;
    wire signed [7:0] t76 = t70 + t71;
    wire signed [7:0] t77 = t72 + t73;
    reg signed [7:0] r78;
    reg signed [7:0] r79;
    reg signed [7:0] r80;
    reg signed [7:0] r81;
    wire signed [8:0] t82 = r78 + r79;
    wire signed [8:0] t83 = r80 + r81;
    wire signed [9:0] t84 = t82 + t83;
    reg signed [9:0] r85;
    reg v86;
    reg v87;
    reg [3:0] phased;
    reg [3:0] phasedd;
    reg signed [9:0] sum0;
    reg signed [9:0] sum1;
    reg signed [9:0] sum2;
    reg signed [9:0] sum3;
    reg signed [9:0] sum4;
    reg signed [9:0] sum5;
    reg signed [9:0] sum6;
    reg signed [9:0] sum7;
    reg signed [9:0] sum8;
    reg signed [9:0] sum9;
    reg ready;
    assign out_valid = ready;
    assign out_data[0 +: 10] = sum0;
    assign out_data[10 +: 10] = sum1;
    assign out_data[20 +: 10] = sum2;
    assign out_data[30 +: 10] = sum3;
    assign out_data[40 +: 10] = sum4;
    assign out_data[50 +: 10] = sum5;
    assign out_data[60 +: 10] = sum6;
    assign out_data[70 +: 10] = sum7;
    assign out_data[80 +: 10] = sum8;
    assign out_data[90 +: 10] = sum9;

    always @(posedge clk) begin
        if (slot) r17 <= x1;
        if (slot) r18 <= x2;
        if (slot) r19 <= x3;
        if (slot) r20 <= x4;
        if (slot) r21 <= x5;
        if (slot) r22 <= x6;
        if (slot) r23 <= x7;
        if (slot) r24 <= x8;
        if (slot) r25 <= x9;
        if (slot) r26 <= x10;
        if (slot) r27 <= x11;
        if (slot) r28 <= x12;
        if (slot) r29 <= x13;
        if (slot) r30 <= x14;
        if (slot) r31 <= x15;
        if (slot) r32 <= x16;
        if (rst || slot) v33 <= !rst && due;
        r78 <= t74;
        r79 <= t75;
        r80 <= t76;
        r81 <= t77;
        r85 <= t84;
        v86 <= !rst && v33;
        v87 <= !rst && v86;
        phased <= phase;
        phasedd <= phased;
        if (v87 && phasedd == 4'd0) sum0 <= r85;
        if (v87 && phasedd == 4'd1) sum1 <= r85;
        if (v87 && phasedd == 4'd2) sum2 <= r85;
        if (v87 && phasedd == 4'd3) sum3 <= r85;
        if (v87 && phasedd == 4'd4) sum4 <= r85;
        if (v87 && phasedd == 4'd5) sum5 <= r85;
        if (v87 && phasedd == 4'd6) sum6 <= r85;
        if (v87 && phasedd == 4'd7) sum7 <= r85;
        if (v87 && phasedd == 4'd8) sum8 <= r85;
        if (v87 && phasedd == 4'd9) sum9 <= r85;
        ready <= !rst && v87 && phasedd == 4'd9;
    end
endmodule

// head: linear on 10 channels of 1 x 1.
module linnet_jet_head_numbers_2 (
    input clk,
    input rst,
    input in_valid,
    input [99:0] in_data,
    output out_valid,
    output [99:0] out_data
);
    wire signed [9:0] x1 = in_data[0 +: 10];
    wire signed [9:0] x2 = in_data[10 +: 10];
    wire signed [9:0] x3 = in_data[20 +: 10];
    wire signed [9:0] x4 = in_data[30 +: 10];
    wire signed [9:0] x5 = in_data[40 +: 10];
    wire signed [9:0] x6 = in_data[50 +: 10];
    wire signed [9:0] x7 = in_data[60 +: 10];
    wire signed [9:0] x8 = in_data[70 +: 10];
    wire signed [9:0] x9 = in_data[80 +: 10];
    wire signed [9:0] x10 = in_data[90 +: 10];
    wire signed [3:0] k11 = 4'sd5;
    wire signed [4:0] k12 = 5'sd8;
    wire signed [3:0] k13 = 4'sd4;
    wire signed [3:0] k14 = 4'sd7;
    wire signed [2:0] k15 = 3'sd3;
    wire signed [4:0] k16 = 5'sd9;
    wire signed [9:0] t17 = x1 + k11;
    wire signed [9:0] t18 = x2 + k12;
    wire signed [9:0] t19 = x3 + k13;
    wire signed [9:0] t20 = k11 + x4;
    wire signed [9:0] t21 = k11 + x5;
    wire signed [9:0] t22 = x6 + k14;
    wire signed [9:0] t23 = x7 + k15;
    wire signed [9:0] t24 = k12 + x8;
    wire signed [9:0] t25 = k12 + x9;
    wire signed [9:0] t26 = x10 + k16;
    reg signed [9:0] r27;
    reg signed [9:0] r28;
    reg signed [9:0] r29;
    reg signed [9:0] r30;
    reg signed [9:0] r31;
    reg signed [9:0] r32;
    reg signed [9:0] r33;
    reg signed [9:0] r34;
    reg signed [9:0] r35;
    reg signed [9:0] r36;
    reg v37;
    assign out_valid = v37;
    assign out_data[0 +: 10] = r27;
    assign out_data[10 +: 10] = r28;
    assign out_data[20 +: 10] = r29;
    assign out_data[30 +: 10] = r30;
    assign out_data[40 +: 10] = r31;
    assign out_data[50 +: 10] = r32;
    assign out_data[60 +: 10] = r33;
    assign out_data[70 +: 10] = r34;
    assign out_data[80 +: 10] = r35;
    assign out_data[90 +: 10] = r36;

    always @(posedge clk) begin
        r27 <= t17;
        r28 <= t18;
        r29 <= t19;
        r30 <= t20;
        r31 <= t21;
        r32 <= t22;
        r33 <= t23;
        r34 <= t24;
        r35 <= t25;
        r36 <= t26;
        v37 <= !rst && in_valid;
    end
endmodule

// 16 x 16 pixels a frame, one at each clock with in_valid; the last output comes at most 223 clocks after the last pixel.
module linnet_jet (
    input clk,
    input rst,
    input in_valid,
    input [7:0] in_data,
    output out_valid,
    output [99:0] out_data
);
    wire valid0;
    wire [95:0] data0;
    linnet_jet_features_0 layer0 (.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .out_valid(valid0), .out_data(data0));  // features.0
    wire valid1;
    wire [7:0] data1;
    linnet_jet_features_2 layer1 (.clk(clk), .rst(rst), .in_valid(valid0), .in_data(data0), .out_valid(valid1), .out_data(data1));  // features.2
    wire valid2;
    wire [55:0] data2;
    linnet_jet_features_3 layer2 (.clk(clk), .rst(rst), .in_valid(valid1), .in_data(data1), .out_valid(valid2), .out_data(data2));  // features.3
    wire valid3;
    wire [7:0] data3;
    linnet_jet_features_5 layer3 (.clk(clk), .rst(rst), .in_valid(valid2), .in_data(data2), .out_valid(valid3), .out_data(data3));  // features.5
    wire valid4;
    wire [7:0] data4;
    linnet_jet_features_6 layer4 (.clk(clk), .rst(rst), .in_valid(valid3), .in_data(data3), .out_valid(valid4), .out_data(data4));  // features.6
    wire valid5;
    wire [127:0] data5;
    linnet_jet_features_7 layer5 (.clk(clk), .rst(rst), .in_valid(valid4), .in_data(data4), .out_valid(valid5), .out_data(data5));  // features.7
    wire valid6;
    wire [15:0] data6;
    linnet_jet_features_9 layer6 (.clk(clk), .rst(rst), .in_valid(valid5), .in_data(data5), .out_valid(valid6), .out_data(data6));  // features.9
    wire valid7;
    wire [15:0] data7;
    linnet_jet_features_10 layer7 (.clk(clk), .rst(rst), .in_valid(valid6), .in_data(data6), .out_valid(valid7), .out_data(data7));  // features.10
    wire valid8;
    wire [79:0] data8;
    linnet_jet_pool layer8 (.clk(clk), .rst(rst), .in_valid(valid7), .in_data(data7), .out_valid(valid8), .out_data(data8));  // pool
    wire valid9;
    wire [95:0] data9;
    linnet_jet_head_numbers layer9 (.clk(clk), .rst(rst), .in_valid(valid8), .in_data(data8), .out_valid(valid9), .out_data(data9));  // head
    wire valid10;
    wire [99:0] data10;
    linnet_jet_head layer10 (.clk(clk), .rst(rst), .in_valid(valid9), .in_data(data9), .out_valid(valid10), .out_data(data10));  // head
    wire valid11;
    wire [99:0] data11;
    linnet_jet_head_numbers_2 layer11 (.clk(clk), .rst(rst), .in_valid(valid10), .in_data(data10), .out_valid(valid11), .out_data(data11));  // head
    assign out_valid = valid11;
    assign out_data = data11;
endmodule
