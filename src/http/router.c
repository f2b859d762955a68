/*
 * The route table's rows, matching, and percent-decoding. A path is cut into decoded segments in one buffer
 * on the stack, then compared with each row's pattern; with a couple of dozen rows a scan is quicker than
 * anything cleverer, and /master, the route that counts, never gets here (dispatch.c).
 */
#include "bellwether/http/router.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/error.h"

#define SEGMENTS_MAX 6
#define PATH_DECODED_MAX 1024 /* more than any route's words and a name need: longer paths match nothing */

static const struct route rows[] = {
#define X(id, path, methods, scopes, parameters, about) \
    {ROUTE_##id, (path), (methods), (scopes), (parameters), (about)},
    ROUTES(X)
#undef X
};

struct segments {
    size_t n;
    const char *text[SEGMENTS_MAX];
    char buffer[PATH_DECODED_MAX];
};

const struct route *router_row(enum route_id id)
{
    return &rows[id];
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int percent_decode(const char *in, size_t in_len, char *out, size_t out_size)
{
    size_t used = 0;

    for (size_t i = 0; i < in_len; i++) {
        char c = in[i];

        if (c == '%') {
            int high = i + 2 < in_len ? hex_digit(in[i + 1]) : -1;
            int low = i + 2 < in_len ? hex_digit(in[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return -BW_EINVAL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            return -BW_EINVAL;
        }
        if (used + 1 >= out_size) {
            return -BW_ERANGE;
        }
        out[used++] = c;
    }
    if (out_size == 0) {
        return -BW_ERANGE;
    }
    out[used] = '\0';
    return 0;
}

/* A request in absolute form (as a proxy gets it) names the path after scheme and authority. */
static const char *skip_authority(const char *path)
{
    const char *rest = strncasecmp(path, "http://", 7) == 0    ? path + 7
                       : strncasecmp(path, "https://", 8) == 0 ? path + 8
                                                               : NULL;

    if (!rest) {
        return path;
    }
    rest = strchr(rest, '/');
    return rest ? rest : "/";
}

/* @return 0; -BW_EINVAL; -BW_ENOENT when nothing so long or deep is in the table. */
static int split(const char *path, struct segments *out)
{
    size_t used = 0;

    out->n = 0;
    if (*path != '/') {
        return -BW_ENOENT;
    }
    do {
        const char *start = path + 1;
        size_t len = strcspn(start, "/");
        int error;

        if (out->n == SEGMENTS_MAX) {
            return -BW_ENOENT;
        }
        error = percent_decode(start, len, out->buffer + used, sizeof(out->buffer) - used);
        if (error) {
            return error == -BW_ERANGE ? -BW_ENOENT : error;
        }
        out->text[out->n++] = out->buffer + used;
        used += strlen(out->buffer + used) + 1;
        path = start + len;
    } while (*path == '/');
    return 0;
}

/* @param argument  set to the segment that stands for `{...}`, if the pattern has one. */
static bool fits(const char *pattern, const struct segments *segments, const char **argument)
{
    for (size_t i = 0; i < segments->n; i++) {
        const char *word = pattern + 1;
        size_t len;

        if (*pattern != '/') {
            return false;
        }
        len = strcspn(word, "/");
        if (*word == '{') {
            if (*segments->text[i] == '\0' || strlen(segments->text[i]) >= ROUTE_ARGUMENT_SIZE) {
                return false;
            }
            *argument = segments->text[i];
        } else if (strlen(segments->text[i]) != len || memcmp(segments->text[i], word, len) != 0) {
            return false;
        }
        pattern = word + len;
    }
    return *pattern == '\0';
}

int router_match(const char *path, enum http_scope scope, struct route_match *out)
{
    struct segments segments;
    int error = split(skip_authority(path), &segments);

    if (error) {
        return error;
    }
    for (size_t i = 0; i < ROUTES_COUNT; i++) {
        const char *argument = "";

        if ((rows[i].scopes & SCOPE_BIT(scope)) && fits(rows[i].path, &segments, &argument)) {
            out->route = &rows[i];
            memcpy(out->argument, argument, strlen(argument) + 1);
            return 0;
        }
    }
    return -BW_ENOENT;
}

unsigned router_method(const char *method)
{
    if (strcmp(method, "GET") == 0) {
        return HTTP_GET;
    }
    if (strcmp(method, "HEAD") == 0) {
        return HTTP_HEAD;
    }
    return strcmp(method, "OPTIONS") == 0 ? HTTP_OPTIONS : HTTP_OTHER;
}

const char *router_allow(unsigned methods)
{
    return methods & HTTP_GET ? "GET, HEAD, OPTIONS" : "OPTIONS";
}
