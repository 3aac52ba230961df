@ The inner loops for Armv7E-M, one section a routine so that the linker keeps what a network calls.
@
@ Contracts (arguments, layouts, alignment) and the portable twins: the parent folder's mod.rs and portable/.
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
