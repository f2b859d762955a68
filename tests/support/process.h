/* Processes of a test: each with its own output files, each stopped at the end whatever happens. */
#ifndef BELLWETHER_TESTS_SUPPORT_PROCESS_H
#define BELLWETHER_TESTS_SUPPORT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_spec {
    const char *name;        /* of its files: NAME.out, NAME.log (standard error) */
    const char *const *argv; /* NULL-terminated */
    const char *const
        *env; /* "NAME=value" entries added to the environment without BELLWETHER_*; NULL: none */
    int error_fd;      /* a descriptor; 0: NAME.log */
    pid_t netns_of;    /* run in the network namespace of this process; 0: ours */
    bool ends_cleanly; /* at the end of a passing test: SIGTERM, then exit 0 in good time */
    bool may_die;      /* else its end by itself fails the test */
};

struct process {
    pid_t pid;
    char *name, *out_path, *log_path;
    bool ended, may_die, ends_cleanly;
    int status; /* as waitpid gives it, once ended */
    struct process *next;
};

struct process_result {
    int exit_code; /* -1: ended by a signal; -2: had to be killed at the bound */
    char *out, *err;
    int64_t took_ms;
};

/** Kept until the test ends; fails the test when it can't be started. */
struct process *process_start(const struct process_spec *spec);
/** Run to its end. */
struct process_result process_run(int64_t bound_ms, const char *const *env,
                                  const char *const *argv);
void process_signal(struct process *process, int signal_number);
/** SIGSTOP, and wait until it stands still; SIGCONT thaws it. */
void process_freeze(struct process *process);
/** kill -9 and reap. */
void process_kill(struct process *process);
/** Reap if it has ended. */
bool process_ended(struct process *process);
/** Wait for its end. @return exit code; -1 by a signal; -2 not within the bound. */
int process_wait(struct process *process, int64_t bound_ms);
/** SIGTERM, then SIGKILL after a while. */
void process_stop(struct process *process);
/** All that it wrote to standard error so far. Kept. */
char *process_log(const struct process *process);
/** A figure of /proc/PID/status ("VmRSS"), in kB; -1 where it is not there. */
long process_status_kb(pid_t pid, const char *key);
/** Where `path` is when it is looked up as execvp does; whether it can be run. */
bool process_can_run(const char *file);

/** For scene.c: every process, at the end of the test. */
void process_stop_all(void);
/**
 * For scene.c: fails the test when one that may not die has, one that should end cleanly doesn't,
 * or a sanitizer complains.
 */
void process_check_all(void);
/** For scene.c: what those that died said last, to standard error. */
void process_report_dead(void);

#endif
