/* From the files of TLS to an SSL_CTX. */
#ifndef BELLWETHER_REDIS_TLS_LOAD_H
#define BELLWETHER_REDIS_TLS_LOAD_H

#include <openssl/ssl.h>

#include "bellwether/redis/redis_tls.h"

#define TLS_DIGEST_SIZE 32

struct tls_loaded {
    SSL_CTX *ctx;
    int64_t expires_s;                     /* of our certificate; 0: there is none */
    size_t n_expired;                      /* of those that we trust */
    unsigned char digest[TLS_DIGEST_SIZE]; /* of all that was read */
};

/** @param out set on success; its SSL_CTX is the caller's. @return 0; -BW_EINVAL with `error`. */
int tls_load(const struct redis_tls_settings *settings, struct tls_loaded *out,
             struct redis_tls_error *error);
/** What the file system says of the files: another digest where one changed, links followed. */
void tls_look(const struct redis_tls_settings *settings, unsigned char out[TLS_DIGEST_SIZE]);

#endif
