/*
 * Criterion under the thread sanitizer.
 *
 * Criterion maps the memory that it shares with its tests at a random address between
 * 0x200000000000 and 0x600000000000, most of which belongs to the sanitizer: "Could not initialize
 * inheritable arena". It draws the address from rand_r(), in units of 16 MiB, and the linker lets
 * the program's own rand_r() win over libc's. So this one answers with addresses that the sanitizer
 * leaves to programs (0x550000000000 to 0x568000000000), above where the program itself is loaded.
 */
#include <stdlib.h>

enum {
    ARENA_FIRST = 0x366000, /* (0x566000000000 - 0x200000000000) >> 24 */
    ARENA_COUNT = 0x1000,
};

int rand_r(unsigned int *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return ARENA_FIRST + (int)((*seed >> 8) % ARENA_COUNT);
}
