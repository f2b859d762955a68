/*
 * Bytes into the handshake of a caller's TLS session, as libmicrohttpd runs it. The input's first
 * byte says how: even, the rest is what the caller sends; odd, a real caller's bytes are passed on,
 * and the rest are pairs of how many go by and what happens to the next one: it is turned, dropped,
 * doubled, or the last.
 *
 * Held: no fault or leak; the handshake ends; whoever begins is counted until the end; the first
 * bytes are looked at alike, whole or in pieces.
 */
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bellwether/base/memory.h"
#include "http/server/peek.h"
#include "http/server/tls_session.h"

enum { TURNS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_credentials credentials = {.users = 1};
static gnutls_priority_t priorities;
static gnutls_certificate_credentials_t nobody;

static void set_up(void)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;

    (void)gnutls_x509_privkey_init(&key);
    (void)gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                       GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    (void)gnutls_x509_crt_init(&crt);
    (void)gnutls_x509_crt_set_version(crt, 3);
    (void)gnutls_x509_crt_set_serial(crt, "1", 1);
    (void)gnutls_x509_crt_set_dn(crt, "CN=fuzz", NULL);
    (void)gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
    (void)gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 864000);
    (void)gnutls_x509_crt_set_key(crt, key);
    (void)gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
    if (gnutls_certificate_allocate_credentials(&credentials.x509) < 0 ||
        gnutls_certificate_set_x509_key(credentials.x509, &crt, 1, key) < 0 ||
        gnutls_session_ticket_key_generate(&credentials.tickets) < 0 ||
        gnutls_priority_init(&priorities, TLS_PRIORITIES, NULL) < 0 ||
        gnutls_certificate_allocate_credentials(&nobody) < 0) {
        abort();
    }
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static void look(const uint8_t *data, size_t size)
{
    struct peek whole;

    if (size == 0) {
        return;
    }
    whole = peek_at_tls((const char *)data, size);
    for (size_t n = 1; n <= size && n <= 64; n++) {
        struct peek begun = peek_at_tls((const char *)data, n);

        if (begun.kind == PEEK_OLD_TLS && whole.kind != PEEK_OLD_TLS) {
            abort();
        }
    }
}

/* ---- the two ends ---- */

struct ends {
    gnutls_session_t server, caller; /* `caller` NULL: the input is the caller */
    int server_fd, to_server, caller_fd, to_caller;
    struct tls_session *session;
    struct tls_traffic traffic;
    bool done; /* of the server's handshake, well or not */
};

static void open_ends(struct ends *ends, enum client_ca clients, bool caller)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        abort();
    }
    ends->server_fd = pair[0];
    ends->to_server = pair[1];
    if (gnutls_init(&ends->server, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
        gnutls_priority_set(ends->server, priorities) < 0) {
        abort();
    }
    ends->session =
        tls_session_begin(ends->server, ends->server_fd, tls_credentials_take(&credentials),
                          clients, TLS_HTTP, &ends->traffic);
    if (!caller) {
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        abort();
    }
    ends->caller_fd = pair[0];
    ends->to_caller = pair[1];
    if (gnutls_init(&ends->caller, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
        gnutls_set_default_priority(ends->caller) < 0 ||
        gnutls_credentials_set(ends->caller, GNUTLS_CRD_CERTIFICATE, nobody) < 0) {
        abort();
    }
    gnutls_transport_set_int(ends->caller, ends->caller_fd);
}

static void close_ends(struct ends *ends)
{
    gnutls_deinit(ends->server);
    tls_session_end(ends->session);
    close(ends->server_fd);
    close(ends->to_server);
    if (ends->caller) {
        gnutls_deinit(ends->caller);
        close(ends->caller_fd);
        close(ends->to_caller);
    }
    if (ends->traffic.shaking != 0 || ends->traffic.last || credentials.users != 1) {
        abort();
    }
}

/* As libmicrohttpd does when it may read. */
static void run_server(struct ends *ends)
{
    char bytes[4096];
    int outcome;

    if (ends->done) {
        while (gnutls_record_recv(ends->server, bytes, sizeof(bytes)) > 0) {
        }
        return;
    }
    outcome = gnutls_handshake(ends->server);
    if (outcome == GNUTLS_E_SUCCESS) {
        ends->done = true;
        tls_session_say(ends->session, "hello", 5);
    } else if (outcome != GNUTLS_E_AGAIN && outcome != GNUTLS_E_INTERRUPTED) {
        ends->done = true;
        (void)tls_session_last_failed(&ends->traffic);
        shutdown(ends->server_fd, SHUT_RDWR);
    }
}

/* ---- what goes between them ---- */

static void play_raw(struct ends *ends, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t n = size - at < 700 ? size - at : 700;

        if (send(ends->to_server, data + at, n, MSG_NOSIGNAL) <= 0) {
            break;
        }
        at += n;
        run_server(ends);
    }
    shutdown(ends->to_server, SHUT_WR);
    run_server(ends);
}

struct script {
    const uint8_t *data;
    size_t size, at, left; /* `left`: bytes that go by until the next one that does not */
};

static uint8_t next(struct script *script)
{
    return script->at < script->size ? script->data[script->at++] : 0;
}

static void pass_byte(struct ends *ends, struct script *script, char byte)
{
    if (script->at < script->size && script->left-- == 0) {
        uint8_t what = next(script);

        script->left = (size_t)next(script) * (1 + (what >> 4));
        switch (what & 3) {
        case 0: byte = (char)(byte ^ (what | 4)); break;
        case 1: return;
        case 2: (void)send(ends->to_server, &byte, 1, MSG_NOSIGNAL); break;
        default: shutdown(ends->to_server, SHUT_WR); return;
        }
    }
    (void)send(ends->to_server, &byte, 1, MSG_NOSIGNAL);
}

static void play_caller(struct ends *ends, const uint8_t *data, size_t size)
{
    struct script script = {data, size, 0, 0};

    script.left = next(&script);
    for (int turn = 0; turn < TURNS; turn++) {
        char bytes[4096];
        ssize_t n;

        if (gnutls_handshake(ends->caller) == GNUTLS_E_SUCCESS) {
            (void)gnutls_record_send(ends->caller, "GET /", 5);
        }
        while ((n = recv(ends->to_caller, bytes, sizeof(bytes), 0)) > 0) {
            for (ssize_t i = 0; i < n; i++) {
                pass_byte(ends, &script, bytes[i]);
            }
        }
        run_server(ends);
        while ((n = recv(ends->to_server, bytes, sizeof(bytes), 0)) > 0) {
            (void)send(ends->to_caller, bytes, (size_t)n, MSG_NOSIGNAL);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct ends ends = {0};
    bool caller;

    if (!ready) {
        set_up();
        ready = true;
    }
    if (size < 2) {
        return 0;
    }
    caller = (data[0] & 1) != 0;
    open_ends(&ends, (enum client_ca)((data[0] >> 1) % 3), caller);
    if (caller) {
        play_caller(&ends, data + 1, size - 1);
    } else {
        look(data + 1, size - 1);
        play_raw(&ends, data + 1, size - 1);
    }
    close_ends(&ends);
    return 0;
}
