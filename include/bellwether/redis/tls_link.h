/* TLS on one connected socket. */
#ifndef BELLWETHER_REDIS_TLS_LINK_H
#define BELLWETHER_REDIS_TLS_LINK_H

#include <stdbool.h>
#include <stddef.h>
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
/** Says goodbye, where all was written: what comes is still read. */
void tls_link_shut(struct tls_link *link);
/** So many of the bytes that were not taken are in a record already, and can't be taken back. */
size_t tls_link_held(const struct tls_link *link);
/** Reading needs the socket to take something first. */
bool tls_link_reads_on_write(const struct tls_link *link);
/** Any byte came in. */
bool tls_link_heard(const struct tls_link *link);
/** After a failure. @param words set, borrowed. */
enum redis_fail tls_link_failure(const struct tls_link *link, const char **words);

#endif
