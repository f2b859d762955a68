/*
 * A table of those who hold places. It has the one lock that workers share; it is taken when a
 * connection begins and when it ends, never for a request.
 */
#include "client_places.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/loop.h"
#include "bellwether/base/memory.h"

#define BUCKETS 1024

struct client {
    struct client *next;
    struct client_key key;
    size_t places[CLIENT_PLACES];
};

struct clients {
    pthread_mutex_t lock;
    struct client_limits limits;
    uint64_t salt;
    struct client *buckets[BUCKETS];
};

struct clients *clients_new(const struct client_limits *limits)
{
    struct clients *clients = mem_new(1, sizeof(*clients));

    pthread_mutex_init(&clients->lock, NULL);
    clients->limits = *limits;
    clients->salt = ((uint64_t)jitter_below(UINT32_MAX) << 32) | jitter_below(UINT32_MAX);
    return clients;
}

void clients_free(struct clients *clients)
{
    if (!clients) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct client *client = clients->buckets[i], *next; client; client = next) {
            next = client->next;
            free(client);
        }
    }
    pthread_mutex_destroy(&clients->lock);
    free(clients);
}

struct client_key client_key_of(const struct sockaddr *address)
{
    struct client_key key = {{0}};

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;

        key.bytes[0] = 4;
        memcpy(key.bytes + 1, &in->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;

        key.bytes[0] = 6;
        memcpy(key.bytes + 1, &in6->sin6_addr, 8);
    }
    return key;
}

static bool counts(const struct clients *clients, const struct client_key *key)
{
    const struct client_limits *limits = &clients->limits;

    return key->bytes[0] &&
           (limits->all || limits->each[CLIENT_ORDINARY] || limits->each[CLIENT_WAITING]);
}

/* Where the client stands, or where it would. */
static struct client **find(struct clients *clients, const struct client_key *key)
{
    uint64_t mixed = clients->salt;
    struct client **at;

    for (size_t i = 0; i < CLIENT_KEY_SIZE; i++) {
        mixed = (mixed ^ key->bytes[i]) * UINT64_C(0x9E3779B97F4A7C15);
        mixed ^= mixed >> 29;
    }
    at = &clients->buckets[mixed % BUCKETS];
    while (*at && memcmp(&(*at)->key, key, sizeof(*key)) != 0) {
        at = &(*at)->next;
    }
    return at;
}

static bool has_room(const struct client_limits *limits, const struct client *client,
                     enum client_place kind)
{
    size_t all = client->places[CLIENT_ORDINARY] + client->places[CLIENT_WAITING];

    return (limits->all == 0 || all < limits->all) &&
           (limits->each[kind] == 0 || client->places[kind] < limits->each[kind]);
}

bool clients_enter(struct clients *clients, const struct client_key *key, enum client_place kind)
{
    struct client **at;
    bool room;

    if (!counts(clients, key)) {
        return true;
    }
    pthread_mutex_lock(&clients->lock);
    at = find(clients, key);
    room = !*at || has_room(&clients->limits, *at, kind);
    if (!*at) {
        *at = mem_new(1, sizeof(**at));
        (*at)->key = *key;
    }
    (*at)->places[kind] += room;
    pthread_mutex_unlock(&clients->lock);
    return room;
}

void clients_move(struct clients *clients, const struct client_key *key, enum client_place from,
                  enum client_place to)
{
    struct client *client;

    if (!counts(clients, key)) {
        return;
    }
    pthread_mutex_lock(&clients->lock);
    client = *find(clients, key);
    if (client) {
        client->places[from]--;
        client->places[to]++;
    }
    pthread_mutex_unlock(&clients->lock);
}

void clients_leave(struct clients *clients, const struct client_key *key, enum client_place kind)
{
    struct client **at, *client;

    if (!counts(clients, key)) {
        return;
    }
    pthread_mutex_lock(&clients->lock);
    at = find(clients, key);
    client = *at;
    if (client && --client->places[kind] == 0 && client->places[CLIENT_ORDINARY] == 0 &&
        client->places[CLIENT_WAITING] == 0) {
        *at = client->next;
        free(client);
    }
    pthread_mutex_unlock(&clients->lock);
}
