/* TLS towards callers: the files, who listens with them, and what travels in plain. */
#include "build_https.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "build_places.h"
#include "http/server/server_tls.h"

static const struct setting *winner(const struct builder *builder, int id)
{
    return settings_winner(builder->settings, id, NULL);
}

/* NULL: none is given. */
static const char *file_of(const struct builder *builder, int id)
{
    return setting_item(winner(builder, id));
}

/* ---- one of them ---- */

/* What may have TLS: a listener, or a forward. */
struct secured {
    enum option_id id;
    size_t item; /* which of that option's */
    bool is_probe;
    struct listen_place *place;
};

/* Whoever may come asks for no certificate of a kubelet, which has none. */
static int build_client_ca(const struct builder *builder, const struct secured *secured,
                           const char *given)
{
    const bool has_ca = file_of(builder, OPTION_ID_HTTP_CLIENT_CA) != NULL;
    struct listen_place *place = secured->place;

    if (!place->client_ca_given) {
        place->client_ca =
            has_ca && place->tls && !secured->is_probe ? CLIENT_CA_REQUIRED : CLIENT_CA_OFF;
        return 0;
    }
    if (!place->tls) {
        return options_fail(builder->error, "%s: client-ca without tls; takes ,tls with it", given);
    }
    if (place->client_ca == CLIENT_CA_OFF) {
        return 0;
    }
    if (secured->is_probe) {
        return options_fail(
            builder->error,
            "%s: probes show no certificate; takes client-ca with scope=all|discovery", given);
    }
    return has_ca ? 0
                  : options_fail(builder->error,
                                 "%s: client-ca without anything to check against; takes "
                                 "--http-client-ca with it",
                                 given);
}

static int build_secured(const struct builder *builder, const struct secured *secured)
{
    const struct listen_place *place = secured->place;
    char given[OPTIONS_PLACE_TEXT_SIZE];

    (void)options_place_given(builder->settings, (int)secured->id, secured->item, place, given);
    if (place->tls && place->unix_path) {
        return options_fail(builder->error,
                            "%s,tls: a socket has no TLS, for what it carries stays on this host; "
                            "takes it without ,tls",
                            given);
    }
    if (build_client_ca(builder, secured, given) != 0) {
        return -BW_EINVAL;
    }
    if (place->tls &&
        (!file_of(builder, OPTION_ID_HTTP_CERT) || !file_of(builder, OPTION_ID_HTTP_KEY))) {
        return options_fail(builder->error,
                            "%s: tls without a certificate; takes --http-cert and --http-key with "
                            "it",
                            given);
    }
    return 0;
}

/* ---- the files ---- */

static int load(const struct builder *builder)
{
    static const int ids[SERVER_TLS_PARTS] = {OPTION_ID_HTTP_CERT, OPTION_ID_HTTP_KEY,
                                              OPTION_ID_HTTP_CLIENT_CA};
    static const char *const takes[SERVER_TLS_PARTS] = {
        "certificates in PEM that are valid now",
        "the key of http-cert, in PEM and without a pass phrase",
        "certificates in PEM of which one is valid"};
    struct options *out = builder->out;
    struct server_tls_error wrong;
    const char *exposed;
    char text[512];

    out->tls = server_tls_new(file_of(builder, ids[SERVER_TLS_CERT]),
                              file_of(builder, ids[SERVER_TLS_KEY]),
                              file_of(builder, ids[SERVER_TLS_CLIENT_CA]), &wrong);
    if (!out->tls) {
        return options_fail(
            builder->error, "%s (%.200s): %s; takes %s", option_table[ids[wrong.part]].name,
            winner(builder, ids[wrong.part])->where, wrong.words, takes[wrong.part]);
    }
    exposed = server_tls_exposed(out->tls);
    if (exposed) {
        (void)snprintf(text, sizeof(text), "%.400s: %s", server_tls_path(out->tls, SERVER_TLS_KEY),
                       exposed);
        options_note(out, LOG_LEVEL_WARN, "others can get at a file with a secret", "file", text);
    }
    return 0;
}

/* ---- what is of no use, or of too little ---- */

static void note_unused(const struct builder *builder, bool any, bool asks)
{
    static const int ids[] = {OPTION_ID_HTTP_CERT, OPTION_ID_HTTP_KEY, OPTION_ID_HTTP_CLIENT_CA};

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (file_of(builder, ids[i]) && (ids[i] == OPTION_ID_HTTP_CLIENT_CA ? !asks : !any)) {
            options_note(builder->out, LOG_LEVEL_WARN,
                         "a certificate that nobody uses (listen = ...,tls or forward = ...,tls)",
                         "given", winner(builder, ids[i])->where);
        }
    }
}

static void note_plain_tokens(struct options *out)
{
    char text[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; out->redis_api == REDIS_API_TOKEN && i < out->n_listens; i++) {
        const struct http_listen *listen = &out->listens[i];

        if (listen->scope == HTTP_SCOPE_ALL && !listen->place.tls && !listen->place.unix_path &&
            !address_is_loopback(&listen->place.address)) {
            options_note(
                out, LOG_LEVEL_WARN,
                "tokens come in plain there, for all to read on the way (listen = ...,tls)",
                "listen", address_format(&listen->place.address, text));
        }
    }
}

static bool has_tls(const struct watch_config *watch, const char *master)
{
    const char *name = master ? master : watch->default_master;

    for (size_t i = 0; name && i < watch->n_overrides; i++) {
        if (strcmp(watch->overrides[i].master, name) == 0) {
            return watch->overrides[i].redis_tls;
        }
    }
    return watch->redis_tls;
}

/* Whoever has Redis without TLS knows what travels in plain. */
static void note_plain_forwards(struct options *out)
{
    char text[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; i < out->n_forwards; i++) {
        const struct forward_listen *forward = &out->forwards[i];

        if (!forward->place.tls && !forward->place.unix_path &&
            !address_is_loopback(&forward->place.address) &&
            has_tls(&out->watch, forward->master)) {
            options_note(
                out, LOG_LEVEL_WARN,
                "what is TLS to Redis comes in plain there, passwords and data, for all to "
                "read on the way (forward = ...,tls)",
                "forward", address_format(&forward->place.address, text));
        }
    }
}

static struct secured secured_at(struct options *out, size_t i)
{
    if (i < out->n_listens) {
        return (struct secured){.id = OPTION_ID_LISTEN,
                                .item = i,
                                .is_probe = out->listens[i].scope == HTTP_SCOPE_PROBE,
                                .place = &out->listens[i].place};
    }
    return (struct secured){.id = OPTION_ID_FORWARD,
                            .item = i - out->n_listens,
                            .place = &out->forwards[i - out->n_listens].place};
}

int options_build_https(const struct builder *builder)
{
    struct options *out = builder->out;
    bool any = false, asks = false;

    for (size_t i = 0; i < out->n_listens + out->n_forwards; i++) {
        struct secured secured = secured_at(out, i);

        if (build_secured(builder, &secured) != 0) {
            return -BW_EINVAL;
        }
        any = any || secured.place->tls;
        asks = asks || secured.place->client_ca != CLIENT_CA_OFF;
    }
    note_unused(builder, any, asks);
    note_plain_tokens(out);
    note_plain_forwards(out);
    return any ? load(builder) : 0;
}
