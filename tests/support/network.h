/* A network that can be cut: two namespaces that reach each other only through a third. */
#ifndef BELLWETHER_TESTS_SUPPORT_NETWORK_H
#define BELLWETHER_TESTS_SUPPORT_NETWORK_H

#include <sys/types.h>

/*
 *   left 10.9.1.2 ── 10.9.1.1 middle 10.9.2.1 ── 10.9.2.2 right
 *
 * The middle always reaches both; cutting stops it from forwarding between them.
 */
struct network {
    pid_t left, middle, right; /* whose namespaces */
};

#define LEFT_IP "10.9.1.2"
#define RIGHT_IP "10.9.2.2"

/** Skips the test, aloud, where namespaces can't be made. They vanish with the test. */
struct network *network_start(void);
void network_cut(const struct network *network);
void network_heal(const struct network *network);

#endif
