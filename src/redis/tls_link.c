/*
 * TLS on one socket: the handshake in steps, bytes in and out, and what is to be known of a
 * failure while it is there to be seen.
 */
#include "bellwether/redis/tls_link.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bellwether/base/memory.h"
#include "tls_peer.h"
#include "tls_words.h"

/* A record's. */
#define RECORD_BYTES_MAX ((size_t)16384)
/*
 * What one call may read, some records: OpenSSL goes on for as long as bytes come that say
 * nothing, and others wait for their turn.
 */
#define CALL_BYTES_MAX ((size_t)64 * 1024)

struct tls_link {
    struct redis_tls *tls;
    SSL *ssl;
    int fd;
    char host[ADDRESS_HOST_SIZE];                     /* what the certificate must be for */
    char peer[ADDRESS_HOST_SIZE + ADDRESS_TEXT_SIZE]; /* whose session it is */
    struct tls_facts facts;
    size_t came; /* bytes, in this call */
    bool looked; /* at the first bytes that came */
    bool failed;
    bool reads_on_write;
    size_t held;
    enum redis_fail why;
    char words[REDIS_TLS_WORDS_SIZE];
};

/* ---- what the peer shows ---- */

/* OpenSSL forgets a certificate that it refuses. */
static int look_at_verdict(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_link *link = SSL_get_app_data(ssl);

    if (good == 0 && link->facts.verify_error == X509_V_OK) {
        X509 *cert = X509_STORE_CTX_get0_cert(store);
        X509 *culprit = X509_STORE_CTX_get_current_cert(store);

        link->facts.verify_error = X509_STORE_CTX_get_error(store);
        link->facts.cert = cert && X509_up_ref(cert) == 1 ? cert : NULL;
        link->facts.culprit = culprit && X509_up_ref(culprit) == 1 ? culprit : NULL;
    }
    return good;
}

int tls_link_asked_for_certificate(SSL *ssl, void *data)
{
    struct tls_link *link = SSL_get_app_data(ssl);

    (void)data;
    link->facts.asked_for_cert = true;
    return 1;
}

struct redis_tls *tls_link_owner(const SSL *ssl, const char **peer)
{
    const struct tls_link *link = SSL_get_app_data(ssl);

    *peer = link->peer;
    return link->tls;
}

static void keep_first_bytes(struct tls_facts *facts, const char *bytes, size_t n)
{
    facts->said_tls = (unsigned char)bytes[0] >= 0x14 && (unsigned char)bytes[0] <= 0x17 &&
                      (n == 1 || bytes[1] == 3);
    for (size_t i = 0; i < n && bytes[i] != '\r' && bytes[i] != '\n'; i++) {
        facts->said[i] = (char)(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '?');
    }
}

/* What came first: OpenSSL's own word for plain text is a riddle. It reads five bytes of it. */
static void look_at_first_bytes(struct tls_link *link, const char *bytes, size_t n)
{
    char first[TLS_SAID_SIZE];
    size_t used = n < sizeof(first) - 1 ? n : sizeof(first) - 1;

    memcpy(first, bytes, used);
    ssize_t more = recv(link->fd, first + used, sizeof(first) - 1 - used, MSG_PEEK | MSG_DONTWAIT);
    keep_first_bytes(&link->facts, first, used + (more > 0 ? (size_t)more : 0));
    link->looked = true;
}

/* NOLINTBEGIN(readability-non-const-parameter): the type is OpenSSL's. */
static long look_at_bytes(BIO *bio, int what, const char *bytes, size_t size, int ignored,
                          long result, int outcome, size_t *n)
{
    struct tls_link *link = (void *)BIO_get_callback_arg(bio);

    (void)size;
    (void)ignored;
    (void)result;
    if (what == BIO_CB_READ && link->came > CALL_BYTES_MAX) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (what == (BIO_CB_READ | BIO_CB_RETURN) && outcome > 0 && *n > 0) {
        link->came += *n;
        if (!link->looked) {
            look_at_first_bytes(link, bytes, *n);
        }
    }
    return outcome;
}
/* NOLINTEND(readability-non-const-parameter) */

/* ---- failing ---- */

/* @return what OpenSSL says of the last call. It must have begun with an empty queue of errors. */
static int outcome_of(struct tls_link *link, int result)
{
    int system_error = errno;
    int outcome = SSL_get_error(link->ssl, result);

    if (outcome == SSL_ERROR_WANT_READ || outcome == SSL_ERROR_WANT_WRITE) {
        return outcome;
    }
    link->failed = true;
    link->facts.error = outcome == SSL_ERROR_SSL ? ERR_peek_error() : 0;
    link->facts.system_error = outcome == SSL_ERROR_SYSCALL ? system_error : 0;
    ERR_clear_error();
    link->why = tls_words(&link->facts, link->words, sizeof(link->words));
    if (outcome == SSL_ERROR_SSL && !link->facts.shaken) {
        redis_tls_forget_session(link->tls, link->peer);
    }
    if (link->why == REDIS_FAIL_CLOSED && system_error == ETIMEDOUT &&
        outcome == SSL_ERROR_SYSCALL) {
        link->why = REDIS_FAIL_TIMEOUT;
    } else if (outcome == SSL_ERROR_SYSCALL && link->why == REDIS_FAIL_CLOSED &&
               (system_error == EHOSTUNREACH || system_error == ENETUNREACH)) {
        link->why = REDIS_FAIL_UNREACHABLE;
    }
    return outcome;
}

enum redis_fail tls_link_failure(const struct tls_link *link, const char **words)
{
    *words = link->words;
    return link->why;
}

/* ---- handshake and bytes ---- */

static void begin_call(struct tls_link *link)
{
    link->came = 0;
    ERR_clear_error();
    errno = 0;
}

enum tls_step tls_link_shake(struct tls_link *link)
{
    begin_call(link);
    int result = SSL_do_handshake(link->ssl);
    if (result == 1) {
        const X509 *cert = SSL_get0_peer_certificate(link->ssl);

        link->facts.shaken = true;
        if (cert) {
            redis_tls_saw(link->tls, cert);
        }
        return TLS_STEP_DONE;
    }
    switch (outcome_of(link, result)) {
    case SSL_ERROR_WANT_READ: return TLS_STEP_READ;
    case SSL_ERROR_WANT_WRITE: return TLS_STEP_WRITE;
    default: return TLS_STEP_FAILED;
    }
}

/* What a call may read of the socket it may read in all with those that follow it. */
static ssize_t read_on(struct tls_link *link, char *bytes, size_t size)
{
    size_t n = 0;

    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(link->ssl, bytes, size, &n);
    link->reads_on_write = false;
    if (result == 1) {
        link->facts.asked_for_cert = false; /* it goes on without */
        return (ssize_t)n;
    }
    switch (outcome_of(link, result)) {
    case SSL_ERROR_WANT_READ: return 0;
    case SSL_ERROR_WANT_WRITE: link->reads_on_write = true; return 0;
    default: return -1;
    }
}

ssize_t tls_link_read(struct tls_link *link, char *bytes, size_t size)
{
    link->came = 0;
    return read_on(link, bytes, size);
}

ssize_t tls_link_read_more(struct tls_link *link, char *bytes, size_t size)
{
    return SSL_has_pending(link->ssl) == 1 ? read_on(link, bytes, size) : 0;
}

ssize_t tls_link_write(struct tls_link *link, const char *bytes, size_t size)
{
    size_t n = 0;

    begin_call(link);
    int result = SSL_write_ex(link->ssl, bytes, size, &n);
    if (result == 1) {
        link->held = 0;
        return (ssize_t)n;
    }
    switch (outcome_of(link, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        if (link->held == 0) {
            link->held = size < RECORD_BYTES_MAX ? size : RECORD_BYTES_MAX;
        }
        return 0;
    default: return -1;
    }
}

size_t tls_link_held(const struct tls_link *link)
{
    return link->held;
}

bool tls_link_reads_on_write(const struct tls_link *link)
{
    return link->reads_on_write;
}

bool tls_link_heard(const struct tls_link *link)
{
    return link->looked;
}

void tls_link_shut(struct tls_link *link)
{
    if (link->facts.shaken && !link->failed) {
        ERR_clear_error();
        (void)SSL_shutdown(link->ssl);
        ERR_clear_error();
    }
}

/* ---- life ---- */

/* A name is told to the server (SNI), an address never. */
static void set_host(struct tls_link *link, enum redis_tls_verify verify)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(link->ssl);
    struct address as_address = {0};

    (void)snprintf(as_address.host, sizeof(as_address.host), "%s", link->host);
    bool is_ip = address_is_ip(&as_address);
    if (!is_ip) {
        (void)SSL_set_tlsext_host_name(link->ssl, link->host);
    }
    if (verify != REDIS_TLS_VERIFY_FULL) {
        return;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int set = is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, link->host)
                    : X509_VERIFY_PARAM_set1_host(param, link->host, 0);
    if (set != 1) {
        mem_exhausted(); /* nothing else can fail here */
    }
}

struct tls_link *tls_link_new(struct redis_tls *tls, int fd, const char *host,
                              const struct address *peer)
{
    const struct redis_tls_settings *settings = redis_tls_settings(tls);
    struct tls_link *link = mem_new(1, sizeof(*link));
    char address[ADDRESS_TEXT_SIZE];

    link->tls = tls;
    link->fd = fd;
    (void)snprintf(link->host, sizeof(link->host), "%s",
                   settings->server_name ? settings->server_name : host);
    link->host[strcspn(link->host, "%")] = '\0'; /* the zone of a link-local address */
    size_t length = strlen(link->host);
    if (length > 1 && link->host[length - 1] == '.') {
        link->host[length - 1] = '\0';
    }
    (void)snprintf(link->peer, sizeof(link->peer), "%s %s", link->host,
                   address_format(peer, address));
    link->facts.host = link->host;
    link->facts.verify_error = X509_V_OK;
    link->facts.showed_cert = settings->cert != NULL;
    link->ssl = redis_tls_ssl(tls, link->peer);
    SSL_set_app_data(link->ssl, link);
    SSL_set_connect_state(link->ssl);
    SSL_set_verify(link->ssl,
                   settings->verify == REDIS_TLS_VERIFY_OFF ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                   settings->verify == REDIS_TLS_VERIFY_OFF ? NULL : look_at_verdict);
    set_host(link, settings->verify);
    if (SSL_set_fd(link->ssl, fd) != 1) {
        mem_exhausted();
    }
    BIO_set_callback_arg(SSL_get_rbio(link->ssl), (char *)link);
    BIO_set_callback_ex(SSL_get_rbio(link->ssl), look_at_bytes);
    return link;
}

void tls_link_free(struct tls_link *link)
{
    if (!link) {
        return;
    }
    tls_link_shut(link);
    SSL_free(link->ssl);
    X509_free((X509 *)link->facts.cert);
    X509_free((X509 *)link->facts.culprit);
    free(link);
}
