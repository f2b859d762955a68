/* Percent-decoding. */
#include "bellwether/base/percent.h"

#include <string.h>

#include "bellwether/base/error.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int percent_decode_bytes(const char *in, size_t in_len, char *out, size_t out_size, size_t *out_len)
{
    size_t used = 0;

    for (size_t i = 0; i < in_len; i++) {
        char c = in[i];

        if (c == '%') {
            int high = in_len - i > 2 ? hex_digit(in[i + 1]) : -1;
            int low = in_len - i > 2 ? hex_digit(in[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return -BW_EINVAL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (used == out_size) {
            return -BW_ERANGE;
        }
        out[used++] = c;
    }
    *out_len = used;
    return 0;
}

int percent_decode(const char *in, size_t in_len, char *out, size_t out_size)
{
    size_t len;
    int error =
        out_size == 0 ? -BW_ERANGE : percent_decode_bytes(in, in_len, out, out_size - 1, &len);

    if (error) {
        return error;
    }
    if (memchr(out, '\0', len)) {
        return -BW_EINVAL;
    }
    out[len] = '\0';
    return 0;
}
