/*
 * Text that others sent: what of it is UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing
 * past U+10FFFF).
 */
#ifndef BELLWETHER_BASE_UTF8_H
#define BELLWETHER_BASE_UTF8_H

#include <stddef.h>

#define UTF8_MAX 4

/**
 * The length of the character that `bytes` begin with; 0: they begin with none.
 *
 * A byte is looked at only when those before it may be followed by it, so a terminated text may be
 * said to have UTF8_MAX bytes.
 * @param size  at least 1. Thread: any.
 */
size_t utf8_length(const char *bytes, size_t size);
/**
 * Where they begin with none: how many bytes one U+FFFD stands for, the maximal subpart of Unicode
 * 3.9. At least 1.
 */
size_t utf8_ill_formed(const char *bytes, size_t size);
/**
 * Copy, cut to `size` at the end of a character; each control character and ill-formed byte becomes
 * '?'.
 */
void utf8_copy(const char *bytes, size_t length, char *out, size_t size);

#endif
