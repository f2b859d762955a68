/*
 * UTF-8 by the table of well-formed byte sequences, Unicode 3.9: only the second byte's range
 * depends on the first.
 */
#include "bellwether/base/utf8.h"

#include <stdbool.h>
#include <string.h>

/* How many bytes a character takes that begins so; 0: none does. */
static size_t wanted(unsigned char first)
{
    return first < 0x80   ? 1
           : first < 0xc2 ? 0
           : first < 0xe0 ? 2
           : first < 0xf0 ? 3
           : first < 0xf5 ? 4
                          : 0;
}

static bool fits_second(unsigned char first, unsigned char second)
{
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

    return second >= low && second <= high;
}

/*
 * How many bytes could begin the character that the first one promises; all of it when that is `n`.
 */
static size_t fitting(const unsigned char *bytes, size_t size, size_t n)
{
    size_t i = 1;

    if (n < 2 || size < 2 || !fits_second(bytes[0], bytes[1])) {
        return 1;
    }
    for (i = 2; i < n && i < size && (bytes[i] & 0xc0) == 0x80;) {
        i++;
    }
    return i;
}

size_t utf8_length(const char *bytes, size_t size)
{
    const unsigned char *c = (const unsigned char *)bytes;
    size_t n = wanted(c[0]);

    return n > 0 && fitting(c, size, n) == n ? n : 0;
}

size_t utf8_ill_formed(const char *bytes, size_t size)
{
    const unsigned char *c = (const unsigned char *)bytes;

    return fitting(c, size, wanted(c[0]));
}

/* C0, DEL and C1. */
static bool is_control(const unsigned char *c, size_t n)
{
    return (n == 1 && (c[0] < ' ' || c[0] == 0x7f)) || (n == 2 && c[0] == 0xc2 && c[1] < 0xa0);
}

void utf8_copy(const char *bytes, size_t length, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0, n; i < length; i += n) {
        bool shown;

        n = utf8_length(bytes + i, length - i);
        shown = n > 0 && !is_control((const unsigned char *)bytes + i, n);
        n = n > 0 ? n : 1;
        if (used + (shown ? n : 1) >= size) {
            break;
        }
        memcpy(out + used, shown ? bytes + i : "?", shown ? n : 1);
        used += shown ? n : 1;
    }
    out[used] = '\0';
}
