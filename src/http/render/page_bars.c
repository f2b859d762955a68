/*
 * The status page's failovers: a story in words and a bar whose phases are to scale. The bar is
 * SVG, since a policy without 'unsafe-inline' lets no style attribute through, and SVG's attributes
 * are none.
 */
#include <string.h>

#include "page.h"

#define BAR_WIDTH 1000.0
#define WIDTH_MIN 2.0 /* so that a phase of a millisecond is seen at all */

struct span {
    json_int_t from_ms,
        to_ms; /* both since the first phase; `from` below 0 where nothing was heard before it */
    bool has_gap;
    json_int_t gap_from_ms, gap_to_ms; /* without a master */
};

static json_int_t ms_of(const json_t *entry, size_t i)
{
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(entry, "phases"), i), "ms"));
}

static const char *phase_of(const json_t *entry, size_t i)
{
    const char *phase = page_string(json_array_get(json_object_get(entry, "phases"), i), "phase");

    return phase ? phase : "other";
}

static size_t phases_of(const json_t *entry)
{
    return json_array_size(json_object_get(entry, "phases"));
}

static bool has_ended(const json_t *entry)
{
    return json_is_string(json_object_get(entry, "ended"));
}

static struct span span_of(const json_t *entry, json_int_t took_ms)
{
    const json_t *unavailable = json_object_get(entry, "unavailable_ms");
    size_t n = phases_of(entry);
    struct span span = {.to_ms = n ? ms_of(entry, n - 1) : 0};

    for (size_t i = 0; i < n && json_integer_value(unavailable) > 0; i++) {
        if (strcmp(phase_of(entry, i), "published") == 0) {
            span.has_gap = true;
            span.gap_to_ms = ms_of(entry, i);
            span.gap_from_ms = span.gap_to_ms - json_integer_value(unavailable);
            span.from_ms = span.gap_from_ms < 0 ? span.gap_from_ms : 0;
        }
    }
    if (took_ms > span.to_ms) {
        span.to_ms = took_ms;
    }
    if (span.to_ms <= span.from_ms) {
        span.to_ms = span.from_ms + 1;
    }
    return span;
}

/* ---- the bar ---- */

static void rect(struct html *html, const struct span *span, const char *class, json_int_t from_ms,
                 json_int_t to_ms, int y, int height)
{
    double scale = BAR_WIDTH / (double)(span->to_ms - span->from_ms);
    double x = (double)(from_ms - span->from_ms) * scale, width = (double)(to_ms - from_ms) * scale;

    html_raw(html, "<rect class=\"");
    html_text(html, class);
    html_raw(html, "\" x=\"");
    html_format(html, "%.2f", x);
    html_raw(html, "\" y=\"");
    html_format(html, "%d", y);
    html_raw(html, "\" width=\"");
    html_format(html, "%.2f", width < WIDTH_MIN ? WIDTH_MIN : width);
    html_raw(html, "\" height=\"");
    html_format(html, "%d", height);
    html_raw(html, "\"/>");
}

static void bar(struct html *html, const json_t *entry, const struct span *span)
{
    size_t n = phases_of(entry);

    html_raw(
        html,
        "<svg class=\"scale\" viewBox=\"0 0 1000 34\" preserveAspectRatio=\"none\" role=\"img\" "
        "aria-label=\"The phases below, to scale\">");
    rect(html, span, "track", span->from_ms, span->to_ms, 0, 24);
    for (size_t i = 0; i < n; i++) {
        char class[32] = "p-";

        if (strcmp(phase_of(entry, i), "finished") != 0) {
            strncat(class, phase_of(entry, i), sizeof(class) - 3);
            rect(html, span, class, ms_of(entry, i), i + 1 < n ? ms_of(entry, i + 1) : span->to_ms,
                 0, 24);
        }
    }
    if (span->has_gap) {
        rect(html, span, "gap", span->gap_from_ms, span->gap_to_ms, 28, 5);
    }
    html_raw(html, "</svg><div class=\"ends\"><span>");
    html_raw(html, span->from_ms < 0 ? "last good answer" : "0");
    html_raw(html, "</span><span>");
    page_duration(html, span->to_ms - span->from_ms);
    html_raw(html, has_ended(entry) ? "</span></div>" : " so far</span></div>");
}

/* Each phase with its length. */
static void legend(struct html *html, const json_t *entry, const struct span *span)
{
    size_t n = phases_of(entry);

    html_raw(html, "<ol class=\"phases\">");
    for (size_t i = 0; i < n; i++) {
        html_raw(html, "<li><svg class=\"swatch\" aria-hidden=\"true\"><rect class=\"p-");
        html_text(html, phase_of(entry, i));
        html_raw(html, "\"/></svg>");
        page_plain(html, phase_of(entry, i));
        if (i + 1 < n || strcmp(phase_of(entry, i), "finished") != 0) {
            html_raw(html, "<span class=\"ms\">");
            page_duration(html, (i + 1 < n ? ms_of(entry, i + 1) : span->to_ms) - ms_of(entry, i));
            html_raw(html, "</span>");
        }
        html_raw(html, "</li>");
    }
    html_raw(html, "</ol>");
}

/* ---- words ---- */

static const char *place(const json_t *entry, const char *key)
{
    const json_t *value = json_object_get(entry, key);

    return json_is_object(value) ? page_string(value, "address") : json_string_value(value);
}

static void fact(struct html *html, const char *before, const char *text)
{
    if (text) {
        html_raw(html, before);
        page_plain(html, text);
    }
}

static void story(struct html *html, const json_t *entry)
{
    const json_t *epoch = json_object_get(entry, "config_epoch"),
                 *unavailable = json_object_get(entry, "unavailable_ms");
    const char *kind = page_string(entry, "kind");

    html_raw(html, "<p class=\"story\">");
    page_time(html, page_string(entry, "began"));
    if (kind && strcmp(kind, "unknown") != 0) {
        fact(html, " \xc2\xb7 ", kind);
    }
    if (page_string(entry, "leader")) {
        html_raw(html, " \xc2\xb7 led by <span class=\"mono\">");
        html_text(html, page_string(entry, "leader"));
        html_raw(html, "</span>");
    }
    if (json_is_integer(epoch)) {
        html_raw(html, " \xc2\xb7 epoch ");
        html_format(html, "%" JSON_INTEGER_FORMAT, json_integer_value(epoch));
    }
    fact(html, " \xc2\xb7 ", page_string(entry, "reason"));
    if (json_is_integer(unavailable)) {
        html_raw(html, " \xc2\xb7 <strong>");
        if (json_integer_value(unavailable) > 0) {
            html_raw(html, "no master for ");
            page_duration(html, json_integer_value(unavailable));
        } else {
            html_raw(html, "no gap");
        }
        html_raw(html, "</strong>");
    }
    html_raw(html, "</p>");
}

static const char *outcome_mood(const char *outcome)
{
    static const struct {
        const char *outcome, *mood;
    } moods[] = {{"switched", "good"}, {"running", "warn"}, {"recovered", "none"}};

    for (size_t i = 0; outcome && i < sizeof(moods) / sizeof(moods[0]); i++) {
        if (strcmp(outcome, moods[i].outcome) == 0) {
            return moods[i].mood;
        }
    }
    return "bad";
}

void page_failover(struct html *html, const json_t *entry, json_int_t took_ms)
{
    struct span span = span_of(entry, took_ms);
    const char *from = place(entry, "from"), *to = place(entry, "to");

    html_raw(html, "<li class=\"card failover\"><div class=\"head\"><h3>");
    html_text(html, page_string(entry, "name"));
    html_raw(html, " <span class=\"move\">");
    html_text(html, from ? from : "?");
    html_raw(html, " \xe2\x86\x92 ");
    html_text(html, to ? to : has_ended(entry) ? "none" : "\xe2\x80\xa6");
    html_raw(html, "</span></h3><p class=\"badge\" data-mood=\"");
    html_raw(html, outcome_mood(page_string(entry, "outcome")));
    html_raw(html, "\">");
    page_plain(html, page_string(entry, "outcome"));
    html_raw(html, "</p></div>");
    story(html, entry);
    bar(html, entry, &span);
    legend(html, entry, &span);
    html_raw(html, "</li>\n");
}
