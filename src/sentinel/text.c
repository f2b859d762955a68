/*
 * See text.h. What passes here may be logged and put in JSON as it is: a peer can neither break a line
 * nor make invalid UTF-8 of a document.
 */
#include "text.h"

#include <string.h>

/* The length of the UTF-8 sequence at `bytes`, 0 when there is none (overlong forms and surrogates included). */
static size_t sequence(const unsigned char *bytes, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = bytes[0] < 0x80 ? 1 : bytes[0] >= 0xf0 && bytes[0] < 0xf8 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    uint32_t point;

    if (n == 1)
        return 1;
    if (bytes[0] < 0xc2 || bytes[0] >= 0xf8 || n > length)
        return 0;
    point = bytes[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (bytes[i] & 0x3fU);
    }
    return point >= least[n] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) ? n : 0;
}

bool text_is_name(const char *bytes, size_t length, size_t size)
{
    const unsigned char *c = (const unsigned char *)bytes;

    if (length == 0 || length >= size)
        return false;
    for (size_t i = 0, n; i < length; i += n) {
        n = sequence(c + i, length - i);
        if (n == 0 || c[i] <= ' ' || c[i] == 0x7f)
            return false;
    }
    return true;
}

void text_copy(const char *bytes, size_t length, char *out, size_t size)
{
    size_t n = length < size ? length : size - 1;

    for (size_t i = 0; i < n; i++) {
        bool printable = bytes[i] >= ' ' && bytes[i] <= '~';

        out[i] = '?';
        if (printable)
            out[i] = bytes[i];
    }
    out[n] = '\0';
}

void text_copy_utf8(const char *bytes, size_t length, char *out, size_t size)
{
    const unsigned char *c = (const unsigned char *)bytes;
    size_t used = 0;

    for (size_t i = 0, n; i < length; i += n) {
        n = sequence(c + i, length - i);
        if (used + (n > 0 ? n : 1) >= size)
            break;
        if (n == 0 || (n == 1 && (c[i] < ' ' || c[i] == 0x7f)) ||
            (n == 2 && c[i] == 0xc2 && c[i + 1] < 0xa0)) {
            out[used++] = '?';
            n = n > 0 ? n : 1;
            continue;
        }
        memcpy(out + used, bytes + i, n);
        used += n;
    }
    out[used] = '\0';
}

bool text_number(const char *bytes, size_t length, int64_t *out)
{
    int64_t number = 0;

    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        int digit = bytes[i] - '0';

        if (digit < 0 || digit > 9 || number > (INT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

bool text_is(const char *bytes, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(bytes, word, length) == 0;
}
