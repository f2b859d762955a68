/*
 * The status page: what `/` answers to browsers. The page itself (src/http/page/) is in the
 * program, in two pieces; between them goes the present state, so that it is there without
 * JavaScript. Its style and script are inline, and the policy names the hash of each: nothing else
 * runs, whatever a Sentinel may call its masters.
 *
 * The state is made from the same JSON that the other routes give, so the page can't say anything
 * else than they do.
 */
#include "page.h"

#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/http/embedded.h"
#include "bellwether/http/master_json.h"
#include "version.h"

static bool serves(const struct snapshot_master *master)
{
    return master_state_serves(master->state) && master->has_address;
}

/* Of the masters out of service the first, and how many there are. */
static size_t count_out(const struct snapshot *snapshot, const struct snapshot_master **first)
{
    size_t n = 0;

    for (size_t i = 0; i < snapshot->n_masters; i++) {
        if (!serves(snapshot->masters[i]) && n++ == 0) {
            *first = snapshot->masters[i];
        }
    }
    return n;
}

static void text_of(struct html *html, const char *text)
{
    json_t *valid = render_text(text); /* what comes from Sentinels may be any bytes */

    html_text(html, json_string_value(valid));
    json_decref(valid);
}

static void say_verdict(struct html *html, const struct snapshot *snapshot)
{
    const struct snapshot_master *out = NULL;
    size_t n = snapshot ? snapshot->n_masters : 0, n_out = n ? count_out(snapshot, &out) : 0;
    char at[ADDRESS_TEXT_SIZE];

    if (n == 0) {
        html_raw(html, "No master is known");
        if (snapshot && snapshot->detail && *snapshot->detail) {
            html_raw(html, ": ");
            text_of(html, snapshot->detail);
        }
        html_raw(html, ".");
    } else if (n == 1 && n_out == 0) {
        text_of(html, snapshot->masters[0]->name);
        html_raw(html, " is at ");
        text_of(html, address_format(&snapshot->masters[0]->address, at));
        html_raw(html, ".");
    } else if (n_out == 0) {
        html_format(html, "All %zu masters are in service.", n);
    } else {
        if (n > 1) {
            html_format(html, "%zu of %zu masters %s out of service: ", n_out, n,
                        n_out == 1 ? "is" : "are");
        }
        text_of(html, out->name);
        html_raw(html, n > 1 ? " (" : " has no master now: ");
        page_plain(html, master_state_text(out->state));
        html_raw(html, n == 1 ? "." : n_out > 1 ? ") …" : ").");
    }
}

static const char *mood_of(const struct snapshot *snapshot)
{
    const char *mood = "good";

    if (!snapshot || snapshot->n_masters == 0) {
        return "bad";
    }
    for (size_t i = 0; i < snapshot->n_masters; i++) {
        if (!serves(snapshot->masters[i])) {
            return "bad";
        }
        if (snapshot->masters[i]->state != MASTER_OK ||
            snapshot->masters[i]->reason != REASON_NONE) {
            mood = "warn";
        }
    }
    return mood;
}

static void add_card(struct html *html, const struct snapshot *snapshot, size_t i)
{
    const struct snapshot_master *master = snapshot->masters[i];
    bool full = i < PAGE_CARDS_FULL, known = master->state != MASTER_UNKNOWN;
    json_t *json = render_master(master, false), *detail = render_text(master->detail);
    json_t *sentinels = full ? render_sentinels(master) : NULL;
    json_t *replicas = full && known ? render_replicas(master, clock_boot_ms()) : NULL;

    page_card(html, json, json_string_value(detail), sentinels, replicas,
              snapshot->n_masters > 1 && master == snapshot_default(snapshot),
              snapshot->n_masters <= PAGE_CARDS_OPEN);
    json_decref(json);
    json_decref(detail);
    json_decref(sentinels);
    json_decref(replicas);
}

static void add_masters(struct html *html, const struct snapshot *snapshot)
{
    html_raw(html, "<p id=\"verdict\" class=\"verdict\" role=\"status\" data-mood=\"");
    html_raw(html, mood_of(snapshot));
    html_raw(html, "\">");
    say_verdict(html, snapshot);
    html_raw(html, "</p>\n<section aria-labelledby=\"masters-title\">"
                   "<h2 id=\"masters-title\">Masters</h2>\n<div id=\"masters\" class=\"masters\">");
    for (size_t i = 0; snapshot && i < snapshot->n_masters; i++) {
        add_card(html, snapshot, i);
    }
    html_raw(html, "</div></section>\n");
}

/* From its first phase to its end, or to now. */
static json_int_t took_ms(const struct failover *entry)
{
    size_t n = entry->n_phases;
    int64_t from_ms = n ? entry->phases[0].at_wall_ms : entry->began_wall_ms;

    if (entry->ended_wall_ms && n && entry->phases[n - 1].phase == PHASE_FINISHED) {
        return entry->phases[n - 1].ms;
    }
    return (entry->ended_wall_ms ? entry->ended_wall_ms : clock_wall_ms()) - from_ms;
}

static void add_failovers(struct html *html, const struct snapshot *snapshot)
{
    const struct failovers *list = snapshot ? snapshot->failovers : NULL;
    size_t n = list ? list->n : 0;

    html_raw(html,
             "<section id=\"failovers\" aria-labelledby=\"failovers-title\">"
             "<h2 id=\"failovers-title\">Failovers</h2>\n<p id=\"no-failovers\" class=\"quiet\"");
    html_raw(html, n ? " hidden>" : ">");
    html_raw(html,
             "None since this daemon started.</p>\n<ol id=\"failover-list\" class=\"failovers\">");
    for (size_t i = 0; i < n && i < PAGE_FAILOVERS; i++) {
        const struct failover *entry = list->entries[i];
        json_t *json = render_failover(entry);

        page_failover(html, json, took_ms(entry));
        json_decref(json);
    }
    html_raw(html, "</ol></section>\n");
}

static void add_state(struct html *html, const struct snapshot *snapshot, const char *alarm)
{
    char now[CLOCK_TEXT_SIZE];

    if (alarm) {
        html_raw(html, "<p class=\"alarm\">");
        text_of(html, alarm);
        html_raw(html, "</p>\n");
    }
    add_masters(html, snapshot);
    add_failovers(html, snapshot);
    clock_format_utc(clock_wall_ms(), now);
    html_raw(html, "<noscript><p class=\"made\">As of ");
    html_text(html, now);
    html_raw(html, ", bellwether " BELLWETHER_VERSION ".</p></noscript>\n");
}

char *page_render(const struct snapshot *snapshot, const char *alarm, size_t *size)
{
    struct html html = {0};

    html_bytes(&html, embedded_page_head, embedded_page_head_size);
    add_state(&html, snapshot, alarm);
    html_bytes(&html, embedded_page_tail, embedded_page_tail_size);
    *size = html.len;
    return html.text;
}
