/*
 * One side's TLS: the SSL_CTX that connections are made of, and when it is replaced.
 *
 * Sessions are kept here, one for each peer, so that a connection that is made again costs no
 * signature. They belong to the SSL_CTX and go with it.
 */
#include "bellwether/redis/redis_tls.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "tls_load.h"
#include "tls_peer.h"
#include "tls_words.h"

#define SESSIONS_MAX 64

struct kept_session {
    char *peer;
    SSL_SESSION *session;
};

struct redis_tls {
    struct redis_tls_settings settings; /* its strings are ours */
    pthread_mutex_t lock;               /* of all that follows */
    SSL_CTX *ctx;
    unsigned char
        seen[TLS_DIGEST_SIZE]; /* of the files: what stat() says of those that were read */
    unsigned char read[TLS_DIGEST_SIZE]; /* of what is in them */
    int64_t taken_ms;
    struct redis_tls_expiry expiry;
    struct kept_session sessions[SESSIONS_MAX];
    size_t n_sessions, oldest;
};

/* ---- sessions ---- */

static void drop_sessions(struct redis_tls *tls)
{
    for (size_t i = 0; i < tls->n_sessions; i++) {
        SSL_SESSION_free(tls->sessions[i].session);
        free(tls->sessions[i].peer);
    }
    tls->n_sessions = tls->oldest = 0;
}

static struct kept_session *find_session(struct redis_tls *tls, const char *peer)
{
    for (size_t i = 0; i < tls->n_sessions; i++) {
        if (strcmp(tls->sessions[i].peer, peer) == 0) {
            return &tls->sessions[i];
        }
    }
    return NULL;
}

/* OpenSSL calls it when a session can be used again. @return 1: the reference is ours now. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const char *peer;
    struct redis_tls *tls = tls_link_owner(ssl, &peer);
    bool kept = false;

    pthread_mutex_lock(&tls->lock);
    if (SSL_get_SSL_CTX(ssl) == tls->ctx && SSL_SESSION_is_resumable(session)) {
        struct kept_session *place = find_session(tls, peer);

        if (!place && tls->n_sessions < SESSIONS_MAX) {
            place = &tls->sessions[tls->n_sessions++];
            *place = (struct kept_session){.peer = mem_strdup(peer)};
        } else if (!place) {
            place = &tls->sessions[tls->oldest++ % SESSIONS_MAX];
            free(place->peer);
            place->peer = mem_strdup(peer);
        }
        SSL_SESSION_free(place->session);
        place->session = session;
        kept = true;
    }
    pthread_mutex_unlock(&tls->lock);
    return kept ? 1 : 0;
}

SSL *redis_tls_ssl(struct redis_tls *tls, const char *peer)
{
    pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->ctx);
    if (!ssl) {
        mem_exhausted();
    }
    const struct kept_session *kept = find_session(tls, peer);
    if (kept) {
        (void)SSL_set_session(ssl, kept->session);
    }
    pthread_mutex_unlock(&tls->lock);
    return ssl;
}

void redis_tls_forget_session(struct redis_tls *tls, const char *peer)
{
    pthread_mutex_lock(&tls->lock);
    struct kept_session *kept = find_session(tls, peer);
    if (kept) {
        SSL_SESSION_free(kept->session);
        free(kept->peer);
        *kept = tls->sessions[--tls->n_sessions];
        tls->sessions[tls->n_sessions] = (struct kept_session){0};
    }
    pthread_mutex_unlock(&tls->lock);
}

void redis_tls_saw(struct redis_tls *tls, const X509 *cert)
{
    pthread_mutex_lock(&tls->lock);
    tls->expiry.peer_s = tls_seconds(X509_get0_notAfter(cert));
    pthread_mutex_unlock(&tls->lock);
}

const struct redis_tls_settings *redis_tls_settings(const struct redis_tls *tls)
{
    return &tls->settings;
}

/* ---- life ---- */

static void take(struct redis_tls *tls, const struct tls_loaded *loaded)
{
    SSL_CTX_sess_set_new_cb(loaded->ctx, keep_session);
    SSL_CTX_set_cert_cb(loaded->ctx, tls_link_asked_for_certificate, NULL);
    drop_sessions(tls);
    SSL_CTX_free(tls->ctx); /* the connections that have it keep it */
    tls->ctx = loaded->ctx;
    tls->expiry.own_s = loaded->expires_s;
    tls->expiry.n_trusted_expired = loaded->n_expired;
    tls->taken_ms = clock_wall_ms();
    memcpy(tls->read, loaded->digest, sizeof(tls->read));
}

struct redis_tls *redis_tls_new(const struct redis_tls_settings *settings,
                                struct redis_tls_error *error)
{
    struct redis_tls *tls = mem_new(1, sizeof(*tls));
    struct tls_loaded loaded;

    (void)pthread_mutex_init(&tls->lock, NULL);
    tls->settings = (struct redis_tls_settings){
        .ca = mem_strdup(settings->ca),
        .cert = mem_strdup(settings->cert),
        .key = mem_strdup(settings->key),
        .server_name = mem_strdup(settings->server_name),
        .ciphers = mem_strdup(settings->ciphers),
        .ciphersuites = mem_strdup(settings->ciphersuites),
        .verify = settings->verify,
        .min_version = settings->min_version,
    };
    tls_look(&tls->settings, tls->seen);
    if (tls_load(&tls->settings, &loaded, error) != 0) {
        redis_tls_free(tls);
        return NULL;
    }
    take(tls, &loaded);
    return tls;
}

int redis_tls_refresh(struct redis_tls *tls, bool force, struct redis_tls_error *error)
{
    unsigned char seen[TLS_DIGEST_SIZE];
    struct tls_loaded loaded;

    tls_look(&tls->settings, seen);
    pthread_mutex_lock(&tls->lock);
    bool same = memcmp(seen, tls->seen, sizeof(seen)) == 0;
    pthread_mutex_unlock(&tls->lock);
    if (same && !force) {
        return 0;
    }
    int failed = tls_load(&tls->settings, &loaded, error);
    if (failed != 0) {
        return failed; /* looked at again each time, until it can be used */
    }
    pthread_mutex_lock(&tls->lock);
    memcpy(tls->seen, seen, sizeof(seen));
    bool changed = memcmp(loaded.digest, tls->read, sizeof(tls->read)) != 0;
    if (changed) {
        take(tls, &loaded);
    }
    pthread_mutex_unlock(&tls->lock);
    if (!changed) {
        SSL_CTX_free(loaded.ctx);
    }
    return changed ? 1 : 0;
}

int64_t redis_tls_taken_ms(struct redis_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    int64_t taken_ms = tls->taken_ms;
    pthread_mutex_unlock(&tls->lock);
    return taken_ms;
}

struct redis_tls_expiry redis_tls_expiry(struct redis_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    struct redis_tls_expiry expiry = tls->expiry;
    pthread_mutex_unlock(&tls->lock);
    return expiry;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (!tls) {
        return;
    }
    drop_sessions(tls);
    SSL_CTX_free(tls->ctx);
    free((char *)tls->settings.ca);
    free((char *)tls->settings.cert);
    free((char *)tls->settings.key);
    free((char *)tls->settings.server_name);
    free((char *)tls->settings.ciphers);
    free((char *)tls->settings.ciphersuites);
    (void)pthread_mutex_destroy(&tls->lock);
    free(tls);
}
