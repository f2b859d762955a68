/*
 * Bytes that a Sentinel sent, made fit for logs and JSON. Only for this room.
 */
#ifndef BELLWETHER_SENTINEL_TEXT_H
#define BELLWETHER_SENTINEL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Whether these bytes can be a name: 1 to `size` - 1 bytes of UTF-8 without blanks and control
 * characters.
 */
bool text_is_name(const char *bytes, size_t length, size_t size);
/** Copy, cut to `size`, all but printable ASCII replaced by '?'. @param size at least 1. */
void text_copy(const char *bytes, size_t length, char *out, size_t size);
/** Whole decimal digits, no sign. @return false (also over INT64_MAX), `out` untouched. */
bool text_number(const char *bytes, size_t length, int64_t *out);
bool text_is(const char *bytes, size_t length, const char *word);

#endif
