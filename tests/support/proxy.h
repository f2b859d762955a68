/* A TCP proxy before a server, which makes the network bad: late, in pieces, silent, or gone. */
#ifndef BELLWETHER_TESTS_SUPPORT_PROXY_H
#define BELLWETHER_TESTS_SUPPORT_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proxy_manner {
    int delay_ms; /* what the server says arrives so much later */
    size_t piece; /* in pieces of so many bytes; 0: as it comes */
    int pause_ms; /* between two of them */
    /* a connection ends after so many bytes of its caller, or of the server; 0: it does not */
    size_t up_most, down_most;
    bool silent; /* connections stand, and nothing passes either way */
    bool cut;    /* connections end, and new ones at once */
};

struct proxy;

/**
 * Listens on a port of its own on 127.0.0.1, passes on to `target` there; stopped when the test
 * ends.
 */
struct proxy *proxy_start(uint16_t target);
/** Pass on to another port from now on. */
void proxy_aim(struct proxy *proxy, uint16_t target);
uint16_t proxy_port(const struct proxy *proxy);
/** "127.0.0.1:port". Kept. */
char *proxy_address(const struct proxy *proxy);
void proxy_behave(struct proxy *proxy, const struct proxy_manner *manner);
/** Connections that stand now. */
size_t proxy_connections(struct proxy *proxy);

#endif
