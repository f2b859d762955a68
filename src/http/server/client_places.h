/*
 * How many places each client holds, over all workers; an address of IPv6 stands for its /64.
 * Thread: any.
 */
#ifndef BELLWETHER_HTTP_SERVER_CLIENT_PLACES_H
#define BELLWETHER_HTTP_SERVER_CLIENT_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define CLIENT_KEY_SIZE 9 /* the family and eight bytes */

enum client_place { CLIENT_ORDINARY, CLIENT_WAITING, CLIENT_PLACES };

struct client_key {
    unsigned char bytes[CLIENT_KEY_SIZE]; /* all zero: nobody in particular, who has no share */
};

struct client_limits {
    size_t all;                 /* of one client; 0: no limit but those below */
    size_t each[CLIENT_PLACES]; /* of one client, by kind; 0: no limit */
};

struct clients;

struct clients *clients_new(const struct client_limits *limits);
void clients_free(struct clients *clients);
struct client_key client_key_of(const struct sockaddr *address);
/** Take a place. @return false: this client has as many as it may. */
bool clients_enter(struct clients *clients, const struct client_key *key, enum client_place kind);
/** It holds another kind of place now, whatever the limits say. */
void clients_move(struct clients *clients, const struct client_key *key, enum client_place from,
                  enum client_place to);
void clients_leave(struct clients *clients, const struct client_key *key, enum client_place kind);

#endif
