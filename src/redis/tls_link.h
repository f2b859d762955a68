/* TLS on one connected socket. */
#ifndef BELLWETHER_REDIS_TLS_LINK_H
#define BELLWETHER_REDIS_TLS_LINK_H

#include <openssl/ssl.h>
#include <sys/types.h>

#include "bellwether/redis/connection.h"
#include "bellwether/redis/redis_tls.h"

struct tls_link;

/* What a step of the handshake needs next. */
enum tls_step { TLS_STEP_DONE, TLS_STEP_READ, TLS_STEP_WRITE, TLS_STEP_FAILED };

/**
 * @param tls   borrowed, outlives it.
 * @param fd    borrowed, connected, without blocking.
 * @param host  the name or the address that was dialled; copied.
 * @param peer  where it is connected to.
 */
struct tls_link *tls_link_new(struct redis_tls *tls, int fd, const char *host,
                              const struct address *peer);
/** Says goodbye where there is something to say it to. NULL is allowed. The socket stays. */
void tls_link_free(struct tls_link *link);
enum tls_step tls_link_shake(struct tls_link *link);
/**
 * @return bytes; 0: nothing more for now; -1: it failed, tls_link_failure() says how.
 */
ssize_t tls_link_read(struct tls_link *link, char *bytes, size_t size);
/**
 * What was read from the socket with it, and no event will tell of: to be called after
 * tls_link_read(), the handshake and itself until it gives nothing.
 */
ssize_t tls_link_read_more(struct tls_link *link, char *bytes, size_t size);
/**
 * What it could not send of a record goes out with the next call, which must be given the same
 * bytes again, and may be given more: tls_link_held().
 * @return bytes; 0: the socket takes no more for now; -1: it failed.
 */
ssize_t tls_link_write(struct tls_link *link, const char *bytes, size_t size);
/** So many of the bytes that were not taken are in a record already, and can't be taken back. */
size_t tls_link_held(const struct tls_link *link);
/** Reading needs the socket to take something first. */
bool tls_link_reads_on_write(const struct tls_link *link);
/** Any byte came in. */
bool tls_link_heard(const struct tls_link *link);
/** After a failure. @param words set, borrowed. */
enum redis_fail tls_link_failure(const struct tls_link *link, const char **words);

/* ---- for redis_tls.c, and from it ---- */

/** The peer asks for a certificate. @return 1: go on with what there is. */
int tls_link_asked_for_certificate(SSL *ssl, void *data);
struct redis_tls *tls_link_owner(const SSL *ssl, const char **peer);
/** A new connection's, with the session that `peer` gave last. */
SSL *redis_tls_ssl(struct redis_tls *tls, const char *peer);
/** What was kept is of no use. */
void redis_tls_forget_session(struct redis_tls *tls, const char *peer);
/** A handshake has ended well, and this is what the peer showed. */
void redis_tls_saw(struct redis_tls *tls, const X509 *cert);
const struct redis_tls_settings *redis_tls_settings(const struct redis_tls *tls);

#endif
