/*
 * One count for all threads. What a thread has taken and given goes into it in lumps, so that the
 * many small pieces of a request do not have workers wait for each other's cache line.
 */
#include "bellwether/base/budget.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bellwether/base/memory.h"

enum { LUMP_BYTES = 4096 };

static _Atomic int64_t total;
static _Thread_local int64_t own; /* not in `total` yet */
static size_t most = SIZE_MAX;    /* set before there are threads */

void budget_limit(size_t bytes)
{
    most = bytes;
}

void budget_count(int64_t bytes)
{
    own += bytes;
    if (own >= LUMP_BYTES || own <= -LUMP_BYTES) {
        atomic_fetch_add_explicit(&total, own, memory_order_relaxed);
        own = 0;
    }
}

size_t budget_used(void)
{
    int64_t used = atomic_load_explicit(&total, memory_order_relaxed) + own;

    return used > 0 ? (size_t)used : 0;
}

static bool fits(size_t bytes, size_t room)
{
    size_t used = budget_used();

    return used < room && bytes <= room - used;
}

bool budget_has(size_t bytes)
{
    return fits(bytes, bytes > BUDGET_SMALL ? most - most / 8 : most);
}

bool budget_has_for_now(size_t bytes)
{
    return fits(bytes, most);
}

void budget_adopt(void *memory)
{
    budget_count((int64_t)malloc_usable_size(memory));
}

void budget_release(void *memory)
{
    budget_count(-(int64_t)malloc_usable_size(memory));
}

void *budget_new(size_t n, size_t size)
{
    void *memory = mem_new(n, size);

    budget_adopt(memory);
    return memory;
}

void *budget_resize(void *old, size_t n, size_t size)
{
    budget_release(old);
    old = mem_resize(old, n, size);
    budget_adopt(old);
    return old;
}

void budget_free(void *memory)
{
    budget_release(memory);
    free(memory);
}
