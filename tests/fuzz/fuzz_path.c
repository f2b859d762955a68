/*
 * A command in a path, and behind it, after each newline of the input, one more argument as a body
 * or a query makes it. Compared with a plain decoder of its own.
 */
#include <stdint.h>

#include "batch_invariant.h"
#include "bellwether/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) % 16 : -1;
}

/* @return how many bytes; -1 for a bad escape. */
static long decode(const char *in, size_t size, char *out)
{
    long n = 0;

    while (size > 0) {
        if (*in != '%') {
            out[n++] = *in;
        } else if (size < 3 || digit(in[1]) < 0 || digit(in[2]) < 0) {
            return -1;
        } else {
            out[n++] = (char)(digit(in[1]) * 16 + digit(in[2]));
            in += 2;
            size -= 2;
        }
        in++;
        size--;
    }
    return n;
}

/* Segment by segment what the path has, where a last slash is none. @return how many there are. */
static size_t hold_path(const char *path, const redisReply *reply)
{
    size_t k = 0;

    for (const char *at = path;; at++) {
        size_t size = strcspn(at, "/");
        char *wanted = mem_new(size + 1, 1);
        long n = decode(at, size, wanted);

        batch_hold(k < reply->elements && n >= 0 && reply->element[k]->len == (size_t)n &&
                       memcmp(reply->element[k]->str, wanted, (size_t)n) == 0,
                   "another argument");
        free(wanted);
        k++;
        at += size;
        if (at[0] == '\0' || at[1] == '\0') {
            return k;
        }
    }
}

/* @return whether all of the path can be decoded, and has a name. */
static bool is_good(const char *path)
{
    char *scratch = mem_new(strlen(path) + 1, 1);
    bool good = *path != '\0' && *path != '/' && decode(path, strlen(path), scratch) >= 0;

    for (const char *at = path; good && at; at = strchr(at, '/')) {
        at += *at == '/';
        /* an escape may not reach over a slash */
        good = decode(at, strcspn(at, "/"), scratch) >= 0;
    }
    free(scratch);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *input = mem_new(size + 1, 1), error[BATCH_ERROR_SIZE] = "", *path = input, *rest;
    struct batch *batch = batch_new_path();
    int failed;

    if (size > 0) {
        memcpy(input, data, size);
    }
    rest = memchr(input, '\n', size);
    if (rest) {
        *rest++ = '\0';
    }
    failed = batch_add_path(batch, path, error);
    batch_hold((failed == 0) == is_good(path), "a path that is good and bad");
    while (failed == 0 && rest) {
        char *end = memchr(rest, '\n', (size_t)(input + size - rest));

        failed =
            batch_add_argument(batch, rest, (size_t)((end ? end : input + size) - rest), error);
        rest = end ? end + 1 : NULL;
    }
    if (failed == 0 && batch_end_path(batch, error) == 0) {
        redisReply *reply = batch_hold_command(batch, 0);

        (void)hold_path(path, reply);
        freeReplyObject(reply);
    } else {
        batch_hold_words(error);
    }
    batch_free(batch);
    free(input);
    return 0;
}
