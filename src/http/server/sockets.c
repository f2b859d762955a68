/* What all workers share: listening sockets, and what they count together. */
#include "sockets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "bellwether/base/listening.h"
#include "bellwether/base/memory.h"
#include "client_places.h"

struct bound {
    struct listening *listening;
    _Atomic int64_t *deaf_since_ms; /* by worker */
};

struct http_sockets {
    struct bound *bound;
    size_t n;
    char instance[INSTANCE_SIZE];
    _Atomic size_t open, open_probe, open_waiting; /* connections, over all workers */
    _Atomic size_t waiting;                        /* of them, those that wait now */
    _Atomic size_t pending;                        /* requests whose commands wait */
    struct clients *clients;
};

/* 64 random bits: what tells this process' ETags and indexes from those of the one before it. */
static void make_instance(char out[INSTANCE_SIZE])
{
    uint64_t bits = 0;

    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits)) {
        bits = ((uint64_t)jitter_below(UINT32_MAX) << 32) | jitter_below(UINT32_MAX);
    }
    snprintf(out, INSTANCE_SIZE, "%016" PRIx64, bits);
}

struct http_sockets *http_sockets_open(const struct http_config *config, char *error,
                                       size_t error_size)
{
    struct http_sockets *sockets = mem_new(1, sizeof(*sockets));
    struct client_limits limits = {.all = config->max_per_client};

    if (config->halve_per_client) {
        limits.each[CLIENT_ORDINARY] = (config->max_connections + 1) / 2;
        limits.each[CLIENT_WAITING] = (config->max_waiters + 1) / 2;
    }
    sockets->bound = mem_new(config->n_listens + 1, sizeof(*sockets->bound));
    sockets->clients = clients_new(&limits);
    make_instance(sockets->instance);
    for (size_t i = 0; i < config->n_listens; i++) {
        struct bound *bound = &sockets->bound[i];

        bound->deaf_since_ms = mem_new(config->n_workers, sizeof(*bound->deaf_since_ms));
        sockets->n = i + 1;
        bound->listening =
            listening_open(&config->listens[i].place, true, config->n_workers, error, error_size);
        if (!bound->listening) {
            http_sockets_free(sockets);
            return NULL;
        }
    }
    return sockets;
}

const struct address *http_sockets_address(const struct http_sockets *sockets, size_t i)
{
    return listening_address(sockets->bound[i].listening);
}

int http_sockets_take(struct http_sockets *sockets, size_t i, size_t worker)
{
    return listening_take(sockets->bound[i].listening, worker);
}

const char *http_sockets_instance(const struct http_sockets *sockets)
{
    return sockets->instance;
}

_Atomic size_t *http_sockets_open_count(struct http_sockets *sockets, bool probe)
{
    return probe ? &sockets->open_probe : &sockets->open;
}

_Atomic size_t *http_sockets_waiting_count(struct http_sockets *sockets)
{
    return &sockets->waiting;
}

_Atomic size_t *http_sockets_pending_count(struct http_sockets *sockets)
{
    return &sockets->pending;
}

_Atomic size_t *http_sockets_open_waiting_count(struct http_sockets *sockets)
{
    return &sockets->open_waiting;
}

struct clients *http_sockets_clients(struct http_sockets *sockets)
{
    return sockets->clients;
}

bool http_sockets_is_loopback(const struct http_sockets *sockets, size_t i)
{
    return listening_is_loopback(sockets->bound[i].listening);
}

_Atomic int64_t *http_sockets_deaf_since(struct http_sockets *sockets, size_t i, size_t worker)
{
    return &sockets->bound[i].deaf_since_ms[worker];
}

void http_sockets_free(struct http_sockets *sockets)
{
    if (!sockets) {
        return;
    }
    for (size_t i = 0; i < sockets->n; i++) {
        listening_free(sockets->bound[i].listening);
        free(sockets->bound[i].deaf_since_ms);
    }
    clients_free(sockets->clients);
    free(sockets->bound);
    free(sockets);
}
