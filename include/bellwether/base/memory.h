/*
 * Allocation that does not fail: out of memory ends the process with a message. A process that
 * goes on without memory could give wrong answers; one that is restarted does not.
 */
#ifndef BELLWETHER_BASE_MEMORY_H
#define BELLWETHER_BASE_MEMORY_H

#include <stddef.h>

/** Zeroed memory for `n` elements of `size` bytes; never NULL. Free with free(). Thread: any. */
void *mem_new(size_t n, size_t size);
/** Like reallocarray(), never NULL. New bytes are not zeroed. Thread: any. */
void *mem_resize(void *old, size_t n, size_t size);
/** A copy of `n` elements of `size` bytes; none need be there. Free with free(). Thread: any. */
void *mem_copy(const void *from, size_t n, size_t size);
/** A copy of `text`, or NULL when `text` is NULL. Free with free(). Thread: any. */
char *mem_strdup(const char *text);
/** End the process with that message, where a library has found no memory. Thread: any. */
__attribute__((noreturn)) void mem_exhausted(void);

/**
 * Room for one more element behind the `n` of the array `items`, both of which change, and are
 * evaluated more than once. @return where it goes.
 */
#define MEM_APPEND(items, n) \
    ((items) = mem_resize((items), (n) + 1, sizeof(*(items))), &(items)[(n)++])

#endif
