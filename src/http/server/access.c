/*
 * Tokens and the loopback checks.
 *
 * A token is never compared itself: of what is configured and of what a caller sends a SHA-256 is
 * made, and the digests are compared, each in constant time and always all of them, so that neither
 * the place of a first wrong byte nor which token it was shows in the time.
 *
 * Without tokens, on loopback, the attacker is a page in the browser of whoever works on this host.
 * A page that was rebound to 127.0.0.1 by DNS sends its own name as Host; one that sends across
 * origins is given away by Origin or Sec-Fetch-Site. So an IP literal or `localhost` is asked for,
 * and an Origin that is the very place that was asked.
 */
#include "access.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellwether/base/address.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

#define DIGEST_SIZE 32
#define SHORT_TOKEN 16
#define LISTS 2 /* the full ones and the read-only ones */

struct token_list {
    const char *option;    /* its name, for words */
    struct secret *secret; /* NULL: none */
    unsigned char digests[ACCESS_TOKENS_MAX][DIGEST_SIZE];
    size_t n;
    struct secret_complaint complaint;
    bool is_short;    /* one of them is, and nobody said so yet */
    int64_t taken_ms; /* wall clock: when the digests were made */
};

struct access {
    enum redis_api api;
    const struct http_config *http;
    EVP_MD *md; /* fetched once: a fetch costs more than the digest */
    EVP_MD_CTX *context;
    struct token_list full, read_only;
    /* the Host that was found right last: mostly the next one's, too, and to look at it costs */
    char usual_host[96];
};

/* ---- lists of tokens ---- */

/* The next line that is not empty, from `*at` on. @return NULL: none. */
static const char *next_line(const char **at, size_t *size)
{
    while (**at != '\0') {
        const char *line = *at;
        size_t length = strcspn(line, "\n");

        *at = line + length + (line[length] == '\n' ? 1 : 0);
        if (length > 0 && line[length - 1] == '\r') {
            length--;
        }
        if (length > 0) {
            *size = length;
            return line;
        }
    }
    return NULL;
}

const char *access_tokens_wrong(const char *text)
{
    const char *line;
    size_t size = 0;
    size_t n = 0;

    for (const char *at = text; (line = next_line(&at, &size)); n++) {
        for (size_t i = 0; i < size; i++) {
            if (line[i] <= ' ' || line[i] >= 0x7f) {
                return "holds a token with a blank or another character that no header carries in it";
            }
        }
    }
    if (n == 0) {
        return "holds no token";
    }
    return n > ACCESS_TOKENS_MAX ? "holds more than two tokens" : NULL;
}

bool access_tokens_short(const char *text)
{
    size_t size = 0;
    bool is_short = false;

    for (const char *at = text; next_line(&at, &size);) {
        is_short = is_short || size < SHORT_TOKEN;
    }
    return is_short;
}

/* @return false: OpenSSL could not. */
static bool digest(const struct access *access, const char *bytes, size_t size,
                   unsigned char out[DIGEST_SIZE])
{
    unsigned length = 0;

    return EVP_DigestInit_ex2(access->context, access->md, NULL) == 1 &&
           EVP_DigestUpdate(access->context, bytes, size) == 1 &&
           EVP_DigestFinal_ex(access->context, out, &length) == 1 && length == DIGEST_SIZE;
}

/* The list's digests, of a text that is right. */
static void digest_list(const struct access *access, struct token_list *list, const char *text)
{
    const char *line;
    size_t size = 0;

    list->n = 0;
    for (const char *at = text; list->n < ACCESS_TOKENS_MAX && (line = next_line(&at, &size));) {
        if (digest(access, line, size, list->digests[list->n])) {
            list->n++;
        }
    }
}

static void take_list(const struct access *access, struct token_list *list, const char *option,
                      const struct secret *secret)
{
    list->option = option;
    list->taken_ms = clock_wall_ms();
    if (secret && secret_value(secret)) {
        list->secret = secret_copy(secret);
        if (!access_tokens_wrong(secret_value(secret))) {
            digest_list(access, list, secret_value(secret));
        }
    }
}

struct access *access_new(const struct access_config *config, char *error, size_t error_size)
{
    struct access *access = mem_new(1, sizeof(*access));

    access->http = config->http;
    access->api = config->api;
    if (config->api == REDIS_API_LOOPBACK) {
        return access;
    }
    access->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    access->context = EVP_MD_CTX_new();
    if (!access->md || !access->context) {
        (void)snprintf(error, error_size, "OpenSSL has no SHA-256");
        access_free(access);
        return NULL;
    }
    take_list(access, &access->full, "token-file", config->tokens);
    take_list(access, &access->read_only, "read-only-token-file", config->read_only_tokens);
    return access;
}

void access_free(struct access *access)
{
    if (access) {
        secret_free(access->full.secret);
        secret_free(access->read_only.secret);
        EVP_MD_CTX_free(access->context);
        EVP_MD_free(access->md);
        free(access);
    }
}

/* ---- files that change ---- */

/* @return as access_refresh(), each time it fails. */
static int refresh_list(const struct access *access, struct token_list *list, bool force,
                        char *error, size_t error_size)
{
    char words[512];
    int changed = secret_refresh(list->secret, force, words, sizeof(words));

    if (changed < 0) {
        (void)snprintf(error, error_size, "%s: %s", list->option, words);
        return changed;
    }
    const char *wrong = access_tokens_wrong(secret_value(list->secret));
    if (wrong) {
        (void)snprintf(error, error_size, "%s: %s", list->option, wrong);
        return -BW_EIO;
    }
    if (changed > 0 || list->complaint.failing) {
        digest_list(access, list, secret_value(list->secret));
    }
    if (changed > 0) {
        list->taken_ms = clock_wall_ms();
        list->is_short = access_tokens_short(secret_value(list->secret));
    }
    return changed;
}

int access_refresh(struct access *access, bool force, char *error, size_t error_size)
{
    struct token_list *lists[LISTS] = {&access->full, &access->read_only};
    int result = 0;

    for (size_t i = 0; i < LISTS; i++) {
        char words[640];
        int changed =
            !lists[i]->secret ? 0 : refresh_list(access, lists[i], force, words, sizeof(words));
        enum secret_say say = secret_complain(&lists[i]->complaint, changed < 0, clock_boot_ms());

        if (changed < 0 && (force || say == SECRET_SAY_FAILING)) {
            (void)snprintf(error, error_size, "%s", words);
            result = changed;
        } else if (changed > 0 && result == 0) {
            result = 1;
        }
    }
    return result;
}

const char *access_next_doubt(struct access *access, const char **option)
{
    struct token_list *lists[LISTS] = {&access->full, &access->read_only};

    for (size_t i = 0; i < LISTS; i++) {
        const char *exposed = !lists[i]->secret ? NULL : secret_exposed(lists[i]->secret);

        *option = lists[i]->option;
        if (exposed) {
            return exposed;
        }
        if (lists[i]->is_short) {
            lists[i]->is_short = false;
            return "a token is shorter than 16 characters: it may be guessed";
        }
    }
    return NULL;
}

bool access_is_failing(const struct access *access, int64_t *taken_ms)
{
    const struct token_list *lists[LISTS] = {&access->full, &access->read_only};
    bool failing = false;

    for (size_t i = 0; i < LISTS; i++) {
        failing = failing || lists[i]->complaint.failing;
        if (*taken_ms < lists[i]->taken_ms) {
            *taken_ms = lists[i]->taken_ms;
        }
    }
    return failing;
}

/* ---- a caller with a token ---- */

/* What stands behind `Bearer`, or NULL. */
static const char *bearer(const char *authorization, size_t *size)
{
    const char *token = authorization;

    if (!token || strncasecmp(token, "Bearer ", 7) != 0) {
        return NULL;
    }
    token += 7;
    token += strspn(token, " \t");
    *size = strlen(token);
    while (*size > 0 && (token[*size - 1] == ' ' || token[*size - 1] == '\t')) {
        --*size;
    }
    return *size == 0 ? NULL : token;
}

/* Looks at all of them, whatever it finds. */
static int matches(const struct token_list *list, const unsigned char presented[DIGEST_SIZE])
{
    int found = 0;

    for (size_t i = 0; i < list->n; i++) {
        found |= CRYPTO_memcmp(list->digests[i], presented, DIGEST_SIZE) == 0;
    }
    return found;
}

static enum access_verdict check_token(struct access *access, const struct access_headers *headers,
                                       const char **words)
{
    unsigned char presented[DIGEST_SIZE];
    size_t size = 0;
    const char *token = bearer(headers->authorization, &size);

    if (!headers->authorization && headers->token && *headers->token != '\0') {
        token = headers->token;
        size = strlen(token);
    }
    if (!token) {
        *words = "a token is needed: Authorization: Bearer ...";
        return ACCESS_NO_TOKEN;
    }
    if (!digest(access, token, size, presented)) {
        *words = "the token can't be checked now";
        return ACCESS_WRONG_TOKEN;
    }
    int full = matches(&access->full, presented);
    int read_only = matches(&access->read_only, presented);
    if (read_only != 0) {
        return ACCESS_READ_ONLY;
    }
    if (full == 0) {
        *words = "the token is not one of those that are accepted";
        return ACCESS_WRONG_TOKEN;
    }
    return ACCESS_FULL;
}

/* ---- a caller on this host ---- */

/* `host`, `host:port`, `[v6]` or `[v6]:port` in parts. */
struct authority {
    const char *host;
    size_t host_size; /* without brackets */
    bool bracketed;
    const char *port; /* not terminated; NULL: none */
    size_t port_size;
};

/* @return false: it is none. */
static bool cut_authority(const char *text, size_t size, struct authority *out)
{
    struct authority cut = {.host = text, .host_size = size, .bracketed = size > 0 && *text == '['};
    const char *colon;

    if (cut.bracketed) {
        const char *end = memchr(text, ']', size);

        if (!end) {
            return false;
        }
        cut.host = text + 1;
        cut.host_size = (size_t)(end - cut.host);
        colon = end + 1 < text + size ? end + 1 : NULL;
        if (colon && *colon != ':') {
            return false;
        }
    } else {
        colon = memchr(text, ':', size);
        cut.host_size = !colon ? size : (size_t)(colon - text);
    }
    if (colon) {
        cut.port = colon + 1;
        cut.port_size = (size_t)(text + size - cut.port);
        for (size_t i = 0; i < cut.port_size; i++) {
            if (cut.port[i] < '0' || cut.port[i] > '9') {
                return false;
            }
        }
    }
    *out = cut;
    return cut.host_size > 0 && cut.port_size < sizeof("65535");
}

/* An IP literal, or `localhost`: what no page's own name can be made of. */
static bool is_local_name(const struct authority *host)
{
    struct address address;
    bool has_colon = memchr(host->host, ':', host->host_size) != NULL;

    if (!host->bracketed && host->host_size == strlen("localhost") &&
        strncasecmp(host->host, "localhost", host->host_size) == 0) {
        return true;
    }
    return has_colon == host->bracketed &&
           address_from_parts(host->host, host->host_size, "1", 1, &address) == 0 &&
           address_is_ip(&address);
}

static bool is_allowed(const struct authority *host, const struct http_config *config)
{
    for (size_t i = 0; config && i < config->n_allow_hosts; i++) {
        const char *name = config->allow_hosts[i];

        if (strlen(name) == host->host_size &&
            strncasecmp(name, host->host, host->host_size) == 0) {
            return true;
        }
    }
    return false;
}

bool access_is_own_host(const char *text, size_t size, const struct http_config *config)
{
    struct authority host;

    return cut_authority(text, size, &host) && (is_local_name(&host) || is_allowed(&host, config));
}

static bool same_port(const struct authority *a, const struct authority *b, const char *usual)
{
    const char *a_port = a->port_size > 0 ? a->port : usual;
    const char *b_port = b->port_size > 0 ? b->port : usual;
    size_t a_size = a->port_size > 0 ? a->port_size : strlen(usual);
    size_t b_size = b->port_size > 0 ? b->port_size : strlen(usual);

    return a_size == b_size && memcmp(a_port, b_port, a_size) == 0;
}

/* Whether the page comes from the place that it asks. `null`, files and extensions do not. */
static bool is_own_origin(const char *origin, const struct authority *host)
{
    struct authority from;
    const char *usual = "80";
    const char *rest = origin;

    if (strncasecmp(origin, "http://", 7) == 0) {
        rest += 7;
    } else if (strncasecmp(origin, "https://", 8) == 0) {
        rest += 8;
        usual = "443";
    } else {
        return false;
    }
    return cut_authority(rest, strlen(rest), &from) && from.bracketed == host->bracketed &&
           from.host_size == host->host_size &&
           strncasecmp(from.host, host->host, host->host_size) == 0 &&
           same_port(&from, host, usual);
}

static enum access_verdict check_loopback(const struct access *access,
                                          const struct access_headers *headers, const char **words)
{
    struct authority host = {0};
    const char *text = headers->host;
    bool named = text && *text != '\0'; /* HTTP/1.0 needs none */

    if (named && (!access_is_own_host(text, strlen(text), access->http) ||
                  !cut_authority(text, strlen(text), &host))) {
        *words =
            "Host is neither an IP address nor localhost, as a browser's would be that was led here by a name";
        return ACCESS_FORBIDDEN;
    }
    if (headers->origin && !(named && is_own_origin(headers->origin, &host))) {
        *words = "Origin names another place: pages of others may not run commands";
        return ACCESS_FORBIDDEN;
    }
    if (headers->sec_fetch_site && strcasecmp(headers->sec_fetch_site, "cross-site") == 0) {
        *words = "Sec-Fetch-Site is cross-site: pages of others may not run commands";
        return ACCESS_FORBIDDEN;
    }
    return ACCESS_FULL;
}

/* The same, quick where nothing but a Host is to be looked at that was right the last time. */
static enum access_verdict check_loopback_again(struct access *access,
                                                const struct access_headers *headers,
                                                const char **words)
{
    const char *host = headers->host;
    bool plain = host && !headers->origin && !headers->sec_fetch_site;
    enum access_verdict verdict;

    if (plain && *host != '\0' && strcmp(host, access->usual_host) == 0) {
        return ACCESS_FULL;
    }
    verdict = check_loopback(access, headers, words);
    if (plain && verdict == ACCESS_FULL && strlen(host) < sizeof(access->usual_host)) {
        memcpy(access->usual_host, host, strlen(host) + 1);
    }
    return verdict;
}

enum access_verdict access_check(struct access *access, const struct access_headers *headers,
                                 const char **words)
{
    const char *why = NULL;
    enum access_verdict verdict = access->api == REDIS_API_LOOPBACK
                                      ? check_loopback_again(access, headers, &why)
                                      : check_token(access, headers, &why);

    if (why && words) {
        *words = why;
    }
    return verdict;
}
