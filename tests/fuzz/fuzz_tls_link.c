/*
 * What a server may send in a handshake, and after it: bytes into a client that checks nothing, so
 * that it goes as far as they lead. It ends, with words, and nothing is read or written outside.
 */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/redis/tls_link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_on(struct tls_link *link)
{
    char bytes[16384];

    while (tls_link_read(link, bytes, sizeof(bytes)) > 0) {
        ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redis_tls *tls;
    const struct redis_tls_settings settings = {.verify = REDIS_TLS_VERIFY_OFF};
    const struct address peer = {.host = "192.0.2.1", .port = 6379};
    struct redis_tls_error error;
    const char *words;
    int ends[2];

    if (!tls) {
        signal(SIGPIPE, SIG_IGN);
        tls = redis_tls_new(&settings, &error);
    }
    if (!tls || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        abort();
    }
    struct tls_link *link = tls_link_new(tls, ends[0], "r.example", &peer);
    (void)tls_link_shake(link); /* ours goes out first */
    for (size_t sent = 0, piece; sent < size; sent += piece) {
        piece = size - sent < 4096 ? size - sent : 4096;
        if (send(ends[1], data + sent, piece, MSG_NOSIGNAL) != (ssize_t)piece) {
            break;
        }
        if (tls_link_shake(link) == TLS_STEP_FAILED) {
            break;
        }
    }
    close(ends[1]);
    if (tls_link_shake(link) == TLS_STEP_DONE) {
        read_on(link);
    } else if (tls_link_failure(link, &words) == REDIS_FAIL_NONE || strlen(words) == 0) {
        abort();
    }
    tls_link_free(link);
    close(ends[0]);
    return 0;
}
