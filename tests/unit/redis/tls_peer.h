/* A server in a thread that accepts connections one after the other and speaks TLS, or doesn't. */
#ifndef BELLWETHER_TESTS_UNIT_REDIS_TLS_PEER_H
#define BELLWETHER_TESTS_UNIT_REDIS_TLS_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "bellwether/base/address.h"

struct tls_peer_wish {
    const char *folder; /* of certificates.h */
    const char *cert;   /* FOLDER/CERT.crt and .key */
    const char
        *client_ca; /* FOLDER/…: clients must show a certificate of it; NULL: not asked for */
    int min_version, max_version; /* TLS1_2_VERSION …; 0: any */
    const char *ciphers;          /* of TLS 1.2; NULL: any */
    const char *says;  /* instead of a handshake: these bytes, and an end; "" closes at once */
    size_t says_n;     /* how many they are; 0: they end with a NUL */
    bool goes_on;      /* says them again and again, until the other side closes */
    bool hangs;        /* instead of a handshake: reads until the other side closes */
    const char *reply; /* after the handshake, once something was read; NULL: what came */
    bool renegotiates; /* TLS 1.2: before it replies */
    bool stalls;       /* after the first reply it reads no more */
    size_t renews;     /* TLS 1.3: so often it changes its key before it replies */
};

struct tls_peer;

struct tls_peer *tls_peer_start(const struct tls_peer_wish *wish);
const struct address *tls_peer_address(const struct tls_peer *peer);
/** Of handshakes so far: how many there were, how many took up an earlier session. */
size_t tls_peer_shaken(struct tls_peer *peer);
size_t tls_peer_resumed(struct tls_peer *peer);
/** The name that the last client gave (SNI); empty: none. */
const char *tls_peer_sni(struct tls_peer *peer);
void tls_peer_stop(struct tls_peer *peer);

#endif
