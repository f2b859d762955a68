/* The map that NAT needs: what Sentinels call a node to what this daemon must dial. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/address.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

/* One side of a rule: with a port, or a host alone (then port 0). */
static bool parse_side(const char *text, struct address *out)
{
    char ignored[8];
    size_t length = strlen(text);
    struct address found;

    if (address_parse(text, 0, out, ignored, sizeof(ignored)) == 0) {
        return true;
    }
    /* any port will do for the check; an IPv6 literal is clear here even without brackets */
    bool has_port = strchr(text, ':') && (text[0] != '[' || text[length - 1] != ']');
    if (has_port && !strchr(strchr(text, ':') + 1, ':')) {
        return false;
    }
    if (address_from_parts(text, length, "1", 1, &found) != 0) {
        return false;
    }
    found.port = 0;
    *out = found;
    return true;
}

int address_map_add(struct address_map *map, const char *rule, char *error, size_t error_size)
{
    const char *equals = strchr(rule, '=');
    const char *wrong = NULL;
    struct address from;
    struct address to;

    if (!equals || strchr(equals + 1, '=')) {
        wrong = "is no rule";
    } else {
        char *left = mem_strdup(rule);

        left[equals - rule] = '\0';
        if (!parse_side(left, &from)) {
            wrong = "has no valid address before the =";
        } else if (!parse_side(equals + 1, &to)) {
            wrong = "has no valid address after the =";
        } else if ((from.port == 0) != (to.port == 0)) {
            wrong = "has a port on one side only";
        }
        free(left);
    }
    for (size_t i = 0; !wrong && i < map->n; i++) {
        if (address_equal(&map->from[i], &from)) {
            wrong = "maps an address that another rule maps";
        }
    }
    if (wrong) {
        (void)snprintf(error, error_size, "\"%.300s\" %s; takes host:port=host:port or host=host",
                       rule, wrong);
        return -BW_EINVAL;
    }
    map->from = mem_resize(map->from, map->n + 1, sizeof(*map->from));
    map->from[map->n] = from;
    *MEM_APPEND(map->to, map->n) = to;
    return 0;
}

struct address address_map_apply(const struct address_map *map, const struct address *address)
{
    const struct address *by_host = NULL;

    for (size_t i = 0; i < map->n; i++) {
        if (strcmp(map->from[i].host, address->host) != 0) {
            continue;
        }
        if (map->from[i].port == address->port) {
            return map->to[i];
        }
        if (map->from[i].port == 0) {
            by_host = &map->to[i];
        }
    }
    if (!by_host) {
        return *address;
    }
    struct address mapped = *by_host;
    mapped.port = address->port;
    return mapped;
}

void address_map_release(struct address_map *map)
{
    free(map->from);
    free(map->to);
    *map = (struct address_map){0};
}
