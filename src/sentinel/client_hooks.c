/*
 * Around the owner's hooks: whatever they do, the client stays until the last one on the stack
 * returns, and a monitored master until its last question is answered.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "client_internal.h"

void client_enter(struct sentinel_client *client)
{
    client->depth++;
}

bool client_leave(struct sentinel_client *client)
{
    client->depth--;
    if (client->state != CLIENT_FREED) {
        return true;
    }
    if (client->depth == 0) {
        free(client->monitored_masters);
        free(client);
    }
    return false;
}

void client_release_monitored_master(struct monitored_master *monitored)
{
    if (monitored->client || monitored->in_flight > 0) {
        return;
    }
    free(monitored->name);
    free(monitored);
}

const char *sentinel_extra_text(enum sentinel_extra what)
{
    switch (what) {
    case SENTINEL_EXTRA_PSUBSCRIBE: return "PSUBSCRIBE";
    case SENTINEL_EXTRA_MASTERS: return "SENTINEL MASTERS";
    case SENTINEL_EXTRA_CKQUORUM: return "SENTINEL CKQUORUM";
    case SENTINEL_EXTRA_MYID: return "SENTINEL MYID";
    case SENTINEL_EXTRA_MASTER: return "SENTINEL MASTER";
    }
    return "";
}

bool client_deny(struct sentinel_client *client, enum sentinel_extra what, const char *words)
{
    if (client->denied & (unsigned)what) {
        return true;
    }
    client->denied |= (unsigned)what;
    snprintf(client->words, sizeof(client->words), "%s", words);
    client->words_wall_ms = clock_wall_ms();
    client_enter(client);
    client->hooks.denied(client->data, client, what);
    return client_leave(client);
}
