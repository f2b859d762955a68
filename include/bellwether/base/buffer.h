/* Bytes that grow at their end. Zeroed before use; buffer_release() leaves it so again. */
#ifndef BELLWETHER_BASE_BUFFER_H
#define BELLWETHER_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *bytes; /* NULL while nothing was reserved; not terminated */
    size_t size; /* in use */
    size_t room; /* allocated */
};

/**
 * Room for `more` bytes behind what is in use. @return where they go; the caller adds to `size`.
 * More than a quarter of the address space ends the process.
 */
char *buffer_reserve(struct buffer *buffer, size_t more);
/** @param bytes copied. */
void buffer_add(struct buffer *buffer, const void *bytes, size_t size);
/** The same for a C string. */
void buffer_add_text(struct buffer *buffer, const char *text);
/** In decimal. */
void buffer_add_integer(struct buffer *buffer, int64_t number);
/** Whether the memory budget has room for so much more, or it is too little to matter. */
bool buffer_may_add(const struct buffer *buffer, size_t more);
/**
 * Hand the bytes out, counted no longer; free() them. The buffer is empty afterwards. @return NULL
 * when nothing was ever reserved.
 */
char *buffer_take(struct buffer *buffer, size_t *size);
/** The same for text: terminated, which `size` does not count. @param size NULL: not wanted. */
char *buffer_take_text(struct buffer *buffer, size_t *size);
void buffer_release(struct buffer *buffer);

#endif
