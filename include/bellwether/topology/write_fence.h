/*
 * The fence of one master (DESIGN section 5): whether commands that may write are held back because
 * a failover is about to promote a replica. Pure: what Sentinels and the chosen replica say and the
 * time go in, a state comes out; no I/O, no clock, no log.
 *
 *   a leader's own word     raises it, and re-arms its time; each Sentinel that leads is a lead of
 *                           its own, and the fence is up while one of them holds it
 *   a new master published  lowers it; an abort by the leader that holds it, too
 *   neither in time         the chosen replica is asked for its role: `master` keeps it up, all
 *                           else lowers it. As long as that failover is not over the replica is
 *                           asked again and again, and `master` raises it: what was on its way to a
 *                           replica that hung can still promote it
 */
#ifndef BELLWETHER_TOPOLOGY_WRITE_FENCE_H
#define BELLWETHER_TOPOLOGY_WRITE_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/topology/decide.h"
#include "bellwether/topology/snapshot.h"

#define FENCE_LEADS_MAX 4
#define FENCE_TIMEOUT_MS 3000 /* the default */
/* Word of a promotion comes no later than this behind an answer that the promotion makes void. */
#define FENCE_HOLD_MS WATCHER_LATE_MS

struct fence_config {
    int64_t timeout_ms;        /* how long a leader's word holds it by itself */
    int64_t verify_timeout_ms; /* how long the chosen replica may take to answer */
};

/*
 * What a Sentinel says of the failover that it runs itself. That it ended well, and its own
 * +switch-master, are no signals: until the new master is published writes would go to the old one.
 */
enum fence_signal {
    FENCE_SAYS_ELECTED,   /* +elected-leader */
    FENCE_SAYS_CHOSEN,    /* +selected-slave, +failover-state-send-slaveof-noone: `node` */
    FENCE_SAYS_PROMOTING, /* +failover-state-wait-promotion: `node` was told to become the master */
    FENCE_SAYS_ABORTED,   /* -failover-abort-...; +reset-master, -monitor: it forgot about it */
};

/* Addresses after --map; everything borrowed. */
struct fence_event {
    enum fence_signal signal;
    const char *leader;            /* the run id of the Sentinel whose own event it is */
    const struct endpoint *master; /* away from whom; NULL: not known */
    const struct endpoint *node;   /* the chosen replica; NULL: not (yet) known */
    int64_t failover_timeout_ms;   /* as that Sentinel has it; <= 0 unknown */
};

/* A Sentinel that leads, as far as is known. */
struct fence_lead {
    char id[RUN_ID_SIZE]; /* "": free */
    bool holds, promoting, has_chosen;
    bool coordinated; /* the master itself pauses its writes and hands over */
    /* `until_ms` can't be moved further: two waits of a failover have been heard of */
    bool capped;
    bool spent; /* it went on all the same: not listened to any more, until `until_ms` */
    struct endpoint chosen;
    int64_t first_ms; /* when it was heard first */
    int64_t until_ms; /* no failover takes longer */
    int64_t due_ms;   /* its word is good until then; later: the replica is asked then */
    int64_t asked_ms; /* the question that decides was put then; -1: none is open */
    bool out;         /* it is on its way */
};

/* Embedded in its owner; nothing in it is for others to write. */
struct write_fence {
    struct fence_config config;
    bool has_published;
    struct endpoint published;
    struct fence_lead leads[FENCE_LEADS_MAX];
    enum fence state;
    int64_t since_ms;     /* up: since when, boot clock */
    int64_t promoting_ms; /* when it was heard last that a promotion begins; 0: never */
    const char *why;      /* what last moved it up or down, in words; static */
};

/** @param config copied; timeout_ms 0 is the default. Nothing to release. */
void fence_init(struct write_fence *guard, const struct fence_config *config);
/** A Sentinel's event. */
void fence_hear(struct write_fence *guard, const struct fence_event *event, int64_t now_ms);
/** The name of the replica that this leader chose has been looked up. */
void fence_name(struct write_fence *guard, const char *leader, const struct endpoint *node,
                int64_t now_ms);
/**
 * The failover that this leader runs is a coordinated one (Valkey 9): once the master was told, it
 * takes no writes until the replica has caught up or the leader gives up, however long that is; so
 * neither does the fence let any pass.
 */
void fence_coordinate(struct write_fence *guard, const char *leader);
/** The published address moved, for the first time or to another. */
void fence_publish(struct write_fence *guard, const struct endpoint *published, int64_t now_ms);
/** What came of a question that fence_wants_role() asked for. */
void fence_answer(struct write_fence *guard, const struct endpoint *node, enum role_answer answer,
                  int64_t now_ms);
/**
 * The clock jumped: events may have been missed, so whoever holds the fence has to be confirmed at
 * once.
 */
void fence_void(struct write_fence *guard, int64_t now_ms);
/** Time goes on; after everything else, too. */
void fence_step(struct write_fence *guard, int64_t now_ms);
/**
 * The replica to ask for its role now, NULL: none. Told once a question; one question is out at a
 * time. Borrowed until the next call.
 */
const struct endpoint *fence_wants_role(struct write_fence *guard, int64_t now_ms);
/**
 * The next time at which fence_step() or fence_wants_role() has something to do, boot clock; -1:
 * only on news.
 */
int64_t fence_next_ms(const struct write_fence *guard);
/** Whether a failover is followed at all, with the fence up or down. */
bool fence_is_idle(const struct write_fence *guard);
/** The replica that the leader who holds it chose, NULL: none. Borrowed until the next call. */
const struct endpoint *fence_chosen(const struct write_fence *guard);
/** "down", "up", "promoting". */
const char *fence_text(enum fence fence);

#endif
