/*
 * Addresses in text and back, and the NAT map. Everything is brought to one spelling on the way
 * in (IP literals as inet_ntop() writes them, names in lower case), so equality is a plain
 * comparison ever after.
 */
#include "bellwether/base/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/units.h"

#define NAME_MAX_BYTES 253 /* RFC 1035, the root's dot not counted */

/* An IPv6 literal, perhaps with a zone (`fe80::1%eth0`). */
static bool canonical_ipv6(const char *host, char out[ADDRESS_HOST_SIZE])
{
    const char *zone = strchr(host, '%');
    size_t length = !zone ? strlen(host) : (size_t)(zone - host);
    char literal[INET6_ADDRSTRLEN];
    struct in6_addr ip;

    if (length >= sizeof(literal) || (zone && (zone[1] == '\0' || strlen(zone) > 32))) {
        return false;
    }
    memcpy(literal, host, length);
    literal[length] = '\0';
    if (inet_pton(AF_INET6, literal, &ip) != 1 ||
        !inet_ntop(AF_INET6, &ip, literal, sizeof(literal))) {
        return false;
    }
    for (const char *p = zone; p && *p != '\0'; p++) {
        if (!isgraph((unsigned char)*p) || strchr("/[]\"\\", *p)) {
            return false;
        }
    }
    (void)snprintf(out, ADDRESS_HOST_SIZE, "%s%s", literal, !zone ? "" : zone);
    return true;
}

/*
 * `12345` and `10.0.0.256` would be taken for numbers by some resolvers; no real host is called so.
 */
static bool last_label_is_number(const char *name, size_t length)
{
    while (length > 0 && name[length - 1] != '.') {
        if (!isdigit((unsigned char)name[--length])) {
            return false;
        }
    }
    return true;
}

/* A host name in lower case; one closing dot (an absolute name) stays. */
static bool canonical_name(const char *host, char out[ADDRESS_HOST_SIZE])
{
    size_t length = strlen(host);
    size_t body = length > 0 && host[length - 1] == '.' ? length - 1 : length;
    size_t label = 0;

    if (body == 0 || body > NAME_MAX_BYTES || last_label_is_number(host, body)) {
        return false;
    }
    for (size_t i = 0; i < body; i++) {
        unsigned char c = (unsigned char)host[i];

        if (c == '.' ? label == 0 || label > 63 : !isalnum(c) && c != '-' && c != '_') {
            return false;
        }
        if (c == '-' && label == 0) {
            return false;
        }
        label = c == '.' ? 0 : label + 1;
        out[i] = (char)tolower(c);
    }
    memcpy(out + body, host + body, length - body + 1);
    return label > 0 && label <= 63;
}

/* Without brackets. */
static bool canonical_host(const char *host, char out[ADDRESS_HOST_SIZE])
{
    struct in_addr ip;
    char text[ADDRESS_HOST_SIZE] = "";

    if (strchr(host, ':')
            ? !canonical_ipv6(host, text)
            : (inet_pton(AF_INET, host, &ip) == 1 ? !inet_ntop(AF_INET, &ip, text, sizeof(text))
                                                  : !canonical_name(host, text))) {
        return false;
    }
    memcpy(out, text, sizeof(text));
    return true;
}

/* 0 when it is none. */
static uint16_t parse_port(const char *text)
{
    int64_t port;

    return integer_parse(text, 1, UINT16_MAX, &port) == 0 ? (uint16_t)port : 0;
}

/*
 * Splits a copy of `text` at the colon before the port: `*port` is NULL when there is none.
 * False for what can't be told apart, a bare IPv6 literal above all.
 */
static bool split(char *text, char **host, char **port)
{
    if (text[0] == '[') {
        char *end = strchr(text, ']');

        if (!end || (end[1] != '\0' && end[1] != ':') || !memchr(text, ':', (size_t)(end - text))) {
            return false;
        }
        *host = text + 1;
        *port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        return true;
    }
    char *colon = strchr(text, ':');
    if (colon && strchr(colon + 1, ':')) {
        return false;
    }
    if (colon) {
        *colon = '\0';
    }
    *host = text;
    *port = !colon ? NULL : colon + 1;
    return true;
}

int address_parse(const char *text, uint16_t default_port, struct address *out, char *error,
                  size_t error_size)
{
    struct address found = {.port = default_port};
    char *copy = mem_strdup(text);
    char *host = NULL;
    char *port = NULL;
    const char *wrong = NULL;

    if (!split(copy, &host, &port)) {
        wrong = "is no address";
    } else if (!canonical_host(host, found.host)) {
        wrong = *host == '\0' ? "has no host" : "has no valid host name or IP";
    } else if (!port && default_port == 0) {
        wrong = "has no port";
    } else if (port && (found.port = parse_port(port)) == 0) {
        wrong = "has no valid port (1 to 65535)";
    }
    free(copy);
    if (wrong) {
        (void)snprintf(error, error_size, "\"%.*s\" %s; takes host%s or %s", ADDRESS_TEXT_SIZE,
                       text, wrong, default_port == 0 ? ":port" : "[:port]",
                       default_port == 0 ? "[v6]:port" : "[v6][:port]");
        return -BW_EINVAL;
    }
    *out = found;
    return 0;
}

int address_from_parts(const char *host, size_t host_len, const char *port, size_t port_len,
                       struct address *out)
{
    char host_text[ADDRESS_HOST_SIZE];
    char port_text[8];
    struct address found = {0};

    if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
        if (!memchr(host, ':', host_len)) {
            return -BW_EINVAL;
        }
    }
    if (host_len == 0 || host_len >= sizeof(host_text) || port_len == 0 ||
        port_len >= sizeof(port_text) || memchr(host, '\0', host_len) ||
        memchr(port, '\0', port_len)) {
        return -BW_EINVAL;
    }
    memcpy(host_text, host, host_len);
    host_text[host_len] = '\0';
    memcpy(port_text, port, port_len);
    port_text[port_len] = '\0';
    found.port = parse_port(port_text);
    if (found.port == 0 || !canonical_host(host_text, found.host)) {
        return -BW_EINVAL;
    }
    *out = found;
    return 0;
}

const char *address_format(const struct address *address, char *out)
{
    bool brackets = strchr(address->host, ':') != NULL;

    (void)snprintf(out, ADDRESS_TEXT_SIZE, "%s%s%s:%u", brackets ? "[" : "", address->host,
                   brackets ? "]" : "", (unsigned)address->port);
    return out;
}

bool address_is_set(const struct address *address)
{
    return address->port != 0;
}

bool address_is_ip(const struct address *address)
{
    struct in_addr ip;

    /* a colon only ever comes with an IPv6 literal: see canonical_host() */
    return strchr(address->host, ':') || inet_pton(AF_INET, address->host, &ip) == 1;
}

bool address_is_loopback(const struct address *address)
{
    struct in_addr ip;
    struct in6_addr ip6;

    if (inet_pton(AF_INET, address->host, &ip) == 1) {
        return ntohl(ip.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, address->host, &ip6) != 1) {
        return false;
    }
    return IN6_IS_ADDR_LOOPBACK(&ip6) || (IN6_IS_ADDR_V4MAPPED(&ip6) && ip6.s6_addr[12] == 127);
}

bool address_is_nowhere(const struct address *address)
{
    struct in_addr ip;
    struct in6_addr ip6;
    char literal[ADDRESS_HOST_SIZE];
    uint32_t v4;

    memcpy(literal, address->host, sizeof(literal));
    literal[strcspn(literal, "%")] = '\0'; /* a zone */
    if (inet_pton(AF_INET, literal, &ip) == 1) {
        v4 = ntohl(ip.s_addr);
    } else if (inet_pton(AF_INET6, literal, &ip6) != 1) {
        return false;
    } else if (IN6_IS_ADDR_V4MAPPED(&ip6)) {
        memcpy(&ip, ip6.s6_addr + 12, sizeof(ip));
        v4 = ntohl(ip.s_addr);
    } else {
        return IN6_IS_ADDR_UNSPECIFIED(&ip6) || IN6_IS_ADDR_MULTICAST(&ip6);
    }
    return v4 >> 24 == 0 || v4 >> 28 == 0xe || v4 == UINT32_MAX;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

struct endpoint endpoint_from_address(const struct address *address)
{
    struct endpoint endpoint = {.name = *address};

    if (address_is_ip(address)) {
        endpoint.ip = *address;
    }
    return endpoint;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    if (address_is_set(&a->ip) && address_is_set(&b->ip)) {
        return address_equal(&a->ip, &b->ip);
    }
    return address_equal(&a->name, &b->name);
}
