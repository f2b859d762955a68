/*
 * Query parameters and the Accept header: text in, a struct out. Pure.
 *
 * A parameter that the route does not know is ignored; one that it knows and whose value makes no
 * sense is refused with words that name it and say what it takes. Given twice, the last one counts
 * (`exclude` adds up).
 */
#ifndef BELLWETHER_HTTP_QUERY_H
#define BELLWETHER_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"

/* The checks of /readyz, in the order in which they are listed. */
#define READY_CHECKS(X) \
    X(RESOLVED, "resolved") \
    X(SHUTDOWN, "shutdown") \
    X(MASTER, "master") \
    X(SENTINEL, "sentinel") \
    X(QUORUM, "quorum")

enum ready_check {
#define X(id, name) READY_##id,
    READY_CHECKS(X)
#undef X
        READY_CHECKS_COUNT
};

/** The check's name. Static. Thread: any. */
const char *ready_check_name(enum ready_check check);
/** The check of that name. @param out set on success. @return 0; -BW_ENOENT. Thread: any. */
int ready_check_find(const char *name, enum ready_check *out);

/* Which parameters a route looks at. */
enum {
    QUERY_PRETTY = 1 << 0,
    QUERY_FORMAT = 1 << 1,
    QUERY_STALE = 1 << 2,
    QUERY_FRESH = 1 << 3,
    QUERY_REQUIRE = 1 << 4,
    QUERY_MAX_LAG = 1 << 5,
    QUERY_FALLBACK = 1 << 6,
    QUERY_VERBOSE = 1 << 7,
    QUERY_EXCLUDE = 1 << 8,
    QUERY_OF_MASTER = 1 << 9,
    QUERY_WAIT = 1 << 10, /* wait, index, instance, unless */
    QUERY_LIMIT = 1 << 11,
};
#define QUERY_FORM (QUERY_PRETTY | QUERY_FORMAT)

enum http_form { FORM_UNSET, FORM_JSON, FORM_TEXT, FORM_URL };

#define QUERY_NAME_SIZE 256
#define QUERY_LIMIT_MAX 10000
#define QUERY_ERROR_SIZE 256
#define QUERY_SHOWN_SIZE 65 /* of a value in words of a refusal */

#define QUERY_WAIT_MAX_MS (INT64_C(5) * 60 * 1000)
#define QUERY_INSTANCE_SIZE 64

struct query {
    enum http_form form;
    bool pretty, stale, fresh, require_majority, fallback_master, verbose;
    bool has_max_lag;
    int64_t max_lag_bytes;
    unsigned excluded;            /* bits of enum ready_check */
    char master[QUERY_NAME_SIZE]; /* ?master=; "" none */
    int64_t limit;                /* ?limit=; 0 none */
    bool has_wait, has_index, has_unless;
    int64_t wait_ms;
    uint64_t index;
    char instance[QUERY_INSTANCE_SIZE]; /* "" none */
    struct address unless;
};

/**
 * Take one parameter.
 *
 * @param known    the QUERY_ bits that the route looks at; others are ignored.
 * @param name,value  borrowed, percent-encoded (`+` may have become a blank already); value NULL:
 * `?name`.
 * @param query    the parameter's member is set on success, untouched on failure.
 * @param refused  on failure the parameter's name, static.
 * @param error    on failure what it takes.
 * @return 0; -BW_EINVAL. Thread: any.
 */
int query_add(struct query *query, unsigned known, const char *name, size_t name_len,
              const char *value, size_t value_len, const char **refused,
              char error[QUERY_ERROR_SIZE]);

/* What an Accept header says about the forms there are; start with ACCEPT_NOTHING. */
struct accept {
    int json, text, html;                               /* quality in thousandths; -1 not named */
    int json_precision, text_precision, html_precision; /* how exactly the best range named it */
};
#define ACCEPT_NOTHING ((struct accept){-1, -1, -1, -1, -1, -1})

/** Take one Accept header's value. Thread: any. */
void accept_add(struct accept *accept, const char *value, size_t len);
/** FORM_TEXT where text/plain is liked better than JSON, else FORM_JSON. Thread: any. */
enum http_form accept_form(const struct accept *accept);
/**
 * text/html is liked better than JSON, and no less than text/plain: what browsers send. Thread:
 * any.
 */
bool accept_likes_html(const struct accept *accept);

/**
 * How long a Prefer header (RFC 7240) wishes to wait, QUERY_WAIT_MAX_MS at most; 0 where it does
 * not say. Thread: any.
 */
int64_t prefer_wait_ms(const char *value, size_t len);

/**
 * Whether an If-None-Match value names this entity tag (weakly compared; `*` names all). Thread:
 * any.
 */
bool etag_matches(const char *if_none_match, const char *etag);

#endif
