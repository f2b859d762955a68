/*
 * A failover seen from outside.
 *
 * The moment of the promotion is asked of the nodes themselves, each once a millisecond. A
 * Sentinel's own `+promoted-slave` comes up to a second later: it is the leader's next INFO that
 * tells it. The announcement is the first of three: a Sentinel asked once a millisecond names the
 * new master, publishes `+promoted-slave` (the leader: from then on it names it), or
 * `+switch-master` (the others). The daemons are asked the same way at the same pace; the long
 * polls and the streams wait. So figures are true to a millisecond, and what is told within it may
 * come first.
 */
#include <stdio.h>
#include <string.h>

#include "../support/scene.h"
#include "switch.h"

enum { ROUND_NS = 1000000 };

/* The first address other than the old one that somebody named. */
struct news {
    int64_t at_ns; /* 0: none yet */
    char address[64];
};

struct witness {
    const struct cluster *cluster;
    struct sight sight;
    size_t n, sentinels, subscribers, daemons; /* where each kind begins; the nodes are first */
    struct asker askers[ASKERS_MAX];
    struct news message[ASKERS_MAX];
};

static void add(struct witness *witness, enum asker_kind kind, uint16_t port, const char *what)
{
    cr_assert(witness->n < ASKERS_MAX);
    asker_init(&witness->askers[witness->n++], kind, port, what);
}

static void add_all(struct witness *witness, struct daemon *const daemons[SWITCH_DAEMONS])
{
    const struct cluster *cluster = witness->cluster;

    for (size_t i = 0; i < cluster->n_nodes; i++) {
        add(witness, ASKER_ROLE, cluster->nodes[i].port, NULL);
    }
    witness->sentinels = witness->n;
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        add(witness, ASKER_SENTINEL, cluster->sentinels[i].port, cluster->name);
    }
    witness->subscribers = witness->n;
    for (size_t i = 0; i < cluster->n_sentinels; i++) {
        add(witness, ASKER_SUBSCRIBER, cluster->sentinels[i].port, cluster->name);
    }
    witness->daemons = witness->n;
    for (size_t i = 0; i < SWITCH_DAEMONS; i++) { /* in the order of enum way */
        add(witness, ASKER_HTTP, daemons[i]->port, "/master?wait=60s");
        add(witness, ASKER_STREAM, daemons[i]->port, "/events");
        add(witness, ASKER_HTTP, daemons[i]->port, "/master");
    }
}

/* Which asker. */
static size_t told_by(const struct witness *witness, size_t daemon, enum way way)
{
    return witness->daemons + daemon * N_WAYS + way;
}

static void look_at_the_nodes(struct witness *witness)
{
    struct sight *sight = &witness->sight;

    for (size_t i = 0; i < witness->sentinels && !sight->fresh; i++) {
        const struct asker *asker = &witness->askers[i];

        if (asker->answered && asker->is_master && &witness->cluster->nodes[i] != sight->old) {
            sight->fresh = &witness->cluster->nodes[i];
            sight->promoted = asker->answered_ns;
        }
    }
}

static void look_for_news(struct news *message, const struct asker *asker, const struct server *old)
{
    if (message->at_ns != 0 || !asker->answered || asker->address[0] == '\0' ||
        strcmp(asker->address, old->address) == 0) {
        return;
    }
    message->at_ns = asker->answered_ns;
    (void)snprintf(message->address, sizeof(message->address), "%s", asker->address);
}

/* Take in what has been answered, and let long polls wait again at once. */
static void take(struct witness *witness)
{
    look_at_the_nodes(witness);
    for (size_t i = witness->sentinels; i < witness->n; i++) {
        look_for_news(&witness->message[i], &witness->askers[i], witness->sight.old);
    }
    for (size_t i = 0; i < SWITCH_DAEMONS; i++) {
        struct asker *poll = &witness->askers[told_by(witness, i, WAY_POLL)];
        char path[64];

        if (!poll->answered) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "/master?wait=60s&index=%s", poll->index);
        asker_turn_to(poll, path);
        asker_ask(poll);
    }
}

/* Put together what is known. @return whether that is all. */
static bool conclude(struct witness *witness)
{
    struct sight *sight = &witness->sight;

    if (!sight->fresh) {
        return false;
    }
    for (size_t i = witness->sentinels; i < witness->daemons; i++) {
        const int64_t at_ns = witness->message[i].at_ns;

        if (at_ns != 0 && (sight->announced == 0 || at_ns < sight->announced)) {
            sight->announced = at_ns;
        }
    }
    bool all = sight->announced != 0;
    sight->astray = 0;
    for (size_t i = witness->sentinels; i < witness->n; i++) {
        sight->astray += witness->message[i].at_ns != 0 &&
                         strcmp(witness->message[i].address, sight->fresh->address) != 0;
    }
    for (size_t i = 0; i < SWITCH_DAEMONS; i++) {
        for (enum way way = 0; way < N_WAYS; way++) {
            sight->told[i][way] = witness->message[told_by(witness, i, way)].at_ns;
            all = all && sight->told[i][way] != 0;
        }
    }
    return all;
}

bool witness_look(struct witness *witness)
{
    const int64_t end = monotonic_ns() + ROUND_NS;

    for (size_t i = 0; i < witness->n; i++) {
        asker_ask(&witness->askers[i]);
    }
    while (monotonic_ns() < end) {
        askers_wait(witness->askers, witness->n, end);
        take(witness);
    }
    return conclude(witness);
}

static bool all_connected(const struct witness *witness)
{
    for (size_t i = 0; i < witness->n; i++) {
        if (witness->askers[i].fd < 0) {
            return false;
        }
    }
    for (size_t i = witness->daemons; i < witness->n; i++) {
        if (witness->askers[i].address[0] == '\0') {
            return false;
        }
    }
    return true;
}

static void drop_witness(void *object)
{
    witness_close(object);
}

struct witness *witness_open(const struct cluster *cluster,
                             struct daemon *const daemons[SWITCH_DAEMONS],
                             const struct server *master)
{
    struct witness *witness = scene_alloc(sizeof(*witness));

    *witness = (struct witness){.cluster = cluster, .sight.old = master};
    add_all(witness, daemons);
    (void)scene_keep(witness, drop_witness);
    const int64_t end = monotonic_ns() + 10000000000;
    do {
        (void)witness_look(witness);
        cr_assert(monotonic_ns() < end, "not all answer");
    } while (!all_connected(witness));
    return witness;
}

const struct sight *witness_sight(const struct witness *witness)
{
    return &witness->sight;
}

void witness_close(struct witness *witness)
{
    for (size_t i = 0; i < witness->n; i++) {
        asker_close(&witness->askers[i]);
    }
}
