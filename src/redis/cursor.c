/* A number: its high bits are the server's cursor, its low ones the server's tag. */
#include "bellwether/redis/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_BITS 53 /* that JavaScript has exact */
#define TAG_MASK ((UINT64_C(1) << CURSOR_TAG_BITS) - 1)
#define LARGE (UINT64_C(1) << CURSOR_TAG_BITS) /* without a tag */

/* ---- tags ---- */

/* FNV-1a: who guesses a tag harms nobody but himself. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    return mix(hash, &number, sizeof(number));
}

uint32_t cursor_tag_of(uint64_t bits)
{
    bits = (bits ^ (bits >> 32)) * UINT64_C(0x9e3779b97f4a7c15); /* all of them count */
    return (uint32_t)((bits >> 32) % TAG_MASK) + 1;
}

uint32_t cursor_tag(uint64_t secret, const struct cursor_home *home)
{
    uint64_t hash = mix_number(UINT64_C(0xcbf29ce484222325), secret);

    hash = mix(hash, home->address->host, strlen(home->address->host) + 1);
    hash = mix_number(hash, home->address->port);
    hash = mix(hash, home->run_id, strlen(home->run_id) + 1);
    hash = mix_number(hash, home->is_master);
    hash = mix_number(hash, home->is_master ? home->switches : 0);
    return cursor_tag_of(hash);
}

/* ---- cursors ---- */

/*
 * Read a number of digits only, without what else strtoull() takes. @return false: it is none.
 * @param out  UINT64_MAX where it is larger, too.
 */
static bool read_number(const char *text, size_t size, uint64_t *out)
{
    uint64_t number = 0;

    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned char)text[i] - (unsigned)'0';

        if (digit > 9) {
            return false;
        }
        number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
    }
    *out = number;
    return size > 0;
}

enum cursor_kind cursor_read(const char *text, size_t size, uint32_t *tag, uint64_t *theirs)
{
    uint64_t number;

    if (!read_number(text, size, &number)) {
        return CURSOR_INVALID;
    }
    if (number == 0 || number == LARGE) {
        return number == 0 ? CURSOR_BEGINNING : CURSOR_LARGE;
    }
    *theirs = number >> CURSOR_TAG_BITS;
    *tag = number >> NUMBER_BITS == 0 && *theirs != 0 ? (uint32_t)(number & TAG_MASK)
                                                      : CURSOR_TAG_NONE;
    return CURSOR_TAGGED;
}

size_t cursor_write(uint32_t tag, const char *theirs, size_t size, char out[CURSOR_TEXT_SIZE])
{
    uint64_t number;

    if (!read_number(theirs, size, &number) || number >> (NUMBER_BITS - CURSOR_TAG_BITS) != 0) {
        number = LARGE;
    } else if (number != 0) {
        number = number << CURSOR_TAG_BITS | tag;
    }
    return (size_t)snprintf(out, CURSOR_TEXT_SIZE, "%" PRIu64, number);
}
