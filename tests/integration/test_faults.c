/*
 * A kernel without descriptors, without room for watches, with sockets that take and give little,
 * and memory that ends: through load and a failover the daemon goes on, nothing runs twice, and
 * when there is enough again all is well. Without memory it ends, and says so.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../support/certificates.h"
#include "../support/commands.h"
#include "../support/faults.h"
#include "../support/scene.h"
#include "../support/writers.h"

SCENE_SUITE(integration_faults);

enum { SOME = 200, SOON_MS = 30000 };
static const struct cluster_spec plain;

/* The thread sanitizer has to see each call by itself. */
static void begin(void)
{
    if (strstr(daemon_binary(), "tsan")) {
        scene_skip("faults stand in front of the thread sanitizer");
    }
}

static struct daemon *start(const struct cluster *cluster)
{
    static const char *const flags[] = {"--redis-api", "loopback", "--command-timeout", "30s",
                                        NULL};
    const char *const env[] = {faults_variable(), NULL};
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){
        .cluster = cluster, .flags = flags, .env = env, .binary = faults_binary()});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    return daemon;
}

static bool is_alive(const struct daemon *daemon)
{
    const struct http_answer *answer = daemon_get(daemon, "/livez");

    return answer->status == 200;
}

static void report(const struct writers *writers, const struct faults *faults, long long counter)
{
    const struct tally *increments = writers_increments(writers), *reads = writers_reads(writers);

    (void)fprintf(
        stderr,
        "%s: met: accept4 %u, socket %u, epoll_ctl %u, small %u, short %u, again %u; INCR %zu acknowledged, %zu unknown, "
        "%zu not sent, %zu other, %zu dropped, counter %lld; reads %zu, %zu dropped\n",
        scene_test_name(), faults->met[FAULT_ACCEPT], faults->met[FAULT_SOCKET],
        faults->met[FAULT_EPOLL], faults->met[FAULT_SMALL], faults->met[FAULT_SHORT],
        faults->met[FAULT_AGAIN], increments->acknowledged, increments->unknown,
        increments->not_sent, increments->other, increments->dropped, counter, reads->acknowledged,
        reads->dropped);
}

/* Load, with faults from its midst on; a failover within them; then they stop. */
static void go_through(const struct cluster_spec *spec, const unsigned every[FAULTS_COUNT],
                       bool kill_it)
{
    struct cluster *cluster = cluster_start(spec);
    struct faults *faults = faults_new();
    const struct daemon *daemon = start(cluster);
    struct server *old = &cluster->nodes[0];
    struct writers *writers = writers_start(&(struct writers_spec){.daemon = daemon});

    writers_wait(writers, SOME, SOON_MS);
    for (size_t i = 0; i < FAULTS_COUNT; i++) {
        atomic_store(&faults->every[i], every[i]);
    }
    for (size_t i = 0; i < 20; i++) { /* callers who come while there are faults */
        (void)daemon_get(daemon, i % 2 == 0 ? "/status" : "/master");
    }
    if (kill_it) {
        server_kill(old);
    } else {
        cluster_failover(cluster);
    }
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    for (size_t i = 0; i < 20; i++) {
        (void)daemon_get(daemon, i % 2 == 0 ? "/readyz?verbose" : "/openapi.yaml");
    }
    WAIT_UNTIL(SOON_MS, says_master(daemon, now));
    faults_end(faults);
    WAIT_UNTIL(5000, is_alive(daemon));
    EXPECT_MASTER(daemon, now, 10000);
    writers_wait(writers, SOME, SOON_MS);
    writers_stop(writers);
    const struct tally *increments = writers_increments(writers);
    const struct remains remains = writers_remains(writers, now);
    report(writers, faults, remains.counter);
    for (size_t i = 0; i < FAULTS_COUNT; i++) {
        cr_assert(every[i] == 0 || faults->met[i] > 0, "fault %zu was never met", i);
    }
    cr_assert(remains.counter <=
                  (long long)(increments->acknowledged + increments->unknown + increments->dropped),
              "INCR ran twice: %lld", remains.counter);
    cr_assert_eq(remains.adds_unaccounted, 0);
    still_serves(daemon);
}

SCENE(integration_faults, no_descriptors)
{
    begin();
    go_through(&plain, (const unsigned[FAULTS_COUNT]){[FAULT_ACCEPT] = 2, [FAULT_SOCKET] = 2},
               true);
}

SCENE(integration_faults, no_room_for_watches)
{
    begin();
    go_through(&plain, (const unsigned[FAULTS_COUNT]){[FAULT_EPOLL] = 2}, true);
}

SCENE(integration_faults, little_by_little)
{
    begin();
    go_through(
        &plain,
        (const unsigned[FAULTS_COUNT]){[FAULT_SMALL] = 1, [FAULT_SHORT] = 2, [FAULT_AGAIN] = 3},
        false);
}

SCENE(integration_faults, little_by_little_over_tls)
{
    const char *folder = text("%s/tls", scene_folder());
    const struct cluster_spec spec = {.tls = CLUSTER_TLS, .certificates = folder};

    begin();
    cr_assert_eq(mkdir(folder, 0755), 0);
    certificates_make_usual(folder);
    go_through(
        &spec,
        (const unsigned[FAULTS_COUNT]){[FAULT_SMALL] = 1, [FAULT_SHORT] = 2, [FAULT_AGAIN] = 3},
        false);
}

SCENE(integration_faults, all_at_once)
{
    begin();
    go_through(&plain,
               (const unsigned[FAULTS_COUNT]){[FAULT_ACCEPT] = 3,
                                              [FAULT_SOCKET] = 5,
                                              [FAULT_EPOLL] = 3,
                                              [FAULT_SMALL] = 2,
                                              [FAULT_SHORT] = 3,
                                              [FAULT_AGAIN] = 5},
               false);
}

/* ---- memory ---- */

/* @return whether it ended. */
static bool ends_without(const struct cluster *cluster, struct faults *faults, unsigned every)
{
    static const char *const paths[] = {"/master",      "/status", "/metrics",
                                        "/redis/get/k", "/events", "/masters"};
    struct daemon *daemon = start(cluster);
    struct process *process = daemon->process;

    process->may_die = true;
    process->ends_cleanly = false;
    atomic_store(&faults->every[FAULT_MEMORY], every);
    for (size_t i = 0; i < 60 && !process_ended(process); i++) {
        (void)http_send(&(struct http_request){.base = daemon->base,
                                               .path = paths[i % (sizeof(paths) / sizeof(*paths))],
                                               .bound_ms = 200,
                                               .unrecorded = true});
    }
    faults_end(faults);
    if (!process_ended(process)) {
        WAIT_UNTIL(5000, is_alive(daemon) || process_ended(process));
        process_stop(process);
        return false;
    }
    cr_assert(WIFSIGNALED(process->status) && WTERMSIG(process->status) == SIGABRT,
              "every %uth: status 0x%x\n%s", every, (unsigned)process->status, daemon_log(daemon));
    cr_assert(strstr(daemon_log(daemon), "bellwether: out of memory\n"), "every %uth: %s", every,
              daemon_log(daemon));
    return true;
}

SCENE(integration_faults, no_memory)
{
    begin();
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    struct faults *faults = faults_new();
    unsigned ended = 0;
    for (unsigned every = 1; every < 2000; every += 1 + every / 2) {
        ended += ends_without(cluster, faults, every);
    }
    cr_assert_gt(ended, 0, "nothing was refused");
    cr_assert_gt(faults->met[FAULT_MEMORY], 0);
}
