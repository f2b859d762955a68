/* Loopback ports that no other test has, for as long as this test runs. */
#ifndef BELLWETHER_TESTS_SUPPORT_PORTS_H
#define BELLWETHER_TESTS_SUPPORT_PORTS_H

#include <stdint.h>

/** A port that nothing listens on (IPv4 and IPv6), reserved for this test process. */
uint16_t port_reserve(void);

#endif
