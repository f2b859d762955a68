/*
 * /status for a terminal at 3 a.m.: the verdict first, then what it rests on, one line each. A `!`
 * in the first column stands where somebody disagrees, can't be heard or is ill, so that grep '^!'
 * shows the trouble.
 */
#include "status_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/topology/write_fence.h"
#include "version.h"

/* ---- text that grows ---- */

struct page {
    FILE *to;
    char *text;
    size_t size;
};

static void page_begin(struct page *page)
{
    page->to = open_memstream(&page->text, &page->size);
    if (!page->to) {
        mem_exhausted();
    }
}

/* Nodes and Sentinels choose some of the words; none of them may talk to the terminal. */
static char *page_end(struct page *page)
{
    if (fclose(page->to) != 0) {
        mem_exhausted();
    }
    for (char *c = page->text; *c; c++) {
        if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f) {
            *c = '?';
        }
    }
    return page->text;
}

static void put_address(const struct page *page, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];

    fputs(address_format(address, text), page->to);
}

/* On one line, whatever they hold. */
static void put_words(const struct page *page, const char *before, const char *words)
{
    if (!*words) {
        return;
    }
    fputs(before, page->to);
    for (; *words; words++) {
        fputc(*words == '\n' ? '?' : *words, page->to);
    }
}

static void put_age(const struct page *page, const char *before, int64_t age_ms)
{
    char text[32];

    if (age_ms >= 0) {
        fprintf(page->to, "%s%s ago", before, status_say_age(age_ms, text));
    }
}

/* "ok", "ok, disputed"; a reason that only repeats the state is left out. */
static void put_state(const struct page *page, const struct snapshot_master *shown,
                      const char *between)
{
    const char *state = master_state_text(shown->state), *reason = reason_text(shown->reason);

    fputs(state, page->to);
    if (reason && strcmp(reason, state) != 0) {
        fprintf(page->to, "%s%s", between, reason);
    }
}

/* ---- the verdict ---- */

static void put_verdict_of_one(const struct page *page, const struct status_master *master)
{
    const struct snapshot_master *shown = master->shown;
    char words[256];

    put_state(page, shown, ", ");
    fprintf(page->to, ": %s ", shown->name);
    if (!snapshot_master_serves(shown)) {
        fprintf(page->to, "has no master: %s",
                shown->detail && *shown->detail ? shown->detail : "nothing was heard");
        return;
    }
    fputs("is ", page->to);
    put_address(page, &shown->address);
    fprintf(page->to, ", %s, named by %zu of %zu Sentinel%s",
            status_say_verification(master, words, sizeof(words)), shown->agreeing, shown->known,
            shown->known == 1 ? "" : "s");
}

static void put_verdict_of_many(const struct page *page, const struct status_report *report)
{
    size_t served = 0, named = 0;

    for (size_t i = 0; i < report->n_masters; i++) {
        served += snapshot_master_serves(report->masters[i].shown);
    }
    fprintf(page->to, "%s: %zu of %zu masters served",
            served == report->n_masters ? "ok" : "not ok", served, report->n_masters);
    for (size_t i = 0; i < report->n_masters; i++) {
        const struct snapshot_master *shown = report->masters[i].shown;

        if (snapshot_master_serves(shown)) {
            continue;
        }
        if (++named > 5) {
            fprintf(page->to, ", ...");
            break;
        }
        fprintf(page->to, "%s%s (%s)", named == 1 ? "; not: " : ", ", shown->name,
                master_state_text(shown->state));
    }
}

static void put_verdict(const struct page *page, const struct status_view *view)
{
    const struct status_report *report = view->report;

    if (view->stalled) {
        fprintf(page->to,
                "watcher_stalled: no sign of life for %" PRId64 " ms, what follows may be old; ",
                view->silent_ms);
    }
    if (view->draining) {
        fputs("shutting down; ", page->to);
    }
    if (report->n_masters == 1) {
        put_verdict_of_one(page, &report->masters[0]);
    } else if (report->n_masters > 1) {
        put_verdict_of_many(page, report);
    } else {
        const char *detail =
            view->snapshot && view->snapshot->detail ? view->snapshot->detail : NULL;

        fprintf(page->to, "unknown: no master is known: %s",
                detail ? detail : "the daemon has just started");
    }
}

char *status_verdict(const struct status_view *view)
{
    struct page page;

    page_begin(&page);
    put_verdict(&page, view);
    return page_end(&page);
}

/* ---- a master ---- */

static void put_sentinel(const struct page *page, const struct status_master *master, size_t i)
{
    const struct snapshot_sentinel *sentinel = &master->shown->sentinels[i];

    fprintf(page->to, "%c sentinel ", status_disagrees(master, i) ? '!' : ' ');
    put_address(page, &sentinel->address);
    if (!sentinel->reachable) {
        fputs("  can't be reached", page->to);
        put_words(page, ": ", sentinel->error_text);
    }
    if (sentinel->has_says) {
        fprintf(page->to, "  %s ", sentinel->reachable ? "says" : "said");
        put_address(page, &sentinel->says);
        if (sentinel->config_epoch != EPOCH_UNKNOWN) {
            fprintf(page->to, "  epoch %" PRId64, sentinel->config_epoch);
        }
    } else if (sentinel->reachable) {
        fputs("  gives no address", page->to);
        put_words(page, ": ", sentinel->error_text);
    }
    put_age(page, "  ", master->voices[i].age_ms);
    if (sentinel->reachable && sentinel->has_says) { /* what it does not let us ask */
        put_words(page, "  ", sentinel->error_text);
    }
    if (sentinel->tilt) {
        fputs("  TILT", page->to);
    }
    if (sentinel->tls_otherwise) {
        fputs("  in TLS, which it answered", page->to);
    }
    if (sentinel->foreign) {
        fputs("  foreign: of another deployment, not counted", page->to);
    }
    if (sentinel->has_ckquorum && !sentinel->ckquorum_ok) {
        put_words(page, "  ", sentinel->ckquorum_text);
    }
    fputc('\n', page->to);
}

static void put_replica(const struct page *page, const struct snapshot_replica *replica)
{
    fprintf(page->to, "%c replica ", replica->healthy ? ' ' : '!');
    put_address(page, &replica->address);
    fprintf(page->to, "  %s", replica->healthy ? "healthy" : "unhealthy");
    if (!replica->healthy) {
        fprintf(page->to, " (%s)", replica->flags);
    }
    if (!replica->link_up) {
        fprintf(page->to, "  link down %" PRId64 " s", replica->link_down_ms / 1000);
    }
    if (replica->lag_bytes >= 0) {
        fprintf(page->to, "  lag %" PRId64 " bytes", replica->lag_bytes);
    }
    if (!replica->promotable) {
        fputs("  not promotable:", page->to);
        for (size_t i = 0; i < replica->n_why_not; i++) {
            fprintf(page->to, " %s", replica->why_not[i]);
        }
    }
    fputc('\n', page->to);
}

const struct failover *status_failover(const struct snapshot *snapshot, const char *master)
{
    const struct failovers *list = snapshot ? snapshot->failovers : NULL;

    for (size_t i = 0; list && i < list->n; i++) {
        const struct failover *entry = list->entries[i];

        if ((entry->outcome == FAILOVER_RUNNING || entry->outcome == FAILOVER_UNATTENDED) &&
            strcmp(entry->name, master) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void put_failover(const struct page *page, const struct failover *failover,
                         int64_t now_wall_ms)
{
    char age[32];

    fprintf(
        page->to, "! %s (%s) for %s",
        failover->outcome == FAILOVER_UNATTENDED ? "outage that no Sentinel handles" : "failover",
        failover->reason ? failover->reason : failover_kind_text(failover->kind),
        status_say_age(now_wall_ms > failover->began_wall_ms ? now_wall_ms - failover->began_wall_ms
                                                             : 0,
                       age));
    if (*failover->leader) {
        fprintf(page->to, ", led by %s", failover->leader);
    }
    for (size_t i = 0; i < failover->n_phases; i++) {
        fprintf(page->to, "%s %s %" PRId64 " ms", i == 0 ? ":" : ",",
                failover_phase_text(failover->phases[i].phase), failover->phases[i].ms);
    }
    fputc('\n', page->to);
}

/* Only while it is up: it is what writers wait for. */
static void put_fence(const struct page *page, const struct status_master *master,
                      int64_t now_wall_ms)
{
    char age[32];

    if (master->shown->fence == FENCE_DOWN) {
        return;
    }
    fprintf(page->to, "! fence %s: writes are held back", fence_text(master->shown->fence));
    if (master->fence_since_wall_ms && now_wall_ms >= master->fence_since_wall_ms) {
        fprintf(page->to, " for %s",
                status_say_age(now_wall_ms - master->fence_since_wall_ms, age));
    }
    put_words(page, ", ", master->fence_why ? master->fence_why : "");
    fputc('\n', page->to);
}

/* What is asked of it through /redis; a `!` where requests wait. */
static void put_pool(const struct page *page, const struct status_view *view, const char *name)
{
    struct pool_view pool;

    if (!view->pool || !pool_look(view->pool, name, &pool)) {
        return;
    }
    fprintf(page->to, "%c commands  connections %zu, in flight %zu, waiting %zu%s\n",
            pool.waiting ? '!' : ' ', pool.connecting + pool.idle + pool.busy, pool.in_flight,
            pool.waiting, pool.has_table || pool.idle + pool.busy == 0 ? "" : ", no COMMAND table");
    if (pool.subscribers > 0) {
        fprintf(page->to, "  channels  %zu, for %zu who listen\n", pool.channels, pool.subscribers);
    }
    if (pool.closed) {
        fprintf(page->to, "! commands  %s\n", pool.closed);
    }
}

const char *status_say_place(const struct status_forward *forward, char out[STATUS_PLACE_SIZE])
{
    if (!forward->listen->place.unix_path) {
        return address_format(forward->address, out);
    }
    (void)snprintf(out, STATUS_PLACE_SIZE, "unix:%s", forward->listen->place.unix_path);
    return out;
}

/*
 * A `!` where clients wait, or there is nothing to wait for. @param of its master where no heading
 * says it; else "".
 */
static void put_forward(const struct page *page, const struct status_forward *forward,
                        const char *of)
{
    const struct metrics_forward_totals *counts = &forward->counts;
    const int64_t *joined = counts->connections;
    char place[STATUS_PLACE_SIZE];

    fprintf(page->to, "%c forward", counts->waiting > 0 || forward->lacks ? '!' : ' ');
    put_words(page, " ", status_say_place(forward, place));
    fprintf(page->to, "  to %s",
            metric_forward_to_text((enum metric_forward_to)forward->listen->to));
    put_words(page, " of ", of);
    if (forward->lacks) {
        fputs(", which no Sentinel knows", page->to);
    }
    fprintf(page->to, "%s%s  clients %" PRId64 ", waiting %" PRId64,
            forward->listen->place.tls ? ", tls" : "", forward->listen->auth ? ", auth" : "",
            joined[METRIC_FORWARD_TO_MASTER] + joined[METRIC_FORWARD_TO_REPLICA], counts->waiting);
    if (forward->listen->place.tls) {
        fprintf(page->to, ", handshakes %" PRId64, counts->handshakes);
    }
    fprintf(page->to, ", in %" PRIu64 " bytes, out %" PRIu64 " bytes",
            counts->bytes[METRIC_FORWARD_WAY_IN], counts->bytes[METRIC_FORWARD_WAY_OUT]);
    for (int i = 0, n = 0; i < METRIC_FORWARD_END_COUNT; i++) {
        if (counts->closed[i] > 0) {
            fprintf(page->to, "%s%s %" PRIu64, n++ == 0 ? "; closed: " : ", ",
                    metric_forward_end_text((enum metric_forward_end)i), counts->closed[i]);
        }
    }
    fputc('\n', page->to);
}

static bool leads_to(const struct status_forward *forward, const char *master)
{
    return forward->master && strcmp(forward->master, master) == 0;
}

static void put_forwards(const struct page *page, const struct status_view *view,
                         const char *master)
{
    for (size_t i = 0; i < view->n_forwards; i++) {
        if (leads_to(&view->forwards[i], master)) {
            put_forward(page, &view->forwards[i], "");
        }
    }
}

/* Those that lead to no master that is shown. */
static void put_other_forwards(const struct page *page, const struct status_view *view)
{
    for (size_t i = 0; i < view->n_forwards; i++) {
        size_t at = 0;

        while (at < view->report->n_masters &&
               !leads_to(&view->forwards[i], view->report->masters[at].shown->name)) {
            at++;
        }
        if (at == view->report->n_masters) {
            put_forward(page, &view->forwards[i],
                        view->forwards[i].master ? view->forwards[i].master : "");
        }
    }
}

static void put_master(const struct page *page, const struct status_view *view,
                       const struct status_master *master)
{
    const struct snapshot_master *shown = master->shown;
    const struct failover *failover = status_failover(view->snapshot, shown->name);
    char words[STATUS_WORDS_SIZE], since[CLOCK_TEXT_SIZE];

    fprintf(page->to, "\n%c %s  ", snapshot_master_serves(shown) ? ' ' : '!', shown->name);
    put_state(page, shown, "  ");
    fputc('\n', page->to);
    fprintf(page->to, "  %s\n", status_say_decision(master, words));
    if (shown->has_address) {
        clock_format_utc(shown->since_wall_ms, since);
        fprintf(page->to, "  since %s", since);
        if (shown->has_previous) {
            fputs(", before that ", page->to);
            put_address(page, &shown->previous);
        }
        if (master->high_water != EPOCH_UNKNOWN) {
            fprintf(page->to, ", highest epoch %" PRId64, master->high_water);
        }
        fputc('\n', page->to);
    }
    if (failover) {
        put_failover(page, failover, view->report->wall_ms);
    }
    put_fence(page, master, view->report->wall_ms);
    put_pool(page, view, shown->name);
    put_forwards(page, view, shown->name);
    for (size_t i = 0; i < shown->n_sentinels; i++) {
        put_sentinel(page, master, i);
    }
    for (size_t i = 0; i < shown->n_replicas; i++) {
        put_replica(page, &shown->replicas[i]);
    }
}

/* ---- the rest ---- */

/* Where no master is known: why, Sentinel by Sentinel. */
static void put_link(const struct page *page, const struct snapshot_sentinel *sentinel)
{
    fprintf(page->to, "%c sentinel ", sentinel->reachable && !*sentinel->error_code ? ' ' : '!');
    put_address(page, &sentinel->address);
    fputs(sentinel->reachable ? "  is up" : "  can't be reached", page->to);
    put_words(page, ": ", sentinel->error_text);
    fputc('\n', page->to);
}

static void put_self(const struct page *page, const struct snapshot_self *self)
{
    static const char *const roles[] = {"role unknown", "master", "replica"};

    fprintf(page->to, "%c self ", *self->reason ? '!' : ' ');
    put_address(page, &self->address);
    fprintf(page->to, "  %s", roles[self->role]);
    if (*self->name) {
        fprintf(page->to, "  of %s", self->name);
    }
    if (*self->reason) {
        fprintf(page->to, "  %s", self->reason);
    }
    fputc('\n', page->to);
}

char *status_text(const struct status_view *view)
{
    struct page page;
    char age[32];

    page_begin(&page);
    put_verdict(&page, view);
    fputc('\n', page.to);
    for (size_t i = 0; i < view->report->n_masters; i++) {
        put_master(&page, view, &view->report->masters[i]);
    }
    for (size_t i = 0;
         view->report->n_masters == 0 && view->snapshot && i < view->snapshot->n_sentinels; i++) {
        put_link(&page, &view->snapshot->sentinels[i]);
    }
    put_other_forwards(&page, view);
    if (view->snapshot && view->snapshot->n_selves) {
        fputc('\n', page.to);
        for (size_t i = 0; i < view->snapshot->n_selves; i++) {
            put_self(&page, &view->snapshot->selves[i]);
        }
    }
    fprintf(page.to, "\nbellwether %s (%s), up %s, instance %s\n", BELLWETHER_VERSION,
            BELLWETHER_COMMIT, status_say_age(view->uptime_ms, age), view->instance);
    return page_end(&page);
}
