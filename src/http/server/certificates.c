/*
 * Each worker reads the files of TLS for itself; one of them says so in the log, and tells when the
 * certificates end.
 */
#include "certificates.h"

#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/secret.h"
#include "server_tls.h"

#define FILES_EVERY_MS 2000
#define SOON_S (14 * INT64_C(86400))

struct certificates {
    struct worker *worker;
    struct server_tls *tls;
    struct loop_timer *timer;
    struct secret_complaint complaint;
    int64_t said_s[SERVER_TLS_PARTS]; /* the end of which was spoken, */
    bool said_over[SERVER_TLS_PARTS]; /* and that it is there */
};

/* Once when it comes near, and once when it is there. */
static void tell_end(struct certificates *certificates, enum server_tls_part part, int64_t now_s)
{
    int64_t ends_s = server_tls_expires_s(certificates->tls, part);
    bool over = ends_s <= now_s;

    if (ends_s == 0 || ends_s - now_s > SOON_S ||
        (ends_s == certificates->said_s[part] && over == certificates->said_over[part])) {
        return;
    }
    certificates->said_s[part] = ends_s;
    certificates->said_over[part] = over;
    log_warn(over ? "a certificate has expired" : "a certificate expires soon",
             LOG_STR("option", server_tls_option(part)),
             LOG_STR("file", server_tls_path(certificates->tls, part)),
             LOG_INT("days", (ends_s - now_s) / 86400));
}

static void tell_ends(struct certificates *certificates)
{
    struct metrics_http *counts = certificates->worker->counts;

    metric_set(&counts->certificate_ends_s,
               server_tls_expires_s(certificates->tls, SERVER_TLS_CERT));
    metric_set(&counts->client_ca_ends_s,
               server_tls_expires_s(certificates->tls, SERVER_TLS_CLIENT_CA));
    if (certificates->worker->number == 0) {
        int64_t now_s = clock_wall_ms() / 1000;

        tell_end(certificates, SERVER_TLS_CERT, now_s);
        tell_end(certificates, SERVER_TLS_CLIENT_CA, now_s);
    }
}

static void tell_outcome(struct certificates *certificates, int outcome, bool force,
                         const struct server_tls_error *error)
{
    enum secret_say say = secret_complain(&certificates->complaint, outcome < 0, clock_boot_ms());
    const char *exposed = server_tls_exposed(certificates->tls);

    if (certificates->worker->number != 0) {
        return;
    }
    if (outcome < 0 && (force || say == SECRET_SAY_FAILING)) {
        log_warn("certificate can't be used; the one of before stays",
                 LOG_STR("option", server_tls_option(error->part)), LOG_STR("error", error->words));
    } else if (say == SECRET_SAY_BACK) {
        log_warn("certificate can be used again", LOG_STR("changed", outcome > 0 ? "yes" : "no"));
    } else if (outcome > 0) {
        log_write(LOG_LEVEL_INFO, "certificate changed", NULL, 0);
    }
    if (exposed) {
        log_warn("others can get at a file with a secret",
                 LOG_STR("file", server_tls_path(certificates->tls, SERVER_TLS_KEY)),
                 LOG_STR("why", exposed));
    }
}

static void refresh(struct certificates *certificates, bool force)
{
    struct server_tls_error error;
    int outcome = server_tls_refresh(certificates->tls, force, &error);

    metric_files_read(&certificates->worker->counts->files, outcome >= 0,
                      server_tls_taken_ms(certificates->tls), force ? clock_wall_ms() : 0);
    tell_outcome(certificates, outcome, force, &error);
    tell_ends(certificates);
    loop_timer_start(certificates->timer, FILES_EVERY_MS);
}

static void look_at_files(void *data)
{
    refresh(data, false);
}

void certificates_start(struct certificates *certificates)
{
    if (certificates) {
        refresh(certificates, false);
    }
}

void certificates_reload(struct certificates *certificates)
{
    if (certificates) {
        refresh(certificates, true);
    }
}

struct certificates *certificates_new(struct worker *worker)
{
    struct certificates *certificates;

    if (!worker->config->tls) {
        return NULL;
    }
    certificates = mem_new(1, sizeof(*certificates));
    certificates->worker = worker;
    certificates->tls = worker->tls = server_tls_copy(worker->config->tls);
    certificates->timer = loop_timer_new(worker->loop, look_at_files, certificates);
    metric_files_start(&worker->counts->files, clock_wall_ms());
    return certificates;
}

void certificates_free(struct certificates *certificates)
{
    if (certificates) {
        loop_timer_free(certificates->timer);
        server_tls_free(certificates->tls);
        free(certificates);
    }
}
