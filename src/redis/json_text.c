/*
 * Strings as JSON, plain or in base64. Nearly all bytes stand for themselves, so what does is
 * looked for eight bytes at a time and copied in runs.
 */
#include "bellwether/redis/json_result.h"

#include <endian.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#include "bellwether/base/utf8.h"

#define WORD_OF(byte) (UINT64_C(0x0101010101010101) * (byte))
/* Quotes, and what EXEC's reply or the caller puts behind. */
#define BESIDE 8
#define ESCAPE_MAX 6 /* "\u001f" */
/* EVP_EncodeBlock() takes an int; divisible by three. */
#define ENCODE_MAX (3 << 28)

/*
 * The high bit of each byte below `limit`, at most 0x80. Bytes above one of them may be marked for
 * nothing.
 */
static inline uint64_t below(uint64_t word, unsigned limit)
{
    return (word - WORD_OF(limit)) & ~word & WORD_OF(0x80);
}

/*
 * How many of eight bytes, up to the first other one, are ASCII without control characters,
 * quotation marks and backslashes.
 */
static inline size_t plain_of_eight(const char *text)
{
    uint64_t word, others;

    memcpy(&word, text, sizeof(word));
    word = le64toh(word);
    others = (word & WORD_OF(0x80)) | below(word, ' ') | below(word ^ WORD_OF('"'), 1) |
             below(word ^ WORD_OF('\\'), 1);
    return others == 0 ? sizeof(word) : (size_t)__builtin_ctzll(others) / 8;
}

static inline bool is_plain(char c)
{
    return (signed char)c >= ' ' && c != '"' && c != '\\';
}

static size_t plain(const char *text, size_t size)
{
    size_t i = 0;

    while (size - i >= sizeof(uint64_t)) {
        size_t n = plain_of_eight(text + i);

        i += n;
        if (n < sizeof(uint64_t)) {
            return i;
        }
    }
    while (i < size && is_plain(text[i])) {
        i++;
    }
    return i;
}

size_t json_plain(const char *text, size_t size)
{
    size_t i = plain(text, size);

    while (i < size && (unsigned char)text[i] >= 0x80) {
        size_t n = utf8_length(text + i, size - i);

        if (n == 0) {
            break;
        }
        i += n;
        if (i < size && is_plain(text[i])) {
            i += plain(text + i, size - i);
        }
    }
    return i;
}

/*
 * Write what stands for the first byte, or the first ill-formed part, of a text.
 * @param to  moved behind it. @return how many bytes of the text it stands for.
 */
static size_t escape(char **to, const char *text, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[UCHAR_MAX + 1] = {
        ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
        ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    unsigned char c = (unsigned char)text[0];

    if (c >= 0x80) {
        memcpy(*to, "\xef\xbf\xbd", 3);
        *to += 3;
        return utf8_ill_formed(text, size);
    }
    if (letters[c] != '\0') {
        memcpy(*to, (const char[]){'\\', letters[c]}, 2);
        *to += 2;
    } else {
        memcpy(*to, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, ESCAPE_MAX);
        *to += ESCAPE_MAX;
    }
    return 1;
}

static bool add_string(struct buffer *out, const char *text, size_t size, bool bounded)
{
    if (bounded && !buffer_may_add(out, size + BESIDE)) {
        return false;
    }
    (void)buffer_reserve(out, size + BESIDE);
    buffer_add(out, "\"", 1);
    while (size > 0) {
        size_t n = json_plain(text, size);
        char *from, *to;

        if (bounded && !buffer_may_add(out, size + ESCAPE_MAX)) {
            return false;
        }
        from = buffer_reserve(out, size + ESCAPE_MAX);
        to = from + n;
        memcpy(from, text, n);
        n += n < size ? escape(&to, text + n, size - n) : 0;
        out->size += (size_t)(to - from);
        text += n;
        size -= n;
    }
    buffer_add(out, "\"", 1);
    return true;
}

void json_add_string(struct buffer *out, const char *text, size_t size)
{
    (void)add_string(out, text, size, false);
}

bool json_try_string(struct buffer *out, const char *text, size_t size)
{
    return add_string(out, text, size, true);
}

bool json_try_base64(struct buffer *out, const char *bytes, size_t size)
{
    if (!buffer_may_add(out, (size + 2) / 3 * 4 + BESIDE)) {
        return false;
    }
    (void)buffer_reserve(out, (size + 2) / 3 * 4 + BESIDE);
    buffer_add(out, "\"", 1);
    while (size > 0) {
        int n = size < ENCODE_MAX ? (int)size : ENCODE_MAX;
        char *to = buffer_reserve(out, ((size_t)n + 2) / 3 * 4 + 1); /* it terminates */

        out->size += (size_t)EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)bytes, n);
        bytes += n;
        size -= (size_t)n;
    }
    buffer_add(out, "\"", 1);
    return true;
}
