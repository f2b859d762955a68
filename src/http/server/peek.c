/*
 * Only as much is read here as it takes to say whose a connection is. Whatever is not recognized is
 * a request, and head.c says whether libmicrohttpd will take it.
 */
#include "peek.h"

#include <string.h>
#include <strings.h>

#include "bellwether/http/query.h"

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

static bool has_command(struct span path, const char *word)
{
    size_t n = strlen(word);

    for (; path.n >= n; path.at++, path.n--) {
        if (strncasecmp(path.at, word, n) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * What the handlers would say of ?wait= and the path. A wrong guess costs a little time, nothing
 * else.
 */
static bool target_waits(struct span path, struct span query)
{
    if (is(path, "/events") || (has(path, "/redis/") && (has_command(path, "/subscribe/") ||
                                                         has_command(path, "/psubscribe/")))) {
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

static bool is_header(struct span line, const char *name)
{
    size_t n = strlen(name);

    return line.n > n && strncasecmp(line.at, name, n) == 0;
}

/* What ?format= says counts more than Accept; under /redis neither does. */
struct taste {
    struct accept accept;
    enum http_form form;
};

static void read_format(struct span path, struct span query, struct taste *out)
{
    for (const char *end = query.at + query.n, *at = query.at; at < end;) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        struct span pair = {at, (size_t)((next ? next : end) - at)};

        if (begins(pair, "format=", 7) == 1) {
            out->form = is(pair, "format=text") || is(pair, "format=url") ? FORM_TEXT : FORM_JSON;
        }
        at = next ? next + 1 : end;
    }
    if (has(path, "/redis")) {
        out->form = FORM_JSON;
    }
}

static void read_request_line(struct span line, struct peek *out, struct taste *taste)
{
    const char *space = memchr(line.at, ' ', line.n), *last = memrchr(line.at, ' ', line.n), *mark;
    struct span path, query = {line.at, 0};

    if (!space || last <= space) {
        return;
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
    read_format(path, query, taste);
}

static void read_header(struct span line, struct peek *out, struct taste *taste)
{
    if (is_header(line, "Prefer:")) {
        out->waits = out->waits || (has(line, "wait") && !out->head);
    } else if (is_header(line, "Accept:")) {
        accept_add(&taste->accept, line.at + 7, line.n - 7 - (line.at[line.n - 1] == '\r'));
    }
}

/* Line by line; behind a fault only what form its answer is to have is looked for. */
static void read_head(struct span bytes, struct peek *out)
{
    const char *at = bytes.at, *end = bytes.at + bytes.n, *newline;
    struct taste taste = {ACCEPT_NOTHING, FORM_UNSET};
    struct head head = {0};

    while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
        struct span line = {at, (size_t)(newline - at)};

        at = newline + 1;
        if (is(line, "\r")) {
            out->head_size = (size_t)(at - bytes.at) + out->empty;
            out->kind = PEEK_REQUEST;
            if (!head.fault && (head.lines > 0 || head_add(&head, line.at, line.n))) {
                (void)head_end(&head);
            }
            break;
        }
        if (!head.fault) {
            (void)head_add(&head, line.at, line.n);
        }
        if (line.at == bytes.at) {
            read_request_line(line, out, &taste);
        } else {
            read_header(line, out, &taste);
        }
    }
    if (out->kind == PEEK_MORE && !head.fault && bytes.n + out->empty >= PEEK_SIZE) {
        head_overflow(&head);
    }
    out->kind = head.fault ? PEEK_FAULTY : out->kind;
    out->why = head.kind;
    out->fault = head.fault;
    out->cost = head.cost;
    out->text = (taste.form == FORM_UNSET ? accept_form(&taste.accept) : taste.form) == FORM_TEXT;
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
    if (begins(all, proxy_v2, sizeof(proxy_v2) - 1) == 0) {
        return peek; /* the rest of it will tell */
    }
    while (peek.empty < PEEK_EMPTY_MOST && n - peek.empty >= 2 &&
           memcmp(bytes + peek.empty, "\r\n", 2) == 0) {
        peek.empty += 2;
    }
    if (n > peek.empty) {
        read_head((struct span){bytes + peek.empty, n - peek.empty}, &peek);
    }
    return peek;
}

/* Whoever speaks 1.2 or newer says 1.2 here. */
static bool is_old_tls(const char *bytes)
{
    return (unsigned char)bytes[9] < 3 || (bytes[9] == 3 && (unsigned char)bytes[10] < 3);
}

struct peek peek_at_tls(const char *bytes, size_t n)
{
    const unsigned char *at = (const unsigned char *)bytes;
    int begins = begins_tls((struct span){bytes, n});
    struct peek peek = {.kind = PEEK_MORE};

    if (begins < 0) {
        peek = peek_at(bytes, n);
        peek.kind = peek.kind == PEEK_PROXY ? PEEK_PROXY : PEEK_PLAIN;
    } else if (n > 10 && is_old_tls(bytes)) {
        peek.kind = PEEK_OLD_TLS;
    } else if (n > 10 && (n >= PEEK_SIZE || n >= 5 + (size_t)(at[3] << 8 | at[4]))) {
        peek.kind = PEEK_TLS;
    }
    return peek;
}
