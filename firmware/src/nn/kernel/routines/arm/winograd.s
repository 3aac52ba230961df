@ ---- winograd_2x4: two tiles by four output channels, every position -------------------------------
@ Twin: portable::winograd_2x4; reference: scalar::conv2d.
@ r0 tiles, r1 weights, r2 products, r3 {steps > 1, positions}
.equ WINOGRAD_UNROLL, 16
.equ WINOGRAD_UNIT, 40
 ROUTINE winograd_2x4
 push {r4-r11,lr}
 sub sp,#20
 ldrd r4,r5,[r3]
 lsl r6,r4,#3
 add r7,r0,r6                @ end of the first position
 mla r8,r5,r6,r0             @ end of the last
 strd r7,r6,[sp,#0]
 str r8,[sp,#8]
 str r2,[sp,#12]
 sub r4,r4,#1
 ENTRY r6,r4,2f,WINOGRAD_UNROLL,WINOGRAD_UNIT,r5
 str r6,[sp,#16]
1:
 ldrd r2,r3,[r0],#8
 ldmia r1!,{r4,r5}
 smuad r6,r2,r4
 smuad r10,r3,r4
 smuad r7,r2,r5
 smuad r11,r3,r5
 ldmia r1!,{r4,r5}
 smuad r8,r2,r4
 smuad r12,r3,r4
 smuad r9,r2,r5
 smuad lr,r3,r5
 ldr r2,[sp,#16]
 bx r2
2:
.rept WINOGRAD_UNROLL
 CONV_WIDE_STEP
.endr
 ldrd r2,r3,[sp,#0]
 cmp r0,r2
 bne.w 2b
 add r2,r2,r3
 ldrd r3,r4,[sp,#8]
 str r2,[sp,#0]
 stmia r4!,{r6-r12,lr}
 str r4,[sp,#12]
 cmp r0,r3
 bne.w 1b
 add sp,#20
 pop {r4-r11,pc}
 END winograd_2x4

@ ---- winograd_input_*: B^T d B of every channel pair of two tiles, in place --------------------------
@ Twin: portable::winograd_input_*; reference: part of scalar::conv2d.
@ r0 tiles, r1 words a position
@ r0 position 0 of a word, r1 stride, r2 3 strides, lr walks; r4-r9 a line of the tile, r10-r12 free.
.macro LINE_4                       @ r4-r7 -> r4 r12 r6 r7
 ssub16 r4,r4,r6
 sadd16 r12,r5,r6
 ssub16 r6,r6,r5
 ssub16 r7,r5,r7
.endm
.macro LINE_6                       @ r4-r9 -> r4 r12 r6 r7 r8 r9
 ssub16 r10,r8,r6
 ssub16 r11,r7,r5
 ssub16 r4,r4,r6
 sadd16 r4,r4,r4
 sadd16 r4,r4,r4
 sadd16 r4,r4,r10
 sadd16 r6,r6,r6
 sadd16 r6,r6,r6
 ssub16 r6,r8,r6
 sadd16 r5,r5,r5
 sadd16 r5,r5,r5
 ssub16 r5,r7,r5
 ssub16 r9,r9,r7
 sadd16 r11,r11,r11
 sadd16 r12,r6,r5
 ssub16 r6,r6,r5
 sadd16 r7,r10,r11
 ssub16 r8,r10,r11
 sadd16 r11,r11,r11
 ssub16 r9,r9,r11
.endm
@ lr + n strides, n = 0 to 5; r10 = lr + 3 strides
.macro LOAD_LINE side
 ldr r4,[lr]
 ldr r5,[lr,r1]
 ldr r6,[lr,r1,lsl #1]
.if \side == 4
 ldr r7,[lr,r2]
.else
 add r10,lr,r2
 ldr r8,[lr,r1,lsl #2]
 ldr r7,[r10]
 ldr r9,[r10,r1,lsl #1]
.endif
.endm
.macro STORE_LINE side
 str r4,[lr]
 str r12,[lr,r1]
 str r6,[lr,r1,lsl #1]
.if \side == 4
 str r7,[lr,r2]
.else
 add r10,lr,r2
 str r8,[lr,r1,lsl #2]
 str r7,[r10]
 str r9,[r10,r1,lsl #1]
.endif
.endm
.macro WINOGRAD_INPUT side
 ROUTINE winograd_input_\side
 .equ WI_END_\side, 4*\side*\side         @ the tile lies below
 .equ WI_COLUMN_\side, 4*\side*\side+4    @ stride of columns, and three of them
 .equ WI_ROW_\side, 4*\side*\side+12      @ stride of rows, and three of them
 push {r4-r11,lr}
 sub sp,#(4*\side*\side+20)
 lsl r1,r1,#2
 add r2,r0,r1
 str r2,[sp,#WI_END_\side]
 add r2,r1,r1,lsl #1
 strd r1,r2,[sp,#WI_COLUMN_\side]
 mov r3,#\side
 mul r1,r1,r3
 mul r2,r2,r3
 strd r1,r2,[sp,#WI_ROW_\side]
1:
 mov lr,r0
 ldrd r1,r2,[sp,#WI_ROW_\side]
 ldr r3,[sp,#WI_COLUMN_\side]
.set x,0
.rept \side
 LOAD_LINE \side
 LINE_\side
 str r4,[sp,#(4*x)]
 str r12,[sp,#(4*(x+\side))]
 str r6,[sp,#(4*(x+2*\side))]
 str r7,[sp,#(4*(x+3*\side))]
.if \side == 6
 str r8,[sp,#(4*(x+4*\side))]
 str r9,[sp,#(4*(x+5*\side))]
.endif
 add lr,lr,r3
.set x,x+1
.endr
 mov lr,r0
 ldrd r1,r2,[sp,#WI_COLUMN_\side]
 mov r3,sp
2:
.if \side == 4
 ldmia r3!,{r4-r7}
.else
 ldmia r3!,{r4-r9}
.endif
 LINE_\side
 STORE_LINE \side
 ldr r10,[sp,#WI_ROW_\side]
 add r12,sp,#(4*\side*\side)
 add lr,lr,r10
 cmp r3,r12
 bne.n 2b
 ldr r1,[sp,#WI_END_\side]
 add r0,r0,#4
 cmp r0,r1
 bne.w 1b
 add sp,#(4*\side*\side+20)
 pop {r4-r11,pc}
 END winograd_input_\side
.endm
 WINOGRAD_INPUT 4
 WINOGRAD_INPUT 6

@ ---- winograd_output_*: A^T m A, requantized, of two tiles by four channels --------------------------
@ Twin: portable::winograd_output_*; reference: part of scalar::conv2d.
@ r0 products, r1 {4 biases, 4 multipliers}, r2 {2 first outputs, stride, pitch, zero point, 2 rows, 2 columns},
@ r3 output
@ Columns first, into the frame; then rows. r1 bias, then multiplier; r2 output; r3 zero point.
.equ WO_PRODUCTS, 0
.equ WO_TABLES, 4
.equ WO_TASK, 8
.equ WO_BASE, 12
.equ WO_ROWS, 16
.equ WO_COLUMNS, 20
.equ WO_STRIDE, 24                  @ and pitch at 28
.equ WO_ZERO_POINT, 32
.equ WO_OUTPUT, 36
.equ WO_CHANNELS_LEFT, 40
.equ WO_INVERSE, 44
.equ WO_TILE, 52                    @ 52 + 36 saved + 96 is a multiple of 8
.equ WO_FRAME, 148

.macro SUMS_4                       @ r4-r7 -> r4 r6
 add r10,r5,r6
 sub r11,r5,r6
 add r4,r10,r4,lsl #1
 sub r6,r11,r7,lsl #1
.endm
.macro SUMS_6                       @ r4-r9 -> r4 r6 r5 r7, the last three a half, a quarter, a quarter
 add r10,r5,r6
 sub r11,r5,r6
 add r5,r7,r8
 sub r6,r7,r8
 sub r7,r5,r10,lsl #2
 add r4,r4,r4,lsl #1
 add r4,r7,r4,lsl #1
 sub r5,r5,r10
 add r9,r9,r9,lsl #1
 rsb r7,r11,r6,lsl #1
 add r7,r7,r9,lsl #1
 sub r6,r6,r11,lsl #1
.endm

@ one row of outputs; taken: power of two that the row lacks
.macro OUTPUT_ROW side, row, taken
.if \side == 4
 ldmia lr!,{r4-r7}
.else
 ldmia lr!,{r4-r9}
.endif
 SUMS_\side
.if \side == 4
 asr r4,r4,#2
 asr r6,r6,#2
.else
 ldr r10,[sp,#WO_INVERSE]
 mul r4,r4,r10
 mul r6,r6,r10
 mul r5,r5,r10
 mul r7,r7,r10
 asr r4,r4,#(6-\taken)
 asr r6,r6,#(5-\taken)
 asr r5,r5,#(4-\taken)
 asr r7,r7,#(4-\taken)
 smmlar r5,r5,r1,r3
 smmlar r7,r7,r1,r3
 ssat r5,#8,r5
 ssat r7,#8,r7
.endif
 smmlar r4,r4,r1,r3
 smmlar r6,r6,r1,r3
 ssat r4,#8,r4
 ssat r6,#8,r6
 ldr r12,[sp,#WO_COLUMNS]
 ldrd r10,r11,[sp,#WO_STRIDE]
 strb r4,[r2]
.if \side == 4
 cmp r12,#2
 it eq
 strbeq r6,[r2,r10]
.else
 cmp r12,#4
 bne.n 5f
 strb r6,[r2,r10]
 strb r5,[r2,r10,lsl #1]
 add r12,r10,r10,lsl #1
 strb r7,[r2,r12]
6:
.endif
 add r2,r2,r11
 ldr r12,[sp,#WO_ROWS]
 cmp r12,#(\row+1)
 beq.w 3f
.if \side == 6
 b.n 7f
5:                                  @ fewer than four columns
 cmp r12,#2
 blo.n 6b
 strb r6,[r2,r10]
 beq.n 6b
 strb r5,[r2,r10,lsl #1]
 b.n 6b
7:
.endif
.endm

.macro WINOGRAD_OUTPUT side
 ROUTINE winograd_output_\side
 push {r4-r11,lr}
 sub sp,#WO_FRAME
 strd r0,r1,[sp,#WO_PRODUCTS]
 strd r2,r3,[sp,#WO_TASK]
 ldr r4,[r2,#16]
 str r4,[sp,#WO_ZERO_POINT]
 ldrd r4,r5,[r2,#8]
 strd r4,r5,[sp,#WO_STRIDE]
 movw r4,#0x8e39
 movt r4,#0x38e3
 str r4,[sp,#WO_INVERSE]
1:                                  @ a tile
 ldr r4,[r2,#20]
 ldr r5,[r2,#28]
 strd r4,r5,[sp,#WO_ROWS]
 ldr r4,[r2],#4
 str r2,[sp,#WO_TASK]
 ldr r3,[sp,#WO_BASE]
 add r4,r4,r3
 str r4,[sp,#WO_OUTPUT]
 mov r4,#4
 str r4,[sp,#WO_CHANNELS_LEFT]
2:                                  @ a channel of it
 ldrd r0,r1,[sp,#WO_PRODUCTS]
 ldr r1,[r1]
.set x,0
.rept \side
.set i,0
.irp r,r4,r5,r6,r7,r8,r9
.if i < \side
 ldr \r,[r0,#(32*(i*\side+x))]
.endif
.set i,i+1
.endr
.if x == 1
 add r5,r5,r1
.endif
 SUMS_\side
 str r4,[sp,#(WO_TILE+4*x)]
 str r6,[sp,#(WO_TILE+4*(x+\side))]
.if \side == 6
 str r5,[sp,#(WO_TILE+4*(x+2*\side))]
 str r7,[sp,#(WO_TILE+4*(x+3*\side))]
.endif
.set x,x+1
.endr
 add lr,sp,#WO_TILE
 ldr r1,[sp,#WO_TABLES]
 ldr r3,[sp,#WO_ZERO_POINT]
 ldr r2,[sp,#WO_OUTPUT]
 ldr r1,[r1,#16]
 OUTPUT_ROW \side,0,0
 OUTPUT_ROW \side,1,1
.if \side == 6
 OUTPUT_ROW \side,2,2
 OUTPUT_ROW \side,3,2
.endif
3:
 ldrd r0,r1,[sp,#WO_PRODUCTS]
 add r0,r0,#4
 add r1,r1,#4
 strd r0,r1,[sp,#WO_PRODUCTS]
 ldrd r2,r3,[sp,#WO_OUTPUT]
 add r2,r2,#1
 subs r3,r3,#1
 strd r2,r3,[sp,#WO_OUTPUT]
 bne.w 2b
 sub r1,r1,#16                       @ the same tables for the second tile
 ldr r2,[sp,#WO_TASK]
 str r1,[sp,#WO_TABLES]
 tst r2,#4                            @ the task is 8-aligned: the second tile ends at an even word
 bne.w 1b
 add sp,#WO_FRAME
 pop {r4-r11,pc}
 END winograd_output_\side
.endm
 WINOGRAD_OUTPUT 4
 WINOGRAD_OUTPUT 6
