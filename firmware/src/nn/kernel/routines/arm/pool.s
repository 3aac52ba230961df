@ ---- sum_4: four channels over a run of pixels ------------------------------------------------------
@ Twin: portable::sum_4; reference: part of scalar::average_pool.
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
