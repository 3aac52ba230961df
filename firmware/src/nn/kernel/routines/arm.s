@ The inner loops for Armv7E-M, one section a routine so that the linker keeps what a network calls.
@
@ Contracts (arguments, layouts, alignment) and the portable twins: mod.rs and portable.rs.
@ All follow AAPCS: r0-r3 arguments, r4-r11 and lr saved, sp 8-aligned at entry. Only LDR reads
@ unaligned addresses; LDRD and LDM need the words that the contracts promise.
@
@ "Enter in the middle": loops are unrolled UNROLL times, and the first pass jumps over as many units
@ as make the count a multiple. So a unit's code size is a constant here, checked by the emulator tests.
 .syntax unified
 .thumb

.macro ROUTINE name
 .section .text.firmware_\name,"ax",%progbits
 .p2align 2
 .global firmware_\name
 .type firmware_\name,%function
 .thumb_func
firmware_\name:
.endm

.macro END name
 .size firmware_\name, . - firmware_\name
.endm

@ r = address in the loop at `start` that leaves `count` mod `unroll` units (all of them for 0).
.macro ENTRY r, count, start, unroll, unit_bytes, scratch
 rsb \r,\count,#0
 and \r,\r,#(\unroll-1)
 mov \scratch,#\unit_bytes
 mul \r,\r,\scratch
 adr.w \scratch,\start
 add \r,\r,\scratch
 orr \r,\r,#1
.endm

@ ---- gather_2: activations under two windows to interleaved i16 pairs --------------------------------
@ r0 first window, r1 second window, r2 words, r3 the task, whose rows and positions this counts on
@ r8 r9 sources of a run, r10 quads left, r11 run of the row, lr runs left; a window outside reads padding.
.equ GATHER_ROWS, 0
.equ GATHER_RUNS, 4
.equ GATHER_QUADS, 8
.equ GATHER_RUN_BYTES, 12
.equ GATHER_ROW_STEP, 16
.equ GATHER_HEIGHT, 20
.equ GATHER_WIDTH, 24
.equ GATHER_ROW, 28                  @ of either window
.equ GATHER_COLUMN, 36               @ of either window
.equ GATHER_PADDING, 44
.macro WIDEN
 ldr r6,[r8],#4
 ldr r7,[r9],#4
 sxtb16 r4,r6
 sxtb16 r5,r7
 sxtb16 r6,r6,ror #8
 sxtb16 r7,r7,ror #8
 stmia r2!,{r4-r7}
.endm
@ source = at, or the padding where row or column lie outside (unsigned, so also above and left)
.macro SOURCE source, at, window
 ldr r4,[r3,#(GATHER_ROW+4*\window)]
 ldr r5,[r3,#(GATHER_COLUMN+4*\window)]
 add r5,r5,r11
 cmp r4,r12
 it lo
 cmplo r5,r6
 ite lo
 movlo \source,\at
 ldrhs \source,[r3,#GATHER_PADDING]
.endm
 ROUTINE gather_2
 push {r4-r11,lr}
1:
 ldr lr,[r3,#GATHER_RUNS]
 mov r11,#0
2:
 ldr r12,[r3,#GATHER_HEIGHT]
 ldr r6,[r3,#GATHER_WIDTH]
 SOURCE r8,r0,0
 SOURCE r9,r1,1
 ldr r10,[r3,#GATHER_QUADS]
 lsrs r10,r10,#1
 bcc.n 3f
 WIDEN
 cmp r10,#0
 beq.n 4f
3:
 WIDEN
 WIDEN
 subs r10,r10,#1
 bne.n 3b
4:
 ldr r4,[r3,#GATHER_RUN_BYTES]
 add r0,r0,r4
 add r1,r1,r4
 add r11,r11,#1
 subs lr,lr,#1
 bne.n 2b
 ldr r4,[r3,#GATHER_ROW_STEP]
 add r0,r0,r4
 add r1,r1,r4
 ldrd r4,r5,[r3,#GATHER_ROW]
 add r4,r4,#1
 add r5,r5,#1
 strd r4,r5,[r3,#GATHER_ROW]
 ldr r4,[r3,#GATHER_ROWS]
 subs r4,r4,#1
 str r4,[r3,#GATHER_ROWS]
 bne.n 1b
 pop {r4-r11,pc}
 END gather_2

@ ---- conv_2x4: two pixels by four output channels a block ------------------------------------------
@ r0 patch, r1 constants, r2 output, r3 {steps, blocks, pixel stride, zero point}
@ Loop: r2 r3 activations, r4 r5 weights, r6-r9 sums of pixel 0, r10-r12 lr of pixel 1.
@ Words hold channel A in even bytes and B + carry in odd ones: as lanes they are A + 256 B, so the
@ odd sums come out as sum(A) + 256 sum(B) and cost no unpacking.
.macro CONV_STEP
 ldrd r2,r3,[r0],#8
 ldmia r1!,{r4,r5}
 smlad r7,r2,r4,r7
 smlad r11,r3,r4,r11
 smlad r9,r2,r5,r9
 smlad lr,r3,r5,lr
 sxtb16 r4,r4
 sxtb16 r5,r5
 smlad r6,r2,r4,r6
 smlad r10,r3,r4,r10
 smlad r8,r2,r5,r8
 smlad r12,r3,r5,r12
.endm
.macro CONV_WIDE_STEP              @ the same with i16 weights, and of Winograd's products
 ldrd r2,r3,[r0],#8
 ldmia r1!,{r4,r5}
 smlad r6,r2,r4,r6
 smlad r10,r3,r4,r10
 smlad r7,r2,r5,r7
 smlad r11,r3,r5,r11
 ldmia r1!,{r4,r5}
 smlad r8,r2,r4,r8
 smlad r12,r3,r4,r12
 smlad r9,r2,r5,r9
 smlad lr,r3,r5,lr
.endm
.macro CONV name, wide, unit, unroll
 ROUTINE \name
 push {r4-r11,lr}
 sub sp,#28
 ldmia r3,{r4-r7}
 add r8,r0,r4,lsl #3
 add r9,r2,r6
 add r10,r2,r5,lsl #2
 strd r0,r8,[sp,#0]          @ patch, its end
 strd r2,r9,[sp,#8]          @ output of both pixels
 strd r7,r10,[sp,#16]        @ zero point, end of output
 ENTRY r8,r4,2f,\unroll,\unit,r5
 str r8,[sp,#24]
1:
 ldmia r1!,{r6-r9}
 mov r10,r6
 mov r11,r7
 mov r12,r8
 mov lr,r9
 ldr r2,[sp,#24]
 bx r2
2:
.rept \unroll
.if \wide
 CONV_WIDE_STEP
.else
 CONV_STEP
.endif
.endr
 ldr r2,[sp,#4]
 cmp r0,r2
 bne.w 2b
.if \wide == 0
 sub r7,r7,r6
 sub r9,r9,r8
 sub r11,r11,r10
 sub lr,lr,r12
 asr r7,r7,#8
 asr r9,r9,#8
 asr r11,r11,#8
 asr lr,lr,#8
.endif
 ldmia r1!,{r2-r5}
 ldr r0,[sp,#16]
 smmlar r6,r6,r2,r0
 smmlar r10,r10,r2,r0
 smmlar r7,r7,r3,r0
 smmlar r11,r11,r3,r0
 smmlar r8,r8,r4,r0
 smmlar r12,r12,r4,r0
 smmlar r9,r9,r5,r0
 smmlar lr,lr,r5,r0
 ldrd r2,r3,[sp,#8]
 ssat r6,#8,r6
 ssat r7,#8,r7
 ssat r8,#8,r8
 ssat r9,#8,r9
 ssat r10,#8,r10
 ssat r11,#8,r11
 ssat r12,#8,r12
 ssat lr,#8,lr
 strb r10,[r3],#1
 strb r11,[r3],#1
 strb r12,[r3],#1
 strb lr,[r3],#1
 strb r6,[r2],#1
 strb r7,[r2],#1
 strb r8,[r2],#1
 strb r9,[r2],#1
 ldr r4,[sp,#20]
 ldr r0,[sp,#0]
 strd r2,r3,[sp,#8]
 cmp r2,r4
 bne.w 1b
 add sp,#28
 pop {r4-r11,pc}
 END \name
.endm
 CONV conv_2x4,0,46,8
 CONV conv_2x4_wide,1,40,16

@ ---- winograd_2x4: two tiles by four output channels, every position -------------------------------
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

@ ---- split_4: rows of four channels to four planes of i16 pairs ---------------------------------------
@ r0 first activation, r1 first plane's row, r2 {channels, plane bytes, rows, pairs, pad, leading, trailing, blank, pitch}
@ leading and trailing: 1 where a row begins or ends with half a pair; blank: words of padding behind it.
.macro SPLIT                        @ r4 r5 -> the next word of each plane
 sxtb16 r6,r4
 sxtb16 r7,r5
 sxtb16 r4,r4,ror #8
 sxtb16 r5,r5,ror #8
 pkhbt r8,r6,r7,lsl #16
 pkhtb r9,r7,r6,asr #16
 pkhbt r6,r4,r5,lsl #16
 pkhtb r7,r5,r4,asr #16
 str r6,[r1,r3]
 str r9,[r1,r3,lsl #1]
 str r7,[r1,r10]
 str r8,[r1],#4
.endm
 ROUTINE split_4
 push {r4-r11,lr}
 sub sp,#12
 mov lr,r2
 ldrd r2,r3,[lr]
 ldr r4,[lr,#8]
 ldr r12,[lr,#16]
 str r4,[sp,#0]
 add r10,r3,r3,lsl #1
1:
 str r1,[sp,#4]
 ldr r11,[lr,#20]
 cmp r11,#0
 beq.n 2f
 mov r4,r12
 ldr r5,[r0]
 add r0,r0,r2
 SPLIT
2:
 ldr r11,[lr,#12]
3:
 ldr r4,[r0]
 ldr r5,[r0,r2]
 add r0,r0,r2,lsl #1
 SPLIT
 subs r11,r11,#1
 bne.n 3b
 ldr r11,[lr,#24]
 cmp r11,#0
 beq.n 4f
 ldr r4,[r0]
 mov r5,r12
 add r0,r0,r2
 SPLIT
4:
 ldr r11,[lr,#28]
 b.n 6f
5:
 mov r4,r12
 mov r5,r12
 SPLIT
 subs r11,r11,#1
6:
 cmp r11,#0
 bne.n 5b
 ldr r1,[sp,#4]
 ldr r4,[lr,#32]
 add r1,r1,r4
 ldr r4,[sp,#0]
 subs r4,r4,#1
 str r4,[sp,#0]
 bne.w 1b
 add sp,#12
 pop {r4-r11,pc}
 END split_4

@ ---- dense_8, dense_2: one row of inputs by eight or two outputs ------------------------------------
@ r0 inputs, r1 weights, r2 sums, r3 quads > 0
.equ DENSE_UNROLL, 2
.macro DENSE_WORD x, w, even, odd
 smlad \odd,\x,\w,\odd
 sxtb16 \w,\w
 smlad \even,\x,\w,\even
.endm
 ROUTINE dense_8
 push {r2,r4-r11,lr}
 sub sp,#8
 add r4,r0,r3,lsl #2
 str r4,[sp,#0]
 ENTRY r4,r3,2f,DENSE_UNROLL,124,r5
 mov r5,#0
 mov r6,#0
 mov r7,#0
 mov r8,#0
 mov r9,#0
 mov r10,#0
 mov r11,#0
 mov r12,#0
 bx r4
2:
.rept DENSE_UNROLL
 ldr r3,[r0],#4
 sxtb16 r2,r3
 sxtb16 r3,r3,ror #8
.irp x,r2,r3
 ldrd r4,lr,[r1],#8
 DENSE_WORD \x,r4,r5,r6
 DENSE_WORD \x,lr,r7,r8
 ldrd r4,lr,[r1],#8
 DENSE_WORD \x,r4,r9,r10
 DENSE_WORD \x,lr,r11,r12
.endr
.endr
 ldr r2,[sp,#0]
 cmp r0,r2
 bne.w 2b
 ldr r0,[sp,#8]
 sub r6,r6,r5
 sub r8,r8,r7
 sub r10,r10,r9
 sub r12,r12,r11
 asr r6,r6,#8
 asr r8,r8,#8
 asr r10,r10,#8
 asr r12,r12,#8
 stmia r0,{r5-r12}
 add sp,#12
 pop {r4-r11,pc}
 END dense_8

 ROUTINE dense_2
 push {r4-r7,lr}
 add r3,r0,r3,lsl #2
 movs r5,#0
 movs r6,#0
2:
 ldr r7,[r0],#4
 sxtb16 r12,r7
 sxtb16 r7,r7,ror #8
 ldr r4,[r1],#4
 DENSE_WORD r12,r4,r5,r6
 ldr r4,[r1],#4
 DENSE_WORD r7,r4,r5,r6
 cmp r0,r3
 bne.n 2b
 subs r6,r6,r5
 asrs r6,r6,#8
 strd r5,r6,[r2]
 pop {r4-r7,pc}
 END dense_2

@ ---- sum_4: four channels over a run of pixels ------------------------------------------------------
@ r0 activations, r1 stride, r2 pixels > 0, r3 sums of lanes (0, 2) and (1, 3)
 ROUTINE sum_4
 push {r4-r6}
 ldrd r4,r5,[r3]
1:
 ldr r6,[r0]
 add r0,r0,r1
 sxtab16 r4,r4,r6
 sxtab16 r5,r5,r6,ror #8
 subs r2,r2,#1
 bne.n 1b
 strd r4,r5,[r3]
 pop {r4-r6}
 bx lr
 END sum_4

@ ---- plane_*: 3x3 over one plane of i16, weights in registers ---------------------------------------
@ r0 plane, r1 {row weights a b c, bias, multiplier}, r2 output, r3 {width, rows, zero point, stride}
@ A row weight word is w0 w1 w1 w2; unpacked r4 r5 = (w0 w1) (w1 w2) of row a, r6 r7 of b, r8 r9 of c.
@ r1 r3 activations, r10 bias, r11 output stride, r12 lr sums.
.equ PLANE_UNROLL, 2
.equ PLANE_MULTIPLIER, 0    @ and zero point at 4
.equ PLANE_ENTRY, 8
.equ PLANE_ROW_END, 12
.equ PLANE_ADVANCE, 16
.equ PLANE_LAST_END, 20
.equ PLANE_ODD, 24
.equ PLANE_BIAS, 28
.equ PLANE_STRIDE, 32
.equ PLANE_FRAME, 36

@ shift: log2 of the plane's bytes a unit; halve: 1 where a unit is two outputs
.macro PLANE_BEGIN row_step, shift, halve, unit_bytes
 push {r4-r11,lr}
 sub sp,#PLANE_FRAME
 ldmia r3,{r8-r11}
 ldmia r1,{r4,r5,r6,r7,r12}
 strd r12,r10,[sp,#PLANE_MULTIPLIER]
 strd r7,r11,[sp,#PLANE_BIAS]
.if \halve
 lsr r10,r8,#1
 and r8,r8,#1
 str r8,[sp,#PLANE_ODD]
.else
 mov r10,r8
.endif
 rsb r12,r10,#0
 and r12,r12,#(PLANE_UNROLL-1)
 add lr,r10,r12
 sub r0,r0,r12,lsl #\shift
 add r3,r0,lr,lsl #\shift
 str r3,[sp,#PLANE_ROW_END]
 mov r1,#\row_step
 mla r3,r9,r1,r3
 str r3,[sp,#PLANE_LAST_END]
 sub r1,r1,lr,lsl #\shift
 str r1,[sp,#PLANE_ADVANCE]
 ENTRY r12,r10,2f,PLANE_UNROLL,\unit_bytes,r1
 str r12,[sp,#PLANE_ENTRY]
 mov r10,r7
 sxtb16 r8,r6
 sxtb16 r9,r6,ror #8
 sxtb16 r6,r5
 sxtb16 r7,r5,ror #8
 sxtb16 r5,r4,ror #8
 sxtb16 r4,r4
1:
 ldr r1,[sp,#PLANE_ENTRY]
 bx r1
.endm

.macro PLANE_PASS_END unit_plane_bytes
 add r0,r0,#(PLANE_UNROLL*\unit_plane_bytes)
 ldr r1,[sp,#PLANE_ROW_END]
 cmp r0,r1
 bne.w 2b
.endm

.macro PLANE_ROW_NEXT row_step
 ldr r1,[sp,#PLANE_ROW_END]
 ldr r3,[sp,#PLANE_ADVANCE]
 add r0,r0,r3
 add r1,r1,#\row_step
 str r1,[sp,#PLANE_ROW_END]
 ldr r3,[sp,#PLANE_LAST_END]
 cmp r1,r3
 bne.w 1b
 add sp,#PLANE_FRAME
 pop {r4-r11,pc}
.endm

@ two neighbouring outputs of one kernel row, words r1 r3 loaded
.macro PLANE_TWO w01, w12, left, right, left_in, right_in
 smlad \left,r1,\w01,\left_in
 smlabt \left,r3,\w12,\left
 smlatb \right,r1,\w01,\right_in
 smlad \right,r3,\w12,\right
.endm

@ the single output at the end of an odd row
.macro PLANE_ODD_OUTPUT pitch
 ldr r3,[sp,#PLANE_ODD]
 cbz r3,3f
 ldrd r1,r3,[r0]
 smlad r12,r1,r4,r10
 smlabt r12,r3,r5,r12
 ldrd r1,r3,[r0,#\pitch]
 smlad r12,r1,r6,r12
 smlabt r12,r3,r7,r12
 ldrd r1,r3,[r0,#(2*\pitch)]
 smlad r12,r1,r8,r12
 smlabt r12,r3,r9,r12
 ldrd r1,r3,[sp,#PLANE_MULTIPLIER]
 smmlar r12,r12,r1,r3
 ssat r12,#8,r12
 strb.w r12,[r2]
 add r2,r2,r11
3:
.endm

.macro PLANE_STORE_TWO
 ldrd r1,r3,[sp,#PLANE_MULTIPLIER]
 smmlar r12,r12,r1,r3
 smmlar lr,lr,r1,r3
 ssat r12,#8,r12
 ssat lr,#8,lr
 strb.w r12,[r2]
 strb.w lr,[r2,r11]
 add.w r2,r2,r11,lsl #1
.endm

.macro PLANE_STRIDE1 pitch
 ROUTINE plane_stride1_\pitch
 PLANE_BEGIN \pitch,2,1,92
2:
.set i,0
.rept PLANE_UNROLL
 ldrd r1,r3,[r0,#(4*i)]
 PLANE_TWO r4,r5,r12,lr,r10,r10
 ldrd r1,r3,[r0,#(4*i+\pitch)]
 PLANE_TWO r6,r7,r12,lr,r12,lr
 ldrd r1,r3,[r0,#(4*i+2*\pitch)]
 PLANE_TWO r8,r9,r12,lr,r12,lr
 PLANE_STORE_TWO
.set i,i+1
.endr
 PLANE_PASS_END 4
 PLANE_ODD_OUTPUT \pitch
 PLANE_ROW_NEXT \pitch
 END plane_stride1_\pitch
.endm
 PLANE_STRIDE1 32
 PLANE_STRIDE1 64

@ two outputs, two columns apart, of one kernel row
.macro PLANE_APART offset, w01, w12, left_in, right_in
 ldrd r1,r3,[r0,#(\offset)]
 smlad r12,r1,\w01,\left_in
 smlabt r12,r3,\w12,r12
 ldr.w r1,[r0,#(\offset+8)]
 smlad lr,r3,\w01,\right_in
 smlabt lr,r1,\w12,lr
.endm
.macro PLANE_STRIDE2 pitch
 ROUTINE plane_stride2_\pitch
 PLANE_BEGIN 2*\pitch,3,1,104
2:
.set i,0
.rept PLANE_UNROLL
 PLANE_APART (8*i),r4,r5,r10,r10
 PLANE_APART (8*i+\pitch),r6,r7,r12,lr
 PLANE_APART (8*i+2*\pitch),r8,r9,r12,lr
 PLANE_STORE_TWO
.set i,i+1
.endr
 PLANE_PASS_END 8
 PLANE_ODD_OUTPUT \pitch
 PLANE_ROW_NEXT 2*\pitch
 END plane_stride2_\pitch
.endm
 PLANE_STRIDE2 32
 PLANE_STRIDE2 64

@ four outputs, their maximum requantized; r10 bias and then a sum, r11 a sum
.macro LARGER a, b
 cmp.n \a,\b
 it lt
 movlt.n \a,\b
.endm
.macro PLANE_POOL pitch
 ROUTINE plane_pool_\pitch
 PLANE_BEGIN 2*\pitch,2,0,154
2:
.set i,0
.rept PLANE_UNROLL
 ldr.w r10,[sp,#PLANE_BIAS]
 ldrd r1,r3,[r0,#(4*i)]
 PLANE_TWO r4,r5,r12,lr,r10,r10
 ldrd r1,r3,[r0,#(4*i+\pitch)]
 PLANE_TWO r6,r7,r12,lr,r12,lr
 PLANE_TWO r4,r5,r11,r10,r10,r10
 ldrd r1,r3,[r0,#(4*i+2*\pitch)]
 PLANE_TWO r8,r9,r12,lr,r12,lr
 PLANE_TWO r6,r7,r11,r10,r11,r10
 ldrd r1,r3,[r0,#(4*i+3*\pitch)]
 PLANE_TWO r8,r9,r11,r10,r11,r10
 LARGER r12,lr
 LARGER r11,r10
 LARGER r12,r11
 ldrd r1,r3,[sp,#PLANE_MULTIPLIER]
 smmlar r12,r12,r1,r3
 ssat r12,#8,r12
 strb.w r12,[r2]
 ldr.n r1,[sp,#PLANE_STRIDE]
 add.n r2,r2,r1
.set i,i+1
.endr
 PLANE_PASS_END 4
 PLANE_ROW_NEXT 2*\pitch
 END plane_pool_\pitch
.endm
 PLANE_POOL 32
 PLANE_POOL 64
