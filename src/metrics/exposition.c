/*
 * Text format 0.0.4, written by hand: with a thousand masters a scrape is some 80,000 lines, on a
 * thread that has callers to answer. So no printf, and no floating point: every value is an integer
 * and where its point stands.
 */
#include "bellwether/metrics/exposition.h"

#include <string.h>

#include "bellwether/base/utf8.h"

/* ---- text ---- */

static inline void add_bytes(struct exposition *out, const char *bytes, size_t n)
{
    memcpy(buffer_reserve(&out->text, n), bytes, n);
    out->text.size += n;
}

/* Inline, so that the length of what is written out here is known to the compiler. */
static inline void add_text(struct exposition *out, const char *text)
{
    add_bytes(out, text, strlen(text));
}

/* How many bytes from here on stand for themselves: nearly all do. */
static size_t plain_length(const char *text)
{
    size_t n = 0;

    while (text[n] >= ' ' && text[n] <= '~' && text[n] != '\\' && text[n] != '"') {
        n++;
    }
    return n;
}

/* @param quoted a label's value; else a HELP line, where a quotation mark means nothing. */
static void add_escaped(struct exposition *out, const char *text, bool quoted)
{
    while (*text) {
        size_t n = plain_length(text);

        if (n > 0) {
            add_bytes(out, text, n);
            text += n;
            continue;
        }
        n = utf8_length(text, UTF8_MAX);
        if (n == 0) {
            add_text(out, "\xef\xbf\xbd");
            text++;
            continue;
        }
        if (*text == '\\') {
            add_text(out, "\\\\");
        } else if (*text == '\n') {
            add_text(out, "\\n");
        } else if (*text == '"' && quoted) {
            add_text(out, "\\\"");
        } else {
            add_bytes(out, text, n);
        }
        text += n;
    }
}

/* ---- numbers ---- */

/* @param decimals  at most 9. */
static void add_decimal(struct exposition *out, int64_t value, unsigned decimals)
{
    char digits[10] = ".";
    size_t n = 1;
    bool negative = value < 0;

    for (size_t i = decimals; i > 0; i--) {
        int64_t digit = value % 10;

        digits[i] = (char)('0' + (digit < 0 ? -digit : digit));
        value /= 10;
        n = n == 1 && digit != 0 ? i + 1 : n; /* no zeros at the end */
    }
    if (negative && value == 0) { /* the sign of what stands behind the point only */
        add_text(out, "-");
    }
    buffer_add_integer(&out->text, value);
    if (n > 1) {
        add_bytes(out, digits, n);
    }
}

/* ---- samples ---- */

void exposition_family(struct exposition *out, enum metric metric)
{
    out->metric = metric;
    out->begun = false;
}

static void begin(struct exposition *out, const struct metric_row *row)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    if (out->begun) {
        return;
    }
    out->begun = true;
    add_text(out, "# HELP ");
    add_text(out, row->name);
    add_text(out, " ");
    add_escaped(out, row->help, false);
    add_text(out, "\n# TYPE ");
    add_text(out, row->name);
    add_text(out, " ");
    add_text(out, types[row->type]);
    add_text(out, "\n");
}

/* `name_suffix{label="value",...,le="bound"} `. @param suffix, le NULL: none. */
static void add_name(struct exposition *out, const struct metric_row *row, const char *suffix,
                     const char *const *labels, const char *le)
{
    const char *name = row->labels;
    const char *before = "{";

    add_text(out, row->name);
    if (suffix) {
        add_text(out, suffix);
    }
    for (size_t i = 0; *name; i++) {
        size_t len = strcspn(name, ",");

        add_text(out, before);
        add_bytes(out, name, len);
        add_text(out, "=\"");
        add_escaped(out, labels[i], true);
        add_text(out, "\"");
        before = ",";
        name += len + (name[len] == ',');
    }
    if (le) {
        add_text(out, before);
        add_text(out, "le=\"");
        add_text(out, le);
        add_text(out, "\"");
        before = ",";
    }
    add_text(out, *before == ',' ? "} " : " ");
}

void exposition_decimal(struct exposition *out, int64_t value, unsigned decimals,
                        const char *const *labels)
{
    const struct metric_row *row = metric_row(out->metric);

    begin(out, row);
    add_name(out, row, NULL, labels, NULL);
    add_decimal(out, value, decimals);
    add_text(out, "\n");
}

void exposition_integer(struct exposition *out, int64_t value, const char *const *labels)
{
    exposition_decimal(out, value, 0, labels);
}

static void add_bucket(struct exposition *out, const struct metric_row *row,
                       const char *const *labels, const char *le, uint64_t count)
{
    add_name(out, row, "_bucket", labels, le);
    buffer_add_integer(&out->text, (int64_t)count);
    add_text(out, "\n");
}

void exposition_histogram(struct exposition *out, const struct metric_totals *totals,
                          const char *const *labels)
{
    const struct metric_row *row = metric_row(out->metric);
    uint64_t count = 0;

    begin(out, row);
    for (size_t i = 0; i < row->n_buckets; i++) {
        count += totals->counts[i];
        add_bucket(out, row, labels, row->bound_texts[i], count);
    }
    count += totals->counts[row->n_buckets];
    add_bucket(out, row, labels, "+Inf", count);
    add_name(out, row, "_sum", labels, NULL);
    add_decimal(out, (int64_t)totals->sum_us, 6);
    add_text(out, "\n");
    add_name(out, row, "_count", labels, NULL);
    buffer_add_integer(&out->text, (int64_t)count);
    add_text(out, "\n");
}

char *exposition_finish(struct exposition *out, size_t *size)
{
    char *text = buffer_take_text(&out->text, size);

    *out = (struct exposition){0};
    return text;
}
