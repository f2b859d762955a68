/*
 * TLS sessions of callers. libmicrohttpd makes them and runs them, or, those of forwards,
 * forward_tls.c; here they get credentials, functions that move their bytes, and the last word
 * where a handshake fails.
 */
#ifndef BELLWETHER_HTTP_SERVER_TLS_SESSION_H
#define BELLWETHER_HTTP_SERVER_TLS_SESSION_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/listening.h"

/*
 * Of the groups that one comes first of which most callers send a share: whoever has to send
 * another one needs a round trip more.
 */
#define TLS_PRIORITIES \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:" \
    "+CHACHA20-POLY1305:-RSA:-DHE-RSA:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:" \
    "+GROUP-SECP384R1:+GROUP-SECP521R1:%SERVER_PRECEDENCE"

#define TLS_HTTP "http/1.1" /* in ALPN */

/* Of one moment: a session keeps those that it was begun with. A worker's. */
struct tls_credentials {
    unsigned users;
    gnutls_certificate_credentials_t x509;
    gnutls_datum_t tickets; /* the key of those that sessions are taken up again with */
};

struct tls_credentials *tls_credentials_take(struct tls_credentials *credentials);
/** NULL is fine. */
void tls_credentials_release(struct tls_credentials *credentials);

/* What the sessions of one daemon, or of a worker's forwards, did. */
struct tls_traffic {
    uint64_t moves;           /* bytes came, went, or were taken: a count that grows */
    size_t shaking;           /* whose handshake is not done */
    struct tls_session *last; /* which asked for bytes, or had some, last; NULL: it is over */
};

struct tls_session;

/**
 * Before the first byte of a session that was made.
 * @param session      its owner's. @param fd its connection.
 * @param credentials  taken.
 * @param clients      whether its caller has to show a certificate.
 * @param protocol     what a caller that names some (ALPN) has to speak; NULL: nobody is asked.
 */
struct tls_session *tls_session_begin(gnutls_session_t session, int fd,
                                      struct tls_credentials *credentials, enum client_ca clients,
                                      const char *protocol, struct tls_traffic *traffic);
/** After `session` was freed. NULL is fine. */
void tls_session_end(struct tls_session *session);
/** Whether the handshake is done and its caller has said nothing since. */
bool tls_session_is_idle(const struct tls_session *session);
/**
 * libmicrohttpd is about to send the head and the body of a small answer: hold them, to go as one
 * record; not where the caller has not taken all of what came before.
 */
void tls_session_join(struct tls_session *session);
/** It has sent both. @return false: the kernel has no memory for it, and a part may be missing. */
bool tls_session_send_joined(struct tls_session *session);
/** An answer of our own, where the handshake is done; else nothing. */
void tls_session_say(struct tls_session *session, const char *bytes, size_t size);
/** Whether bytes were read that are not given away yet, so that no event will tell of them. */
bool tls_session_has_more(const struct tls_session *session);
/**
 * Its handshake has failed: tell the caller.
 * @return words for the log; NULL: there is nothing to say, since the caller just left.
 */
const char *tls_session_failed(struct tls_session *session);
/** The same, of who spoke last: libmicrohttpd does not say which it is. */
const char *tls_session_last_failed(const struct tls_traffic *traffic);

#endif
