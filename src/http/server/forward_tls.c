/*
 * TLS towards the clients of forwards. The credentials and the sockets are tls_session.c's; here
 * GnuTLS is run, a record at a time.
 */
#include "forward_tls.h"

#include <stdlib.h>

#include "bellwether/base/memory.h"
#include "server_tls.h"
#include "tls_session.h"

/* In one call a client may have said so often what is no data: it can say that for ever. */
enum { IDLE_RECORDS_MAX = 16 };

struct forward_sessions {
    const struct worker *worker;
    gnutls_priority_t priorities;
    struct tls_traffic traffic;
};

struct forward_session {
    gnutls_session_t gnutls;
    struct tls_session *tls;
    bool held; /* a record is made that the socket did not take, or not all of it */
};

static void end(void *data)
{
    struct forward_session *session = data;

    gnutls_deinit(session->gnutls);
    tls_session_end(session->tls);
    free(session);
}

static void *begin(void *data, const struct forward_listen *listen, int fd)
{
    struct forward_sessions *all = data;
    struct tls_credentials *credentials = server_tls_credentials(all->worker->tls);
    struct forward_session *session;

    if (!credentials) {
        return NULL;
    }
    session = mem_new(1, sizeof(*session));
    if (gnutls_init(&session->gnutls, GNUTLS_SERVER | GNUTLS_NONBLOCK) < 0) {
        mem_exhausted(); /* nothing else can fail here */
    }
    (void)gnutls_priority_set(session->gnutls, all->priorities);
    session->tls = tls_session_begin(session->gnutls, fd, credentials, listen->place.client_ca,
                                     NULL, &all->traffic);
    return session;
}

static int shake(void *data, bool *write, const char **why)
{
    struct forward_session *session = data;

    for (int i = 0; i < IDLE_RECORDS_MAX; i++) {
        int outcome = gnutls_handshake(session->gnutls);

        if (outcome >= 0) {
            return 1;
        }
        if (outcome == GNUTLS_E_AGAIN) {
            *write = gnutls_record_get_direction(session->gnutls) == 1;
            return 0;
        }
        if (gnutls_error_is_fatal(outcome)) {
            break;
        }
    }
    *why = tls_session_failed(session->tls);
    return -1;
}

/*
 * GnuTLS says "again" for what is no data, too, when more may have been read already. @return as
 * read_bytes(), of one record.
 */
static ssize_t read_record(struct forward_session *session, char *bytes, size_t size)
{
    for (int i = 0; i < IDLE_RECORDS_MAX; i++) {
        ssize_t n = gnutls_record_recv(session->gnutls, bytes, size);

        if (n > 0) {
            return n;
        }
        if (n == GNUTLS_E_AGAIN && !tls_session_has_more(session->tls)) {
            return 0;
        }
        if (n == 0 || n == GNUTLS_E_REHANDSHAKE || gnutls_error_is_fatal((int)n)) {
            break;
        }
    }
    return FORWARD_END;
}

static ssize_t read_bytes(void *data, char *bytes, size_t size, bool *more)
{
    struct forward_session *session = data;
    size_t got = 0;

    do {
        ssize_t n = read_record(session, bytes + got, size - got);

        if (n == FORWARD_END) {
            *more = got > 0; /* and says so again */
            return got > 0 ? (ssize_t)got : FORWARD_END;
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    } while (got < size && tls_session_has_more(session->tls));
    *more = tls_session_has_more(session->tls);
    return (ssize_t)got;
}

static ssize_t write_bytes(void *data, const char *bytes, size_t size)
{
    struct forward_session *session = data;
    size_t sent = 0;

    while (sent < size) {
        /* of a record that is made already GnuTLS knows how much it holds */
        ssize_t n = session->held ? gnutls_record_send(session->gnutls, NULL, 0)
                                  : gnutls_record_send(session->gnutls, bytes + sent, size - sent);

        session->held = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED;
        if (n == GNUTLS_E_AGAIN) {
            break;
        }
        if (n >= 0) {
            sent += (size_t)n;
        } else if (!session->held) {
            return FORWARD_END;
        }
    }
    return (ssize_t)sent;
}

static void shut(void *data)
{
    struct forward_session *session = data;

    (void)gnutls_bye(session->gnutls, GNUTLS_SHUT_WR);
}

struct forward_sessions *forward_sessions_new(struct worker *worker, struct forward_tls *out)
{
    struct forward_sessions *sessions;

    if (!worker->tls) {
        return NULL;
    }
    sessions = mem_new(1, sizeof(*sessions));
    sessions->worker = worker;
    if (gnutls_priority_init(&sessions->priorities, TLS_PRIORITIES, NULL) < 0) {
        mem_exhausted();
    }
    *out = (struct forward_tls){.begin = begin,
                                .shake = shake,
                                .read = read_bytes,
                                .write = write_bytes,
                                .shut = shut,
                                .end = end,
                                .data = sessions};
    return sessions;
}

void forward_sessions_free(struct forward_sessions *sessions)
{
    if (sessions) {
        gnutls_priority_deinit(sessions->priorities);
        free(sessions);
    }
}
