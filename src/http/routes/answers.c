/*
 * What the shared answers say. Everything here is a function of the snapshot, so an answer may be
 * kept until the snapshot's part changes; but for the replicas in JSON, with the age of their lag,
 * which are made for each request: their tag is a weak one. What depends on the clock or on the
 * caller is in the resources' files.
 */
#include "answers.h"

#include <inttypes.h>
#include <stdio.h>

#include "bellwether/base/buffer.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/http/master_json.h"
#include "http/server/problem.h"

static const char *const kind_names[ANSWER_KINDS] = {
    [ANSWER_MASTER] = "master",       [ANSWER_NAMED_MASTER] = "masters.name",
    [ANSWER_REPLICAS] = "replicas",   [ANSWER_NAMED_REPLICAS] = "masters.name.replicas",
    [ANSWER_SENTINELS] = "sentinels",
};

static const char *const form_names[ANSWER_FORMS] = {
    [ANSWER_JSON] = "json",
    [ANSWER_PRETTY] = "pretty",
    [ANSWER_TEXT] = "text",
    [ANSWER_URL] = "url",
};

/* ---- text ---- */

static void add_line(struct buffer *lines, const char *line)
{
    buffer_add_text(lines, line);
    buffer_add(lines, "\n", 1);
}

static void add_address(struct buffer *lines, const struct address *address, bool tls, bool url)
{
    char text[RENDER_URL_SIZE];

    add_line(lines, url ? render_url(address, tls, text) : address_format(address, text));
}

char *answer_address_line(const struct address *address, bool tls, bool url)
{
    struct buffer lines = {0};

    add_address(&lines, address, tls, url);
    return buffer_take_text(&lines, NULL);
}

/* ---- the problem ---- */

json_t *answer_names_watched(const struct snapshot *snapshot)
{
    json_t *list = json_array();

    for (size_t i = 0; snapshot && i < snapshot->n_masters; i++) {
        json_array_append_new(list, render_text(snapshot->masters[i]->name));
    }
    return list;
}

json_t *answer_names_known(const struct snapshot *snapshot)
{
    json_t *list = json_array();

    for (size_t i = 0; snapshot && i < snapshot->n_sentinels_know; i++) {
        json_array_append_new(list, render_text(snapshot->sentinels_know[i]));
    }
    return list;
}

json_t *answer_no_master(const struct snapshot *snapshot, const struct snapshot_master *master,
                         enum reason reason, const char *detail)
{
    enum master_state state = master ? master->state : MASTER_UNKNOWN;
    char words[160];
    json_t *problem;

    if (!detail || !*detail) {
        const char *why = reason_text(reason);

        snprintf(words, sizeof(words), "state %s%s%s; ask again, or look at /sentinels",
                 master_state_text(state), why ? ", reason " : "", why ? why : "");
        detail = words;
    }
    problem = problem_new(PROBLEM_NO_MASTER, detail);
    json_object_set_new(problem, "name",
                        render_text(master     ? master->name
                                    : snapshot ? snapshot->default_name
                                               : NULL));
    json_object_set_new(problem, "state", json_string(master_state_text(state)));
    json_object_set_new(problem, "reason", render_text(reason_text(reason)));
    json_object_set_new(problem, "index",
                        json_integer((json_int_t)(master     ? master->index
                                                  : snapshot ? snapshot->index
                                                             : 0)));
    json_object_set_new(problem, "last_known",
                        master && master->has_address ? render_master(master, true) : json_null());
    if (!master && snapshot && snapshot->n_sentinels > 0) {
        json_object_set_new(problem, "sentinels",
                            render_sentinel_list(snapshot->sentinels, snapshot->n_sentinels));
    }
    problem_help_with(problem, reason_text(reason));
    if (reason == REASON_UNKNOWN_NAME) {
        json_object_set_new(problem, "sentinels_know", answer_names_known(snapshot));
    }
    return problem;
}

/*
 * A line of the list: which of them it is about, and where, as /masters/{name} would say; `-` where
 * that is 503.
 */
static void add_master_line(struct buffer *lines, const struct snapshot_master *master, bool url)
{
    char where[RENDER_URL_SIZE] = "-";

    if (snapshot_master_serves(master) && url) {
        render_url(&master->address, master->tls, where);
    } else if (snapshot_master_serves(master)) {
        address_format(&master->address, where);
    }
    buffer_add_text(lines, master->name);
    buffer_add(lines, " ", 1);
    add_line(lines, where);
}

/* ---- bodies ---- */

struct body {
    unsigned status;
    const char *content_type;
    char *text;
    size_t size;
};

static struct body json_body(json_t *json, enum answer_form form)
{
    struct body body = {200, CONTENT_JSON, NULL, 0};

    body.text = render_dump(json, form == ANSWER_PRETTY, &body.size);
    return body;
}

static struct body text_body(struct buffer *lines)
{
    struct body body = {200, CONTENT_TEXT, NULL, 0};

    body.text = buffer_take_text(lines, &body.size);
    return body;
}

static struct body problem_body(enum problem_kind kind, json_t *problem, enum answer_form form)
{
    bool as_text = form == ANSWER_TEXT || form == ANSWER_URL;
    struct body body = {problem_status(kind), as_text ? CONTENT_TEXT : CONTENT_PROBLEM, NULL, 0};

    body.text = problem_write(kind, problem, as_text, form == ANSWER_PRETTY, &body.size);
    return body;
}

static struct body master_body(const struct snapshot *snapshot,
                               const struct snapshot_master *master, enum answer_form form)
{
    struct buffer lines = {0};

    if (!snapshot_master_serves(master)) {
        return problem_body(PROBLEM_NO_MASTER,
                            answer_no_master(snapshot, master, master->reason, master->detail),
                            form);
    }
    if (form == ANSWER_JSON || form == ANSWER_PRETTY) {
        return json_body(render_master(master, false), form);
    }
    add_address(&lines, &master->address, master->tls, form == ANSWER_URL);
    return text_body(&lines);
}

/* Text can't say which replica is ill, so it lists the healthy ones. */
static struct body replicas_body(const struct snapshot_master *master, enum answer_form form)
{
    struct buffer lines = {0};

    if (form == ANSWER_JSON || form == ANSWER_PRETTY) {
        return json_body(render_replicas(master, clock_boot_ms()), form);
    }
    for (size_t i = 0; i < master->n_replicas; i++) {
        if (master->replicas[i].healthy) {
            add_address(&lines, &master->replicas[i].address, master->tls, form == ANSWER_URL);
        }
    }
    return text_body(&lines);
}

static struct body sentinels_body(const struct snapshot_master *master, enum answer_form form)
{
    struct buffer lines = {0};

    if (form == ANSWER_JSON || form == ANSWER_PRETTY) {
        return json_body(render_sentinels(master), form);
    }
    for (size_t i = 0; i < master->n_sentinels; i++) {
        add_address(&lines, &master->sentinels[i].address, false, form == ANSWER_URL);
    }
    return text_body(&lines);
}

/* ---- answers ---- */

static struct answer *make(const struct cache *cache, struct body *body, const char *etag,
                           bool has_index, uint64_t index)
{
    struct answer *answer = mem_new(1, sizeof(*answer));
    struct response_headers headers = {
        .content_type = body->content_type,
        .instance = cache->instance,
        .has_index = has_index,
        .index = index,
        .negotiated = true,
        .retry = body->status == 503,
        .closing = cache->closing,
    };

    answer->status = body->status;
    if (body->status == 200 && etag) { /* matched without the W/ of a weak one */
        snprintf(answer->etag, sizeof(answer->etag), "%s", *etag == 'W' ? etag + 2 : etag);
        headers.etag = etag;
    }
    answer->body = body->text;
    answer->size = body->size;
    answer->response = response_new(&headers, body->text, body->size);
    return answer;
}

/* FNV-1a. Two defaults in turn may share an index, so a tag has to tell the names apart. */
#define HASH_START 2166136261U

static uint32_t hash_name(uint32_t hash, const char *name)
{
    do {
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    } while (*name++);
    return hash;
}

struct answer *answer_render(const struct cache *cache, const struct snapshot_master *master,
                             enum answer_kind kind, enum answer_form form)
{
    bool replicas = kind == ANSWER_REPLICAS || kind == ANSWER_NAMED_REPLICAS;
    struct body body = replicas                   ? replicas_body(master, form)
                       : kind == ANSWER_SENTINELS ? sentinels_body(master, form)
                                                  : master_body(cache->snapshot, master, form);
    char etag[ETAG_SIZE + 2];

    if (kind == ANSWER_SENTINELS) {
        return make(cache, &body, NULL, false, 0);
    }
    /* replicas come and go without a new index; the revision sees them */
    snprintf(etag, sizeof(etag), "%s\"%s-%" PRIu64 ".%" PRIu64 "-%s.%08x-%s\"",
             replicas && (form == ANSWER_JSON || form == ANSWER_PRETTY) ? "W/" : "",
             cache->instance, master->index, replicas ? master->revision : 0, kind_names[kind],
             (unsigned)hash_name(HASH_START, master->name), form_names[form]);
    return make(cache, &body, etag, true, master->index);
}

struct answer *answer_render_list(const struct cache *cache, enum answer_form form)
{
    const struct snapshot *snapshot = cache->snapshot;
    const struct snapshot_master *chosen = snapshot_default(snapshot);
    uint32_t hash = hash_name(HASH_START, chosen ? chosen->name : "");
    struct buffer lines = {0};
    struct body body;
    char etag[ETAG_SIZE];

    for (size_t i = 0; i < snapshot->n_masters; i++) {
        hash = hash_name(hash, snapshot->masters[i]->name);
    }
    if (form == ANSWER_JSON || form == ANSWER_PRETTY) {
        json_t *json = json_object(), *list = json_array();

        for (size_t i = 0; i < snapshot->n_masters; i++) {
            json_array_append_new(
                list,
                render_master(snapshot->masters[i], !snapshot_master_serves(snapshot->masters[i]) &&
                                                        snapshot->masters[i]->has_address));
        }
        json_object_set_new(json, "default", render_text(chosen ? chosen->name : NULL));
        json_object_set_new(json, "masters", list);
        if (snapshot->n_masters == 0 && snapshot->reason != REASON_NONE) {
            hash = hash_name(hash, snapshot->detail ? snapshot->detail : "");
            json_object_set_new(json, "reason", render_text(reason_text(snapshot->reason)));
            json_object_set_new(json, "detail", render_text(snapshot->detail));
            json_object_set_new(json, "sentinels",
                                render_sentinel_list(snapshot->sentinels, snapshot->n_sentinels));
        }
        body = json_body(json, form);
    } else {
        for (size_t i = 0; i < snapshot->n_masters; i++) {
            add_master_line(&lines, snapshot->masters[i], form == ANSWER_URL);
        }
        body = text_body(&lines);
    }
    snprintf(etag, sizeof(etag), "\"%s-%" PRIu64 "-masters.%08x-%s\"", cache->instance,
             snapshot->index, (unsigned)hash, form_names[form]);
    return make(cache, &body, etag, true, snapshot->index);
}
