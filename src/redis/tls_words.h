/* A failed handshake in words for people. Pure: no socket, no clock. */
#ifndef BELLWETHER_REDIS_TLS_WORDS_H
#define BELLWETHER_REDIS_TLS_WORDS_H

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/redis/connection.h"

#define TLS_DATE_SIZE 64
/* Of what the peer said first, if that was no TLS. */
#define TLS_SAID_SIZE 80

/* What is known of a failure. */
struct tls_facts {
    const char *host;         /* the name or address that the certificate must be for */
    long verify_error;        /* X509_V_OK: the certificate was not the matter, or was not seen */
    const X509 *cert;         /* the peer's; NULL: not seen */
    const X509 *culprit;      /* the one of its chain that was refused */
    unsigned long error;      /* OpenSSL's; 0: none */
    int system_error;         /* errno; 0: the peer closed, where `error` is 0 as well */
    bool shaken;              /* the handshake was over on our side */
    bool asked_for_cert;      /* it asked for a certificate, and nothing came since */
    bool showed_cert;         /* there is one to be shown */
    char said[TLS_SAID_SIZE]; /* its first bytes, as text; empty: none came */
    bool said_tls;            /* they begin a record of TLS */
};

/** @return why it failed, with words for people in `out`. */
enum redis_fail tls_words(const struct tls_facts *facts, char *out, size_t size);
/** "2026-11-27 15:04:05 UTC". @param out TLS_DATE_SIZE bytes. @return out. */
const char *tls_date(const ASN1_TIME *time, char *out);
/** Wall clock, seconds; 0 where it can't be told. */
int64_t tls_seconds(const ASN1_TIME *time);
/** Whom a certificate is for: "a.example, *.b.example, 10.0.0.1". @return out. */
const char *tls_names(const X509 *cert, char *out, size_t size);

#endif
