/*
 * The watcher thread's own objects and how they hang together:
 *
 *   watcher ── deployments ── Sentinels (each with its client)
 *      └────── masters (judge, role checks) ── views (what one Sentinel says about it)
 *
 *   turn.c               what is done when a turn of the loop ends; gaps in the clock
 *   master_list.c        the masters by name
 *   sentinel_node.c      what everybody asks about a Sentinel
 *   watch_counters.c     what /metrics shows of all this
 *   event_relay.c        Sentinels' events to whoever listens
 *   failover_recorder.c  what the failover log is told
 *   fence_driver.c       whether writes are held back while a replica is promoted
 *   early_adopt.c        --adopt promoted: what leaders say of their failovers
 *   chosen_replica.c     the replica that a leader chose is connected to before it is announced
 *   replica_lag.c        the published node is asked how far its replicas lag
 *   verify.c             the published node and the candidate are asked for their role
 *   electors.c           who of the Sentinels is known
 *   sentinel_view.c      a Sentinel's answers turned into observations
 *   self_node.c          the nodes named by --self
 *   snapshot_builder.c   snapshots
 *   fresh_lookup.c       fresh look-ups
 *   watched_master.c     the judge: what it is fed, what it asks for, fast asking
 *   discovery.c          the masters that Sentinels name
 *   deployment.c         Sentinels: seeds, learned, forgotten, duplicates
 *   status_report.c      all of it, with its age, for /status
 *   thread.c             the thread, its clock, its mailbox
 *
 * None of them calls one that stands below it here: what is heard marks its master, and the end of
 * the turn sees to it (turn.h).
 */
#ifndef BELLWETHER_WATCHER_WATCHER_H
#define BELLWETHER_WATCHER_WATCHER_H

#include <pthread.h>

#include "bellwether/base/list.h"
#include "bellwether/metrics/counters.h"
#include "bellwether/sentinel/client.h"
#include "bellwether/topology/decide.h"
#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"
#include "bellwether/watcher/thread.h"
#include "chosen_replica.h"
#include "early_adopt.h"
#include "event_relay.h"
#include "failover_recorder.h"
#include "fence_driver.h"
#include "fresh_lookup.h"
#include "replica_lag.h"
#include "resolver.h"
#include "verify.h"

enum sentinel_node_state {
    SENTINEL_NODE_NEW,   /* it has neither come up nor failed yet */
    SENTINEL_NODE_TRIED, /* it has come up or failed */
    /* a seed that is the same Sentinel as another seed: kept in reserve, not dialled */
    SENTINEL_NODE_SPARE,
};

struct sentinel_node {
    struct list_link in_deployment;
    struct deployment *deployment;
    struct sentinel_client *link;
    bool configured;
    enum sentinel_node_state state;
    enum sentinel_trouble logged;    /* why it is down, as the log had it; NONE: it is up, or new */
    struct metrics_sentinel *counts; /* NULL: none yet, or in reserve */
    bool counted_up, counted_tilt;   /* in `counts` */
    bool has_been_up;
    char known_as[RUN_ID_SIZE];  /* under which run id it was up last */
    char former[RUN_ID_SIZE];    /* and under which other one before; "" none */
    char listed_as[RUN_ID_SIZE]; /* learned ones: the run id in the list that named it */
    char **names;                /* the masters it says it monitors; NULL: it has not said */
    size_t n_names;
    int64_t new_epoch; /* the last event was +new-epoch with this; else EPOCH_UNKNOWN */
};

struct deployment {
    struct watcher *watcher;
    const struct watch_deployment *config;
    unsigned number;           /* from 1: the group of its name look-ups */
    struct resolver *resolver; /* of what its Sentinels name */
    struct secret *password;
    struct secret_complaint complaint;
    struct list sentinels; /* struct sentinel_node, in the order in which they came */
    size_t n_sentinels;
    struct list masters; /* struct master, by name */
    bool review_wanted, relink_wanted;
    bool logged_full;     /* that it has more masters than are taken in */
    bool logged_sections; /* which sections' masters it does not have */
};

/* What one Sentinel says about one master. */
struct sentinel_view {
    struct list_link in_master;
    struct sentinel_node *sentinel;
    struct master *master;
    struct monitored_master *monitored;
    bool settled;      /* has answered or failed since the start: rule 8 */
    bool unknown_name; /* says it has no such master */
    bool denied;       /* may not be asked for the address */
    bool has_row;
    struct sentinel_master_row row;
    bool has_says;
    struct address says;            /* mapped */
    bool has_named;                 /* ever, since this run id is there */
    struct endpoint named;          /* the last one that counted */
    bool foreign, logged_foreign;   /* of another deployment: judge_recount() */
    bool waiting;                   /* an answer waits for a name look-up */
    struct observation waiting_for; /* its `master.name` is what is looked up */
    struct sentinel_peer_row *listed;
    size_t n_listed;
    bool has_listed;
    struct sentinel_replica_row *replicas;
    size_t n_replicas;
    bool has_replicas;
    bool has_ckquorum, ckquorum_ok;
    char ckquorum_text[512];
    char error_code[64], error_text[512]; /* the last answer that could not be used */
    int64_t error_wall_ms;
    unsigned refused; /* answers that were refused, for the log */
};

/* What is due for a master when this turn ends. */
enum turn_mark { TURN_STEP, TURN_SHOW, TURN_MARKS };

struct master {
    struct watcher *watcher;
    struct deployment *deployment;
    struct list_link in_deployment;
    char *name;
    bool configured;
    struct judge *judge;
    struct metrics_master *counts;
    struct list views; /* struct sentinel_view, in the order of its Sentinels */
    size_t n_views;
    const char *redis_username;
    struct secret *redis_password; /* borrowed: the watcher's */
    struct redis_tls *redis_tls;   /* borrowed; NULL: plain */
    /* verification */
    struct role_check *standing;  /* to the published master */
    struct role_check *candidate; /* to the node that judge wants checked */
    struct loop_timer *step_timer, *verify_timer, *suspect_timer;
    unsigned standing_failures;
    int64_t role_asked_us;  /* the last role answer of the published node: when it was asked */
    int64_t role_master_us; /* the last one that was `master`; 0: none of this node */
    int64_t candidate_asked_us;
    int64_t switched_us; /* boot clock: the last switch; 0: none */
    enum role_answer candidate_role;
    bool candidate_stood; /* its connection is from before anybody wanted it asked */
    struct early_adopt adopt;
    struct chosen_replica chosen;
    struct fence_driver fence_driver;
    struct suspicions suspicions;
    enum role_answer role;
    char role_words[384];
    struct lag lag;
    /* fast asking */
    bool suspect;
    int64_t suspect_since_ms;
    /* what the last step came to */
    enum master_state state;
    enum reason reason;
    char detail[DETAIL_SIZE];
    bool has_published, has_previous, majority;
    bool adopted;      /* what is published was adopted, and nobody has announced it yet */
    bool contradicted; /* rule 13: writes are held */
    struct published published;
    struct endpoint previous;
    uint64_t switches; /* how often the address changed */
    int64_t since_wall_ms;
    char run_id[RUN_ID_SIZE];
    int64_t restarted_wall_ms; /* its last restart since it is published; 0: none */
    struct decision decision;
    struct {
        enum master_state state;
        enum reason reason;
        bool bad;
    } logged;               /* its last line in the log */
    int64_t brief_since_ms; /* something is wrong that may pass by itself; -1: nothing is */
    int64_t stepped_ms;     /* what is shown is as of then, so that counts and words agree */
    struct list lookups;    /* under way, the youngest first */
    struct loop_timer *lookup_timer;
    struct failover_record *record; /* the failover log's */
    /* what is published and what was before, as the failover log calls them */
    struct address spelled[2];
    enum master_state told;                           /* what the failover log was told last */
    bool relearn;                                     /* who is known, or where, may have changed */
    bool logged_full_sentinels, logged_full_replicas; /* that more are listed than are taken in */
    struct list_link marks[TURN_MARKS];
    struct snapshot_master *shown; /* as last posted */
};

/* A Redis password with the masters that use it. */
struct watch_secret {
    const char *master; /* NULL: everybody else */
    const char *username;
    struct secret *password;
    struct redis_tls *tls; /* borrowed; NULL: plain */
    struct secret_complaint complaint;
};

struct letter {
    struct mailbox *to;
    struct message *message;
    unsigned turns; /* that it waits for still */
};

struct watcher {
    const struct watch_config *config;
    struct pulse *pulse;
    struct metrics *metrics, *own_metrics; /* `own_metrics`: where nobody else has any */
    struct loop *loop;
    struct mailbox *inbox;
    pthread_t thread;
    bool running;
    struct mailbox **subscribers;
    size_t n_subscribers;
    struct loop_timer *tick, *slow, *files;
    int64_t seen_ms; /* boot clock at the last sign of life */
    /* boot clock, before the loop was asked what has come: that is heard with this turn */
    int64_t looked_ms;
    void (*hear_gap)(struct watcher *watcher, int64_t gap_ms);
    struct resolver *resolver;    /* of what --self names */
    struct watch_secret *secrets; /* [0] is everybody's */
    struct tls_files *tls_files;  /* one for each of the config's */
    size_t n_secrets;
    struct deployment *deployments;
    size_t n_deployments;
    struct master **masters; /* sorted by name */
    size_t n_masters;
    size_t n_suspect;
    struct self **selves; /* one a --self */
    size_t n_selves;
    struct list marked[TURN_MARKS]; /* masters for whom something is due when this turn ends */
    /*
     * which masters there are, what is said of them all, or a link changed: a new snapshot is due
     */
    bool reshaped;
    bool lag_awaited;  /* by a caller */
    bool lag_moved;    /* of some replica, and nothing else: it waits for the next snapshot */
    int64_t posted_ms; /* boot clock: the last snapshot */
    uint64_t index, revision;
    char *default_name;
    bool logged_ambiguous;
    struct snapshot *current;
    struct event_relay relay;
    struct failover_recorder recorder;
    struct letter *outbox; /* goes out behind the next snapshot */
    size_t n_outbox;
};

#endif
