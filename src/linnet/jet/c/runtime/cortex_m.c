/* Start of a Cortex-M4 under semihosting: the vector table, and what newlib's start-up code expects. */
#include <stdint.h>

extern void _start(void);
extern uint32_t stack_top;

void _init(void) { }
void _fini(void) { }

static void boot(void)
{
    _start();
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void)) & stack_top, boot};
