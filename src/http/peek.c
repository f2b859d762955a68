/*
 * Only as much is read here as it takes to say whose a connection is. Whatever is not recognized is a request: it is
 * libmicrohttpd that parses, and that answers what is not well-formed.
 */
#include "peek.h"

#include <string.h>
#include <strings.h>

static const char proxy_v1[] = "PROXY ";
static const char proxy_v2[] = "\r\n\r\n\0\r\nQUIT\n";
static const char http2[] = "PRI * HTTP/2.0\r\n";

struct span {
    const char *at;
    size_t n;
};

/* @return 1: it begins with `word`; 0: it may, as far as it goes; -1: it does not. */
static int begins(struct span bytes, const char *word, size_t size)
{
    size_t common = bytes.n < size ? bytes.n : size;

    if (memcmp(bytes.at, word, common) != 0) {
        return -1;
    }
    return common == size;
}

/* A record of a handshake of TLS 1.x that holds a ClientHello. */
static int begins_tls(struct span bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.at;

    if (at[0] != 0x16 || (bytes.n > 1 && at[1] != 3) || (bytes.n > 2 && at[2] > 4) ||
        (bytes.n > 5 && at[5] != 1)) {
        return -1;
    }
    return bytes.n > 5;
}

static bool has(struct span text, const char *word)
{
    return memmem(text.at, text.n, word, strlen(word)) != NULL;
}

static bool is(struct span text, const char *word)
{
    return text.n == strlen(word) && memcmp(text.at, word, text.n) == 0;
}

/* What the handlers would say of ?wait= and the path. A wrong guess costs a little time, nothing else. */
static bool target_waits(struct span path, struct span query)
{
    if (is(path, "/events")) {
        return true;
    }
    for (const char *end = query.at + query.n, *at = query.at; at < end;) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        struct span pair = {at, (size_t)((next ? next : end) - at)};

        if (begins(pair, "wait=", 5) == 1 && pair.n > 5 && pair.at[5] != '0') {
            return true;
        }
        at = next ? next + 1 : end;
    }
    return false;
}

static bool header_waits(struct span line)
{
    static const char name[] = "Prefer:";

    return line.n > sizeof(name) - 1 && strncasecmp(line.at, name, sizeof(name) - 1) == 0 &&
           has(line, "wait");
}

/* @return false: the line is none of HTTP/1. */
static bool read_request_line(struct span line, struct peek *out)
{
    const char *space = memchr(line.at, ' ', line.n), *last = memrchr(line.at, ' ', line.n), *mark;
    struct span path, query = {line.at, 0};

    if (!space || last <= space ||
        begins((struct span){last, line.n - (size_t)(last - line.at)}, " HTTP/1.", 8) != 1) {
        return false;
    }
    out->head = is((struct span){line.at, (size_t)(space - line.at)}, "HEAD");
    path = (struct span){space + 1, (size_t)(last - space) - 1};
    mark = memchr(path.at, '?', path.n);
    if (mark) {
        query = (struct span){mark + 1, path.n - (size_t)(mark - path.at) - 1};
        path.n = (size_t)(mark - path.at);
    }
    out->live = is(path, "/livez") || is(path, "/healthz");
    out->waits = target_waits(path, query) && !out->head;
    return true;
}

/* Line by line: a line that does not end in CRLF, or that is no request line, need not be waited for. */
static void read_head(struct span bytes, struct peek *out)
{
    const char *at = bytes.at, *end = bytes.at + bytes.n, *newline;
    bool first = true;

    while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        struct span line = {at, (size_t)(newline - at)};

        out->kind = PEEK_REQUEST;
        if (line.n == 0 || line.at[line.n - 1] != '\r') {
            return;
        }
        line.n--;
        at = newline + 1;
        if (line.n == 0) {
            out->head_size = (size_t)(at - bytes.at) + out->empty;
            return;
        }
        if (first ? !read_request_line(line, out) : false) {
            return;
        }
        out->waits = out->waits || (!first && header_waits(line) && !out->head);
        first = false;
    }
    out->kind = bytes.n + out->empty < PEEK_SIZE ? PEEK_MORE : PEEK_REQUEST;
}

struct peek peek_at(const char *bytes, size_t n)
{
    struct span all = {bytes, n};
    struct peek peek = {.kind = PEEK_MORE};
    const struct {
        int begins;
        enum peek_kind kind;
    } others[] = {{begins(all, proxy_v1, sizeof(proxy_v1) - 1), PEEK_PROXY},
                  {begins(all, proxy_v2, sizeof(proxy_v2) - 1), PEEK_PROXY},
                  {begins(all, http2, sizeof(http2) - 1), PEEK_HTTP2},
                  {begins_tls(all), PEEK_TLS}};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i].begins == 1) {
            peek.kind = others[i].kind;
            return peek;
        }
    }
    if (begins_tls(all) == 0) {
        return peek; /* the rest of it will tell; its bytes may look like the end of a line */
    }
    if (begins(all, "\r\n", 2) == 1 && begins(all, proxy_v2, sizeof(proxy_v2) - 1) < 0) {
        peek.empty = 2;
    } else if (begins(all, "\r\n", 2) >= 0) {
        return peek; /* the rest of it will tell */
    }
    if (n > peek.empty) {
        read_head((struct span){bytes + peek.empty, n - peek.empty}, &peek);
    }
    return peek;
}
