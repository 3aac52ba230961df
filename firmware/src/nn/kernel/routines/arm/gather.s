@ ---- gather_2: activations under two windows to interleaved i16 pairs --------------------------------
@ Twin: portable::gather_2; reference: part of scalar::conv2d.
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
