/*
 * Snapshots in JSON: objects are built in the order in which HTTP.md lists their keys (jansson
 * keeps the order of insertion). What comes from Sentinels may be any bytes, so all text passes
 * render_text().
 */
#include "bellwether/http/master_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/utf8.h"

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

/* ---- text ---- */

static char *repair(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *out = mem_new(strlen(text) * 3 + 1, 1), *to = out;

    while (*text) {
        size_t len = utf8_length(text, UTF8_MAX);

        memcpy(to, len ? text : replacement, len ? len : 3);
        to += len ? len : 3;
        text += len ? len : 1;
    }
    return out;
}

json_t *render_text(const char *text)
{
    json_t *json;

    if (!text) {
        return json_null();
    }
    json = json_string(text);
    if (!json) {
        char *repaired = repair(text);

        json = json_string(repaired);
        free(repaired);
    }
    return json;
}

json_t *render_time(int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format_utc(wall_ms, text);
    return json_string(text);
}

/* -1 (and EPOCH_UNKNOWN) is null. */
static json_t *render_known(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static json_t *render_words(const char *comma_separated)
{
    json_t *list = json_array();

    while (*comma_separated) {
        size_t len = strcspn(comma_separated, ",");
        char word[128];

        snprintf(word, sizeof(word), "%.*s", (int)len, comma_separated);
        if (len) {
            json_array_append_new(list, render_text(word));
        }
        comma_separated += len + (comma_separated[len] == ',');
    }
    return list;
}

/* ---- addresses ---- */

const char *render_url(const struct address *address, bool tls, char *out)
{
    char text[ADDRESS_TEXT_SIZE];

    snprintf(out, RENDER_URL_SIZE, "redis%s://%s", tls ? "s" : "", address_format(address, text));
    return out;
}

static json_t *render_address(const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];

    return render_text(address_format(address, text));
}

static void set_place(json_t *object, const struct address *address)
{
    set(object, "host", address ? render_text(address->host) : json_null());
    set(object, "port", address ? json_integer(address->port) : json_null());
    set(object, "address", address ? render_address(address) : json_null());
}

static void set_place_and_url(json_t *object, const struct address *address, bool tls)
{
    char url[RENDER_URL_SIZE];

    set_place(object, address);
    set(object, "url", address ? render_text(render_url(address, tls, url)) : json_null());
}

/* ---- a master ---- */

json_t *render_master(const struct snapshot_master *master, bool stale)
{
    json_t *json = json_object(), *previous = json_null();

    if (master->has_previous) {
        previous = json_object();
        set_place(previous, &master->previous);
    }
    set(json, "name", render_text(master->name));
    set(json, "state", json_string(master_state_text(master->state)));
    set(json, "reason", render_text(reason_text(master->reason)));
    set_place_and_url(json, master->has_address ? &master->address : NULL, master->tls);
    set(json, "verified", json_boolean(master->verified));
    set(json, "majority", json_boolean(master->majority));
    set(json, "stale", json_boolean(stale));
    set(json, "config_epoch", render_known(master->config_epoch));
    set(json, "index", json_integer((json_int_t)master->index));
    set(json, "since", master->has_address ? render_time(master->since_wall_ms) : json_null());
    set(json, "previous", previous);
    set(json, "restarted",
        master->restarted_wall_ms > 0 ? render_time(master->restarted_wall_ms) : json_null());
    return json;
}

/* ---- replicas ---- */

json_t *render_replica(const struct snapshot_replica *replica, bool tls, int64_t now_ms)
{
    json_t *json = json_object(), *why_not = json_array();

    for (size_t i = 0; i < replica->n_why_not; i++) {
        json_array_append_new(why_not, render_text(replica->why_not[i]));
    }
    set_place_and_url(json, &replica->address, tls);
    set(json, "run_id", render_text(*replica->run_id ? replica->run_id : NULL));
    set(json, "healthy", json_boolean(replica->healthy));
    set(json, "link_up", json_boolean(replica->link_up));
    set(json, "link_down_ms", json_integer(replica->link_down_ms < 0 ? 0 : replica->link_down_ms));
    set(json, "lag_bytes", render_known(replica->lag_bytes));
    set(json, "lag_age_ms",
        replica->lag_bytes >= 0 ? json_integer(now_ms - replica->lag_at_ms) : json_null());
    set(json, "priority", json_integer(replica->priority));
    set(json, "promotable", json_boolean(replica->promotable));
    set(json, "why_not", why_not);
    set(json, "flags", render_words(replica->flags));
    return json;
}

json_t *render_replicas(const struct snapshot_master *master, int64_t now_ms)
{
    json_t *json = json_object(), *list = json_array();

    for (size_t i = 0; i < master->n_replicas; i++) {
        json_array_append_new(list, render_replica(&master->replicas[i], master->tls, now_ms));
    }
    set(json, "name", render_text(master->name));
    set(json, "index", json_integer((json_int_t)master->index));
    set(json, "replicas", list);
    return json;
}

/* ---- Sentinels ---- */

static json_t *render_ckquorum(const struct snapshot_sentinel *sentinel)
{
    json_t *json;

    if (!sentinel->has_ckquorum) {
        return json_null();
    }
    json = json_object();
    set(json, "ok", json_boolean(sentinel->ckquorum_ok));
    set(json, "text", render_text(sentinel->ckquorum_text));
    return json;
}

json_t *render_trouble(const char *code, const char *words, int64_t wall_ms)
{
    json_t *json;

    if (!*code) {
        return json_null();
    }
    json = json_object();
    set(json, "code", render_text(code));
    set(json, "text", render_text(words));
    set(json, "at", render_time(wall_ms));
    return json;
}

/* Why it is spoken to otherwise than the configured ones. */
static json_t *why_tls(const struct snapshot_sentinel *sentinel)
{
    return sentinel->tls_otherwise
               ? json_string("it is learned and answers TLS, while sentinel-tls is off")
               : json_null();
}

static json_t *render_sentinel(const struct snapshot_sentinel *sentinel)
{
    json_t *json = json_object();

    set(json, "address", render_address(&sentinel->address));
    set(json, "run_id", render_text(*sentinel->run_id ? sentinel->run_id : NULL));
    set(json, "source", json_string(sentinel->configured ? "configured" : "learned"));
    set(json, "reachable", json_boolean(sentinel->reachable));
    set(json, "says", sentinel->has_says ? render_address(&sentinel->says) : json_null());
    set(json, "config_epoch", render_known(sentinel->config_epoch));
    set(json, "agrees", json_boolean(sentinel->agrees));
    set(json, "voters", render_known(sentinel->voters));
    set(json, "ckquorum", render_ckquorum(sentinel));
    set(json, "tilt", json_boolean(sentinel->tilt));
    set(json, "master_flags", render_words(sentinel->master_flags));
    set(json, "down_after_ms", render_known(sentinel->down_after_ms));
    set(json, "failover_timeout_ms", render_known(sentinel->failover_timeout_ms));
    set(json, "error",
        render_trouble(sentinel->error_code, sentinel->error_text, sentinel->error_wall_ms));
    set(json, "foreign", json_boolean(sentinel->foreign));
    set(json, "tls", json_boolean(sentinel->tls));
    set(json, "tls_why", why_tls(sentinel));
    return json;
}

json_t *render_sentinel_list(const struct snapshot_sentinel *sentinels, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, render_sentinel(&sentinels[i]));
    }
    return list;
}

json_t *render_sentinels(const struct snapshot_master *master)
{
    json_t *json = json_object();

    set(json, "name", render_text(master->name));
    set(json, "quorum", render_known(master->quorum));
    set(json, "known", json_integer((json_int_t)master->known));
    set(json, "reachable", json_integer((json_int_t)master->reachable));
    set(json, "agreeing", json_integer((json_int_t)master->agreeing));
    set(json, "voters_needed", json_integer((json_int_t)master->voters_needed));
    set(json, "majority", json_boolean(master->majority));
    set(json, "sentinels", render_sentinel_list(master->sentinels, master->n_sentinels));
    return json;
}

/* ---- a failover ---- */

static json_t *render_phases(const struct failover *failover)
{
    json_t *list = json_array();

    for (size_t i = 0; i < failover->n_phases; i++) {
        json_t *phase = json_object();

        set(phase, "phase", json_string(failover_phase_text(failover->phases[i].phase)));
        set(phase, "at", render_time(failover->phases[i].at_wall_ms));
        set(phase, "ms", json_integer(failover->phases[i].ms));
        json_array_append_new(list, phase);
    }
    return list;
}

json_t *render_failover(const struct failover *failover)
{
    json_t *json = json_object();

    set(json, "id", json_integer((json_int_t)failover->id));
    set(json, "name", render_text(failover->name));
    set(json, "from", failover->has_from ? render_address(&failover->from) : json_null());
    set(json, "to", failover->has_to ? render_address(&failover->to) : json_null());
    set(json, "config_epoch", render_known(failover->config_epoch));
    set(json, "leader", render_text(*failover->leader ? failover->leader : NULL));
    set(json, "kind", json_string(failover_kind_text(failover->kind)));
    set(json, "outcome", json_string(failover_outcome_text(failover->outcome)));
    set(json, "reason", render_text(failover->reason));
    set(json, "began", render_time(failover->began_wall_ms));
    set(json, "ended",
        failover->ended_wall_ms > 0 ? render_time(failover->ended_wall_ms) : json_null());
    set(json, "phases", render_phases(failover));
    set(json, "unavailable_ms", render_known(failover->unavailable_ms));
    return json;
}

/* ---- out ---- */

char *render_dump(json_t *json, bool pretty, size_t *size)
{
    char *text = json_dumps(json, pretty ? JSON_INDENT(2) : JSON_COMPACT);
    size_t len;

    json_decref(json);
    if (!text) { /* jansson reports running out of memory so; everything else here can't fail */
        mem_exhausted();
    }
    len = strlen(text);
    text = mem_resize(text, len + 2, 1);
    text[len] = '\n';
    text[len + 1] = '\0';
    *size = len + 1;
    return text;
}
