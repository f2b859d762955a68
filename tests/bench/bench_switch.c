/*
 * A failover as its clients see it: when each way to ask the daemon tells of the new master, with
 * --adopt announced and promoted side by side at one cluster, and beside them when clients of
 * others first write to it, and what they lose.
 *
 * Failovers of three kinds, with Sentinel's own periods: the clients' behaviour hangs on them (in a
 * manual failover the old master goes on taking writes until a Sentinel's second INFO, ten seconds
 * after the first, turns it). The witness tells when the replica was promoted and when a Sentinel
 * first said so; all else is counted from these two.
 *
 * Another writer is another entry in `plans` and its program.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../support/scene.h"
#include "switch.h"

/*
 * A Sentinel first pings a new master after min(down-after, 1 s), and counts its silence from the
 * switch on: a down-after up to a second would now and then take a master that was just promoted
 * for dead.
 */
enum { DOWN_AFTER_MS = 2000 };

enum { SEEN_BOUND_S = 60, ARRIVE_BOUND_S = 60, ARRIVE_LOOK_US = 100000 };

static const struct writer_plan plans[] = {
    {.column = "/redis, announced",
     .options = ", POST /redis of the daemon with --adopt announced",
     .argv = (const char *const[]){"python3", "tests/bench/peer_http.py", NULL},
     .ports = TO_DAEMON_ANNOUNCED,
     .tells_unknown = true,
     .keeps_all = true},
    {.column = "/redis, promoted",
     .options = ", POST /redis of the daemon with --adopt promoted",
     .argv = (const char *const[]){"python3", "tests/bench/peer_http.py", NULL},
     .ports = TO_DAEMON_PROMOTED,
     .tells_unknown = true,
     .keeps_all = true},
    {.column = "redis-py",
     .options = ", socket_timeout 0.1 s",
     .argv = (const char *const[]){"python3", "tests/bench/peer_redispy.py", "mymaster", NULL}},
    {.column = "redis-py", /* Debian's Python, where another stands before it in PATH */
     .options = ", socket_timeout 0.1 s",
     .argv = (const char *const[]){"/usr/bin/python3", "tests/bench/peer_redispy.py", "mymaster",
                                   NULL}},
    {.column = "ioredis",
     .options = "",
     .argv =
         (const char *const[]){"node", "tests/bench/peer_ioredis.mjs", "plain", "mymaster", NULL}},
    {.column = "ioredis, detector",
     .options = ", failoverDetector: true",
     .argv = (const char *const[]){"node", "tests/bench/peer_ioredis.mjs", "detector", "mymaster",
                                   NULL}},
};

enum { N_PLANS = sizeof(plans) / sizeof(plans[0]), MAX_WRITERS = SWITCH_WRITERS_MAX };

_Static_assert((int)N_PLANS <= (int)MAX_WRITERS, "there is room for all");

enum figure {
    KEPT,
    KEPT_AFTER,
    SILENCE,
    LONGEST,
    ACKNOWLEDGED,
    LOST,
    FAILED,
    DONE,
    UNKNOWN,
    N_FIGURES
};

static const char *const figure_names[N_FIGURES] = {
    [KEPT] = "promotion -> first write kept by the new master, ms",
    [KEPT_AFTER] = "announcement -> first write kept by the new master, ms",
    [SILENCE] = "longest time without an acknowledged write, ms",
    [LONGEST] = "longest wait of one acknowledged write, ms",
    [ACKNOWLEDGED] = "acknowledged writes, before and after",
    [LOST] = "  of these lost",
    [FAILED] = "failed writes",
    [DONE] = "  done all the same, these and unknown ones",
    [UNKNOWN] = "writes of unknown outcome, says the client",
};

/* All failovers of a kind. */
struct figures {
    struct samples promotion, announcement; /* strike -> promotion -> announcement */
    struct samples told[SWITCH_DAEMONS][N_WAYS], told_after[SWITCH_DAEMONS][N_WAYS];
    struct samples writers[MAX_WRITERS][N_FIGURES];
    size_t astray, stuck[MAX_WRITERS];
    size_t again; /* another failover followed by itself: the writers' figures are not counted */
};

struct trial {
    struct cluster *cluster;
    struct daemon *daemons[SWITCH_DAEMONS];
    const struct writer_plan *writers[MAX_WRITERS];
    const char *versions[MAX_WRITERS];
    size_t n_writers;
};

static const char *const daemon_names[SWITCH_DAEMONS] = {"--adopt announced", "--adopt promoted"};
static const char *const way_names[N_WAYS] = {"a long poll answered", "the event on /events",
                                              "GET /master"};

static void kill_nine(struct cluster *cluster, struct server *master)
{
    (void)cluster;
    master->process->may_die = true;
    process_signal(master->process, SIGKILL);
}

static void revive(struct server *old, const struct server *fresh)
{
    (void)process_wait(old->process, 10000);
    server_start(old);
    (void)redis_say(old, "REPLICAOF %s %d", fresh->host, (int)fresh->port);
}

static void freeze(struct cluster *cluster, struct server *master)
{
    (void)cluster;
    server_freeze(master);
}

static void thaw(struct server *old, const struct server *fresh)
{
    (void)fresh;
    server_thaw(old);
}

static void fail_over(struct cluster *cluster, struct server *master)
{
    (void)master;
    cluster_failover(cluster);
}

static void let_be(struct server *old, const struct server *fresh)
{
    (void)old;
    (void)fresh;
}

static const struct kind {
    const char *name;
    void (*strike)(struct cluster *cluster, struct server *master);
    /* when all Sentinels name the fresh one */
    void (*mend)(struct server *old, const struct server *fresh);
    const char *mended;
    bool planned;
} kinds[] = {{"kill -9", kill_nine, revive,
              ", started again as a replica when all Sentinels name another", false},
             {"SIGSTOP", freeze, thaw, ", thawed when all Sentinels name another", false},
             {"SENTINEL FAILOVER", fail_over, let_be, "", true}};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct writer *start_writer(const struct trial *trial, size_t i, const char *set)
{
    const struct writer_plan *plan = trial->writers[i];
    uint16_t ports[CLUSTER_MAX] = {plan->port};

    if (plan->ports == TO_DAEMON_ANNOUNCED || plan->ports == TO_DAEMON_PROMOTED) {
        ports[0] = trial->daemons[plan->ports == TO_DAEMON_PROMOTED]->port;
    }
    if (plan->ports != TO_SENTINELS) {
        return writer_start(plan, set, ports, 1);
    }
    for (size_t k = 0; k < trial->cluster->n_sentinels; k++) {
        ports[k] = trial->cluster->sentinels[k].port;
    }
    return writer_start(plan, set, ports, trial->cluster->n_sentinels);
}

static bool all_arrived(const struct trial *trial, struct writer **writers,
                        const struct sight *sight, int64_t since)
{
    bool all = true;

    for (size_t i = 0; i < trial->n_writers; i++) {
        all = writer_arrived(writers[i], sight->fresh, since) && all;
    }
    return all;
}

static double ms_between(int64_t from, int64_t to)
{
    return (double)(to - from) / 1e6;
}

static void count_sight(struct figures *out, const struct sight *sight, int64_t struck)
{
    samples_add(&out->promotion, ms_between(struck, sight->promoted));
    samples_add(&out->announcement, ms_between(sight->promoted, sight->announced));
    out->astray += sight->astray;
    for (size_t i = 0; i < SWITCH_DAEMONS; i++) {
        for (size_t way = 0; way < N_WAYS; way++) {
            samples_add(&out->told[i][way], ms_between(sight->promoted, sight->told[i][way]));
            samples_add(&out->told_after[i][way],
                        ms_between(sight->announced, sight->told[i][way]));
        }
    }
}

static void count_written(struct figures *out, size_t i, const struct written *written,
                          const struct sight *sight)
{
    struct samples *figure = out->writers[i];

    if (written->first_kept == 0) {
        out->stuck[i]++;
    } else {
        samples_add(&figure[KEPT], ms_between(sight->promoted, written->first_kept));
        samples_add(&figure[KEPT_AFTER], ms_between(sight->announced, written->first_kept));
    }
    samples_add(&figure[SILENCE], written->silence_ms);
    samples_add(&figure[LONGEST], written->longest_ms);
    samples_add(&figure[ACKNOWLEDGED], (double)written->acknowledged);
    samples_add(&figure[LOST], (double)written->lost);
    samples_add(&figure[FAILED], (double)written->failed);
    samples_add(&figure[DONE], (double)written->failed_and_done);
    samples_add(&figure[UNKNOWN], (double)written->unknown);
}

/* Strike, and look on until everybody has been told. @return when it was struck. */
static int64_t strike(const struct trial *trial, const struct kind *kind, struct witness *witness,
                      struct server *old)
{
    const int64_t struck = monotonic_ns();

    kind->strike(trial->cluster, old);
    while (!witness_look(witness)) {
        cr_assert(monotonic_ns() - struck < SEEN_BOUND_S * INT64_C(1000000000),
                  "not all told:\n%s\n%s", daemon_log(trial->daemons[0]),
                  daemon_log(trial->daemons[1]));
    }
    return struck;
}

static void switch_once(const struct trial *trial, const struct kind *kind, struct figures *out,
                        const char *name)
{
    struct writer *writers[MAX_WRITERS] = {NULL};
    struct cluster *cluster = trial->cluster;

    cluster_settle(cluster);
    struct server *old = cluster_master(cluster);
    for (size_t i = 0; i < SWITCH_DAEMONS; i++) {
        EXPECT_MASTER(trial->daemons[i], old, 10000);
    }
    for (size_t i = 0; i < trial->n_writers; i++) {
        writers[i] = start_writer(trial, i, text("%s:%zu", name, i));
    }
    struct witness *witness = witness_open(cluster, trial->daemons, old);
    const int64_t struck = strike(trial, kind, witness, old);
    const struct sight *sight = witness_sight(witness);
    witness_close(witness);
    count_sight(out, sight, struck);
    kind->mend(old, cluster_wait_switch(cluster, old, 20000));
    const int64_t end = monotonic_ns() + ARRIVE_BOUND_S * INT64_C(1000000000);
    while (!all_arrived(trial, writers, sight, sight->promoted) && monotonic_ns() < end) {
        nap_us(ARRIVE_LOOK_US);
    }
    cluster_settle(cluster);
    const struct server *master = cluster_master(cluster);
    cr_assert(master);
    for (size_t i = 0; i < trial->n_writers; i++) {
        const struct written written = writer_finish(writers[i], master, struck, sight->promoted);

        if (master == sight->fresh) {
            count_written(out, i, &written, sight);
        }
    }
    out->again += master != sight->fresh;
}

/* The writers whose clients are here; those that are not are named. */
static void choose_writers(struct trial *trial, const struct writer_plan *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *column = all[i].column;
        const bool again = i + 1 < n && strcmp(column, all[i + 1].column) == 0;

        if (trial->n_writers > 0 &&
            strcmp(trial->writers[trial->n_writers - 1]->column, column) == 0) {
            continue;
        }
        const char *version = writer_version(&all[i]);
        if (version) {
            trial->writers[trial->n_writers] = &all[i];
            trial->versions[trial->n_writers++] = version;
        } else if (!again) {
            progress(
                "%s is not installed, so its column is missing; 'deploy/build/deps.sh bench' installs it",
                column);
        }
    }
}

enum { LABEL = 56, CELL = 19 };

static void print_label(const char *label)
{
    (void)printf("  %-*s", LABEL, label);
}

/* Median / worst, as time or as a count. */
static void print_cell(const struct samples *samples, bool is_time)
{
    const double median = samples_median(samples), worst = samples_worst(samples);

    if (samples->n == 0) {
        (void)printf(" %*s", CELL, "-");
    } else if (is_time) {
        (void)printf(" %*s", CELL, text("%.1f / %.1f", median, worst));
    } else {
        (void)printf(" %*s", CELL, text("%.0f / %.0f", median, worst));
    }
}

static void print_told(const char *since, const struct samples told[SWITCH_DAEMONS][N_WAYS],
                       const char *budget)
{
    for (size_t way = 0; way < N_WAYS; way++) {
        print_label(text("%s -> %s, ms", since, way_names[way]));
        for (size_t i = 0; i < SWITCH_DAEMONS; i++) {
            print_cell(&told[i][way], true);
        }
        (void)printf("  %s\n", way == WAY_GET ? budget : "");
    }
}

static void print_writers(const struct trial *trial, const struct figures *figures)
{
    (void)printf("\n");
    print_label("");
    for (size_t i = 0; i < trial->n_writers; i++) {
        (void)printf(" %*s", CELL, trial->writers[i]->column);
    }
    (void)printf("\n");
    for (enum figure figure = 0; figure < N_FIGURES; figure++) {
        print_label(figure_names[figure]);
        for (size_t i = 0; i < trial->n_writers; i++) {
            static const struct samples none;
            const bool told = figure != UNKNOWN || trial->writers[i]->tells_unknown;

            print_cell(told ? &figures->writers[i][figure] : &none, figure <= LONGEST);
        }
        (void)printf("\n");
    }
    for (size_t i = 0; i < trial->n_writers; i++) {
        if (figures->stuck[i] > 0) {
            (void)printf("  %s did not write to the new master within %d s in %zu of them\n",
                         trial->writers[i]->column, ARRIVE_BOUND_S, figures->stuck[i]);
        }
    }
}

static void print_kind(const struct trial *trial, const struct kind *kind,
                       const struct figures *figures)
{
    (void)printf("\n%s%s\n\n", kind->name, kind->mended);
    print_label(text("%s -> promotion, ms", kind->name));
    print_cell(&figures->promotion, true);
    (void)printf("\n");
    print_label("promotion -> first announcement by a Sentinel, ms");
    print_cell(&figures->announcement, true);
    (void)printf("\n\n");
    print_label("");
    for (size_t i = 0; i < SWITCH_DAEMONS; i++) {
        (void)printf(" %*s", CELL, daemon_names[i]);
    }
    (void)printf("  budget\n");
    print_told("promotion", figures->told, "");
    print_told("announcement", figures->told_after, "p99 <= 5 ms");
    if (figures->astray > 0) {
        (void)printf("  daemons and Sentinels that named another node first: %zu (must be 0)\n",
                     figures->astray);
    }
    if (figures->again > 0) {
        (void)printf("  followed by another failover, whose writers are not counted: %zu\n",
                     figures->again);
    }
    if (trial->n_writers > 0) {
        print_writers(trial, figures);
    }
    for (size_t i = 0; kind->planned && i < trial->n_writers; i++) {
        const struct samples *lost = &figures->writers[i][LOST];

        if (trial->writers[i]->keeps_all && lost->n > 0) {
            (void)printf("  %s: acknowledged writes lost, most of the %zu times: %.0f  <= 0 %s\n",
                         trial->writers[i]->column, lost->n, samples_worst(lost),
                         samples_worst(lost) > 0 ? "MISSED" : "met");
        }
    }
}

static void print_head(const struct trial *trial, int switches)
{
    (void)printf(
        "\nFailovers, %d of each kind: when callers are told, and when clients of others write again\n"
        "  median / worst; Sentinels with their own periods, down-after %d ms; looked at once a millisecond, so a figure\n"
        "  may be one or two too long or short; who is told before the first announcement has a minus there\n",
        switches, trial->cluster->down_after_ms);
    for (size_t i = 0; i < trial->n_writers; i++) {
        (void)printf("  %s: %s%s; one write after another\n", trial->writers[i]->column,
                     trial->versions[i], trial->writers[i]->options);
    }
}

struct cluster *switch_cluster(void)
{
    return cluster_start(&(struct cluster_spec){.down_after_ms = DOWN_AFTER_MS, .slow_pace = true});
}

void switch_measure(struct cluster *cluster, struct daemon *const daemons[SWITCH_DAEMONS],
                    const struct writer_plan *writers, size_t n,
                    const struct bench_settings *settings)
{
    static struct figures figures[N_KINDS];
    struct trial trial = {.cluster = cluster};

    memcpy(trial.daemons, daemons, sizeof(trial.daemons));
    choose_writers(&trial, writers, n);
    for (size_t k = 0; k < N_KINDS; k++) {
        for (int i = 0; i < settings->switches; i++) {
            switch_once(&trial, &kinds[k], &figures[k], text("switch:%zu:%d", k, i));
            progress("switch: %s: %d of %d", kinds[k].name, i + 1, settings->switches);
        }
    }
    print_head(&trial, settings->switches);
    for (size_t k = 0; k < N_KINDS; k++) {
        print_kind(&trial, &kinds[k], &figures[k]);
    }
}

void bench_switch(const struct bench_settings *settings)
{
    struct cluster *cluster = switch_cluster();
    struct daemon *daemons[SWITCH_DAEMONS] = {
        daemon_start(cluster, "--adopt", "announced", "--redis-api", "loopback", NULL),
        daemon_start(cluster, "--adopt", "promoted", "--redis-api", "loopback", NULL)};

    switch_measure(cluster, daemons, plans, N_PLANS, settings);
}
