/*
 * Writers: programs that write through a client of their own, and what they were told held against
 * what is there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/scene.h"
#include "switch.h"

enum { ARGV_MAX = 24, WARM = 50, START_BOUND_MS = 30000 };

/* One line of a writer. */
struct write {
    enum { WRITE_OK, WRITE_ERROR, WRITE_UNKNOWN } outcome;
    unsigned long number;
    int64_t began, ended;
};

/* The plan's arguments, then more. @param out room for ARGV_MAX. */
static size_t copy_argv(const char **out, const struct writer_plan *plan)
{
    size_t n = 0;

    for (; plan->argv[n]; n++) {
        out[n] = plan->argv[n];
    }
    return n;
}

const char *writer_version(const struct writer_plan *plan)
{
    const char *argv[ARGV_MAX] = {NULL};

    argv[copy_argv(argv, plan)] = "--version";
    if (!process_can_run(argv[0])) {
        return NULL;
    }
    const struct process_result result = process_run(20000, NULL, argv);
    return result.exit_code != 0 ? NULL : text("%.*s", (int)strcspn(result.out, "\n"), result.out);
}

static bool is_word(const char *line, size_t length, const char *word)
{
    return strlen(word) == length && strncmp(line, word, length) == 0;
}

static void add_write(struct writer *writer, const char *line)
{
    static const char *const words[] = {
        [WRITE_OK] = "ok", [WRITE_ERROR] = "error", [WRITE_UNKNOWN] = "unknown"};
    const size_t length = strcspn(line, " ");
    char *end = NULL;
    struct write write = {.outcome = WRITE_OK, .number = strtoul(line + length, &end, 10)};

    write.began = strtoll(end, &end, 10);
    write.ended = strtoll(end, &end, 10);
    while (write.outcome < WRITE_UNKNOWN && !is_word(line, length, words[write.outcome])) {
        write.outcome++;
    }
    cr_assert(is_word(line, length, words[write.outcome]) && *end == '\n' && write.ended > 0,
              "a writer said %.100s", line);
    if (writer->n == writer->room) {
        writer->room = writer->room * 2 + 1024;
        writer->writes = realloc(writer->writes, writer->room * sizeof(*writer->writes));
        cr_assert(writer->writes);
    }
    writer->writes[writer->n++] = write;
    writer->acknowledged += write.outcome == WRITE_OK;
}

/* Take in every whole line that is new. */
static void writer_read(struct writer *writer)
{
    char line[128];

    clearerr(writer->out);
    for (long at = ftell(writer->out); fgets(line, sizeof(line), writer->out);
         at = ftell(writer->out)) {
        if (!strchr(line, '\n')) {
            (void)fseek(writer->out, at, SEEK_SET);
            return;
        }
        add_write(writer, line);
    }
}

static bool has_warmed_up(struct writer *writer)
{
    cr_assert(!process_ended(writer->process), "%s ended: %s", writer->plan->argv[1],
              process_log(writer->process));
    writer_read(writer);
    return writer->acknowledged >= WARM;
}

static void drop_writer(void *object)
{
    struct writer *writer = object;

    if (writer->out) {
        (void)fclose(writer->out);
    }
    free(writer->writes);
    writer->out = NULL;
    writer->writes = NULL;
}

struct writer *writer_start(const struct writer_plan *plan, const char *set, const uint16_t *ports,
                            size_t n_ports)
{
    const char *argv[ARGV_MAX] = {NULL};
    size_t n = copy_argv(argv, plan);

    cr_assert(n + n_ports + 2 <= ARGV_MAX);
    argv[n++] = set;
    for (size_t i = 0; i < n_ports; i++) {
        argv[n++] = text("%u", ports[i]);
    }
    struct writer *writer = scene_alloc(sizeof(*writer));
    *writer = (struct writer){.plan = plan, .set = text("%s", set)};
    writer->process = process_start(&(struct process_spec){.name = "writer", .argv = argv});
    writer->out = fopen(writer->process->out_path, "re");
    cr_assert(writer->out);
    (void)scene_keep(writer, drop_writer);
    WAIT_UNTIL(START_BOUND_MS, has_warmed_up(writer));
    return writer;
}

bool writer_arrived(struct writer *writer, const struct server *master, int64_t since)
{
    writer_read(writer);
    size_t last = writer->n;
    while (last > 0 && writer->writes[last - 1].outcome != WRITE_OK) {
        last--;
    }
    return last > 0 && writer->writes[last - 1].began > since &&
           strcmp(
               redis_say(master, "SISMEMBER %s %lu", writer->set, writer->writes[last - 1].number),
               "1") == 0;
}

/* Which of the numbers 1 to `max` are in the set. @return flags by number, to be freed. */
static bool *read_set(const struct writer *writer, const struct server *master, unsigned long max)
{
    bool *there = calloc(max + 1, sizeof(*there));
    const redisReply *reply = redis_ask(master, "SMEMBERS %s", writer->set);

    cr_assert(there && reply && reply->elements > 0, "%s has no %s", master->label, writer->set);
    for (size_t i = 0; i < reply->elements; i++) {
        const unsigned long number = strtoul(reply->element[i]->str, NULL, 10);

        if (number <= max) { /* else it was stopped before it could say so */
            there[number] = true;
        }
    }
    return there;
}

static void weigh(struct written *out, const struct write *write, bool there, int64_t promoted)
{
    if (write->outcome != WRITE_OK) {
        out->failed += write->outcome == WRITE_ERROR;
        out->unknown += write->outcome == WRITE_UNKNOWN;
        out->failed_and_done += there;
        return;
    }
    out->acknowledged++;
    out->lost += !there;
    if (there && write->began >= promoted && out->first_kept == 0) {
        out->first_kept = write->ended;
    }
}

static void keep_longest(double *longest_ms, int64_t from, int64_t to)
{
    const double ms = (double)(to - from) / 1e6;

    *longest_ms = ms > *longest_ms ? ms : *longest_ms;
}

struct written writer_finish(struct writer *writer, const struct server *master, int64_t struck,
                             int64_t promoted)
{
    struct written out = {.first_kept = 0};

    process_stop(writer->process);
    writer_read(writer);
    bool *there = read_set(writer, master, writer->writes[writer->n - 1].number);
    int64_t last_ok = struck;
    for (size_t i = 0; i < writer->n; i++) {
        const struct write *write = &writer->writes[i];
        const bool ok = write->outcome == WRITE_OK;

        weigh(&out, write, there[write->number], promoted);
        if (ok && write->ended > struck) {
            keep_longest(&out.silence_ms, last_ok, write->ended);
            keep_longest(&out.longest_ms, write->began, write->ended);
        }
        last_ok = ok ? write->ended : last_ok;
    }
    if (out.first_kept == 0) {
        keep_longest(&out.silence_ms, last_ok, monotonic_ns());
    }
    free(there);
    drop_writer(writer);
    (void)redis_say(master, "UNLINK %s", writer->set);
    return out;
}
