@ ---- conv_2x4: two pixels by four output channels a block ------------------------------------------
@ Twin: portable::conv_2x4, conv_2x4_wide; reference: scalar::conv2d.
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
@ Words hold four channels as digits of 16: lanes are A + 8 + 16 (B + 8) + 256 (C + 8) + 4096 D, so one AND
@ a channel leaves 16 to its place times the weight. What the eights add, 8 sum(x), is taken off at the start.
.macro CONV_NIBBLE_STEP
 ldrd r2,r3,[r0],#8
 ldr r4,[r1],#4
 and r5,r4,#0x000f000f
 smlad r6,r2,r5,r6
 smlad r10,r3,r5,r10
 and r5,r4,#0x00f000f0
 smlad r7,r2,r5,r7
 smlad r11,r3,r5,r11
 and r5,r4,#0x0f000f00
 smlad r8,r2,r5,r8
 smlad r12,r3,r5,r12
 and r5,r4,#0xf000f000
 smlad r9,r2,r5,r9
 smlad lr,r3,r5,lr
.endm
@ words: of weights a step, 1 (nibbles), 2 (paired bytes) or 4 (i16).
.macro CONV name, words, unit, unroll
 ROUTINE \name
 push {r4-r11,lr}
 sub sp,#36
 ldmia r3,{r4-r7}
 add r8,r0,r4,lsl #3
 add r9,r2,r6
 add r10,r2,r5,lsl #2
 strd r0,r8,[sp,#0]          @ patch, its end
 strd r2,r9,[sp,#8]          @ output of both pixels
 strd r7,r10,[sp,#16]        @ zero point, end of output
 ENTRY r8,r4,2f,\unroll,\unit,r5
 str r8,[sp,#24]
.if \words == 1
 ldr r2,[sp,#4]
 mov.w r3,#0x00010001
 mov r4,r0
 movs r5,#0
 movs r6,#0
3:
 ldrd r7,r8,[r4],#8
 smlad r5,r7,r3,r5
 smlad r6,r8,r3,r6
 cmp r4,r2
 bne 3b
 strd r5,r6,[sp,#28]         @ sums of both patches
.endif
1:
 ldmia r1!,{r6-r9}
 mov r10,r6
 mov r11,r7
 mov r12,r8
 mov lr,r9
.if \words == 1
 ldrd r4,r5,[sp,#28]
 sub r6,r6,r4,lsl #3
 sub r7,r7,r4,lsl #7
 sub r8,r8,r4,lsl #11
 sub r10,r10,r5,lsl #3
 sub r11,r11,r5,lsl #7
 sub r12,r12,r5,lsl #11
.endif
 ldr r2,[sp,#24]
 bx r2
2:
.rept \unroll
.if \words == 1
 CONV_NIBBLE_STEP
.elseif \words == 2
 CONV_STEP
.else
 CONV_WIDE_STEP
.endif
.endr
 ldr r2,[sp,#4]
 cmp r0,r2
 bne.w 2b
.if \words == 1
 asr r7,r7,#4
 asr r11,r11,#4
 asr r8,r8,#8
 asr r12,r12,#8
 asr r9,r9,#12
 asr lr,lr,#12
.elseif \words == 2
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
 add sp,#36
 pop {r4-r11,pc}
 END \name
.endm
 CONV conv_2x4,2,46,8
 CONV conv_2x4_wide,4,40,16
 CONV conv_2x4_nibble,1,56,8
