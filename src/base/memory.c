/* Allocation that ends the process instead of failing. */
#include "bellwether/base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/log.h"

/* No stdio here: it may want memory itself. */
void mem_exhausted(void)
{
    static const char words[] = "bellwether: out of memory\n";

    (void)log_flush(LOG_LAST_PATIENCE_MS);
    log_last_words(words, sizeof(words) - 1, LOG_LAST_PATIENCE_MS);
    abort();
}

static void *or_die(void *memory)
{
    if (!memory) {
        mem_exhausted();
    }
    return memory;
}

#define SMALL_BYTES 1024

void *mem_new(size_t n, size_t size)
{
    /*
     * Before its version 2.41 glibc's calloc() leaves the thread's cache of freed pieces alone,
     * which costs a request that needs a dozen of them a tenth of its time. (Of malloc() and
     * memset() compilers make a calloc() again.)
     */
    if (n > 0 && size > 0 && n <= SMALL_BYTES && n * size <= SMALL_BYTES && size <= SMALL_BYTES) {
        return memset(or_die(reallocarray(NULL, n, size)), 0, n * size);
    }
    /* calloc(0) may be NULL, which would look like failure */
    return or_die(n == 0 || size == 0 ? calloc(1, 1) : calloc(n, size));
}

void *mem_resize(void *old, size_t n, size_t size)
{
    return or_die(n == 0 || size == 0 ? realloc(old, 1) : reallocarray(old, n, size));
}

void *mem_copy(const void *from, size_t n, size_t size)
{
    void *copy = mem_new(n, size);

    return n > 0 ? memcpy(copy, from, n * size) : copy;
}

char *mem_strdup(const char *text)
{
    return !text ? NULL : or_die(strdup(text));
}
