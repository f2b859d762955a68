#include "tls_peer.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../support/certificates.h"

struct tls_peer {
    struct tls_peer_wish wish;
    struct address address;
    SSL_CTX *ctx;
    int fd;
    pthread_t thread;
    atomic_size_t shaken, resumed;
    atomic_bool stopping;
    char sni[256];
};

static SSL_CTX *make_context(const struct tls_peer_wish *wish)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char name[256];

    cr_assert_not_null(ctx);
    snprintf(name, sizeof(name), "%s.crt", wish->cert);
    cr_assert_eq(SSL_CTX_use_certificate_chain_file(ctx, certificates_path(wish->folder, name)), 1);
    snprintf(name, sizeof(name), "%s.key", wish->cert);
    cr_assert_eq(
        SSL_CTX_use_PrivateKey_file(ctx, certificates_path(wish->folder, name), SSL_FILETYPE_PEM),
        1);
    if (wish->client_ca) {
        cr_assert_eq(SSL_CTX_load_verify_locations(
                         ctx, certificates_path(wish->folder, wish->client_ca), NULL),
                     1);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, wish->min_version);
    SSL_CTX_set_max_proto_version(ctx, wish->max_version);
    if (wish->ciphers) {
        cr_assert_eq(SSL_CTX_set_cipher_list(ctx, wish->ciphers), 1);
    }
    return ctx;
}

static void swallow(int fd)
{
    char bytes[4096];

    while (read(fd, bytes, sizeof(bytes)) > 0) {
        ;
    }
}

static void answer(struct tls_peer *peer, SSL *ssl)
{
    char bytes[65536];

    for (int n; (n = SSL_read(ssl, bytes, sizeof(bytes))) > 0;) {
        for (size_t i = 0; i < peer->wish.renews; i++) {
            SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
            SSL_do_handshake(ssl);
        }
        if (peer->wish.renegotiates) {
            SSL_renegotiate(ssl);
            SSL_do_handshake(ssl);
        }
        if (peer->wish.reply) {
            SSL_write(ssl, peer->wish.reply, (int)strlen(peer->wish.reply));
        } else {
            SSL_write(ssl, bytes, n);
        }
        if (peer->wish.stalls) {
            struct pollfd gone = {.fd = SSL_get_fd(ssl), .events = POLLRDHUP};

            /* the end stands behind all that is not read */
            while (poll(&gone, 1, 20) <= 0 && !atomic_load(&peer->stopping)) {
            }
            return;
        }
    }
}

static void serve_tls(struct tls_peer *peer, int fd)
{
    SSL *ssl = SSL_new(peer->ctx);
    const int one = 1;

    /* else its second write waits for the acknowledgement of the first */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

        snprintf(peer->sni, sizeof(peer->sni), "%s", name ? name : "");
        atomic_fetch_add(&peer->resumed, SSL_session_reused(ssl) ? 1 : 0);
        atomic_fetch_add(&peer->shaken, 1);
        answer(peer, ssl);
    }
    SSL_shutdown(ssl);
    SSL_free(ssl);
}

static void *serve(void *data)
{
    struct tls_peer *peer = data;

    for (int fd; (fd = accept(peer->fd, NULL, NULL)) >= 0; close(fd)) {
        if (peer->wish.hangs) {
            swallow(fd);
        } else if (peer->wish.says) {
            const size_t n = peer->wish.says_n > 0 ? peer->wish.says_n : strlen(peer->wish.says);
            char hello[16];
            ssize_t sent;

            cr_assert_geq(recv(fd, hello, sizeof(hello), MSG_PEEK), 0);
            do {
                sent = send(fd, peer->wish.says, n, MSG_NOSIGNAL);
                cr_assert(sent >= 0 || peer->wish.goes_on);
            } while (peer->wish.goes_on && sent > 0);
            shutdown(fd, SHUT_WR);
            swallow(fd);
        } else {
            serve_tls(peer, fd);
        }
    }
    return NULL;
}

struct tls_peer *tls_peer_start(const struct tls_peer_wish *wish)
{
    struct tls_peer *peer = calloc(1, sizeof(*peer));
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(in);

    peer->wish = *wish;
    peer->ctx = wish->cert ? make_context(wish) : NULL;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(peer->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    cr_assert_eq(listen(peer->fd, 16), 0);
    cr_assert_eq(getsockname(peer->fd, (struct sockaddr *)&in, &size), 0);
    strcpy(peer->address.host, "127.0.0.1");
    peer->address.port = ntohs(in.sin_port);
    cr_assert_eq(pthread_create(&peer->thread, NULL, serve, peer), 0);
    return peer;
}

const struct address *tls_peer_address(const struct tls_peer *peer)
{
    return &peer->address;
}

size_t tls_peer_shaken(struct tls_peer *peer)
{
    return atomic_load(&peer->shaken);
}

size_t tls_peer_resumed(struct tls_peer *peer)
{
    return atomic_load(&peer->resumed);
}

const char *tls_peer_sni(struct tls_peer *peer)
{
    (void)atomic_load(&peer->shaken); /* what its thread wrote before it counted is seen */
    return peer->sni;
}

void tls_peer_stop(struct tls_peer *peer)
{
    atomic_store(&peer->stopping, true);
    shutdown(peer->fd, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->fd);
    SSL_CTX_free(peer->ctx);
    free(peer);
}
