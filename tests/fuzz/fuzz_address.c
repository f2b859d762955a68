/*
 * Addresses: whatever is accepted comes back the same from its own spelling, and a refusal touches
 * nothing.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check_round_trip(const struct address *address)
{
    struct address again;
    char text[ADDRESS_TEXT_SIZE];
    char error[512];
    char port[8];

    check(address->port != 0 && address->host[0] != '\0' &&
          memchr(address->host, '\0', sizeof(address->host)));
    (void)address_format(address, text);
    check(address_parse(text, 0, &again, error, sizeof(error)) == 0);
    check(address_equal(address, &again));
    (void)snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    check(address_from_parts(address->host, strlen(address->host), port, strlen(port), &again) ==
          0);
    check(address_equal(address, &again));
    struct endpoint a = endpoint_from_address(address);
    struct endpoint b = endpoint_from_address(&again);
    check(endpoint_equal(&a, &b));
    check(!address_is_loopback(address) || address_is_ip(address));
}

static void check_parse(const char *text, uint16_t default_port)
{
    struct address out;
    struct address before;
    char error[64] = "";

    memset(&out, 0x5A, sizeof(out));
    before = out;
    if (address_parse(text, default_port, &out, error, sizeof(error)) == 0) {
        check_round_trip(&out);
    } else {
        check(memcmp(&out, &before, sizeof(out)) == 0 && error[0] != '\0');
    }
}

static void check_map(const char *text)
{
    struct address_map map = {0};
    char error[64] = "";

    if (address_map_add(&map, text, error, sizeof(error)) == 0) {
        struct address from = map.from[0];

        from.port = from.port == 0 ? 1 : from.port;
        struct address mapped = address_map_apply(&map, &from);
        check(mapped.port != 0);
        check(address_map_add(&map, text, error, sizeof(error)) != 0);
    }
    address_map_release(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct address out;

    if (!text) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    check_parse(text, 0);
    check_parse(text, 26379);
    check_map(text);
    size_t half = size / 2; /* not terminated, zero bytes inside: as a Sentinel could send them */
    if (address_from_parts((const char *)data, half, (const char *)data + half, size - half,
                           &out) == 0) {
        check_round_trip(&out);
    }
    free(text);
    return 0;
}
