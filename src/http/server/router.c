/*
 * The route table's rows, and matching. A path is cut into decoded segments in one buffer on the
 * stack, then compared with each row's pattern; with a couple of dozen rows a scan is quicker than
 * anything cleverer, and /master and /redis, the routes that count, never get here (dispatch.c,
 * redis.c).
 *
 * Cutting ends early at a segment that is not well encoded, or where a path gets longer or deeper
 * than any pattern without a rest. That is an error only if no pattern with a rest fits what stands
 * before: the rest of a command's path is as long as it is, and other code's to decode.
 */
#include "bellwether/http/router.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/error.h"
#include "bellwether/base/percent.h"

#define SEGMENTS_MAX 8
#define PATH_DECODED_MAX \
    1024 /* more than any route's words and a name need: longer paths match nothing */

static const struct route rows[] = {
#define X(id, path, methods, scopes, parameters, handler, about) \
    {ROUTE_##id, (path), (methods), (scopes), (parameters), (about)},
    ROUTES(X)
#undef X
};

struct segments {
    size_t n;  /* those with a text; what stands between two slashes is none */
    int error; /* why there are no more: 0, it was all */
    const char *text[SEGMENTS_MAX];
    /*
     * Behind the slash before each, and behind all slashes there; the last: of what could not be
     * taken, or of slashes at the end; NULL: there is nothing more.
     */
    const char *raw[SEGMENTS_MAX + 1], *begin[SEGMENTS_MAX + 1];
    char buffer[PATH_DECODED_MAX];
};

const struct route *router_row(enum route_id id)
{
    return &rows[id];
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

static void split(const char *path, struct segments *out)
{
    size_t used = 0;

    out->n = 0;
    out->raw[0] = out->begin[0] = NULL;
    out->error = *path == '/' ? 0 : -BW_ENOENT;
    while (*path == '/') {
        const char *begin = path + strspn(path, "/");
        size_t len = strcspn(begin, "/");

        out->raw[out->n] = path + 1;
        out->begin[out->n] = begin;
        if (len == 0) {
            return;
        }
        if (out->n == SEGMENTS_MAX) {
            out->error = -BW_ENOENT;
            return;
        }
        out->error = percent_decode(begin, len, out->buffer + used, sizeof(out->buffer) - used);
        if (out->error) {
            out->error = out->error == -BW_ERANGE ? -BW_ENOENT : out->error;
            return;
        }
        out->text[out->n++] = out->buffer + used;
        out->raw[out->n] = out->begin[out->n] = NULL;
        used += strlen(out->buffer + used) + 1;
        path = begin + len;
    }
}

/* What a pattern stands for in a path. */
struct fit {
    const char *argument, *rest;
};

/*
 * Whether a pattern's segment, `len` bytes at `word`, stands for that of the path. Before channels
 * it is a command's name, which ignores case.
 */
static bool fits_segment(const char *word, size_t len, const char *text, struct fit *fit)
{
    if (*word != '{') {
        return strlen(text) == len &&
               (strcmp(word + len, ROUTE_NAMES) == 0 ? strncasecmp(text, word, len) == 0
                                                     : memcmp(text, word, len) == 0);
    }
    if (strlen(text) >= ROUTE_ARGUMENT_SIZE) {
        return false;
    }
    fit->argument = text;
    return true;
}

bool route_is_rest(const char *pattern)
{
    return strcmp(pattern, ROUTE_REST) == 0 || strcmp(pattern, ROUTE_NAMES) == 0;
}

/*
 * Only behind `/redis` more than one slash is one, and only behind a route of commands' last word
 * those at the end are none.
 */
static bool fits(const struct route *route, const struct segments *segments, struct fit *fit)
{
    const char *pattern = route->path;
    bool behind_redis = false, runs = route_runs_commands(route);
    size_t i = 0;

    *fit = (struct fit){"", NULL};
    while (pattern[1] != '\0') {
        const char *word = pattern + 1, *raw = segments->raw[i], *begin = segments->begin[i];
        size_t len = strcspn(word, "/");

        if (route_is_rest(pattern)) {
            fit->rest = raw && behind_redis ? begin : raw;
            if (!raw && strcmp(pattern, ROUTE_NAMES) == 0) {
                fit->rest = ""; /* it is a stream's all the same, and has no channel */
            }
            return fit->rest != NULL;
        }
        if (i >= segments->n || (raw != begin && !behind_redis) ||
            !fits_segment(word, len, segments->text[i], fit)) {
            return false;
        }
        i++;
        pattern = word + len;
        behind_redis = runs && strncmp(word, "redis/", len + 1) == 0;
        if (*pattern == '\0') {
            return !segments->raw[i] || (runs && *segments->begin[i] == '\0');
        }
    }
    return segments->raw[0] && *segments->raw[0] == '\0';
}

int router_match(const char *path, enum http_scope scope, struct route_match *out)
{
    struct segments segments;

    split(skip_authority(path), &segments);
    for (size_t i = 0; i < ROUTES_COUNT; i++) {
        struct fit fit;

        if ((rows[i].scopes & SCOPE_BIT(scope)) && fits(&rows[i], &segments, &fit)) {
            out->route = &rows[i];
            memcpy(out->argument, fit.argument, strlen(fit.argument) + 1);
            out->rest = fit.rest;
            return 0;
        }
    }
    return segments.error ? segments.error : -BW_ENOENT;
}

bool route_runs_commands(const struct route *route)
{
    return route->scopes == SCOPES_COMMANDS;
}

unsigned router_method(const char *method)
{
    if (strcmp(method, "GET") == 0) {
        return HTTP_GET;
    }
    if (strcmp(method, "HEAD") == 0) {
        return HTTP_HEAD;
    }
    if (strcmp(method, "POST") == 0) {
        return HTTP_POST;
    }
    if (strcmp(method, "PUT") == 0) {
        return HTTP_PUT;
    }
    return strcmp(method, "OPTIONS") == 0 ? HTTP_OPTIONS : HTTP_OTHER;
}

const char *router_allow(unsigned methods)
{
    if (methods & HTTP_POST) {
        return methods & HTTP_GET ? "GET, HEAD, POST, PUT, OPTIONS" : "POST, PUT, OPTIONS";
    }
    return methods & HTTP_GET ? "GET, HEAD, OPTIONS" : "OPTIONS";
}
