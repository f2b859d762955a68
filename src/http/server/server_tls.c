/*
 * Certificates and keys are kept like passwords: known by their files' device, inode, size and
 * times. What does not fit together is not taken: where one file of a pair is new already and the
 * other is not, the old pair stays in use until both are.
 */
#include "server_tls.h"

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/secret.h"
#include "tls_session.h"

struct server_tls {
    struct secret *files[SERVER_TLS_PARTS]; /* [SERVER_TLS_CLIENT_CA] may be NULL */
    struct tls_credentials *credentials;
    int64_t expires_s[SERVER_TLS_PARTS];
    int64_t taken_ms;
    bool waiting; /* what is in the files is not what is in use */
};

/* ---- reading ---- */

static gnutls_datum_t datum_of(const struct secret *file)
{
    const char *text = secret_value(file);

    return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

static int fail(const struct server_tls *tls, enum server_tls_part part, const char *words,
                struct server_tls_error *error)
{
    error->part = part;
    (void)snprintf(error->words, sizeof(error->words), "%.300s: %s", secret_path(tls->files[part]),
                   words);
    return -BW_EIO;
}

static int fail_at(const struct server_tls *tls, enum server_tls_part part, const char *words,
                   time_t when, struct server_tls_error *error)
{
    char text[96], date[40];
    struct tm parts;

    gmtime_r(&when, &parts);
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &parts);
    (void)snprintf(text, sizeof(text), "%s %s", words, date);
    return fail(tls, part, text, error);
}

/*
 * The certificates of a file: a chain's own is the first. Of callers' authorities some may be over,
 * but not all: then nobody would be let in. @param expires_s the end of the first, or of the one
 * that ends first.
 */
static int read_certificates(const struct server_tls *tls, enum server_tls_part part,
                             int64_t *expires_s, struct server_tls_error *error)
{
    gnutls_datum_t pem = datum_of(tls->files[part]);
    gnutls_x509_crt_t *list = NULL;
    time_t now = (time_t)(clock_wall_ms() / 1000), ends = 0, last = 0, begins;
    unsigned n = 0;

    if (gnutls_x509_crt_list_import2(&list, &n, &pem, GNUTLS_X509_FMT_PEM, 0) < 0 || n == 0) {
        return fail(tls, part, "holds no certificate in PEM", error);
    }
    begins = gnutls_x509_crt_get_activation_time(list[0]);
    for (unsigned i = 0; i < n; i++) {
        time_t end = gnutls_x509_crt_get_expiration_time(list[i]);

        if (i == 0 || (part == SERVER_TLS_CLIENT_CA && end < ends)) {
            ends = end;
        }
        if (i == 0 || (part == SERVER_TLS_CLIENT_CA && end > last)) {
            last = end;
        }
        gnutls_x509_crt_deinit(list[i]);
    }
    gnutls_free(list);
    if (part == SERVER_TLS_CERT && begins > now) {
        return fail_at(tls, part, "is not valid before", begins, error);
    }
    if (last <= now) {
        return fail_at(tls, part, "has expired at", last, error);
    }
    *expires_s = (int64_t)ends;
    return 0;
}

static int check_key(const struct server_tls *tls, struct server_tls_error *error)
{
    gnutls_datum_t pem = datum_of(tls->files[SERVER_TLS_KEY]);
    gnutls_x509_privkey_t key;
    int failure = gnutls_x509_privkey_init(&key);

    if (strstr(secret_value(tls->files[SERVER_TLS_KEY]), "ENCRYPTED")) {
        failure = fail(tls, SERVER_TLS_KEY,
                       "is encrypted, and nobody is there to give a pass phrase", error);
    } else if (failure < 0 ||
               gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0) < 0) {
        failure = fail(tls, SERVER_TLS_KEY, "holds no private key in PEM", error);
    }
    gnutls_x509_privkey_deinit(key);
    return failure;
}

/* @return what all files make together; NULL with `error` set. */
static struct tls_credentials *make_credentials(const struct server_tls *tls,
                                                const gnutls_datum_t *tickets,
                                                int64_t expires_s[SERVER_TLS_PARTS],
                                                struct server_tls_error *error)
{
    struct tls_credentials *made;
    gnutls_datum_t certificate = datum_of(tls->files[SERVER_TLS_CERT]),
                   key = datum_of(tls->files[SERVER_TLS_KEY]);
    bool asks = tls->files[SERVER_TLS_CLIENT_CA];
    int failure;

    if (read_certificates(tls, SERVER_TLS_CERT, &expires_s[SERVER_TLS_CERT], error) != 0 ||
        check_key(tls, error) != 0 ||
        (asks && read_certificates(tls, SERVER_TLS_CLIENT_CA, &expires_s[SERVER_TLS_CLIENT_CA],
                                   error) != 0)) {
        return NULL;
    }
    made = mem_new(1, sizeof(*made));
    made->users = 1;
    failure = gnutls_certificate_allocate_credentials(&made->x509);
    if (failure >= 0) {
        failure = gnutls_certificate_set_x509_key_mem2(made->x509, &certificate, &key,
                                                       GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    if (failure >= 0 && asks) {
        gnutls_datum_t client_ca = datum_of(tls->files[SERVER_TLS_CLIENT_CA]);

        failure =
            gnutls_certificate_set_x509_trust_mem(made->x509, &client_ca, GNUTLS_X509_FMT_PEM);
    }
    if (failure < 0) {
        (void)fail(tls, SERVER_TLS_KEY,
                   failure == GNUTLS_E_CERTIFICATE_KEY_MISMATCH
                       ? "is not the key of the certificate in http-cert"
                       : gnutls_strerror(failure),
                   error);
    } else if (tickets && tickets->data) {
        made->tickets.data = gnutls_malloc(tickets->size);
        if (made->tickets.data) {
            memcpy(made->tickets.data, tickets->data, tickets->size);
            made->tickets.size = tickets->size;
        }
    } else {
        (void)gnutls_session_ticket_key_generate(&made->tickets);
    }
    if (failure < 0) {
        tls_credentials_release(made);
        return NULL;
    }
    return made;
}

/* ---- life ---- */

struct server_tls *server_tls_new(const char *cert, const char *key, const char *client_ca,
                                  struct server_tls_error *error)
{
    const char *const paths[SERVER_TLS_PARTS] = {cert, key, client_ca};
    struct server_tls *tls = mem_new(1, sizeof(*tls));

    tls->taken_ms = clock_wall_ms();
    for (int i = 0; i < SERVER_TLS_PARTS && (i < SERVER_TLS_CLIENT_CA || client_ca); i++) {
        error->part = (enum server_tls_part)i;
        tls->files[i] = secret_new(paths[i], NULL, error->words, sizeof(error->words));
        if (!tls->files[i]) {
            server_tls_free(tls);
            return NULL;
        }
    }
    tls->credentials = make_credentials(tls, NULL, tls->expires_s, error);
    if (!tls->credentials) {
        server_tls_free(tls);
        return NULL;
    }
    return tls;
}

struct server_tls *server_tls_copy(const struct server_tls *tls)
{
    struct server_tls *copy = mem_new(1, sizeof(*copy));
    struct server_tls_error error;

    for (int i = 0; i < SERVER_TLS_PARTS; i++) {
        copy->files[i] = tls->files[i] ? secret_copy(tls->files[i]) : NULL;
        copy->expires_s[i] = tls->expires_s[i];
    }
    copy->taken_ms = tls->taken_ms;
    /* it was made of the same a moment ago; where that fails now, the next look makes it */
    copy->credentials = make_credentials(copy, &tls->credentials->tickets, copy->expires_s, &error);
    copy->waiting = !copy->credentials;
    return copy;
}

void server_tls_free(struct server_tls *tls)
{
    if (tls) {
        for (int i = 0; i < SERVER_TLS_PARTS; i++) {
            secret_free(tls->files[i]);
        }
        tls_credentials_release(tls->credentials);
        free(tls);
    }
}

/* ---- files that change ---- */

/* @param changed whether the files are others than those in use: else they are only tried. */
static int take(struct server_tls *tls, bool changed, struct server_tls_error *error)
{
    int64_t expires_s[SERVER_TLS_PARTS] = {0};
    struct tls_credentials *made = make_credentials(
        tls, tls->credentials ? &tls->credentials->tickets : NULL, expires_s, error);

    tls->waiting = !made;
    if (!made) {
        return -BW_EIO;
    }
    if (!changed) {
        tls_credentials_release(made);
        return 0;
    }
    tls_credentials_release(tls->credentials);
    tls->credentials = made;
    memcpy(tls->expires_s, expires_s, sizeof(expires_s));
    tls->taken_ms = clock_wall_ms();
    return 1;
}

int server_tls_refresh(struct server_tls *tls, bool force, struct server_tls_error *error)
{
    bool changed = tls->waiting;
    int failure = 0;

    for (int i = 0; i < SERVER_TLS_PARTS; i++) {
        char words[sizeof(error->words)];
        int outcome =
            tls->files[i] ? secret_refresh(tls->files[i], force, words, sizeof(words)) : 0;

        changed = changed || outcome > 0;
        if (outcome < 0 && failure == 0) {
            failure = outcome;
            error->part = (enum server_tls_part)i;
            memcpy(error->words, words, sizeof(words));
        }
    }
    tls->waiting = changed; /* until all can be read */
    return failure != 0 ? failure : changed || force ? take(tls, changed, error) : 0;
}

int64_t server_tls_taken_ms(const struct server_tls *tls)
{
    return tls->taken_ms;
}

int64_t server_tls_expires_s(const struct server_tls *tls, enum server_tls_part part)
{
    return tls->expires_s[part];
}

const char *server_tls_exposed(struct server_tls *tls)
{
    return secret_exposed(tls->files[SERVER_TLS_KEY]);
}

const char *server_tls_option(enum server_tls_part part)
{
    static const char *const names[SERVER_TLS_PARTS] = {"http-cert", "http-key", "http-client-ca"};

    return names[part];
}

const char *server_tls_path(const struct server_tls *tls, enum server_tls_part part)
{
    return tls->files[part] ? secret_path(tls->files[part]) : NULL;
}

struct tls_credentials *server_tls_credentials(const struct server_tls *tls)
{
    return tls->credentials ? tls_credentials_take(tls->credentials) : NULL;
}
