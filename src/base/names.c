/*
 * The one search among sorted names, and their order.
 */
#include "bellwether/base/names.h"

#include <stdlib.h>
#include <string.h>

size_t names_place(const void *rows, size_t n, const char *(*name_at)(const void *rows, size_t i),
                   const char *name, bool *found)
{
    size_t low = 0, high = n;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name_at(rows, middle), name);

        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
            *found |= order == 0;
        }
    }
    return low;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(char **names, size_t n)
{
    qsort(names, n, sizeof(*names), by_text);
}

static const char *itself(const void *names, size_t i)
{
    return ((const char *const *)names)[i];
}

bool names_have(const char *const *names, size_t n, const char *name)
{
    bool found;

    (void)names_place(names, n, itself, name, &found);
    return found;
}
