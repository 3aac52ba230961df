@ ---- split_4: rows of four channels to four planes of i16 pairs ---------------------------------------
@ Twin: portable::split_4; reference: part of scalar::depthwise_conv2d.
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

@ ---- plane_*: 3x3 over one plane of i16, weights in registers ---------------------------------------
@ Twin: portable::plane_*; reference: scalar::conv2d, depthwise_conv2d, max_pool.
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
 PLANE_STRIDE1 128
 PLANE_STRIDE1 256

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
 PLANE_STRIDE2 128
 PLANE_STRIDE2 256

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
 PLANE_POOL 128
 PLANE_POOL 256
