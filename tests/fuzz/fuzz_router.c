/*
 * What a caller writes in a request line and in two headers: path (and percent-decoding), query,
 * Accept, If-None-Match. The input's lines, in that order. Invariants: what matched names itself
 * again, outputs stay untouched on failure and terminated on success, a refusal names its
 * parameter.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/base/percent.h"
#include "bellwether/http/query.h"
#include "bellwether/http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
    /* owned, terminated; an input with a NUL ends there for functions that take a string */
    char *text;
    size_t len;
};

static struct line take_line(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size ? memchr(*data, '\n', *size) : NULL;
    struct line line = {NULL, end ? (size_t)(end - *data) : *size};
    size_t step = line.len + (end != NULL);

    line.text = mem_new(line.len + 1, 1);
    if (line.len) {
        memcpy(line.text, *data, line.len);
    }
    *data += step;
    *size -= step;
    return line;
}

/* Encode every byte, so that matching the same names again must give the same route. */
static char *encode(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    char *out = mem_new(strlen(text) * 3 + 1, 1), *to = out;

    for (; *text; text++) {
        *to++ = '%';
        *to++ = digits[(unsigned char)*text >> 4];
        *to++ = digits[(unsigned char)*text & 15];
    }
    return out;
}

/* How much of the pattern stands for it. */
static size_t rest_size(const struct route_match *match)
{
    const char *path = match->route->path;
    size_t at = 0;

    while (match->rest && !route_is_rest(path + at)) {
        at++;
    }
    return match->rest ? strlen(path) - at : 0;
}

static void check_again(const struct route_match *match, enum http_scope scope)
{
    const char *rest = match->rest ? match->rest : "";
    char *name = encode(match->argument),
         *path = mem_new(strlen(name) + strlen(match->route->path) + strlen(rest) + 1, 1);
    char *pattern = mem_new(strlen(match->route->path) + 1, 1);
    const char *open, *close;
    struct route_match again;

    /* the pattern without its rest, then with the name, then with the rest */
    memcpy(pattern, match->route->path, strlen(match->route->path) - rest_size(match));
    open = strchr(pattern, '{');
    close = strchr(pattern, '}');
    assert(*match->argument == '\0' || open);
    if (open && close) {
        memcpy(path, pattern, (size_t)(open - pattern));
        strncat(path, name, strlen(name));
        strncat(path, close + 1, strlen(close + 1));
    } else {
        memcpy(path, pattern, strlen(pattern));
    }
    if (match->rest) {
        strncat(path, "/", 1);
        strncat(path, rest, strlen(rest));
    }
    assert(router_match(path, scope, &again) == 0);
    assert(again.route == match->route && strcmp(again.argument, match->argument) == 0);
    assert(!again.rest == !match->rest && (!again.rest || strcmp(again.rest, rest) == 0));
    free(pattern);
    free(path);
    free(name);
}

static void fuzz_path(const struct line *line)
{
    for (int scope = HTTP_SCOPE_ALL; scope <= HTTP_SCOPE_PROBE; scope++) {
        struct route_match match, untouched;

        memset(&match, 0x5a, sizeof(match));
        memset(&untouched, 0x5a, sizeof(untouched));
        if (router_match(line->text, (enum http_scope)scope, &match) == 0) {
            check_again(&match, (enum http_scope)scope);
        } else {
            assert(memcmp(&match, &untouched, sizeof(match)) == 0);
        }
    }
}

static void fuzz_decoding(const struct line *line)
{
    char *out = mem_new(line->len + 1, 1), small[8];

    if (percent_decode(line->text, line->len, out, line->len + 1) == 0) {
        assert(strlen(out) <= line->len);
        if (strlen(out) == line->len) {
            assert(memcmp(out, line->text, line->len) == 0);
        }
    }
    if (percent_decode(line->text, line->len, small, sizeof(small)) == 0) {
        assert(strlen(small) < sizeof(small));
    }
    free(out);
}

static void fuzz_parameter(struct query *query, const char *parameter, size_t len)
{
    const char *equals = memchr(parameter, '=', len), *refused = NULL;
    size_t name_len = equals ? (size_t)(equals - parameter) : len;
    char error[QUERY_ERROR_SIZE];
    struct query before = *query;

    if (query_add(query, ~0U, parameter, name_len, equals ? equals + 1 : NULL,
                  equals ? len - name_len - 1 : 0, &refused, error)) {
        assert(refused && strstr(error, refused));
        assert(memcmp(&before, query, sizeof(before)) == 0);
    }
    assert(memchr(query->master, '\0', sizeof(query->master)));
    assert(query->excluded < 1U << READY_CHECKS_COUNT);
    assert(!query->has_max_lag || query->max_lag_bytes >= 0);
}

static void fuzz_query(const struct line *line)
{
    struct query query;
    size_t at = 0;

    memset(&query, 0, sizeof(query));
    while (at < line->len) {
        const char *end = memchr(line->text + at, '&', line->len - at);
        size_t len = end ? (size_t)(end - line->text) - at : line->len - at;

        fuzz_parameter(&query, line->text + at, len);
        at += len + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct line path = take_line(&data, &size), query = take_line(&data, &size),
                accepted = take_line(&data, &size), tags = take_line(&data, &size);
    struct accept accept = ACCEPT_NOTHING;

    fuzz_path(&path);
    fuzz_decoding(&path);
    fuzz_query(&query);
    accept_add(&accept, accepted.text, accepted.len);
    assert(accept.json >= -1 && accept.json <= 1000 && accept.text >= -1 && accept.text <= 1000);
    assert(accept_form(&accept) == FORM_JSON || accept_form(&accept) == FORM_TEXT);
    assert(etag_matches("*", tags.text));
    if (!strchr(tags.text, ',') && tags.len > 2 && tags.text[0] == '"' &&
        tags.text[tags.len - 1] == '"' && strlen(tags.text) == tags.len) {
        assert(etag_matches(tags.text, tags.text));
    }
    free(path.text);
    free(query.text);
    free(accepted.text);
    free(tags.text);
    return 0;
}
