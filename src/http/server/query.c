/*
 * Query parameters, the Accept header, and If-None-Match. One table names each parameter, its bit,
 * what it takes (the words of a refusal), and the function that reads its decoded value.
 */
#include "bellwether/http/query.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/error.h"
#include "bellwether/base/percent.h"
#include "bellwether/base/units.h"
#include "bellwether/base/utf8.h"
#include "bellwether/http/router.h"

static const char *const check_names[] = {
#define X(id, name) name,
    READY_CHECKS(X)
#undef X
};

const char *ready_check_name(enum ready_check check)
{
    return check_names[check];
}

int ready_check_find(const char *name, enum ready_check *out)
{
    for (int i = 0; i < READY_CHECKS_COUNT; i++) {
        if (strcmp(name, check_names[i]) == 0) {
            *out = (enum ready_check)i;
            return 0;
        }
    }
    return -BW_ENOENT;
}

/* ---- values ---- */

static bool one_of(const char *value, const char *const *words)
{
    for (; *words; words++) {
        if (strcasecmp(value, *words) == 0) {
            return true;
        }
    }
    return false;
}

/* `?pretty` alone means yes, as `?verbose` does in Kubernetes. */
static int read_flag(const char *value, bool *out)
{
    static const char *const yes[] = {"", "1", "true", "yes", "on", NULL};
    static const char *const no[] = {"0", "false", "no", "off", NULL};

    if (one_of(value, yes)) {
        *out = true;
        return 0;
    }
    if (one_of(value, no)) {
        *out = false;
        return 0;
    }
    return -BW_EINVAL;
}

static int read_pretty(struct query *query, const char *value)
{
    return read_flag(value, &query->pretty);
}

static int read_stale(struct query *query, const char *value)
{
    return read_flag(value, &query->stale);
}

static int read_fresh(struct query *query, const char *value)
{
    return read_flag(value, &query->fresh);
}

static int read_verbose(struct query *query, const char *value)
{
    return read_flag(value, &query->verbose);
}

static int read_format(struct query *query, const char *value)
{
    if (strcmp(value, "json") == 0) {
        query->form = FORM_JSON;
    } else if (strcmp(value, "text") == 0) {
        query->form = FORM_TEXT;
    } else if (strcmp(value, "url") == 0) {
        query->form = FORM_URL;
    } else {
        return -BW_EINVAL;
    }
    return 0;
}

static int read_require(struct query *query, const char *value)
{
    if (strcmp(value, "majority") != 0) {
        return -BW_EINVAL;
    }
    query->require_majority = true;
    return 0;
}

static int read_fallback(struct query *query, const char *value)
{
    if (strcmp(value, "master") != 0) {
        return -BW_EINVAL;
    }
    query->fallback_master = true;
    return 0;
}

/* A lag is a number of bytes far more often than not, so the unit may be left out. */
static int read_max_lag(struct query *query, const char *value)
{
    int error = bytes_parse(value, &query->max_lag_bytes);

    query->has_max_lag = query->has_max_lag || error == 0;
    return error;
}

static int read_exclude(struct query *query, const char *value)
{
    unsigned excluded = 0;

    while (*value) {
        size_t len = strcspn(value, ",");
        char name[32];
        enum ready_check check;

        if (len >= sizeof(name)) {
            return -BW_EINVAL;
        }
        memcpy(name, value, len);
        name[len] = '\0';
        if (ready_check_find(name, &check)) {
            return -BW_EINVAL;
        }
        excluded |= 1U << check;
        value += len + (value[len] == ',');
    }
    query->excluded |= excluded;
    return excluded ? 0 : -BW_EINVAL;
}

static int read_of_master(struct query *query, const char *value)
{
    if (*value == '\0' || strlen(value) >= sizeof(query->master)) {
        return -BW_EINVAL;
    }
    memcpy(query->master, value, strlen(value) + 1);
    return 0;
}

static int read_wait(struct query *query, const char *value)
{
    int64_t wait_ms;

    if (duration_parse(value, &wait_ms) || wait_ms > QUERY_WAIT_MAX_MS) {
        return -BW_EINVAL;
    }
    query->wait_ms = wait_ms;
    query->has_wait = true;
    return 0;
}

static int read_index(struct query *query, const char *value)
{
    int64_t index;

    if (integer_parse(value, 0, INT64_MAX, &index)) {
        return -BW_EINVAL;
    }
    query->index = (uint64_t)index;
    query->has_index = true;
    return 0;
}

static int read_instance(struct query *query, const char *value)
{
    if (*value == '\0' || strlen(value) >= sizeof(query->instance)) {
        return -BW_EINVAL;
    }
    memcpy(query->instance, value, strlen(value) + 1);
    return 0;
}

static int read_unless(struct query *query, const char *value)
{
    char words[128];

    if (address_parse(value, 0, &query->unless, words, sizeof(words))) {
        return -BW_EINVAL;
    }
    query->has_unless = true;
    return 0;
}

static int read_limit(struct query *query, const char *value)
{
    return integer_parse(value, 1, QUERY_LIMIT_MAX, &query->limit);
}

static const struct parameter {
    const char *name;
    unsigned bit;
    int (*read)(struct query *query, const char *value);
    const char *takes;
} parameters[] = {
    {"pretty", QUERY_PRETTY, read_pretty, "1 or 0"},
    {"format", QUERY_FORMAT, read_format, "json, text or url"},
    {"stale", QUERY_STALE, read_stale, "1 or 0"},
    {"fresh", QUERY_FRESH, read_fresh, "1 or 0"},
    {"require", QUERY_REQUIRE, read_require, "majority"},
    {"max_lag", QUERY_MAX_LAG, read_max_lag, "a number of bytes such as 1024, 64kb or 10mb"},
    {"fallback", QUERY_FALLBACK, read_fallback, "master"},
    {"verbose", QUERY_VERBOSE, read_verbose, "1 or 0, or no value for 1"},
    {"exclude", QUERY_EXCLUDE, read_exclude, "resolved, shutdown, master, sentinel or quorum"},
    {"wait", QUERY_WAIT, read_wait, "a time from 0 to 5m, such as 500ms, 30s or 1m"},
    {"index", QUERY_WAIT, read_index, "a whole number, as X-Bellwether-Index gives it"},
    {"instance", QUERY_WAIT, read_instance, "what X-Bellwether-Instance gives"},
    {"unless", QUERY_WAIT, read_unless, "host:port, IPv6 in brackets"},
    {"master", QUERY_OF_MASTER, read_of_master, "the name of a watched master"},
    {"limit", QUERY_LIMIT, read_limit, "a whole number from 1 to 10000"},
};

/* As it was sent: it may be badly encoded. */
static void refuse(const struct parameter *parameter, const char *value, size_t value_len,
                   char error[QUERY_ERROR_SIZE])
{
    char shown[QUERY_SHOWN_SIZE];

    utf8_copy(value, value_len, shown, sizeof(shown));
    snprintf(error, QUERY_ERROR_SIZE, "the query parameter %s is \"%s\"; it takes %s",
             parameter->name, shown, parameter->takes);
}

int query_add(struct query *query, unsigned known, const char *name, size_t name_len,
              const char *value, size_t value_len, const char **refused,
              char error[QUERY_ERROR_SIZE])
{
    char key[16], text[QUERY_NAME_SIZE] = "";

    if (percent_decode(name, name_len, key, sizeof(key))) {
        return 0; /* no parameter of ours is spelt like that */
    }
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        const struct parameter *parameter = &parameters[i];

        if (!(parameter->bit & known) || strcmp(key, parameter->name) != 0) {
            continue;
        }
        if ((value && percent_decode(value, value_len, text, sizeof(text))) ||
            parameter->read(query, text)) {
            *refused = parameter->name;
            refuse(parameter, value ? value : "", value_len, error);
            return -BW_EINVAL;
        }
        return 0;
    }
    return 0;
}

/* ---- Accept ---- */

struct piece {
    const char *at;
    size_t len;
};

/* The next piece up to `separator`, without blanks around it; moves `rest` behind it. */
static struct piece next_piece(struct piece *rest, char separator)
{
    const char *end = memchr(rest->at, separator, rest->len);
    struct piece piece = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    size_t step = piece.len + (end ? 1 : 0);

    rest->at += step;
    rest->len -= step;
    while (piece.len && (*piece.at == ' ' || *piece.at == '\t')) {
        piece.at++;
        piece.len--;
    }
    while (piece.len && (piece.at[piece.len - 1] == ' ' || piece.at[piece.len - 1] == '\t')) {
        piece.len--;
    }
    return piece;
}

static bool piece_is(struct piece piece, const char *text)
{
    return piece.len == strlen(text) && strncasecmp(piece.at, text, piece.len) == 0;
}

/* `0`, `1`, `0.123`: thousandths; -1 for anything else. */
static int read_quality(struct piece piece)
{
    int quality = 0, weight = 100;

    if (piece.len == 0 || piece.len > 5 || (piece.at[0] != '0' && piece.at[0] != '1') ||
        (piece.len > 1 && piece.at[1] != '.')) {
        return -1;
    }
    for (size_t i = 2; i < piece.len; i++, weight /= 10) {
        if (piece.at[i] < '0' || piece.at[i] > '9') {
            return -1;
        }
        quality += (piece.at[i] - '0') * weight;
    }
    quality += (piece.at[0] - '0') * 1000;
    return quality > 1000 ? -1 : quality;
}

/* The most precise range decides, whatever stands before or after it (RFC 9110, 12.5.1). */
static void weigh(struct piece range, const char *type, const char *any_subtype, int quality,
                  int *best, int *precision)
{
    int here = piece_is(range, type)          ? 2
               : piece_is(range, any_subtype) ? 1
               : piece_is(range, "*/*")       ? 0
                                              : -1;

    if (here > *precision) {
        *precision = here;
        *best = quality;
    }
}

void accept_add(struct accept *accept, const char *value, size_t len)
{
    struct piece rest = {value, len};

    while (rest.len) {
        struct piece element = next_piece(&rest, ',');
        struct piece range = next_piece(&element, ';');
        int quality = 1000;

        while (element.len) {
            struct piece parameter = next_piece(&element, ';');
            struct piece name = next_piece(&parameter, '=');

            if (piece_is(name, "q")) {
                quality = read_quality(next_piece(&parameter, ';'));
            }
        }
        if (quality >= 0) {
            weigh(range, "application/json", "application/*", quality, &accept->json,
                  &accept->json_precision);
            weigh(range, "text/plain", "text/*", quality, &accept->text, &accept->text_precision);
            weigh(range, "text/html", "text/*", quality, &accept->html, &accept->html_precision);
        }
    }
}

enum http_form accept_form(const struct accept *accept)
{
    return accept->text > 0 && accept->text > accept->json ? FORM_TEXT : FORM_JSON;
}

bool accept_likes_html(const struct accept *accept)
{
    return accept->html > 0 && accept->html > accept->json && accept->html >= accept->text;
}

/* ---- Prefer ---- */

/* Seconds, perhaps in quotes; what makes no sense is no preference. */
static int64_t read_seconds(struct piece value)
{
    int64_t seconds = 0;

    if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"') {
        value.at++;
        value.len -= 2;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') {
            return 0;
        }
        if (seconds < QUERY_WAIT_MAX_MS) {
            seconds = seconds * 10 + (value.at[i] - '0');
        }
    }
    return seconds * 1000 < QUERY_WAIT_MAX_MS ? seconds * 1000 : QUERY_WAIT_MAX_MS;
}

int64_t prefer_wait_ms(const char *value, size_t len)
{
    struct piece rest = {value, len};

    while (rest.len) {
        struct piece preference = next_piece(&rest, ',');
        struct piece word = next_piece(&preference, ';');
        struct piece name = next_piece(&word, '=');

        if (piece_is(name, "wait")) {
            return read_seconds(next_piece(&word, ';'));
        }
    }
    return 0;
}

/* ---- If-None-Match ---- */

bool etag_matches(const char *if_none_match, const char *etag)
{
    struct piece rest = {if_none_match, strlen(if_none_match)};

    while (rest.len) {
        struct piece tag = next_piece(&rest, ',');

        if (tag.len > 2 && tag.at[0] == 'W' && tag.at[1] == '/') {
            tag.at += 2;
            tag.len -= 2;
        }
        if (piece_is(tag, "*") || (tag.len == strlen(etag) && memcmp(tag.at, etag, tag.len) == 0)) {
            return true;
        }
    }
    return false;
}
