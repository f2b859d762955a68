/*
 * See text.h. What passes here may be logged and put in JSON as it is: a peer can neither break a
 * line nor make invalid UTF-8 of a document.
 */
#include "text.h"

#include <string.h>

#include "bellwether/base/utf8.h"

bool text_is_name(const char *bytes, size_t length, size_t size)
{
    const unsigned char *c = (const unsigned char *)bytes;

    if (length == 0 || length >= size) {
        return false;
    }
    for (size_t i = 0, n; i < length; i += n) {
        n = utf8_length(bytes + i, length - i);
        if (n == 0 || c[i] <= ' ' || c[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

void text_copy(const char *bytes, size_t length, char *out, size_t size)
{
    size_t n = length < size ? length : size - 1;

    for (size_t i = 0; i < n; i++) {
        bool printable = bytes[i] >= ' ' && bytes[i] <= '~';

        out[i] = '?';
        if (printable) {
            out[i] = bytes[i];
        }
    }
    out[n] = '\0';
}

bool text_number(const char *bytes, size_t length, int64_t *out)
{
    int64_t number = 0;

    if (length == 0) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        int digit = bytes[i] - '0';

        if (digit < 0 || digit > 9 || number > (INT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

bool text_is(const char *bytes, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(bytes, word, length) == 0;
}
