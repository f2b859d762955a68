/* TLS towards callers: the files, which listeners use them, and what travels in plain. */
#include "build_https.h"

#include <stdio.h>

#include "bellwether/base/error.h"
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

/* For messages: where a listener listens. */
static const char *place_of(const struct http_listen *listen, char text[ADDRESS_TEXT_SIZE])
{
    return listen->unix_path ? listen->unix_path : address_format(&listen->address, text);
}

/* ---- one listener ---- */

/* Whoever may come asks for no certificate of a kubelet, which has none. */
static int build_client_ca(struct http_listen *listen, bool given, struct options_error *error)
{
    char text[ADDRESS_TEXT_SIZE];

    if (!listen->client_ca_given) {
        listen->client_ca = given && listen->tls && listen->scope != HTTP_SCOPE_PROBE
                                ? HTTP_CLIENT_CA_REQUIRED
                                : HTTP_CLIENT_CA_OFF;
        return 0;
    }
    if (!listen->tls) {
        return options_fail(error, "--listen %.200s: client-ca without tls; takes ,tls with it",
                            place_of(listen, text));
    }
    if (listen->client_ca == HTTP_CLIENT_CA_OFF) {
        return 0;
    }
    if (listen->scope == HTTP_SCOPE_PROBE) {
        return options_fail(
            error,
            "--listen %.200s: probes show no certificate; takes client-ca with scope=all|discovery",
            place_of(listen, text));
    }
    return given
               ? 0
               : options_fail(error,
                              "--listen %.200s: client-ca without anything to check against; takes "
                              "--http-client-ca with it",
                              place_of(listen, text));
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

static void note_unused(const struct builder *builder, bool any)
{
    struct options *out = builder->out;
    static const int ids[] = {OPTION_ID_HTTP_CERT, OPTION_ID_HTTP_KEY, OPTION_ID_HTTP_CLIENT_CA};
    bool asks = false;

    for (size_t i = 0; i < out->n_listens; i++) {
        asks = asks || out->listens[i].client_ca != HTTP_CLIENT_CA_OFF;
    }
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (file_of(builder, ids[i]) && (ids[i] == OPTION_ID_HTTP_CLIENT_CA ? !asks : !any)) {
            options_note(out, LOG_LEVEL_WARN,
                         "a certificate that no listener uses (listen = ...,tls)", "given",
                         winner(builder, ids[i])->where);
        }
    }
}

static void note_plain_tokens(struct options *out)
{
    char text[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; out->redis_api == REDIS_API_TOKEN && i < out->n_listens; i++) {
        const struct http_listen *listen = &out->listens[i];

        if (listen->scope == HTTP_SCOPE_ALL && !listen->tls && !listen->unix_path &&
            !address_is_loopback(&listen->address)) {
            options_note(
                out, LOG_LEVEL_WARN,
                "tokens come in plain there, for all to read on the way (listen = ...,tls)",
                "listen", place_of(listen, text));
        }
    }
}

int options_build_https(const struct builder *builder)
{
    struct options *out = builder->out;
    bool any = false;

    for (size_t i = 0; i < out->n_listens; i++) {
        struct http_listen *listen = &out->listens[i];
        char text[ADDRESS_TEXT_SIZE];

        if (listen->tls && listen->unix_path) {
            return options_fail(builder->error,
                                "--listen unix:%.200s,tls: a socket has no TLS, for what it "
                                "carries stays on this host; takes it without ,tls",
                                listen->unix_path);
        }
        if (build_client_ca(listen, file_of(builder, OPTION_ID_HTTP_CLIENT_CA), builder->error) !=
            0) {
            return -BW_EINVAL;
        }
        if (listen->tls &&
            (!file_of(builder, OPTION_ID_HTTP_CERT) || !file_of(builder, OPTION_ID_HTTP_KEY))) {
            return options_fail(builder->error,
                                "--listen %.200s: tls without a certificate; takes --http-cert and "
                                "--http-key with it",
                                place_of(listen, text));
        }
        any = any || listen->tls;
    }
    note_unused(builder, any);
    note_plain_tokens(out);
    return any ? load(builder) : 0;
}
