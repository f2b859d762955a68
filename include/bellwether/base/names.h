/*
 * Search in an array that is sorted by name (strcmp()), whatever its rows are.
 */
#ifndef BELLWETHER_BASE_NAMES_H
#define BELLWETHER_BASE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Where `name` stands among the `n` rows (the first of it), or where it would have to be put in.
 * @param name_at the name of a row.
 * @param found   whether it stands there.
 * Thread: any.
 */
size_t names_place(const void *rows, size_t n, const char *(*name_at)(const void *rows, size_t i),
                   const char *name, bool *found);
/** Sort names, for names_have() and to find equal ones side by side. Thread: any. */
void names_sort(char **names, size_t n);
/** Whether `name` is one of these, which are sorted. Thread: any. */
bool names_have(const char *const *names, size_t n, const char *name);

#endif
