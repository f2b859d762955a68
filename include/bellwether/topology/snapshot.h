/*
 * What the watcher knows, as workers see it: immutable, reference-counted, passed by pointer.
 * A master's part is shared between snapshots that did not change it.
 */
#ifndef BELLWETHER_TOPOLOGY_SNAPSHOT_H
#define BELLWETHER_TOPOLOGY_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/pulse.h"
#include "bellwether/topology/decide.h"
#include "bellwether/topology/failover_log.h"
#include "bellwether/topology/state.h"

#define WHY_NOT_MAX 8
/*
 * What a Sentinel said of itself is kept whole: the longest, Redis' words on its protected mode,
 * are some 1000 bytes.
 */
#define SENTINEL_TEXT_SIZE 1280

struct snapshot_replica {
    struct address address;
    struct address ip; /* where that is; unset: not known */
    char run_id[RUN_ID_SIZE];
    bool healthy, link_up, promotable;
    bool vouched;  /* a majority of the known Sentinels names it, now or when last heard */
    bool majority; /* a majority of them lists it now as a replica of what is published */
    int64_t link_down_ms;
    int64_t lag_bytes; /* -1 unknown */
    int64_t lag_at_ms; /* boot clock: when the master was asked for it; -1 never */
    int64_t priority;
    const char *why_not[WHY_NOT_MAX]; /* static words */
    size_t n_why_not;
    char flags[128]; /* comma-separated, as the Sentinel gives them */
};

struct snapshot_sentinel {
    struct address address;
    char run_id[RUN_ID_SIZE]; /* "" not identified yet */
    bool configured, reachable, agrees, tilt;
    bool tls, tls_otherwise; /* TLS is spoken to it; only because it answered so */
    bool foreign; /* of another deployment that has a master of this name: shown, not counted */
    bool has_says;
    struct address says;
    int64_t config_epoch; /* EPOCH_UNKNOWN */
    int64_t voters;       /* num-other-sentinels + 1; -1 unknown */
    bool has_ckquorum, ckquorum_ok;
    char ckquorum_text[512];
    char master_flags[128];
    int64_t down_after_ms, failover_timeout_ms, quorum; /* -1 unknown */
    char error_code[64];                                /* "" none */
    char error_text[SENTINEL_TEXT_SIZE];
    int64_t error_wall_ms;
};

/*
 * Whether commands that may write are held back (DESIGN section 5): a failover that an elected
 * leader runs is about to promote a replica, and what the old master acknowledges from then on is
 * lost.
 */
enum fence {
    FENCE_DOWN,
    FENCE_UP, /* the leader has been elected, or has chosen a replica */
    /* the replica was told to become the master: not even replies to writes count any more */
    FENCE_PROMOTING,
};

/* One watched master. Immutable once shared. */
struct snapshot_master {
    _Atomic unsigned references;
    char *name;
    unsigned deployment; /* its number, from 1: the group of its name look-ups */
    enum master_state state;
    enum reason reason;
    char *detail;
    bool has_address;
    struct address address; /* as published (mapped) */
    struct address ip;      /* where that is; unset: not known */
    bool tls;               /* rediss:// */
    bool verified, majority;
    int64_t config_epoch; /* EPOCH_UNKNOWN */
    uint64_t index;
    int64_t since_wall_ms;
    int64_t restarted_wall_ms; /* its last restart since it is published; 0: none was seen */
    bool has_previous;
    struct address previous;
    /* how often the address has changed: with it, what a pool of connections belongs to */
    uint64_t switches;
    enum fence fence;
    /* boot clock: not before then the last promotion began that was heard of; 0: none */
    int64_t promoting_ms;
    /* the fence is up because a majority names another node that says master */
    bool contradicted;
    char run_id[RUN_ID_SIZE];
    /* grows whenever anything in here changes, replicas and Sentinels included */
    uint64_t revision;
    /* Sentinels' view */
    int64_t quorum; /* -1 unknown */
    size_t known, reachable, agreeing, voters_needed;
    struct snapshot_sentinel *sentinels;
    size_t n_sentinels;
    struct snapshot_replica *replicas;
    size_t n_replicas;
};

/* What is known of one node, above all of one named by --self. */
enum self_match { SELF_UNMATCHED, SELF_BY_TEXT, SELF_BY_RESOLUTION, SELF_BY_RUN_ID };
enum self_role { SELF_UNKNOWN, SELF_MASTER, SELF_REPLICA };
struct snapshot_self {
    struct address address;
    enum self_match matched_by;
    enum self_role role;
    char name[256];    /* of the master whose deployment it belongs to; "" unknown */
    bool majority;     /* a majority of the Sentinels agrees with that role */
    bool ready;        /* it is the master and serves, or a replica whose link is up; not loading */
    int64_t lag_bytes; /* of a replica; -1 unknown */
    int64_t lag_at_ms; /* as the replica has it */
    char reason[64];   /* why its role is not known or it does not serve; "" all is well */
};

struct snapshot {
    _Atomic unsigned references;
    uint64_t index;            /* the process' counter at its last change */
    const struct pulse *pulse; /* borrowed: the watcher's; whether it lives */
    /* pulse->generation when it was made: a snapshot of an older one must not be served */
    unsigned generation;
    unsigned fences;                  /* pulse->fences when it was made */
    char *default_name;               /* the default master, NULL: none or not decided */
    bool ambiguous_default;           /* several masters and none chosen */
    struct snapshot_master **masters; /* by name, strcmp order */
    size_t n_masters;
    char **sentinels_know; /* the names that the Sentinels say they monitor, sorted */
    size_t n_sentinels_know;
    bool any_sentinel_reachable;
    bool all_resolved;  /* readyz's `resolved` */
    enum reason reason; /* why no master is known at all; only meaningful while n_masters is 0 */
    char *detail;       /* the same in words; NULL: none */
    /* While no Sentinel is reachable or no master is known: all of them, as links; else none */
    struct snapshot_sentinel *sentinels;
    size_t n_sentinels;
    struct failovers *failovers;  /* one reference; NULL: none yet */
    struct snapshot_self *selves; /* one a --self, in their order */
    size_t n_selves;
};

/* What max_lag looks at is no older. */
#define LAG_FRESH_MS 2000

/* A watcher gives a sign of life twice a second at least. */
#define WATCHER_SILENT_MS 1000
/*
 * Word of a promotion may come so much later than an answer that the promotion makes void, and is
 * not to be later in being heard.
 */
#define WATCHER_LATE_MS 50

/**
 * The watcher gave no sign of life for WATCHER_SILENT_MS, or the clock jumped, so that what is in
 * here holds no longer: a watcher that stood still together with this thread will hear of a
 * failover only now, and a write that the old master still acknowledges would be lost. NULL: there
 * is nothing to hold. Thread: any.
 */
bool snapshot_is_stalled(const struct snapshot *snapshot, int64_t now_ms);
/** The watcher has heard of a failover, or a jump of the clock, not in here yet. NULL: no. */
bool snapshot_is_behind(const struct snapshot *snapshot);
/**
 * The watcher may not have heard yet what came to it over WATCHER_LATE_MS ago: it is busy, or stood
 * still as all of the process did. What a master answers is not to be believed until it has.
 * Thread: any.
 */
bool snapshot_is_late(const struct snapshot *snapshot, int64_t now_ms);
/** Until when it has heard what came to it: `now_ms`, or earlier where it is late. Thread: any. */
int64_t snapshot_heard_ms(const struct snapshot *snapshot, int64_t now_ms);
/** It will be late soon, where nobody asks it: MESSAGE_ASK_HEARD. Thread: any. */
bool snapshot_is_getting_late(const struct snapshot *snapshot, int64_t now_ms);

/** A zeroed master with one reference. */
struct snapshot_master *snapshot_master_new(const char *name);
struct snapshot_master *snapshot_master_ref(struct snapshot_master *master);
void snapshot_master_unref(struct snapshot_master *master);
/** Whether `/master` names an address for it with 200. */
bool snapshot_master_serves(const struct snapshot_master *master);
/**
 * Whether it is what was known before a gap in this daemon's time, confirmed by nobody since: a
 * failover of which its Sentinels have told may not be read yet. NULL: no.
 */
bool snapshot_master_is_memory(const struct snapshot_master *master);
/**
 * Whether this is an address of what is published: as it is shown, its IP, or what a Sentinel that
 * agrees calls it.
 */
bool snapshot_master_is_at(const struct snapshot_master *master, const struct address *address);
/** Whether the `<master>` body of HTTP.md differs (all but the index). */
bool snapshot_master_differs(const struct snapshot_master *a, const struct snapshot_master *b);
/** Whether anything differs but index, revision and how far replicas lag behind. */
bool snapshot_master_differs_beyond_lag(const struct snapshot_master *a,
                                        const struct snapshot_master *b);
/** Whether anything at all differs (all but index and revision). */
bool snapshot_master_differs_deep(const struct snapshot_master *a, const struct snapshot_master *b);

/** The replica at this address, as published. @return NULL: none. Borrowed. */
const struct snapshot_replica *snapshot_find_replica(const struct snapshot_master *master,
                                                     const struct address *address);
/**
 * Whether commands may go there: it is healthy, and known to lag no further behind.
 * @param max_lag_bytes  -1: any
 */
bool snapshot_replica_is_fit(const struct snapshot_replica *replica, int64_t max_lag_bytes,
                             int64_t now_ms);

/** A zeroed snapshot with room for `n_masters` and one reference. */
struct snapshot *snapshot_new(size_t n_masters);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);
/** By name (binary search), or NULL. Borrowed. */
struct snapshot_master *snapshot_find(const struct snapshot *snapshot, const char *name);
/**
 * No master is known, and no Sentinel could say which there are: what is asked for by name may be
 * there.
 */
bool snapshot_knows_no_names(const struct snapshot *snapshot);
/** Whether a Sentinel can be reached, and none has such a master. NULL: that is not known yet. */
bool snapshot_lacks(const struct snapshot *snapshot, const char *name);
/**
 * `lead`, then each Sentinel that can't be heard or said something that can't be used, with why.
 * free() it.
 */
char *snapshot_say_causes(const char *lead, const struct snapshot_sentinel *sentinels, size_t n);
/** The default master, or NULL. */
struct snapshot_master *snapshot_default(const struct snapshot *snapshot);

#endif
