/*
 * What all files of a client stand on: its memory while the owner's hooks run (the client stays
 * until the last one on the stack returns, a monitored master until its last question is answered),
 * what it was denied, and its back-off.
 */
#include "client_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_LAST_MS = 5000 };

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

void client_keep_words(struct sentinel_client *client, const char *words)
{
    snprintf(client->words, sizeof(client->words), "%s", words);
    client->words_wall_ms = clock_wall_ms();
}

bool client_deny(struct sentinel_client *client, enum sentinel_extra what, const char *words)
{
    if (client->denied & (unsigned)what) {
        return true;
    }
    client->denied |= (unsigned)what;
    client_keep_words(client, words);
    client_enter(client);
    client->hooks.denied(client->data, client, what);
    return client_leave(client);
}

int64_t client_backoff_ms(unsigned failures)
{
    int64_t ceiling = backoff_ms(failures, BACKOFF_FIRST_MS, BACKOFF_LAST_MS);

    /* Full jitter, but never zero: a peer that closes at once must not be hammered. */
    return 10 + (int64_t)jitter_below((uint32_t)ceiling);
}
