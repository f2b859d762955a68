/* What tls_link.c and redis_tls.c know of each other. */
#ifndef BELLWETHER_REDIS_TLS_PEER_H
#define BELLWETHER_REDIS_TLS_PEER_H

#include <openssl/ssl.h>

#include "bellwether/redis/tls_link.h"

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
