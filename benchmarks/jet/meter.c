/* Counts the instructions of frame_run on QEMU's Cortex-M4 with -icount shift=0, where the clock advances by one
 * nanosecond an instruction: SysTick against a loop of known length. Prints both counts of ticks and the output's sum. */
#include <stdint.h>
#include <stdio.h>

#include "frame.h"

#define CONTROL (*(volatile uint32_t *)0xE000E010)
#define RELOAD (*(volatile uint32_t *)0xE000E014)
#define CURRENT (*(volatile uint32_t *)0xE000E018)
#define ROUNDS 4000000u

void frame_run(const uint8_t *input, int32_t *output);

static uint8_t input[FRAME];
static int32_t output[OUTPUTS];

int main(void)
{
    uint32_t state = 1, rounds = ROUNDS, begun, known, taken;
    int32_t sum = 0;
    for (int k = 0; k < FRAME; k++) {
        state = state * 1664525u + 1013904223u;
        input[k] = (uint8_t)(state >> 24);
    }
    RELOAD = 0xFFFFFF;
    CURRENT = 0;
    CONTROL = 5;
    begun = CURRENT;
    __asm volatile("1: subs %0, %0, #1\n bne 1b" : "+r"(rounds) : : "cc");
    known = (begun - CURRENT) & 0xFFFFFF;
    begun = CURRENT;
    for (int n = 0; n < FRAMES; n++) {
        frame_run(input, output);
    }
    taken = (begun - CURRENT) & 0xFFFFFF;
    for (int k = 0; k < OUTPUTS; k++) {
        sum = 31 * sum + output[k];
    }
    printf("%lu %lu %ld\n", (unsigned long)known, (unsigned long)taken, (long)sum);
    return 0;
}
