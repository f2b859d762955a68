/*
 * bench FOLDER: run the parts that BENCH names, each in a process of its own.
 *
 * Clusters, processes and ports are those of the integration tests. Their assertions speak to
 * Criterion's runner, which isn't here: criterion_send_assert() and criterion_abort_test() below
 * take their place.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/scene.h"
#include "bellwether/base/units.h"
#include "bench.h"

static const struct part {
    const char *name;
    void (*run)(const struct bench_settings *settings);
} parts[] = {{"http", bench_http},         {"start", bench_start},
             {"kill", bench_kill},         {"stop", bench_stop},
             {"idle", bench_idle},         {"waiters", bench_waiters},
             {"switch", bench_switch},     {"masters", bench_masters},
             {"commands", bench_commands}, {"tls", bench_tls},
             {"forward", bench_forward},   {"forward-failover", bench_forward_failover},
             {"tls-kill", bench_tls_kill}, {"tls-commands", bench_tls_commands}};

/* The last two are within the one before them: measured by themselves only where they are named. */
enum { N_PARTS = sizeof(parts) / sizeof(parts[0]), N_WHOLE = N_PARTS - 2 };

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    (void)fprintf(stderr, "bench: %s:%u: %s\n", stats->file, stats->line, stats->message);
}

void criterion_abort_test(void)
{
    scene_end(); /* says where the logs are */
    _exit(1);
}

static bool run_part(const struct part *part, const struct bench_settings *settings)
{
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        scene_start();
        part->run(settings);
        (void)fflush(NULL);
        scene_check();
        scene_end();
        _exit(0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        (void)fprintf(stderr, "bench: part %s could not be measured\n", part->name);
        return false;
    }
    return true;
}

/* A whole number from the environment; a bad one ends the run. */
static int number(const char *name, int fallback, int max)
{
    const char *text = getenv(name);
    int64_t value = fallback;

    if (text && *text != '\0' && integer_parse(text, 1, max, &value) != 0) {
        (void)fprintf(stderr, "bench: %s takes a number from 1 to %d, not %s\n", name, max, text);
        exit(2);
    }
    return (int)value;
}

/* Whether a list of words, parted by blanks or commas, has this one; an empty list has all. */
static bool wanted(const char *list, const char *name)
{
    const size_t length = strlen(name);

    if (!list || *list == '\0') {
        return true;
    }
    for (const char *at = list; (at = strstr(at, name)); at += length) {
        if ((at == list || strchr(" ,", at[-1])) &&
            (at[length] == '\0' || strchr(" ,", at[length]))) {
            return true;
        }
    }
    return false;
}

static void list_parts(FILE *out)
{
    for (size_t i = 0; i < N_PARTS; i++) {
        (void)fprintf(out, " %s", parts[i].name);
    }
    (void)fprintf(out, "\n");
}

int main(int argc, char **argv)
{
    const char *list = getenv("BENCH");
    const struct bench_settings settings = {.folder = argc > 1 ? argv[1] : "build",
                                            .run_seconds = number("BENCH_SECONDS", 3, 600),
                                            .rounds = number("BENCH_ROUNDS", 5, BENCH_MAX_SAMPLES),
                                            .times = number("BENCH_TIMES", 20, BENCH_MAX_SAMPLES),
                                            .idle_seconds = number("BENCH_IDLE", 60, 3600),
                                            .switches =
                                                number("BENCH_TIMES", 10, BENCH_MAX_SAMPLES),
                                            .masters = number("BENCH_MASTERS", 1000, 4000)};

    (void)setenv("EXCHANGES", "/dev/null", 1); /* answers are checked in the tests, not here */
    bool ran = false, failed = false;
    for (size_t i = 0; i < (list && *list != '\0' ? N_PARTS : N_WHOLE); i++) {
        if (!wanted(list, parts[i].name)) {
            continue;
        }
        ran = true;
        failed = !run_part(&parts[i], &settings) || failed;
    }
    if (!ran) {
        (void)fprintf(stderr, "bench: BENCH takes");
        list_parts(stderr);
        return 2;
    }
    return failed ? 1 : 0;
}
