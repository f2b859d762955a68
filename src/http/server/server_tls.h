/*
 * What TLS towards callers is made of: the certificate that is shown, its key, and whose
 * certificates callers may show. Files in PEM, read again when they change.
 */
#ifndef BELLWETHER_HTTP_SERVER_SERVER_TLS_H
#define BELLWETHER_HTTP_SERVER_SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum server_tls_part {
    SERVER_TLS_CERT,
    SERVER_TLS_KEY,
    SERVER_TLS_CLIENT_CA,
    SERVER_TLS_PARTS,
};

/* Which file is wrong, and how: words that name it. */
struct server_tls_error {
    enum server_tls_part part;
    char words[512];
};

struct server_tls;
struct tls_credentials; /* tls_session.h */

/**
 * Read the files and see that they fit. @param client_ca NULL: callers' certificates are not asked
 * for. @return NULL with `error` set when one can't be used. Thread: any.
 */
struct server_tls *server_tls_new(const char *cert, const char *key, const char *client_ca,
                                  struct server_tls_error *error);
/** Another owner's own, which takes up the sessions of the first. */
struct server_tls *server_tls_copy(const struct server_tls *tls);
/** Sessions that were begun with it live on. NULL is fine. */
void server_tls_free(struct server_tls *tls);
/**
 * Read the files again, if one changed (links followed) or `force`.
 * @return 1 what is used from now on is new; 0 it is not; -BW_EIO what they hold can't be used (any
 * more), and what was read before stays in use.
 * Thread: the owner's.
 */
int server_tls_refresh(struct server_tls *tls, bool force, struct server_tls_error *error);
/** When what is in use was taken; wall clock. Thread: the owner's. */
int64_t server_tls_taken_ms(const struct server_tls *tls);
/**
 * When the certificate ends, or the first of those of the client CA; wall clock. 0: there is none.
 * Thread: the owner's.
 */
int64_t server_tls_expires_s(const struct server_tls *tls, enum server_tls_part part);
/** Who can get at the key that should not, as secret_exposed(). Thread: the owner's. */
const char *server_tls_exposed(struct server_tls *tls);
/** "http-cert" and so on. Static. */
const char *server_tls_option(enum server_tls_part part);
/** The file, NULL where there is none. Borrowed. */
const char *server_tls_path(const struct server_tls *tls, enum server_tls_part part);
/** What is in use, one reference: tls_credentials_release(). Thread: the owner's. */
struct tls_credentials *server_tls_credentials(const struct server_tls *tls);

#endif
