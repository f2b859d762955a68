/*
 * How much memory callers and peers may make this process hold: bodies, commands, replies, answers
 * that nobody has taken yet. One count for the process, as malloc() has allocated it. Whoever is
 * about to take something large, or something new, asks first; what is asked for without asking is
 * counted all the same. Thread: any.
 */
#ifndef BELLWETHER_BASE_BUDGET_H
#define BELLWETHER_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDGET_SMALL ((size_t)64 * 1024)

/** The most there may be, once, at the start; without it there is no bound. */
void budget_limit(size_t bytes);
/** What is counted now; each thread may keep a few KiB to itself. */
size_t budget_used(void);
/**
 * Whether there is room for so much more. The last eighth is for pieces of at most BUDGET_SMALL.
 */
bool budget_has(size_t bytes);
/** The same, that eighth included: for what does not stay. */
bool budget_has_for_now(size_t bytes);
/** Count what malloc() did not hand out, or will: negative to give it back. */
void budget_count(int64_t bytes);

/* mem_new(), mem_resize() and free(), counted. */
void *budget_new(size_t n, size_t size);
void *budget_resize(void *old, size_t n, size_t size);
void budget_free(void *memory);
/** A piece of malloc()'s that is counted from now on, or no longer. NULL is allowed. */
void budget_adopt(void *memory);
void budget_release(void *memory);

#endif
