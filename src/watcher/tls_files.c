/*
 * The files of TLS to Sentinels and Redis, and when certificates end: our own, and the last one of
 * each side. What was read last stays in use while its files can't be used, as when a certificate
 * was replaced and its key not yet.
 */
#include "tls_files.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"

#define SOON_S (14 * INT64_C(86400))
#define SAID_MAX 16

/* The last ends that the log was told of: servers whose certificates differ take turns. */
struct said {
    int64_t ends_s[SAID_MAX];
    size_t n;
};

struct tls_files {
    struct secret_complaint complaint;
    struct said own, peer;
};

static bool is_redis(const struct watch_tls *tls)
{
    return strcmp(tls->side, "redis") == 0;
}

static bool was_said(const struct said *said, int64_t ends_s)
{
    for (size_t i = 0; i < SAID_MAX; i++) {
        if (said->ends_s[i] == ends_s) {
            return true;
        }
    }
    return false;
}

/* Once for each certificate. */
static void tell_end(const struct watch_tls *tls, const char *whose, int64_t ends_s, int64_t now_s,
                     struct said *said)
{
    if (ends_s == 0 || ends_s - now_s > SOON_S || was_said(said, ends_s)) {
        return;
    }
    said->ends_s[said->n++ % SAID_MAX] = ends_s;
    log_warn(ends_s <= now_s ? "a certificate has expired" : "a certificate expires soon",
             LOG_STR("which", tls->side), LOG_STR("whose", whose),
             LOG_STR("master", tls->master ? tls->master : "all"),
             LOG_INT("days", (ends_s - now_s) / 86400));
}

static void take_first(int64_t *first_s, int64_t ends_s)
{
    if (ends_s > 0 && (*first_s == 0 || ends_s < *first_s)) {
        *first_s = ends_s;
    }
}

void tls_files_look_at_ends(const struct watcher *watcher)
{
    const struct watch_config *config = watcher->config;
    int64_t now_s = clock_wall_ms() / 1000, first_s[METRIC_CERTIFICATE_COUNT] = {0};

    for (size_t i = 0; i < config->n_tls; i++) {
        const struct watch_tls *tls = &config->tls[i];
        struct redis_tls_expiry expiry = redis_tls_expiry(tls->tls);
        struct tls_files *files = &watcher->tls_files[i];
        bool redis = is_redis(tls);

        tell_end(tls, "ours", expiry.own_s, now_s, &files->own);
        tell_end(tls, "the server's", expiry.peer_s, now_s, &files->peer);
        take_first(&first_s[redis ? METRIC_CERTIFICATE_REDIS : METRIC_CERTIFICATE_SENTINEL],
                   expiry.own_s);
        take_first(
            &first_s[redis ? METRIC_CERTIFICATE_REDIS_SERVER : METRIC_CERTIFICATE_SENTINEL_SERVER],
            expiry.peer_s);
    }
    count_certificates(watcher, first_s);
}

static int refresh(const struct watch_tls *tls, struct tls_files *files, bool force,
                   struct count_reload *reload)
{
    struct redis_tls_error error = {.words = ""};
    int changed = redis_tls_refresh(tls->tls, force, &error);
    enum secret_say say = secret_complain(&files->complaint, changed < 0, clock_boot_ms());
    int64_t taken_ms = redis_tls_taken_ms(tls->tls);
    const char *master = tls->master ? tls->master : "all";

    if (say == SECRET_SAY_FAILING || (force && changed < 0)) {
        log_warn("certificates can't be used; those of before stay", LOG_STR("which", tls->side),
                 LOG_STR("master", master), LOG_STR("error", error.words));
    } else if (say == SECRET_SAY_BACK) {
        log_warn("certificates can be used again", LOG_STR("which", tls->side),
                 LOG_STR("master", master), LOG_STR("changed", changed > 0 ? "yes" : "no"));
    } else if (changed > 0) {
        log_info("certificates changed", LOG_STR("which", tls->side), LOG_STR("master", master));
    }
    reload->failed = reload->failed || changed < 0;
    reload->changed_ms = reload->changed_ms < taken_ms ? taken_ms : reload->changed_ms;
    return changed;
}

struct tls_files_changed tls_files_refresh(struct watcher *watcher, bool force,
                                           struct count_reload *reload)
{
    const struct watch_config *config = watcher->config;
    struct tls_files_changed out = {false, false};

    for (size_t i = 0; i < config->n_tls; i++) {
        bool changed = refresh(&config->tls[i], &watcher->tls_files[i], force, reload) > 0;

        out.redis = out.redis || (changed && is_redis(&config->tls[i]));
        out.sentinels = out.sentinels || (changed && !is_redis(&config->tls[i]));
    }
    tls_files_look_at_ends(watcher);
    return out;
}

void tls_files_init(struct watcher *watcher)
{
    watcher->tls_files = mem_new(watcher->config->n_tls + 1, sizeof(*watcher->tls_files));
}

void tls_files_release(struct watcher *watcher)
{
    free(watcher->tls_files);
}
