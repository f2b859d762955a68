/*
 * Addresses: a host (name or IP literal, never bracketed) and a port; endpoints: an address
 * as it is named plus the IP it resolves to; and the map that NAT needs.
 */
#ifndef BELLWETHER_BASE_ADDRESS_H
#define BELLWETHER_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_HOST_SIZE 256
#define ADDRESS_TEXT_SIZE (ADDRESS_HOST_SIZE + 8) /* brackets, colon, port */

struct address {
    char host[ADDRESS_HOST_SIZE]; /* IP literals in canonical spelling, names in lower case */
    uint16_t port;                /* 0 only in an unset address */
};

/* What a node is called and where it is. `ip` is unset (port 0) until the name is resolved. */
struct endpoint {
    struct address name;
    struct address ip;
};

/**
 * Parse `host:port`, `[v6]:port`.
 * @param default_port  taken when the text has no port; 0: a port is required.
 * @param out           set on success, untouched on failure.
 * @param error         a message naming the text and what it takes, on failure.
 * @return 0; -BW_EINVAL. Thread: any.
 */
int address_parse(const char *text, uint16_t default_port, struct address *out, char *error,
                  size_t error_size);

/**
 * Make an address of a host and a port in text, as Sentinels give them (v6 may stand in brackets).
 * @return 0; -BW_EINVAL (empty or over-long host, port not 1..65535). Thread: any.
 */
int address_from_parts(const char *host, size_t host_len, const char *port, size_t port_len,
                       struct address *out);

/** `host:port`, IPv6 in brackets. @param out ADDRESS_TEXT_SIZE bytes. @return out. Thread: any. */
const char *address_format(const struct address *address, char *out);

bool address_is_set(const struct address *address);
bool address_is_ip(const struct address *address);
/** An IP literal in 127.0.0.0/8 or ::1 (IPv4-mapped too); a name never. */
bool address_is_loopback(const struct address *address);
/**
 * An IP literal that is no node's: unspecified, multicast or broadcast (IPv4-mapped too); a name
 * never.
 */
bool address_is_nowhere(const struct address *address);
bool address_equal(const struct address *a, const struct address *b);

/** An endpoint from an address: `ip` is set at once when the host is an IP literal. */
struct endpoint endpoint_from_address(const struct address *address);
/** Same IP and port where both are resolved, else the same name and port. */
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* The map: rules `host:port=host:port` (exact) before `host=host` (any port). */
struct address_map {
    struct address *from; /* port 0: any port */
    struct address *to;   /* port 0: keep the port */
    size_t n;
};

/** Add a rule. @return 0; -BW_EINVAL with a message in `error`. */
int address_map_add(struct address_map *map, const char *rule, char *error, size_t error_size);
/** The mapped address; the same address when no rule fits. Applied once, never chained. */
struct address address_map_apply(const struct address_map *map, const struct address *address);
void address_map_release(struct address_map *map);

#endif
