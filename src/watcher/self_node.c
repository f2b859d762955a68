/*
 * The nodes named by --self: which of the known nodes each is, and what it is there.
 *
 * Found by its text, else by where its name resolves to, else by its run id, for which it is
 * dialled: a connection of its own, asked every few seconds and after each switch, which also tells
 * whether it is loading or gone before the Sentinels notice. Of a master the master's own
 * verification is the better witness, so this one only adds loading and a role that was heard
 * later; of a replica it is the only one.
 *
 * What is asked on that connection: HELLO (or ROLE, INFO) for the role, PING (it alone is refused
 * while loading), INFO server for the run id, INFO replication for the link. What an ACL denies is
 * done without.
 */
#include "self_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "sentinel_node.h"
#include "turn.h"

enum {
    CHECK_MS = 2000,
    CHECK_SOON_MS = 250, /* while it is gone, loading, or says another role than expected */
    SOON_TIMES = 40,
    UNKNOWN_LOG_MS = 5000,
};

/* What the node itself said last. */
struct self_said {
    bool settled; /* an attempt ended since the start, or the last gap */
    bool gone;    /* it can't be reached */
    bool timed_out;
    bool loading;
    enum self_role role;
    bool has_link, link_up; /* of a replica, to its master */
    char run_id[RUN_ID_SIZE];
};

struct self {
    struct watcher *watcher;
    struct address name;   /* as given */
    struct address mapped; /* what is compared and dialled */
    struct role_check *role_check;
    struct loop_timer *timer;
    size_t secret;     /* whose credentials: index into the watcher's */
    unsigned refusals; /* credentials refused in a row */
    unsigned closes;   /* connections that ended in a row without an answer */
    bool round_loading;
    bool wary;         /* ask again soon */
    bool reopen;       /* with other credentials */
    bool stalled;      /* a gap made void what it had said */
    unsigned failures; /* attempts that ended without an answer, in a row */
    struct self_said said;
    int64_t asked_us; /* when the question was put that said.role is the answer to */
    int64_t good_ms;  /* when it last answered */
    /*
     * It was matched by run id at this address: so it is there for as long as it is the same
     * process.
     */
    struct address known_as;
    char known_run_id[RUN_ID_SIZE];
    int64_t unmatched_since_ms; /* -1: it is matched */
    bool logged_unknown;
};

/* ---- asking it ---- */

static void self_changed(struct self *self, const struct self_said *before)
{
    const struct self_said *now = &self->said;

    if (before->settled != now->settled || before->gone != now->gone ||
        before->loading != now->loading || before->role != now->role ||
        before->has_link != now->has_link || before->link_up != now->link_up ||
        strcmp(before->run_id, now->run_id) != 0) {
        self->watcher->reshaped = true;
    }
}

static void self_schedule(struct self *self, int64_t delay_ms)
{
    loop_timer_start(self->timer, jittered_ms(delay_ms, 10));
}

static bool is_loading_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && sentinel_error_kind(reply) == SENTINEL_ERROR_LOADING;
}

static void got_ping(void *data, const redisReply *reply, enum redis_fail why)
{
    struct self *self = data;

    (void)why;
    if (reply) {
        self->round_loading = is_loading_error(reply);
    }
}

static void got_server(void *data, const redisReply *reply, enum redis_fail why)
{
    struct self *self = data;
    char run_id[RUN_ID_SIZE];

    (void)why;
    if (!reply) {
        return;
    }
    turn_begin(self->watcher);
    self->round_loading = self->round_loading || is_loading_error(reply);
    struct self_said before = self->said;
    if (node_info_field(reply, "run_id", run_id, sizeof(run_id))) {
        snprintf(self->said.run_id, sizeof(self->said.run_id), "%s", run_id);
    }
    self_changed(self, &before);
}

/* The last answer of a round. */
static void got_replication(void *data, const redisReply *reply, enum redis_fail why)
{
    struct self *self = data;
    char word[16];

    (void)why;
    if (!reply) {
        return; /* the end of the connection is reported by the role check */
    }
    turn_begin(self->watcher);
    struct self_said before = self->said;
    self->said.settled = true;
    self->said.loading = self->round_loading || is_loading_error(reply);
    self->said.has_link = node_info_field(reply, "master_link_status", word, sizeof(word));
    self->said.link_up = self->said.has_link && strcmp(word, "up") == 0;
    self_changed(self, &before);
    self_schedule(self, self->said.loading || self->wary ? CHECK_SOON_MS : CHECK_MS);
}

static void self_ask_more(struct self *self)
{
    const char *ping[] = {"PING"}, *server[] = {"INFO", "server"},
               *replication[] = {"INFO", "replication"};

    self->round_loading = false;
    role_check_also(self->role_check, got_ping, self, 1, ping);
    role_check_also(self->role_check, got_server, self, 2, server);
    role_check_also(self->role_check, got_replication, self, 2, replication);
}

static void self_lost(struct self *self, bool timed_out)
{
    struct self_said before = self->said;

    self->said.settled = true;
    self->said.gone = true;
    self->said.timed_out = timed_out;
    self->said.role = SELF_UNKNOWN;
    self->said.loading = self->said.has_link = self->said.link_up = false;
    self_changed(self, &before);
    self->failures++;
    self_schedule(self, self->failures < SOON_TIMES ? CHECK_SOON_MS : CHECK_MS / 2);
}

/*
 * Credentials may differ per master, and which master it belongs to is what is to be found out: try
 * them in turn.
 */
static void self_refused(struct self *self)
{
    struct watcher *watcher = self->watcher;
    struct self_said before = self->said;

    self->said.settled = true;
    self->said.gone = false;
    self->said.role = SELF_UNKNOWN;
    self_changed(self, &before);
    self->secret = (self->secret + 1) % watcher->n_secrets;
    self->refusals++;
    self->reopen = true;
    if (self->refusals % watcher->n_secrets != 0) {
        self_schedule(self, 0);
    } else {
        self_schedule(self, CHECK_MS);
    }
}

static void self_heard(struct self *self, enum role_answer answer, const char *words,
                       int64_t asked_us)
{
    struct self_said before = self->said;
    bool replica = strcmp(words, "replica") == 0 || strcmp(words, "slave") == 0;

    self->closes = self->refusals = self->failures = 0;
    self->good_ms = clock_boot_ms();
    self->asked_us = asked_us;
    self->said.gone = false;
    self->said.role = answer == ROLE_MASTER ? SELF_MASTER : replica ? SELF_REPLICA : SELF_UNKNOWN;
    if (answer == ROLE_LOADING) {
        self->said.loading = true;
    }
    self_changed(self, &before);
    self_schedule(self, CHECK_MS); /* where the rest is not answered */
    self_ask_more(self);
}

static void self_answered(void *data, struct role_check *role_check, enum role_answer answer,
                          int64_t asked_us, const char *words)
{
    struct self *self = data;

    (void)role_check;
    turn_begin(self->watcher);
    switch (answer) {
    case ROLE_MASTER:
    case ROLE_OTHER:
    case ROLE_NOPERM:
    case ROLE_LOADING: self_heard(self, answer, words, asked_us); return;
    case ROLE_NOAUTH: self_refused(self); return;
    case ROLE_CLOSED:
        /* One end may be somebody's CLIENT KILL, or a promotion: ask again at once. */
        if (self->closes++ == 0) {
            self_schedule(self, 0);
        } else {
            self_lost(self, false);
        }
        return;
    case ROLE_TIMEOUT:
        if (self->said.settled &&
            clock_boot_ms() - self->good_ms <= self->watcher->config->suspect_after_ms) {
            self_schedule(self, 0);
        } else {
            self_lost(self, true);
        }
        return;
    case ROLE_REFUSED:
    case ROLE_TLS:
    case ROLE_ERROR: self_lost(self, false); return;
    }
}

/* Connect with the credentials whose turn it is. */
static void self_open(struct self *self)
{
    struct watcher *watcher = self->watcher;
    struct endpoint node = endpoint_from_address(&self->mapped);

    self->reopen = false;
    role_check_free(self->role_check);
    self->role_check =
        role_check_new(watcher->loop, 0, watcher->secrets[self->secret].username,
                       watcher->secrets[self->secret].password, watcher->secrets[self->secret].tls,
                       watcher->config->verify_timeout_ms, self_answered, self);
    role_check_open(self->role_check, &node);
}

static void self_log_unknown(struct self *self)
{
    char text[ADDRESS_TEXT_SIZE];
    const struct snapshot *current = self->watcher->current;

    if (self->logged_unknown || self->unmatched_since_ms < 0 || !self->said.settled || !current ||
        !current->all_resolved || clock_boot_ms() - self->unmatched_since_ms < UNKNOWN_LOG_MS) {
        return;
    }
    self->logged_unknown = true;
    log_warn("no watched deployment knows the node named by --self: /self answers 503",
             LOG_STR("self", address_format(&self->name, text)),
             LOG_STR("run_id", self->said.run_id),
             LOG_STR("reached", self->said.gone ? "no" : "yes"));
}

static void self_due(void *data)
{
    struct self *self = data;

    turn_begin(self->watcher);
    self_log_unknown(self);
    if (self->role_check && role_check_is_asking(self->role_check)) {
        /* an answer to an older question may not be enough */
        self_schedule(self, CHECK_SOON_MS / 5);
        return;
    }
    self_schedule(self, CHECK_MS);
    if (self->role_check && role_check_is_connected(self->role_check) && !self->reopen) {
        role_check_ask(self->role_check);
    } else {
        self_open(self);
    }
}

/* ---- which node it is ---- */

struct found {
    enum self_match how;
    size_t master;                          /* its index */
    const struct snapshot_replica *replica; /* NULL: it is the published master */
};

/* @param resolver of the deployment whose node that is. */
typedef bool node_test(struct self *self, struct resolver *resolver, const struct address *address,
                       const char *run_id);

static bool same_text(struct self *self, struct resolver *resolver, const struct address *address,
                      const char *run_id)
{
    (void)resolver;
    (void)run_id;
    return address_equal(&self->name, address) || address_equal(&self->mapped, address);
}

static bool same_place(struct self *self, struct resolver *resolver, const struct address *address,
                       const char *run_id)
{
    struct endpoint own, node;

    (void)run_id;
    return resolver_get(self->watcher->resolver, &self->mapped, &own) &&
           resolver_get(resolver, address, &node) && address_is_set(&own.ip) &&
           address_is_set(&node.ip) && endpoint_equal(&own, &node);
}

static bool same_run(struct self *self, struct resolver *resolver, const struct address *address,
                     const char *run_id)
{
    if (self->said.run_id[0] == '\0') {
        return false;
    }
    if (strcmp(run_id, self->said.run_id) == 0) {
        self->known_as = *address;
        snprintf(self->known_run_id, sizeof(self->known_run_id), "%s", run_id);
        return true;
    }
    /*
     * A promoted node's run id takes the Sentinels a while; that it is the same process is what
     * counts.
     */
    return address_is_set(&self->known_as) && strcmp(self->known_run_id, self->said.run_id) == 0 &&
           resolver_same(resolver, &self->known_as, address);
}

static bool find_by(struct self *self, const struct snapshot *in, node_test *test,
                    struct found *out)
{
    for (size_t i = 0; i < in->n_masters; i++) {
        const struct snapshot_master *master = in->masters[i];
        struct resolver *resolver = self->watcher->deployments[master->deployment - 1].resolver;

        out->master = i;
        out->replica = NULL;
        if (master->has_address && test(self, resolver, &master->address, master->run_id)) {
            return true;
        }
        for (size_t j = 0; j < master->n_replicas; j++) {
            out->replica = &master->replicas[j];
            if (test(self, resolver, &out->replica->address, out->replica->run_id)) {
                return true;
            }
        }
    }
    return false;
}

static bool self_find(struct self *self, const struct snapshot *in, struct found *out)
{
    static const struct {
        enum self_match how;
        node_test *test;
    } ways[] = {
        {SELF_BY_TEXT, same_text}, {SELF_BY_RESOLUTION, same_place}, {SELF_BY_RUN_ID, same_run}};
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        out->how = ways[i].how;
        if (find_by(self, in, ways[i].test, out)) {
            return true;
        }
    }
    out->how = SELF_UNMATCHED;
    return false;
}

/* ---- what it is there ---- */

static void show_why_not(struct snapshot_self *out, const char *reason)
{
    out->role = SELF_UNKNOWN;
    out->ready = out->majority = false;
    snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

/* Whether the node said its role after that time; its word from before a switch proves nothing. */
static bool said_since(const struct self *self, int64_t us)
{
    return !self->said.gone && self->asked_us > us;
}

static const char *why_unsettled(const struct self *self)
{
    return self->stalled ? reason_text(REASON_WATCHER_STALLED) : "starting";
}

static void show_as_master(const struct self *self, const struct master *master,
                           const struct snapshot_master *shown, struct snapshot_self *out)
{
    int64_t later_us =
        master->role_asked_us > master->switched_us ? master->role_asked_us : master->switched_us;
    const char *state = reason_text(shown->reason);

    out->role = SELF_MASTER;
    out->majority = shown->majority;
    out->ready = true;
    if (!self->said.settled) {
        show_why_not(out, why_unsettled(self));
    } else if (!snapshot_master_serves(shown)) {
        show_why_not(out, state ? state : master_state_text(shown->state));
    } else if (self->said.loading) {
        show_why_not(out, "redis_loading");
    } else if (!self->watcher->config->verify && self->said.gone) {
        show_why_not(out, self->said.timed_out ? "redis_timeout" : "redis_unreachable");
    } else if (self->said.role == SELF_REPLICA && said_since(self, later_us)) {
        show_why_not(out, "role_mismatch");
    }
}

static void show_as_replica(const struct self *self, const struct master *master,
                            const struct snapshot_replica *replica, struct snapshot_self *out)
{
    bool link_up = self->said.has_link ? self->said.link_up : replica->link_up;

    out->role = SELF_REPLICA;
    out->majority = replica->majority;
    out->lag_bytes = link_up ? replica->lag_bytes : -1;
    out->lag_at_ms = replica->lag_at_ms;
    out->ready = link_up && (self->said.role == SELF_REPLICA || replica->healthy);
    if (!self->said.settled) {
        show_why_not(out, why_unsettled(self));
    } else if (self->said.gone) {
        show_why_not(out, self->said.timed_out ? "redis_timeout" : "redis_unreachable");
    } else if (self->said.loading) {
        show_why_not(out, "redis_loading");
    } else if (self->said.role == SELF_MASTER && said_since(self, master->switched_us)) {
        show_why_not(out, "role_mismatch");
    } else if (!out->ready) {
        snprintf(out->reason, sizeof(out->reason), "%s", link_up ? "unhealthy" : "link_down");
    }
}

static void self_show(struct self *self, const struct snapshot *in, struct snapshot_self *out)
{
    struct found found;
    bool wary = false;

    out->address = self->name;
    out->lag_bytes = out->lag_at_ms = -1;
    if (self_find(self, in, &found)) {
        const struct snapshot_master *shown = in->masters[found.master];
        const struct master *master = self->watcher->masters[found.master];

        out->matched_by = found.how;
        snprintf(out->name, sizeof(out->name), "%s", shown->name);
        if (!found.replica) {
            show_as_master(self, master, shown, out);
        } else {
            show_as_replica(self, master, found.replica, out);
        }
        self->unmatched_since_ms = -1;
        char text[ADDRESS_TEXT_SIZE];
        if (self->logged_unknown) {
            log_warn("the node named by --self is known now",
                     LOG_STR("self", address_format(&self->name, text)),
                     LOG_STR("master", out->name));
        }
        self->logged_unknown = false;
        wary = out->role == SELF_UNKNOWN;
    } else {
        if (self->unmatched_since_ms < 0) {
            self->unmatched_since_ms = clock_boot_ms();
        }
        show_why_not(out, !self->said.settled ? why_unsettled(self)
                          : in->all_resolved  ? "unknown_node"
                                              : "starting");
    }
    if (wary && !self->wary) {
        self_schedule(self, CHECK_SOON_MS);
    }
    self->wary = wary;
}

/* ---- for the rest of the watcher ---- */

void selves_show(struct watcher *watcher, struct snapshot *out)
{
    if (watcher->n_selves == 0) {
        return;
    }
    out->selves = mem_new(watcher->n_selves, sizeof(*out->selves));
    out->n_selves = watcher->n_selves;
    for (size_t i = 0; i < watcher->n_selves; i++) {
        self_show(watcher->selves[i], out, &out->selves[i]);
    }
}

bool selves_differ(const struct snapshot *a, const struct snapshot *b)
{
    if (a->n_selves != b->n_selves) {
        return true;
    }
    for (size_t i = 0; i < a->n_selves; i++) {
        const struct snapshot_self *x = &a->selves[i], *y = &b->selves[i];

        if (x->matched_by != y->matched_by || x->role != y->role || x->majority != y->majority ||
            x->ready != y->ready || x->lag_bytes != y->lag_bytes || strcmp(x->name, y->name) != 0 ||
            strcmp(x->reason, y->reason) != 0) {
            return true;
        }
    }
    return false;
}

void selves_log(const struct snapshot *before, const struct snapshot *now)
{
    static const char *const roles[] = {"unknown", "master", "replica"};
    static const char *const ways[] = {"nothing", "text", "resolution", "run id"};

    for (size_t i = 0; i < now->n_selves; i++) {
        const struct snapshot_self *self = &now->selves[i];
        char text[ADDRESS_TEXT_SIZE];
        enum self_role was = before && i < before->n_selves ? before->selves[i].role : SELF_UNKNOWN;

        if (was != self->role) {
            log_info("this node's role", LOG_STR("self", address_format(&self->address, text)),
                     LOG_STR("role", roles[self->role]), LOG_STR("was", roles[was]),
                     LOG_STR("master", self->name), LOG_STR("matched_by", ways[self->matched_by]),
                     LOG_STR("reason", self->reason));
        }
    }
}

void selves_check(struct watcher *watcher)
{
    for (size_t i = 0; i < watcher->n_selves; i++) {
        loop_timer_start(watcher->selves[i]->timer, 0);
    }
}

void selves_void(struct watcher *watcher)
{
    for (size_t i = 0; i < watcher->n_selves; i++) {
        struct self *self = watcher->selves[i];

        role_check_free(self->role_check); /* its socket may hold answers from before */
        self->role_check = NULL;
        self->said.role = SELF_UNKNOWN;
        self->stalled = self->stalled || self->said.settled;
        self->said.settled = false;
        loop_timer_start(self->timer, 0);
    }
}

void selves_init(struct watcher *watcher)
{
    const struct watch_config *config = watcher->config;

    watcher->n_selves = config->n_selves;
    watcher->selves = mem_new(config->n_selves + 1, sizeof(*watcher->selves));
    for (size_t i = 0; i < config->n_selves; i++) {
        struct self *self = mem_new(1, sizeof(*self));

        self->watcher = watcher;
        self->name = config->selves[i];
        self->mapped = address_map_apply(&config->map, &config->selves[i]);
        self->unmatched_since_ms = clock_boot_ms();
        self->timer = loop_timer_new(watcher->loop, self_due, self);
        watcher->selves[i] = self;
    }
}

void selves_release(struct watcher *watcher)
{
    for (size_t i = 0; i < watcher->n_selves; i++) {
        role_check_free(watcher->selves[i]->role_check);
        loop_timer_free(watcher->selves[i]->timer);
        free(watcher->selves[i]);
    }
    free(watcher->selves);
}
