@ ---- dense_8, dense_2: one row of inputs by eight or two outputs ------------------------------------
@ Twin: portable::dense_8, dense_2; reference: scalar::dense, dense_logits.
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
