/*
 * The watcher thread's own objects and how they hang together:
 *
 *   watcher ── deployments ── Sentinels (each with its client)
 *      └────── masters (judge, role checks) ── views (what one Sentinel says about it)
 *
 *   turn.c               what is done when a turn of the loop ends; gaps in the clock
 *   master_list.c        the masters by name
 *   sentinel_node.c      what everybody asks about a Sentinel
 *   deployment.c         Sentinels: seeds, learned, forgotten, duplicates; discovered names
 *   sentinel_view.c      a Sentinel's answers turned into observations
 *   watched_master.c     the judge: what it is fed, what it asks for, fast asking
 *   electors.c           who of the Sentinels is known
 *   verify.c             the published node and the candidate are asked for their role
 *   replica_lag.c        the published node is asked how far its replicas lag
 *   early_adopt.c        --adopt promoted: the replica that a leader chose is asked for its role
 *   fence_driver.c       whether writes are held back while a replica is promoted
 *   fresh_lookup.c       fresh look-ups
 *   self_node.c          the nodes named by --self
 *   status_report.c      all of it, with its age, for /status
 *   failover_recorder.c  what the failover log is told
 *   snapshot_builder.c   snapshots
 *   event_relay.c        Sentinels' events to whoever listens
 *   watch_counters.c     what /metrics shows of all this
 *   thread.c             the thread, its clock, its mailbox
 */
#ifndef BELLWETHER_WATCHER_WATCHER_INTERNAL_H
#define BELLWETHER_WATCHER_WATCHER_INTERNAL_H

#include <pthread.h>

#include "bellwether/metrics/counters.h"
#include "bellwether/sentinel/client.h"
#include "bellwether/topology/decide.h"
#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"
#include "bellwether/topology/write_fence.h"
#include "bellwether/watcher/thread.h"
#include "resolver.h"
#include "role_check.h"

struct sentinel_node {
    struct deployment *deployment;
    struct sentinel_client *link;
    bool configured;
    /* a seed that is the same Sentinel as another seed: kept in reserve, not dialled */
    bool duplicate;
    bool settled; /* has come up or failed since it was made */
    bool was_up;  /* for the log: one line a change */
    enum sentinel_trouble logged;
    struct metrics_sentinel *counts; /* NULL: none yet, or in reserve */
    bool counted_up, counted_tilt;   /* in `counts` */
    bool has_been_up;
    char known_as[RUN_ID_SIZE];  /* under which run id it was up last */
    char former[RUN_ID_SIZE];    /* and under which other one before; "" none */
    char listed_as[RUN_ID_SIZE]; /* learned ones: the run id in the list that named it */
    char **names;                /* the masters it says it monitors */
    size_t n_names;
    bool has_names;
    int64_t new_epoch; /* the last event was +new-epoch with this; else EPOCH_UNKNOWN */
};

struct deployment {
    struct watcher *watcher;
    const struct watch_deployment *config;
    unsigned number;           /* from 1: the group of its name look-ups */
    struct resolver *resolver; /* of what its Sentinels name */
    struct secret *password;
    struct secret_complaint complaint;
    struct sentinel_node **sentinels;
    size_t n_sentinels;
    bool review_wanted, relink_wanted;
    bool logged_full; /* that it has more masters than are taken in */
};

/* What one Sentinel says about one master. */
struct sentinel_view {
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

/* A caller's fresh look-up. */
struct lookup {
    struct lookup *next;
    int64_t began_us; /* boot clock */
    uint64_t ticket;
    struct mailbox *reply_to;
};

/* The replica that is being promoted (early_adopt.c). */
struct early_adopt {
    struct role_check *role_check; /* NULL: none is asked */
    struct loop_timer *timer;
    int64_t began_ms, asked_us;
    bool answered;                 /* this connection has answered */
    struct sentinel_node *chooser; /* its choice waits for a name look-up; NULL: none does */
    struct address chosen;
};

/* Whether writes are held back (fence_driver.c). */
struct fence_driver {
    struct write_fence guard;
    struct role_check *role_check; /* to the chosen replica; NULL: it has not been asked */
    struct loop_timer *timer;      /* NULL: never needed */
    enum fence shown;              /* as last logged */
    int64_t since_wall_ms;         /* up: since when */
    int64_t since_ms;              /* the same by the boot clock */
    bool contradicted;             /* and it was a contradiction that raised it */
    char waiting[RUN_ID_SIZE];     /* the leader whose choice waits for a name look-up, "" none */
    struct address chosen;         /* that choice */
};

/* What workers met at the published node (verify.c). */
struct suspicions {
    struct loop_timer *timer;   /* NULL: never needed */
    int64_t began_ms, acted_ms; /* boot clock; 0: never */
    bool wanted;                /* one more round when the timer is due */
};

/* How far replicas lag (replica_lag.c). Boot clock. */
struct lag {
    struct loop_timer *timer; /* NULL: never needed */
    int64_t asked_ms;         /* the last question; 0: none at this node */
    bool asking;              /* it is not answered yet */
    int64_t slow_ms;          /* when it is due though nobody cares */
    int64_t settled_ms;       /* not before */
    int64_t read_until_ms;    /* somebody reads it */
    bool flows;               /* writes come in, or a replica catches up */
    struct lookup *asks;      /* callers who wait for the next answer */
    /* the last answer */
    int64_t at_ms; /* when it was asked for; -1: there is none */
    int64_t master_offset;
    struct replica_offset *offsets;
    size_t n_offsets;
};

/* What is due for a master when this turn ends. */
enum turn_mark { TURN_STEP, TURN_SHOW, TURN_MARKS };

struct master {
    struct watcher *watcher;
    struct deployment *deployment;
    char *name;
    bool configured;
    struct judge *judge;
    struct metrics_master *counts;
    struct sentinel_view **views;
    size_t n_views;
    const char *redis_username;
    struct secret *redis_password; /* borrowed: the watcher's */
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
    struct early_adopt adopt;
    struct fence_driver fence_driver;
    struct suspicions suspicions;
    enum role_answer role;
    char role_words[120];
    struct lag lag;
    /* fast asking */
    bool suspect;
    int64_t suspect_since_ms;
    /* what the last step came to */
    enum master_state state;
    enum reason reason;
    char detail[DETAIL_SIZE];
    bool has_published, has_previous, majority, verified;
    bool adopted;      /* what is published was adopted, and nobody has announced it yet */
    bool contradicted; /* rule 13: writes are held */
    struct published published;
    struct endpoint previous;
    uint64_t switches; /* how often the address changed */
    int64_t since_wall_ms;
    char run_id[RUN_ID_SIZE];
    int64_t restarted_wall_ms; /* its last restart since it is published; 0: none */
    struct decision decision;
    bool stepped;
    struct {
        enum master_state state;
        enum reason reason;
        bool bad;
    } logged;               /* its last line in the log */
    int64_t brief_since_ms; /* something is wrong that may pass by itself; -1: nothing is */
    int64_t stepped_ms;     /* what is shown is as of then, so that counts and words agree */
    struct lookup *lookups; /* under way, the youngest first */
    struct loop_timer *lookup_timer;
    struct failover_record *track; /* the failover log's */
    /* what is published and what was before, as the failover log calls them */
    struct address spelled[2];
    enum master_state told;                           /* what the failover log was told last */
    bool relearn;                                     /* who is known, or where, may have changed */
    bool logged_full_sentinels, logged_full_replicas; /* that more are listed than are taken in */
    bool marked[TURN_MARKS];
    struct master *next_marked[TURN_MARKS];
    struct snapshot_master *shown; /* as last posted */
};

/* A Redis password with the masters that use it. */
struct watch_secret {
    const char *master; /* NULL: everybody else */
    const char *username;
    struct secret *password;
    struct secret_complaint complaint;
};

/* The failovers: failover_recorder.c. */
struct failover_recorder {
    struct failover_log *failover_log;
    struct failovers *list; /* of `revision`; NULL: none yet */
    uint64_t revision;
    struct loop_timer *timer;
    bool told; /* something, in this turn */
};

/* How much of the Sentinels' events is passed on. */
struct event_relay {
    int64_t budget, budget_ms, complained_ms; /* boot clock */
    uint64_t left_out;
};

struct letter {
    struct mailbox *to;
    struct message *message;
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
    void (*hear_gap)(struct watcher *watcher, int64_t gap_ms);
    struct resolver *resolver;    /* of what --self names */
    struct watch_secret *secrets; /* [0] is everybody's */
    size_t n_secrets;
    struct deployment *deployments;
    size_t n_deployments;
    struct master **masters; /* sorted by name */
    size_t n_masters;
    size_t n_suspect;
    struct self **selves; /* one a --self */
    size_t n_selves;
    struct master *marked[TURN_MARKS]; /* for whom something is due when this turn ends */
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

/* thread.c */
/** The watcher's loop, until MESSAGE_STOP; where a thread of its own would run it. */
void *watcher_run(void *data);

/* turn.c */
/*
 * Every callback begins with it. Notices a gap in the clock and voids all that was believed.
 * @return whether there was one: then what the callback brings may be from before it, and is
 * dropped.
 */
bool turn_begin(struct watcher *watcher);
/* At the end of this turn: the judge was told something; or only what is shown may have changed. */
void turn_step_later(struct master *master);
void turn_show_later(struct master *master);
/* At the end of this turn: who is known, or where, changed. */
void turn_relink_later(struct master *master);
/* Behind the next snapshot. Takes the message. */
void turn_post_later(struct watcher *watcher, struct mailbox *to, struct message *message);
/* The next one for which that is due, its mark taken off; NULL: none is left. */
struct master *turn_take(struct watcher *watcher, enum turn_mark mark);
void turn_forget(struct master *master); /* it goes */

/* master_list.c */
struct master *watcher_find_master(struct watcher *watcher, const char *name);
void watcher_insert_master(struct watcher *watcher, struct master *master);
void watcher_remove_master(struct watcher *watcher, struct master *master);

/* sentinel_node.c */
/* Its own word, or that of who listed it; "" unknown. */
const char *sentinel_node_run_id(const struct sentinel_node *sentinel);
const char *sentinel_node_text(const struct sentinel_node *sentinel, char text[ADDRESS_TEXT_SIZE]);
/* as `error.code` in /sentinels has it */
const char *trouble_code(enum sentinel_trouble trouble);
/*
 * Why a mapped address, or what it resolves to, must not be believed (rule 10); NULL: nothing
 * speaks against it.
 */
struct refusal {
    const char *code, *words;
};
const struct refusal *sentinel_node_refusal(const struct sentinel_node *sentinel,
                                            const struct endpoint *node);
/*
 * An address that a Sentinel gave, mapped; false when it must not be believed:
 * sentinel_node_refusal() tells why.
 */
bool sentinel_node_map_address(const struct sentinel_node *sentinel, const struct address *given,
                               struct address *out);
/* NULL: it says nothing about that master. */
struct sentinel_view *master_sentinel_view(struct master *master,
                                           const struct sentinel_node *sentinel);
/* Whether its word counts for this master (rule 12). */
bool sentinel_view_counts(const struct sentinel_view *view);
bool sentinel_view_is_shadowed(const struct master *master, const struct sentinel_view *view);
void master_ask_sentinels(struct master *master);

/* electors.c */
void master_recount(struct master *master); /* known Sentinels */
void master_log_foreign(struct master *master);
/* To the judge: the replicas that it lists. */
void sentinel_view_tell_nodes(const struct sentinel_view *view);

/* deployment.c */
void deployment_init(struct deployment *deployment, struct watcher *watcher,
                     const struct watch_deployment *config);
void deployment_release(struct deployment *deployment);
/* A name look-up ended: what waited for it goes on. `data` is the watcher. */
void deployment_found_name(void *data);
/* Now and then: whoever has been gone for a minute may have been replaced. */
void deployment_look_for_gone(struct deployment *deployment);
/* At the end of a turn: the review that something in it asked for. */
void deployment_turn(struct deployment *deployment);
/* Dial whoever is not up now, without waiting for the backoff; the start, too. */
void deployment_redial(struct deployment *deployment);
/* What this Sentinel monitors: with discovery on, masters appear and vanish. */
void deployment_hear_names(struct sentinel_node *sentinel, const struct sentinel_master_row *rows,
                           size_t n);

/* sentinel_view.c */
struct sentinel_view *sentinel_view_new(struct master *master, struct sentinel_node *sentinel);
void sentinel_view_free(struct sentinel_view *view);
void sentinel_view_begin(
    struct sentinel_view
        *view); /* another Sentinel is there: what the one before it said is forgotten */
void sentinel_view_hear_answer(struct sentinel_view *view, const struct sentinel_answer *answer);
void sentinel_view_hear_sentinels(struct sentinel_view *view, const struct sentinel_peer_row *rows,
                                  size_t n);
void sentinel_view_hear_replicas(struct sentinel_view *view,
                                 const struct sentinel_replica_row *rows, size_t n);
void sentinel_view_hear_ckquorum(struct sentinel_view *view, bool ok, const char *text);
void sentinel_view_lose(struct sentinel_view *view);
/* A name look-up ended: answers that waited for it go on. */
void sentinel_view_resume(struct sentinel_view *view);

/* watched_master.c */
struct master *master_new(struct watcher *watcher, struct deployment *deployment, const char *name,
                          bool configured);
void master_free(struct master *master);
void master_add_sentinel_node(struct master *master, struct sentinel_node *sentinel);
void master_remove_sentinel_node(struct master *master, struct sentinel_node *sentinel);
/* Only where a turn ends, and where what is shown has to be as of now: else turn_step_later(). */
void master_step(struct master *master);
/*
 * A line where the state is another than that of the last line. @return when there may be something
 * to log though nothing is heard; -1: never.
 */
int64_t master_log_state(struct master *master, const struct judgement *said, int64_t now_ms);
void master_hear_event(struct master *master, struct sentinel_node *sentinel,
                       const struct sentinel_event *event);
void master_void(struct master *master);

/* verify.c */
void verify_due(void *data); /* a timer; `data` is the master */
void verify_check_published(struct master *master);
void verify_check_candidate(struct master *master, const struct endpoint *node);
void verify_drop_candidate(struct master *master); /* nobody wants it checked any more */
void verify_follow(struct master *master);         /* the published address moved */
/* A worker's connection met something odd at that node. */
void verify_hear_suspicion(struct master *master, enum suspicion what,
                           const struct address *address);
void verify_void(struct master *master); /* hang up: sockets may hold answers from before a gap */
void verify_release(struct master *master);

/* replica_lag.c */
void lag_due(void *data); /* a timer; `data` is the master */
void lag_role(struct master *master,
              enum role_answer answer); /* the standing connection was answered, or ended */
void lag_read(struct master *master);   /* somebody reads it */
void lag_ask(struct master *master, uint64_t ticket,
             struct mailbox *reply_to); /* and waits for what is true now */
void lag_follow(struct master *master); /* the published address moved */
void lag_release(struct master *master);

/* early_adopt.c */
void adopt_hear_event(struct master *master, struct sentinel_node *sentinel,
                      const struct sentinel_event *event);
/* After every event of this Sentinel, of whatever master. */
void adopt_note_epoch(struct sentinel_node *sentinel, const struct sentinel_event *event);
void adopt_follow(struct master *master, const struct endpoint *node); /* ask it; NULL: nobody */
/* The connection to what is now published, if it was asked here; taken. */
struct role_check *adopt_take_role_check(struct master *master, int64_t *asked_us);
void adopt_resume(struct master *master); /* a name look-up ended */
void adopt_forget_sentinel_node(struct master *master, const struct sentinel_node *sentinel);
void adopt_release(struct master *master);

/*
 * fence_driver.c: after any of them the fence is as it has to be, and what workers see of it goes
 * out with this turn
 */
void fence_driver_init(struct master *master);
void fence_driver_hear_event(struct master *master, const struct sentinel_node *sentinel,
                             const struct sentinel_event *event);
/* What an event means to the guard; false: nothing. */
bool fence_driver_signal(const struct sentinel_event *event, enum fence_signal *signal);
void fence_driver_publish(struct master *master);    /* the published address moved */
void fence_driver_contradict(struct master *master); /* a contradiction began or ended */
/* The guard's, or up by a contradiction. */
enum fence fence_driver_state(const struct master *master);
const char *fence_driver_why(const struct master *master);
void fence_driver_resume(struct master *master);         /* a name look-up ended */
void fence_driver_row(const struct sentinel_view *view); /* a Sentinel's row was read */
void fence_driver_void(struct master *master);
void fence_driver_release(struct master *master);

/* fresh_lookup.c */
void lookup_ask(struct master *master, uint64_t ticket, struct mailbox *reply_to);
void lookup_review(struct master *master); /* after each step */
void lookup_release(struct master *master);

/* event_relay.c */
void event_relay_tell(struct watcher *watcher, const struct sentinel_node *sentinel,
                      const struct sentinel_event *event);

/* watch_counters.c */
struct count_reload {
    bool asked, failed;
    int64_t changed_ms; /* wall clock: the youngest value of a file */
};
void count_init(struct watcher *watcher, struct metrics *metrics);
void count_release(struct watcher *watcher);
void count_reload(struct watcher *watcher, const struct count_reload *reload);
void count_event(struct watcher *watcher, enum sentinel_event_kind kind);
void count_sentinel_node_up(struct sentinel_node *sentinel);
void count_sentinel_node_error(struct sentinel_node *sentinel, const char *word);
void count_sentinel_node_gone(struct sentinel_node *sentinel);
void count_links(struct watcher *watcher); /* at the end of a turn */
void count_switch(struct master *master);
void count_restart(struct master *master);
void count_role(struct master *master, enum role_answer answer, int64_t asked_us);
void count_verified(struct master *master); /* the published node says that it is a master */
void count_failover(struct watcher *watcher, const struct failover *failover);
void count_unavailable(struct watcher *watcher,
                       const struct failover *failover); /* known only after its end */
/** Before the step is kept. */
void count_adoption(struct master *master, const struct judgement *said);

/* failover_recorder.c */
void failover_recorder_init(struct watcher *watcher);
void failover_recorder_release(struct watcher *watcher);
void failover_recorder_watch(struct master *master); /* before its first step */
void failover_recorder_forget(struct master *master);
/*
 * A Sentinel's event, before anything is made of it. @param master NULL: it names none that is
 * watched there.
 */
void failover_recorder_event(const struct sentinel_node *sentinel, struct master *master,
                             const struct sentinel_event *event);
/* What an event means to the failover log; false: nothing. */
bool failover_recorder_signal(const struct sentinel_event *event, enum failover_log_signal *signal);
void failover_recorder_row(const struct sentinel_view *view);  /* a Sentinel's row was read */
void failover_recorder_lose(const struct sentinel_view *view); /* its link is down */
/* The published node was asked; before the step that follows. */
void failover_recorder_role(const struct master *master, enum role_answer answer, int64_t asked_us);
/* What a step came to, before master_keep(). */
void failover_recorder_step(struct master *master, const struct judgement *said);
void failover_recorder_restart(struct master *master);
void failover_recorder_settle(struct watcher *watcher); /* at the end of a turn */

/* snapshot_builder.c */
/* at the end of each turn: post what changed; `data` is the watcher */
void publish_turn(void *data);
struct snapshot_master *publish_show(const struct master *master); /* as it is now; one reference */
/*
 * What the judge says with, where the reason lies with the Sentinels, the cause of each. free() it.
 */
char *publish_detail(const struct master *master, enum reason reason, const char *said);

/* self_node.c */
void selves_init(struct watcher *watcher);
void selves_release(struct watcher *watcher);
void selves_check(struct watcher *watcher); /* ask them now */
void selves_void(
    struct watcher *watcher); /* hang up and ask anew: sockets may hold answers from before a gap */
void selves_show(struct watcher *watcher, struct snapshot *out); /* `out` has its masters already */
bool selves_differ(const struct snapshot *a, const struct snapshot *b);
void selves_log(const struct snapshot *before, const struct snapshot *now);

/* status_report.c */
struct status_report *report_make(const struct watcher *watcher);

#endif
