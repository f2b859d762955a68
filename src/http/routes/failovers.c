/*
 * /failovers: what became of each, newest first, as the failover log has it. 200 in every
 * state, also without any; a silent watcher's list may be old and is not given.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/buffer.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/one_line.h"
#include "bellwether/http/master_json.h"
#include "master.h"
#include "table.h"

/* The longest line: a name, three addresses, ten phases. */
#define LINE_SIZE 2048

/* ---- text ---- */

static size_t print(char *line, size_t used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static size_t print(char *line, size_t used, const char *format, ...)
{
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(line + used, LINE_SIZE - used, format, arguments);
    va_end(arguments);
    return n < 0 ? used : (size_t)n < LINE_SIZE - used ? used + (size_t)n : LINE_SIZE - 1;
}

/*
 * "2026-11-22T12:00:00.123Z mymaster switched crash 10.0.0.1:6379 -> 10.0.0.2:6379 epoch 4 no
 * master for 2312 ms: suspected 0, sdown 1051, ... ms"
 */
static void print_failover(const struct failover *failover, char line[LINE_SIZE])
{
    char text[ADDRESS_TEXT_SIZE];
    char began[CLOCK_TEXT_SIZE];
    size_t used;

    clock_format_utc(failover->began_wall_ms, began);
    used =
        print(line, 0, "%s %s %s", began, failover->name, failover_outcome_text(failover->outcome));
    if (failover->reason) {
        used = print(line, used, " (%s)", failover->reason);
    }
    used = print(line, used, " %s %s", failover_kind_text(failover->kind),
                 failover->has_from ? address_format(&failover->from, text) : "?");
    if (failover->has_to) {
        used = print(line, used, " -> %s", address_format(&failover->to, text));
    }
    if (failover->config_epoch >= 0) {
        used = print(line, used, " epoch %" PRId64, failover->config_epoch);
    }
    if (failover->unavailable_ms >= 0) {
        used = print(line, used, " no master for %" PRId64 " ms", failover->unavailable_ms);
    }
    for (size_t i = 0; i < failover->n_phases; i++) {
        used = print(line, used, "%s%s %" PRId64, i > 0 ? ", " : ": ",
                     failover_phase_text(failover->phases[i].phase), failover->phases[i].ms);
    }
    (void)print(line, used, "%s", failover->n_phases > 0 ? " ms" : "");
    one_line(line, strlen(line));
}

static char *join_lines(const struct failover *const *entries, size_t n)
{
    struct buffer text = {0};
    char line[LINE_SIZE];

    for (size_t i = 0; i < n; i++) {
        print_failover(entries[i], line);
        buffer_add_text(&text, line);
        buffer_add(&text, "\n", 1);
    }
    return buffer_take_text(&text, NULL);
}

/* ---- the route ---- */

void failovers_handle(struct request *request)
{
    const struct cache *cache = request->worker->cache;
    const struct snapshot *snapshot = cache->snapshot;
    const struct failovers *all = snapshot ? snapshot->failovers : NULL;
    const char *name = request->query.master;
    size_t most = request->query.limit > 0 ? (size_t)request->query.limit : SIZE_MAX, n = 0;
    const struct failover **chosen;

    if (*name && snapshot && !snapshot_find(snapshot, name)) {
        masters_answer_unknown(request, name);
        return;
    }
    if (snapshot && cache_stalled(cache)) {
        masters_refuse_stalled(request, NULL);
        return;
    }
    chosen = mem_new(all && all->n > 0 ? all->n : 1, sizeof(*chosen));
    for (size_t i = 0; all && i < all->n && n < most; i++) {
        if (!*name || strcmp(all->entries[i]->name, name) == 0) {
            chosen[n++] = all->entries[i];
        }
    }
    if (request->form == FORM_TEXT || request->form == FORM_URL) {
        request_answer_text(request, MHD_HTTP_OK,
                            n > 0 ? join_lines(chosen, n)
                                  : mem_strdup("no failover since the daemon started\n"),
                            NULL);
    } else {
        json_t *json = json_object(), *list = json_array();

        for (size_t i = 0; i < n; i++) {
            json_array_append_new(list, render_failover(chosen[i]));
        }
        json_object_set_new(json, "failovers", list);
        request_answer_json(request, MHD_HTTP_OK, json, NULL);
    }
    free(chosen);
}
