/*
 * A table of those who hold places. It has the one lock that workers share; it is taken when a
 * connection begins and when it ends, never for a request.
 */
#include "client_places.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/list.h"
#include "bellwether/base/loop.h"
#include "bellwether/base/memory.h"

#define BUCKETS 1024

struct client {
    struct list_link link; /* in its bucket */
    struct client_key key;
    size_t places[CLIENT_PLACES];
};

struct clients {
    pthread_mutex_t lock;
    struct client_limits limits;
    uint64_t salt;
    struct list buckets[BUCKETS];
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
        for (struct list_link *link; (link = list_take_first(&clients->buckets[i]));) {
            free(LIST_OWNER(link, struct client, link));
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

/* @param bucket set to where the client stands, or where it would. */
static struct client *find(struct clients *clients, const struct client_key *key,
                           struct list **bucket)
{
    uint64_t mixed = clients->salt;

    for (size_t i = 0; i < CLIENT_KEY_SIZE; i++) {
        mixed = (mixed ^ key->bytes[i]) * UINT64_C(0x9E3779B97F4A7C15);
        mixed ^= mixed >> 29;
    }
    *bucket = &clients->buckets[mixed % BUCKETS];
    LIST_EACH(struct client, client, *bucket, link) {
        if (memcmp(&client->key, key, sizeof(*key)) == 0) {
            return client;
        }
    }
    return NULL;
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
    struct client *client;
    struct list *bucket;
    bool room;

    if (!counts(clients, key)) {
        return true;
    }
    pthread_mutex_lock(&clients->lock);
    client = find(clients, key, &bucket);
    room = !client || has_room(&clients->limits, client, kind);
    if (!client) {
        client = mem_new(1, sizeof(*client));
        client->key = *key;
        list_append(bucket, &client->link);
    }
    client->places[kind] += room;
    pthread_mutex_unlock(&clients->lock);
    return room;
}

void clients_move(struct clients *clients, const struct client_key *key, enum client_place from,
                  enum client_place to)
{
    struct client *client;
    struct list *bucket;

    if (!counts(clients, key)) {
        return;
    }
    pthread_mutex_lock(&clients->lock);
    client = find(clients, key, &bucket);
    if (client) {
        client->places[from]--;
        client->places[to]++;
    }
    pthread_mutex_unlock(&clients->lock);
}

void clients_leave(struct clients *clients, const struct client_key *key, enum client_place kind)
{
    struct client *client;
    struct list *bucket;

    if (!counts(clients, key)) {
        return;
    }
    pthread_mutex_lock(&clients->lock);
    client = find(clients, key, &bucket);
    if (client && --client->places[kind] == 0 && client->places[CLIENT_ORDINARY] == 0 &&
        client->places[CLIENT_WAITING] == 0) {
        list_remove(bucket, &client->link);
        free(client);
    }
    pthread_mutex_unlock(&clients->lock);
}
