/*
 * What a fuzz target needs to run an event loop without an outside: the clocks stand still until
 * the loop would wait, then jump to what it waits for; whoever is dialled is at the other end of a
 * socket pair; names are answered at once; and jitter is the same for the same input. So an input
 * that fails fails again, and hours pass in milliseconds.
 *
 * Of the process' libraries too: the functions of libc that they call are replaced by those in
 * outside.c. All of it is for the thread that calls outside_begin().
 */
#ifndef BELLWETHER_TESTS_FUZZ_OUTSIDE_H
#define BELLWETHER_TESTS_FUZZ_OUTSIDE_H

#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"

struct outside_hooks {
    /* The loop looks at its descriptors next. */
    void (*turn)(void *data);
    /* Time could pass: what is on its way between them arrives first. May be NULL. */
    void (*settle)(void);
    /* Nothing is ready: `wait_ms` could pass, -1: for ever. @return how much of it does. */
    int64_t (*idle)(void *data, int64_t wait_ms);
    /*
     * Somebody is dialled. @param fd the other end, yours. @return 0, or an errno, and then nobody
     * has `fd`.
     */
    int (*dialled)(void *data, const struct address *to, int fd);
};

/** @param hooks borrowed until outside_end(). */
void outside_begin(const struct outside_hooks *hooks, void *data);
void outside_end(void);
int64_t outside_now_ms(void);
/** Time passes behind the loop's back. */
void outside_pass(int64_t ms);
/** End the process as a finding, with words. */
void outside_broken(const char *what, const char *about) __attribute__((noreturn));

/* The input, read as a program: zeros once it is over. */
struct outside_input {
    const uint8_t *data;
    size_t size;
};
uint8_t outside_next(struct outside_input *input);

#endif
