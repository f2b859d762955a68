/*
 * The status page's cards: a master, what each Sentinel says of it, its replicas. page.js makes the
 * same nodes.
 */
#include <stdlib.h>
#include <string.h>

#include "page.h"

/* ---- what JSON holds ---- */

const char *page_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static json_int_t number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static size_t count_true(const json_t *list, const char *key)
{
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        n += is_true(json_array_get(list, i), key);
    }
    return n;
}

/* ---- words ---- */

const char *page_mood(const json_t *master)
{
    const char *state = page_string(master, "state");

    if (state && strcmp(state, "ok") == 0) {
        return page_string(master, "reason") ? "warn" : "good";
    }
    return state && (strcmp(state, "unverified") == 0 || strcmp(state, "unknown") == 0) ? "warn"
                                                                                        : "bad";
}

bool page_serves(const json_t *master)
{
    const char *state = page_string(master, "state");

    return state && (strcmp(state, "ok") == 0 || strcmp(state, "unverified") == 0);
}

void page_plain(struct html *html, const char *word)
{
    for (; word && *word; word++) {
        html_char(html, (char)(*word == '_' ? ' ' : *word));
    }
}

void page_duration(struct html *html, json_int_t ms)
{
    if (ms < 1000) {
        html_format(html, "%" JSON_INTEGER_FORMAT " ms", ms);
    } else if (ms < 60000) {
        html_format(html, "%.*f s", ms < 10000 ? 2 : 1, (double)ms / 1000);
    } else {
        html_format(html, "%" JSON_INTEGER_FORMAT " min %" JSON_INTEGER_FORMAT " s", ms / 60000,
                    ms / 1000 % 60);
    }
}

void page_time(struct html *html, const char *iso)
{
    if (!iso) {
        return;
    }
    html_raw(html, "<time datetime=\"");
    html_text(html, iso);
    html_raw(html, "\">");
    if (strlen(iso) < sizeof("2026-11-22T12:00:00") - 1) {
        html_text(html, iso);
    } else {
        html_format(html, "%.10s %.8s UTC", iso, iso + sizeof("2026-11-22T") - 1);
    }
    html_raw(html, "</time>");
}

static void add_bytes(struct html *html, json_int_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double n = (double)bytes;
    size_t unit = 0;

    for (; n >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++) {
        n /= 1024;
    }
    html_format(html, "%.*f %s", unit && n < 100 ? 1 : 0, n, units[unit]);
}

void page_address(struct html *html, const char *address)
{
    const char *colon = strrchr(address, ':');

    if (!colon) {
        html_text(html, address);
        return;
    }
    for (; address < colon; address++) {
        html_char(html, *address);
    }
    html_raw(html, "<wbr>");
    html_text(html, colon);
}

static void add_mono(struct html *html, const char *text)
{
    html_raw(html, "<span class=\"mono\">");
    page_address(html, text ? text : "");
    html_raw(html, "</span>");
}

/* ---- a row, and below it what is to be said about it ---- */

/* What is to be said, joined by semicolons. */
struct notes {
    struct html html;
};

static void note(struct notes *notes, const char *text)
{
    html_raw(&notes->html, notes->html.len ? "; " : "");
    html_text(&notes->html, text);
}

static void begin_row(struct html *html, const char *mood, const struct notes *notes)
{
    html_raw(html, notes->html.len ? "<tr class=\"noted\"" : "<tr");
    if (mood) {
        html_raw(html, " data-mood=\"");
        html_raw(html, mood);
        html_raw(html, "\"");
    }
    html_raw(html, "><td>");
}

/* Ends the row and adds the notes' own. */
static void end_row(struct html *html, const char *mood, struct notes *notes)
{
    html_raw(html, "</td></tr>\n");
    if (notes->html.len) {
        html_raw(html, "<tr class=\"notes\"");
        if (mood) {
            html_raw(html, " data-mood=\"");
            html_raw(html, mood);
            html_raw(html, "\"");
        }
        html_raw(html, "><td colspan=\"3\">");
        html_raw(html, notes->html.text);
        html_raw(html, "</td></tr>\n");
    }
    free(notes->html.text);
}

static void note_list(struct notes *notes, const char *before, const json_t *words, const char *but)
{
    bool first = true;

    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));

        if (word && strcmp(word, but) != 0) {
            if (first) {
                note(notes, before);
            }
            html_raw(&notes->html, first ? " " : ", ");
            html_text(&notes->html, word);
            first = false;
        }
    }
}

/* ---- tables ---- */

static void sentinel_notes(struct notes *notes, const json_t *sentinel)
{
    const json_t *ckquorum = json_object_get(sentinel, "ckquorum"),
                 *error = json_object_get(sentinel, "error");

    if (!is_true(sentinel, "reachable")) {
        note(notes, "not reachable");
    } else if (!is_true(sentinel, "agrees")) {
        note(notes, page_string(sentinel, "says") ? "disagrees" : "names none");
    }
    if (is_true(sentinel, "foreign")) {
        note(notes, "of another deployment, not counted");
    }
    note_list(notes, "sees the master as", json_object_get(sentinel, "master_flags"), "master");
    if (is_true(sentinel, "tilt")) {
        note(notes, "in TILT");
    }
    if (json_is_object(ckquorum) && !is_true(ckquorum, "ok")) {
        note(notes, page_string(ckquorum, "text"));
    }
    if (json_is_object(error)) {
        note(notes, page_string(error, "code"));
        html_raw(&notes->html, ": ");
        html_text(&notes->html, page_string(error, "text"));
    }
}

static void sentinel_row(struct html *html, const json_t *sentinel)
{
    bool differs = is_true(sentinel, "reachable") && !is_true(sentinel, "agrees");
    const char *says = page_string(sentinel, "says"), *mood;
    json_int_t epoch = number_of(sentinel, "config_epoch");
    struct notes notes = {{0}};

    sentinel_notes(&notes, sentinel);
    mood = differs ? "bad" : notes.html.len ? "warn" : NULL;
    begin_row(html, mood, &notes);
    add_mono(html, page_string(sentinel, "address"));
    html_raw(html, "</td><td>");
    if (differs) {
        html_raw(html, "<strong class=\"mono bad\">\xe2\x89\xa0 ");
        page_address(html, says ? says : "nothing");
        html_raw(html, "</strong>");
    } else if (says) {
        add_mono(html, says);
    } else {
        html_raw(html, "<span class=\"soft\">nothing</span>");
    }
    html_raw(html, "</td><td class=\"number\">");
    if (epoch < 0) {
        html_raw(html, "?");
    } else {
        html_format(html, "%" JSON_INTEGER_FORMAT, epoch);
    }
    end_row(html, mood, &notes);
}

static void sentinel_table(struct html *html, const json_t *list)
{
    html_raw(html, "<div><h4>What each Sentinel says</h4>");
    if (json_array_size(list) == 0) {
        html_raw(html, "<p class=\"none\">None is known.</p></div>");
        return;
    }
    html_raw(html, "<table><thead><tr><th scope=\"col\">Sentinel</th><th scope=\"col\">names</th>"
                   "<th scope=\"col\" class=\"number\">epoch</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(list); i++) {
        sentinel_row(html, json_array_get(list, i));
    }
    html_raw(html, "</tbody></table></div>");
}

static void replica_notes(struct notes *notes, const json_t *replica)
{
    json_int_t down_ms = number_of(replica, "link_down_ms");

    if (!is_true(replica, "healthy")) {
        note(notes, "unhealthy");
    }
    if (!is_true(replica, "link_up")) {
        note(notes, down_ms > 0 ? "link down for " : "link down");
        if (down_ms > 0) {
            page_duration(&notes->html, down_ms);
        }
    }
    if (!is_true(replica, "promotable")) {
        note_list(notes, "not promotable:", json_object_get(replica, "why_not"), "");
    }
}

static void replica_row(struct html *html, const json_t *replica)
{
    json_int_t lag = number_of(replica, "lag_bytes");
    const char *mood = is_true(replica, "healthy") ? NULL : "warn";
    struct notes notes = {{0}};

    replica_notes(&notes, replica);
    begin_row(html, mood, &notes);
    add_mono(html, page_string(replica, "address"));
    html_raw(html, "</td><td class=\"number\">");
    if (lag < 0) {
        html_raw(html, "unknown");
    } else {
        add_bytes(html, lag);
    }
    html_raw(html, "</td><td class=\"number\">");
    html_format(html, "%" JSON_INTEGER_FORMAT, number_of(replica, "priority"));
    end_row(html, mood, &notes);
}

static void replica_table(struct html *html, const json_t *list)
{
    html_raw(html, "<div><h4>Replicas</h4>");
    if (json_array_size(list) == 0) {
        html_raw(html, list ? "<p class=\"none\">There are none.</p></div>"
                            : "<p class=\"none\">Not known.</p></div>");
        return;
    }
    html_raw(
        html,
        "<table><thead><tr><th scope=\"col\">Replica</th><th scope=\"col\" class=\"number\">lag</th>"
        "<th scope=\"col\" class=\"number\">priority</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(list); i++) {
        replica_row(html, json_array_get(list, i));
    }
    html_raw(html, "</tbody></table></div>");
}

/* "2 of 3 Sentinels agree: no majority · 1 disagrees · 2 replicas" */
static void summary(struct html *html, const json_t *master, const json_t *sentinels,
                    const json_t *replicas)
{
    const json_t *list = json_object_get(sentinels, "sentinels"),
                 *nodes = json_object_get(replicas, "replicas");
    size_t differ = 0, n = json_array_size(nodes), healthy = count_true(nodes, "healthy");
    json_int_t known = number_of(sentinels, "known");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *sentinel = json_array_get(list, i);

        differ += is_true(sentinel, "reachable") && !is_true(sentinel, "agrees");
    }
    html_raw(html,
             is_true(master, "majority") ? "<summary><span>" : "<summary><span class=\"bad\">");
    html_format(html, "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " Sentinel%s agree%s",
                number_of(sentinels, "agreeing"), known, known == 1 ? "" : "s",
                is_true(master, "majority") ? "" : ": no majority");
    html_raw(html, "</span>");
    if (differ) {
        html_raw(html, " \xc2\xb7 <span class=\"bad\">");
        html_format(html, "%zu disagree%s", differ, differ == 1 ? "s" : "");
        html_raw(html, "</span>");
    }
    if (replicas) {
        html_raw(html, " \xc2\xb7 ");
        if (healthy != n) {
            html_format(html, "%zu of ", healthy);
        }
        html_format(html, "%zu replica%s%s", n, n == 1 ? "" : "s", healthy == n ? "" : " healthy");
    }
    html_raw(html, "</summary>\n");
}

/* ---- the card ---- */

static void facts(struct html *html, const json_t *master)
{
    const char *since = page_string(master, "since");
    const char *previous = page_string(json_object_get(master, "previous"), "address");
    json_int_t epoch = number_of(master, "config_epoch");

    html_raw(html, "<dl class=\"facts\"><div><dt>");
    html_raw(html, page_serves(master) ? "Master since" : "Published");
    html_raw(html, "</dt><dd>");
    if (since) {
        page_time(html, since);
    } else {
        html_raw(html, "never");
    }
    html_raw(html, "</dd></div><div><dt>Previous</dt><dd>");
    if (previous) {
        add_mono(html, previous);
    } else {
        html_raw(html, "none yet");
    }
    html_raw(html, "</dd></div><div><dt>Role</dt><dd>");
    html_raw(html, is_true(master, "verified") ? "says master" : "not verified");
    html_raw(html, "</dd></div><div><dt>Config epoch</dt><dd>");
    if (epoch < 0) {
        html_raw(html, "unknown");
    } else {
        html_format(html, "%" JSON_INTEGER_FORMAT, epoch);
    }
    html_raw(html, "</dd></div></dl>\n");
}

static void why(struct html *html, const json_t *master, const char *detail)
{
    const char *reason = page_string(master, "reason");

    if (!reason) {
        return;
    }
    html_raw(html, "<p class=\"why\" data-mood=\"");
    html_raw(html, page_mood(master));
    html_raw(html, "\">");
    page_plain(html, reason);
    if (detail && *detail) {
        html_raw(html, ": ");
        html_text(html, detail);
    }
    html_raw(html, "</p>\n");
}

void page_card(struct html *html, const json_t *master, const char *detail, const json_t *sentinels,
               const json_t *replicas, bool is_default, bool open)
{
    const char *mood = page_mood(master), *address = page_string(master, "address");
    bool serves = page_serves(master);

    html_raw(html, "<article class=\"card master\" data-mood=\"");
    html_raw(html, mood);
    html_raw(html, "\"><div class=\"head\"><h3>");
    html_text(html, page_string(master, "name"));
    html_raw(html, is_default ? "<span class=\"tag\">default</span>" : "");
    html_raw(html, "</h3><p class=\"badge\" data-mood=\"");
    html_raw(html, mood);
    html_raw(html, "\">");
    page_plain(html, page_string(master, "state"));
    html_raw(html,
             serves
                 ? "</p></div><p class=\"label\">Master</p><p class=\"address\">"
                 : "</p></div><p class=\"label\">Last known master</p><p class=\"address gone\">");
    page_address(html, address ? address : "\xe2\x80\x94");
    html_raw(html, "</p>\n");
    why(html, master, detail);
    facts(html, master);
    if (sentinels) {
        html_raw(html, open ? "<details open>" : "<details>");
        summary(html, master, sentinels, replicas);
        html_raw(html, "<div class=\"tables\">");
        sentinel_table(html, json_object_get(sentinels, "sentinels"));
        replica_table(html, json_object_get(replicas, "replicas"));
        html_raw(html, "</div></details>");
    }
    html_raw(html, "</article>\n");
}
