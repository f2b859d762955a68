/*
 * TLS towards Sentinels, or towards Redis: what is checked, and what is shown when asked for a
 * certificate. One object for each set of options, shared by all connections that have it and by
 * all threads; its files are read again when they change, and connections made from then on use
 * what is in them.
 */
#ifndef BELLWETHER_REDIS_REDIS_TLS_H
#define BELLWETHER_REDIS_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIS_TLS_WORDS_SIZE 512

/* What of a peer's certificate is looked at. */
enum redis_tls_verify {
    REDIS_TLS_VERIFY_FULL, /* who issued it, and that it is for the name or address dialled */
    REDIS_TLS_VERIFY_CA,   /* who issued it */
    REDIS_TLS_VERIFY_OFF,
};

/* From the oldest. */
enum redis_tls_version { REDIS_TLS_VERSION_1_2, REDIS_TLS_VERSION_1_3 };

/* The strings may be NULL: not given. */
struct redis_tls_settings {
    const char *ca;          /* a file or a folder; else what the system trusts */
    const char *cert, *key;  /* both or none */
    const char *server_name; /* checked instead of the name or address dialled */
    const char *ciphers, *ciphersuites;
    enum redis_tls_verify verify;
    enum redis_tls_version min_version;
};

/* Which of the settings is wrong, and how: words that name the file or the value. */
enum redis_tls_part {
    REDIS_TLS_PART_CA,
    REDIS_TLS_PART_CERT,
    REDIS_TLS_PART_KEY,
    REDIS_TLS_PART_CIPHERS,
    REDIS_TLS_PART_CIPHERSUITES,
};
struct redis_tls_error {
    enum redis_tls_part part;
    char words[REDIS_TLS_WORDS_SIZE];
};

struct redis_tls;

/**
 * Read the files. @param settings copied. @return NULL with `error` set when one can't be used.
 * Thread: any, as for all of these.
 */
struct redis_tls *redis_tls_new(const struct redis_tls_settings *settings,
                                struct redis_tls_error *error);
/** No connection may use it any more. NULL is allowed. */
void redis_tls_free(struct redis_tls *tls);
/**
 * Read the files again if one changed (links followed), or `force`.
 * @return 1 what they hold changed, and is used from now on; 0 it did not; -BW_EINVAL it can't be
 * used, and what was read before stays in use.
 */
int redis_tls_refresh(struct redis_tls *tls, bool force, struct redis_tls_error *error);
/** When files' contents were taken, at first or because they had changed; wall clock. */
int64_t redis_tls_taken_ms(struct redis_tls *tls);
/** What the certificates say. Wall clock, seconds; 0: there is none. */
struct redis_tls_expiry {
    int64_t own_s;
    size_t n_trusted_expired; /* of those in `ca`: so many have ended */
    int64_t peer_s;           /* of the last one that a peer showed */
};
struct redis_tls_expiry redis_tls_expiry(struct redis_tls *tls);

#endif
