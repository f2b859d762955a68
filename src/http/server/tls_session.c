/*
 * libmicrohttpd says nothing to a caller whose handshake fails, does not offer to take up sessions
 * again, and asks for certificates in one way only. So each of its sessions gets here, before its
 * first byte: the credentials of the moment, which a change of the files leaves alone; functions
 * that move its bytes; and a look at its caller's certificate.
 *
 * Reading asks GnuTLS for the five bytes before each record, then for the record. So a little is
 * read ahead, and never less than all of it given: libmicrohttpd reads until there is no more.
 */
#include "tls_session.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "bellwether/base/memory.h"

#define AHEAD_BYTES 640
#define EXTENSION_ALPN 16

enum { FINISHED_THEIRS = 1, FINISHED_OURS = 2, FINISHED_BOTH = 3 };

struct tls_session {
    gnutls_session_t session;
    struct tls_credentials *credentials;
    struct tls_traffic *traffic;
    const char *refused;  /* why its certificate is not taken; NULL: it is */
    const char *protocol; /* static; NULL: any */
    int fd;
    enum client_ca clients;
    uint8_t finished;
    uint8_t alert; /* that came in plain; 0: none */
    bool heard;    /* since then */
    bool left;     /* no more comes from it, or gets there */
    bool joining;  /* what is sent is held, to be one record */
    uint16_t ahead, taken;
    unsigned char bytes[AHEAD_BYTES];
};

/* ---- credentials ---- */

struct tls_credentials *tls_credentials_take(struct tls_credentials *credentials)
{
    credentials->users++;
    return credentials;
}

void tls_credentials_release(struct tls_credentials *credentials)
{
    if (credentials && --credentials->users == 0) {
        gnutls_certificate_free_credentials(credentials->x509);
        if (credentials->tickets.data) {
            explicit_bzero(credentials->tickets.data, credentials->tickets.size);
            gnutls_free(credentials->tickets.data);
        }
        free(credentials);
    }
}

/* ---- bytes ---- */

/*
 * OpenSSL says in plain that it does not take our certificate, in TLS 1.3 too, where GnuTLS wants
 * that enciphered and sees no alert.
 */
static void look_for_alert(struct tls_session *session, const unsigned char *bytes, size_t n)
{
    static const unsigned char fatal[] = {21, 3, 3, 0, 2, GNUTLS_AL_FATAL};

    if (n > sizeof(fatal) && session->finished != FINISHED_BOTH &&
        memcmp(bytes + n - sizeof(fatal) - 1, fatal, sizeof(fatal)) == 0) {
        session->alert = bytes[n - 1];
    }
}

static ssize_t receive(struct tls_session *session, void *bytes, size_t size)
{
    ssize_t n = recv(session->fd, bytes, size, 0);

    if (n > 0) {
        look_for_alert(session, bytes, (size_t)n);
        session->traffic->moves++;
        session->heard = session->heard || session->finished == FINISHED_BOTH;
    } else if (n == 0 || errno != EAGAIN) {
        session->left = true;
    }
    return n;
}

static ssize_t pull(gnutls_transport_ptr_t data, void *bytes, size_t size)
{
    struct tls_session *session = data;
    size_t n = (size_t)session->ahead - session->taken;

    session->traffic->last = session;
    if (n == 0) {
        ssize_t came;

        if (size >= sizeof(session->bytes)) {
            return receive(session, bytes, size);
        }
        came = receive(session, session->bytes, sizeof(session->bytes));
        if (came <= 0) {
            return came;
        }
        n = (size_t)came;
        session->ahead = (uint16_t)n;
        session->taken = 0;
    }
    n = n < size ? n : size;
    memcpy(bytes, session->bytes + session->taken, n);
    session->taken = (uint16_t)(session->taken + n);
    return (ssize_t)n;
}

static ssize_t size_of(const giovec_t *parts, int n_parts)
{
    size_t size = 0;

    for (int i = 0; i < n_parts; i++) {
        size += parts[i].iov_len;
    }
    return (ssize_t)size;
}

/*
 * What can't be sent in a handshake is dropped: a caller that has gone may have said why, and only
 * a handshake that goes on reads it, and then the end.
 */
static ssize_t push(gnutls_transport_ptr_t data, const giovec_t *parts, int n_parts)
{
    struct tls_session *session = data;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)n_parts};
    ssize_t n = sendmsg(session->fd, &message, MSG_NOSIGNAL);

    session->traffic->last = session;
    if (n > 0) {
        session->traffic->moves++;
    } else if (n < 0 && errno != EAGAIN) {
        session->left = true;
        n = session->finished == FINISHED_BOTH ? n : size_of(parts, n_parts);
    }
    return n;
}

/* ---- the handshake ---- */

static int refuse(struct tls_session *session, gnutls_alert_description_t alert, const char *why)
{
    session->refused = why;
    (void)gnutls_alert_send(session->session, GNUTLS_AL_FATAL, alert);
    return -1;
}

static int check_caller(gnutls_session_t session)
{
    struct tls_session *known = gnutls_transport_get_ptr(session);
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char[]){GNUTLS_KP_TLS_WWW_CLIENT}};
    unsigned n = 0, status = 0;

    if (!gnutls_certificate_get_peers(session, &n) || n == 0) {
        return known->clients == CLIENT_CA_OPTIONAL
                   ? 0
                   : refuse(known, GNUTLS_A_CERTIFICATE_REQUIRED,
                            "a caller showed no certificate (option http-client-ca)");
    }
    if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0) {
        return refuse(known, GNUTLS_A_BAD_CERTIFICATE, "a caller's certificate can't be read");
    }
    if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED)) {
        return refuse(known, GNUTLS_A_CERTIFICATE_EXPIRED,
                      "a caller's certificate has expired or is not valid yet");
    }
    if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA)) {
        return refuse(known, GNUTLS_A_UNKNOWN_CA,
                      "a caller's certificate was not issued by one of http-client-ca");
    }
    return status == 0 ? 0
                       : refuse(known, GNUTLS_A_BAD_CERTIFICATE,
                                "a caller's certificate is not good for a client");
}

/* Whether a list of protocols, each with its length before it, has this one. */
static bool has_protocol(const unsigned char *list, size_t size, const char *protocol)
{
    size_t length = strlen(protocol);

    for (size_t at = 0, next; at < size; at = next) {
        next = at + 1 + list[at];
        if (next <= size && list[at] == length && memcmp(list + at + 1, protocol, length) == 0) {
            return true;
        }
    }
    return false;
}

static int look_at_extension(void *data, unsigned id, const unsigned char *bytes, unsigned size)
{
    struct tls_session *session = data;

    if (id == EXTENSION_ALPN && size > 2 && !has_protocol(bytes + 2, size - 2, session->protocol)) {
        session->refused = "a caller speaks other protocols than " TLS_HTTP " only (ALPN)";
    }
    return 0;
}

/*
 * GnuTLS itself would refuse a caller that has other protocols only, too, but nobody would know why
 * the handshake failed.
 */
static int look_at_hello(struct tls_session *session, const gnutls_datum_t *hello)
{
    (void)gnutls_ext_raw_parse(session, look_at_extension, hello,
                               GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
    return session->refused ? refuse(session, GNUTLS_A_NO_APPLICATION_PROTOCOL, session->refused)
                            : 0;
}

/*
 * Tickets have left before, so nothing carries the acknowledgement of the caller's last word, and
 * its kernel may hold the request back until that comes.
 */
static void acknowledge(const struct tls_session *session)
{
    const int on = 1;

    (void)setsockopt(session->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static int on_message(gnutls_session_t session, unsigned kind, unsigned when, unsigned incoming,
                      const gnutls_datum_t *message)
{
    struct tls_session *known = gnutls_transport_get_ptr(session);

    if (kind == GNUTLS_HANDSHAKE_CLIENT_HELLO && when == GNUTLS_HOOK_PRE && known->protocol) {
        return look_at_hello(known, message);
    }
    if (kind == GNUTLS_HANDSHAKE_FINISHED && when == GNUTLS_HOOK_POST &&
        known->finished != FINISHED_BOTH) {
        known->finished |= incoming ? FINISHED_THEIRS : FINISHED_OURS;
        if (known->finished == FINISHED_BOTH) {
            known->traffic->shaking--;
            acknowledge(known);
        }
    }
    return 0;
}

static void offer(gnutls_session_t session, const char *name)
{
    const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t)name, (unsigned)strlen(name)};

    (void)gnutls_alpn_set_protocols(session, &protocol, 1, 0);
}

struct tls_session *tls_session_begin(gnutls_session_t session, int fd,
                                      struct tls_credentials *credentials, enum client_ca clients,
                                      const char *protocol, struct tls_traffic *traffic)
{
    struct tls_session *made = mem_new(1, sizeof(*made));

    made->session = session;
    made->credentials = credentials;
    made->traffic = traffic;
    made->fd = fd;
    made->clients = clients;
    made->protocol = protocol;
    traffic->shaking++;
    gnutls_transport_set_ptr(session, made);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_vec_push_function(session, push);
    (void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials->x509);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, on_message);
    if (protocol) {
        offer(session, protocol);
    }
    if (clients != CLIENT_CA_OFF) {
        /* Such a session is not taken up again: its caller would be asked for nothing. */
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
        gnutls_session_set_verify_function(session, check_caller);
    } else if (credentials->tickets.data) {
        (void)gnutls_session_ticket_enable_server(session, &credentials->tickets);
    }
    return made;
}

void tls_session_end(struct tls_session *session)
{
    if (!session) {
        return;
    }
    session->traffic->shaking -= session->finished != FINISHED_BOTH;
    if (session->traffic->last == session) {
        session->traffic->last = NULL;
    }
    tls_credentials_release(session->credentials);
    free(session);
}

bool tls_session_is_idle(const struct tls_session *session)
{
    return session && session->finished == FINISHED_BOTH && !session->heard;
}

/*
 * To a socket that holds nothing the kernel always lets go a little more, unless it has no memory.
 * So nothing has to wait here, out of libmicrohttpd's sight, until its caller reads.
 */
void tls_session_join(struct tls_session *session)
{
    int queued = -1;

    session->joining = ioctl(session->fd, SIOCOUTQ, &queued) == 0 && queued == 0;
    if (session->joining) {
        gnutls_record_cork(session->session);
    }
}

/* libmicrohttpd may have corked the socket, and has pushed what it holds before this came. */
bool tls_session_send_joined(struct tls_session *session)
{
    const int on = 1;

    if (!session->joining) {
        return true;
    }
    session->joining = false;
    return gnutls_record_uncork(session->session, 0) >= 0 &&
           setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0;
}

void tls_session_say(struct tls_session *session, const char *bytes, size_t size)
{
    if (session->finished == FINISHED_BOTH) {
        (void)tls_session_send_joined(session);
        (void)gnutls_record_send(session->session, bytes, size);
        (void)gnutls_bye(session->session, GNUTLS_SHUT_WR);
    }
}

/* What a caller's alert is about. */
static const char *alert_words(gnutls_alert_description_t alert)
{
    switch (alert) {
    case GNUTLS_A_UNKNOWN_CA:
        return "a caller trusts no issuer of the certificate in http-cert (alert: unknown ca)";
    case GNUTLS_A_CERTIFICATE_EXPIRED:
        return "a caller takes the certificate in http-cert for expired (alert: certificate expired)";
    case GNUTLS_A_BAD_CERTIFICATE:
    case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
    case GNUTLS_A_CERTIFICATE_REVOKED:
    case GNUTLS_A_CERTIFICATE_UNKNOWN:
        return "a caller does not take the certificate in http-cert, perhaps for its names";
    default: {
        const char *words = gnutls_alert_get_name(alert);

        return words ? words : "the caller sent an alert";
    }
    }
}

bool tls_session_has_more(const struct tls_session *session)
{
    return session->ahead > session->taken || gnutls_record_check_pending(session->session) > 0;
}

const char *tls_session_failed(struct tls_session *session)
{
    gnutls_alert_description_t alert;

    if (session->finished == FINISHED_BOTH) {
        return NULL;
    }
    if (session->refused) {
        return session->refused;
    }
    alert = session->alert != 0 ? (gnutls_alert_description_t)session->alert
                                : gnutls_alert_get(session->session);
    if (alert != GNUTLS_A_CLOSE_NOTIFY) {
        return alert_words(alert); /* it may have left right after it */
    }
    if (session->left) {
        return NULL;
    }
    (void)gnutls_alert_send(session->session, GNUTLS_AL_FATAL, GNUTLS_A_HANDSHAKE_FAILURE);
    return "no cipher, curve or protocol in common, or bytes that are no handshake";
}

const char *tls_session_last_failed(const struct tls_traffic *traffic)
{
    return traffic->last ? tls_session_failed(traffic->last) : NULL;
}
