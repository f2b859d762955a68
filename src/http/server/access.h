/*
 * Who may run commands: tokens, and in loopback mode the checks that keep a browser's pages out. A
 * worker has one of its own.
 */
#ifndef BELLWETHER_HTTP_SERVER_ACCESS_H
#define BELLWETHER_HTTP_SERVER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "bellwether/base/secret.h"
#include "bellwether/http/worker.h"

#define ACCESS_TOKENS_MAX 2 /* the new one and the old one, while it is rotated */

struct access_config {
    enum redis_api api; /* TOKEN or LOOPBACK */
    /* borrowed, copied by access_new(); NULL or no value: none */
    const struct secret *tokens;
    const struct secret *read_only_tokens; /* the same; a token of both is read-only */
    /* borrowed: whose allow_hosts are this host's, too; NULL: none */
    const struct http_config *http;
};

enum access_verdict {
    ACCESS_FULL,
    ACCESS_READ_ONLY,   /* read-only commands only */
    ACCESS_NO_TOKEN,    /* 401 */
    ACCESS_WRONG_TOKEN, /* 401 */
    ACCESS_FORBIDDEN,   /* 403 */
};

/* The headers that decide; NULL where there is none. All borrowed. */
struct access_headers {
    const char *authorization;
    const char *host;
    const char *origin;
    const char *sec_fetch_site;
    /* of the query, `_token`, where there is no Authorization: some clients can't send one */
    const char *token;
};

struct access;

/**
 * Whether a Host, or the authority of a target in absolute form, names this host in a way that no
 * page's own name can: an IP address, localhost, or what option allow-host says. Thread: any.
 */
bool access_is_own_host(const char *text, size_t size, const struct http_config *config);

/**
 * Whether `text` is a list of tokens: one a line, at most two, empty lines do not count, nothing in
 * them that a header can't carry.
 * @return NULL: it is; else what is wrong with it, static words. Thread: any.
 */
const char *access_tokens_wrong(const char *text);

/** Whether one of the tokens of such a list is so short that it may be guessed. Thread: any. */
bool access_tokens_short(const char *text);

/**
 * @param config  borrowed. Its tokens have to be right: see access_tokens_wrong().
 * @return NULL with words in `error`: there is no SHA-256.
 */
struct access *access_new(const struct access_config *config, char *error, size_t error_size);

/**
 * Read the token files again that changed, or all with `force`.
 * @return 1: tokens changed; 0: none did; -BW_EIO: a file can't be read or holds no right tokens
 *         now, what was read before stays (words in `error`; of one that goes on they are given
 *         once a minute).
 */
int access_refresh(struct access *access, bool force, char *error, size_t error_size);
/**
 * What is to be said of the token files that changed: that others can get at one, that a token is
 * short. To be called until there is no more; nothing is said of what access_new() was given.
 * @param option set to the option's name. @return static words, or NULL.
 */
const char *access_next_doubt(struct access *access, const char **option);
/**
 * Whether the last time a file could not be read or held no right tokens. @param taken_ms raised to
 * when the youngest tokens were taken, wall clock.
 */
bool access_is_failing(const struct access *access, int64_t *taken_ms);

/**
 * May this request run commands? A token is compared through its digest, with all there are, in a
 * time that does not depend on any of them.
 * @param words  set unless the verdict is FULL or READ_ONLY: why, static, for people. May be NULL.
 */
enum access_verdict access_check(struct access *access, const struct access_headers *headers,
                                 const char **words);
void access_free(struct access *access);

#endif
