/* Allocation that ends the process instead of failing. */
#include "bellwether/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No stdio here: it may want memory itself. */
static void *or_die(void *memory)
{
    static const char words[] = "bellwether: out of memory\n";

    if (memory == NULL) {
        ssize_t ignored = write(STDERR_FILENO, words, sizeof words - 1);
        (void)ignored;
        abort();
    }
    return memory;
}

void *mem_new(size_t n, size_t size)
{
    /* calloc(0) may be NULL, which would look like failure */
    return or_die(n == 0 || size == 0 ? calloc(1, 1) : calloc(n, size));
}

void *mem_resize(void *old, size_t n, size_t size)
{
    return or_die(n == 0 || size == 0 ? realloc(old, 1) : reallocarray(old, n, size));
}

char *mem_strdup(const char *text)
{
    return text == NULL ? NULL : or_die(strdup(text));
}
