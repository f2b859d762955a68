/*
 * A small world made from a seed: Sentinels, nodes with real roles, partitions, failovers that go
 * well or die on the way; and a watcher that asks, loses answers, freezes, and feeds a judge. Each
 * Sentinel has its list of the others, which hellos fill and which RESET or the loss of its state
 * empties: who is known follows from links and lists. One history is some 30 s of trouble and then
 * a calm in which the judge has to find the truth.
 *
 * world.c makes the trouble, world_watch.c is the watcher, world_electorate.c counts Sentinels.
 * What is checked: invariant.h at every step, at every step too that the judge counts no fewer
 * Sentinels than there are (`electorate`, kept by place and not by run id), and world_run()'s own
 * end.
 */
#ifndef BELLWETHER_TESTS_SIM_WORLD_H
#define BELLWETHER_TESTS_SIM_WORLD_H

#include "bellwether/topology/decide.h"
#include "invariant.h"

#define WORLD_SENTINELS 7
#define WORLD_NODES 4
#define WORLD_STRANGER WORLD_NODES /* a node that says master and that only liars name */
#define WORLD_EVENTS 256

struct world_node {
    bool up, hung, unreachable; /* unreachable: from this daemon */
    bool master;
    int64_t master_since_ms;
    /* ROLE_MASTER: may be asked; ROLE_NOPERM, ROLE_NOAUTH; ROLE_LOADING */
    enum role_answer permission;
    unsigned boots;
};

struct world_sentinel {
    bool up, unreachable, lies, gives_epoch, knows_name, failover;
    int group;                       /* who hears whom */
    unsigned birth;                  /* another one, another run id; from 1 */
    unsigned boots;                  /* each ends its connections */
    unsigned lists[WORLD_SENTINELS]; /* the births of the others that it knows, 0: not this one */
    int says;
    int64_t epoch;
    int lie;
    int64_t lie_epoch;
};

struct world_failover {
    bool running, manual;
    int leader, chosen, phase;
    unsigned leader_birth;
    int64_t epoch;
};

struct world_link {
    bool up, settled, says_unknown, has_list;
    unsigned era;      /* what belongs to an older one is dropped */
    unsigned token;    /* of the next poll */
    unsigned known_as; /* its birth when the link was up last; 0: never */
    unsigned former;   /* and another one before; 0: none */
    bool has_said;     /* a master */
    bool foreign;      /* by the last count */
    unsigned boots;
    unsigned listed[WORLD_SENTINELS]; /* as it said last */
    int64_t list_ms;                  /* when its list is due */
    int64_t live_ms;                  /* when it was seen to be live last */
    int64_t epoch;
    struct endpoint says;
};

enum world_event_kind {
    EVENT_TROUBLE,
    EVENT_HELLO,
    EVENT_HOUSEKEEPING,
    EVENT_FAILOVER,
    EVENT_THAW,
    EVENT_CALM,
    /* the watcher's; ignored while it is frozen */
    EVENT_CONNECT,
    EVENT_POLL,
    EVENT_ANSWER,
    EVENT_LOST,
    EVENT_VERIFY,
    EVENT_ROLE,
    EVENT_LEAD,      /* a leader's own event about its failover */
    EVENT_PROMOTION, /* what a replica that is being promoted says */
};

struct world_event {
    int64_t at_ms;
    enum world_event_kind kind;
    int who;
    unsigned era, token;
    bool refused; /* EVENT_ANSWER: nothing that counts */
    bool has_list;
    unsigned listed[WORLD_SENTINELS];
    struct observation seen;
    enum role_answer answer;
    enum promotion_step step;
    int64_t epoch;
    int node;
};

enum world_undone {
    UNDONE_ABORTED,
    UNDONE_NODE,
    UNDONE_LEADER,
    UNDONE_TIMEOUT,
    UNDONE_GAP,
    UNDONES
};

struct world_stats {
    unsigned histories, switches, steps, gaps, failovers, double_epochs, restarts, calms_unverified;
    unsigned announced, undone[UNDONES];
    unsigned resets, replaced, left; /* left: the electorate shrank */
    /* steps times Sentinels that had nothing to do with the others */
    unsigned foreign;
    unsigned by_rule[DECIDE_WAIT + 1], in_state[MASTER_STATES_COUNT];
    int64_t slowest_ms; /* the longest that the judge took in a calm */
};

struct world {
    uint64_t seed, random;
    int64_t now_ms;
    struct world_event events[WORLD_EVENTS];
    size_t n_events;

    int n_sentinels, n_nodes;
    struct world_sentinel sentinels[WORLD_SENTINELS];
    struct world_node nodes[WORLD_NODES + 1];
    struct world_failover failovers[2];
    bool calm;
    int truth;
    int64_t calm_ms, right_ms; /* how long after it the judge was right, -1: not yet */
    /* and until when writes were held there, because only the stranger is published */
    int64_t held_ms;

    struct judge_config config;
    int64_t failover_timeout_ms;
    struct judge *judge;
    struct judgement j;
    struct invariant invariant;
    struct world_link links[WORLD_SENTINELS];
    /* places of Sentinels that the watcher has heard of and that did not leave */
    bool electorate[WORLD_SENTINELS];
    bool provisional[WORLD_SENTINELS]; /* there by the word of the only one that had a list */
    bool frozen;
    unsigned era;
    int promoting; /* the node that is asked, -1: none */
    unsigned promoting_token;
    int64_t suspect_since_ms; /* -1: not */
    unsigned steps, fed;
    char failed[500];
    struct world_stats *stats;
};

/** Play one history. @return whether all held; else world->failed says what did not. */
bool world_run(struct world *world, uint64_t seed, struct world_stats *stats);

/* between world.c and world_watch.c */
uint32_t world_below(struct world *world, uint32_t bound);
bool world_chance(struct world *world, unsigned percent);
struct world_event *world_at(struct world *world, int64_t delay_ms, enum world_event_kind kind,
                             int who);
struct endpoint world_endpoint(int node);
void watch_start(struct world *world);
void watch_handle(struct world *world, const struct world_event *event);
/** Sentinel `s` has news: its event reaches the watcher, mostly. */
void watch_event(struct world *world, int s);
/** Sentinel `s` says that of its failover: it reaches the watcher, mostly, and in order. */
void watch_lead(struct world *world, int s, enum promotion_step step, int64_t epoch, int node);
/** The node died: a standing connection to it ends. */
void watch_closed(struct world *world, int node);
void watch_freeze(struct world *world);
void watch_thaw(struct world *world);
/** Its list of the others changed: the event of that reaches the watcher, mostly. */
void watch_list(struct world *world, int s);
void watch_step(struct world *world);

/* between world_watch.c and world_electorate.c */
/** The run id of Sentinel `s`, of that birth. */
const char *world_id_of(int s, unsigned birth, char out[RUN_ID_SIZE]);
/** The judge counts those that are there anew, and so does the truth. */
void electorate_count(struct world *world);
/** The judge has counted no fewer than there are. */
void electorate_check(struct world *world);

#endif
