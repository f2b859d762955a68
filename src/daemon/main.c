/* The program: read the options, prepare the process, then probe, ask once, or serve. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bellwether/base/log.h"
#include "bellwether/base/loop.h"
#include "bellwether/config/options.h"
#include "once.h"
#include "probe.h"
#include "service.h"

/*
 * Descriptors beside callers' connections: links to Sentinels, verification of up to a thousand
 * masters, files.
 */
#define OTHER_DESCRIPTORS 2048
#define DESCRIPTORS_PER_WORKER 24
#define NODES_WITH_COMMANDS 64 /* a worker has pool-size connections to each */
/*
 * A listening address in a worker: its socket, its epolls, those refused at once, those kept for
 * probes.
 */
#define DESCRIPTORS_PER_LISTENER \
    (2 + HTTP_PATIENT_MAX + HTTP_CONNECTIONS_REFUSED_AT_ONCE + HTTP_CONNECTIONS_PROBE)

/* Its socket, those that are told that they are too many, and handshakes beyond the places. */
#define DESCRIPTORS_PER_FORWARD (1 + 2 * FORWARD_REFUSED_AT_ONCE)

#define LOG_PATIENCE_MS 500 /* at the end, for lines that are not written yet */

/*
 * With a standard descriptor closed, the next socket would get its number, and log lines would go
 * to a peer.
 */
static void keep_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* an image may be without /dev: then it is as closed as before, and its number is taken */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0 && open("/", O_PATH) < 0) {
            _exit(1);
        }
    }
}

/* A client, its node, and, while clients come back from another, the end of an earlier one. */
#define DESCRIPTORS_PER_LINK 3

static void raise_descriptor_limit(const struct options *options)
{
    struct rlimit limit;
    int64_t pooled =
        options->redis_api == REDIS_API_OFF ? 0 : options->pool_size * NODES_WITH_COMMANDS;
    rlim_t wanted =
        (rlim_t)(options->max_connections + options->max_waiters + OTHER_DESCRIPTORS +
                 (options->n_forwards > 0 ? DESCRIPTORS_PER_LINK * options->max_forwards : 0) +
                 options->workers * ((int64_t)options->n_forwards * DESCRIPTORS_PER_FORWARD +
                                     (int64_t)options->n_listens * DESCRIPTORS_PER_LISTENER +
                                     DESCRIPTORS_PER_WORKER + pooled));

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    struct rlimit raised = {.rlim_cur = wanted,
                            .rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) { /* over the hard limit: needs a privilege */
        return;
    }
    raised.rlim_cur = raised.rlim_max = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &raised);
    log_warn("fewer descriptors than max-connections, max-waiters and max-forwards may need",
             LOG_INT("limit", (int64_t)limit.rlim_max), LOG_INT("wanted", (int64_t)wanted));
}

/* Passwords are in memory: no core file, and no look into it by others of the same user. */
static void keep_memory_private(void)
{
    const struct rlimit none = {0};

    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
}

static void write_notes(const struct options *options)
{
    for (size_t i = 0; i < options->n_notes; i++) {
        const struct options_note *note = &options->notes[i];

        log_write(note->level, note->message, LOG_FIELDS(LOG_STR(note->key, note->value)));
    }
}

static void prepare(const struct options *options)
{
    enum log_level level = options->log_level;

    if ((options->once || options->probe) && level != LOG_LEVEL_DEBUG) {
        level = LOG_LEVEL_ERROR; /* they print the answer, or one line that says why not */
    }
    log_configure(level, options->log_format);
    (void)signal(SIGPIPE, SIG_IGN); /* a lost peer is an error of write() */
    log_start();
    write_notes(options);
}

int main(int argc, char **argv)
{
    struct options options;
    int exit_code = 1;

    keep_standard_descriptors();
    keep_memory_private();
    if (options_read(argc, argv, environ, &options, &exit_code) == OPTIONS_EXIT) {
        return exit_code;
    }
    options_hide_secrets(environ);
    prepare(&options);
    if (options.probe) {
        exit_code = probe_run(options.probe, options.probe_timeout_ms);
    } else if (options.once) {
        exit_code = once_run(&options);
    } else {
        raise_descriptor_limit(&options);
        exit_code = service_run(&options);
    }
    options_release(&options);
    (void)log_stop(LOG_PATIENCE_MS);
    if (loop_lookups_abandoned()) {
        _exit(exit_code);
    }
    return exit_code;
}
