/*
 * Processes of a test.
 *
 * Nothing outlives its test: process_stop_all() runs when the test ends or fails, and where it
 * can't (the test crashed, or was killed at its time-out) the kernel kills what was started
 * (PR_SET_PDEATHSIG).
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scene.h"

extern char **environ;

static struct process *all;

/*
 * A sanitizer's report belongs into the log of the process, wherever run.sh wants those of the
 * tests.
 */
static char *with_reports_in_the_log(char *entry)
{
    const char *const names[] = {"ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS="};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strncmp(entry, names[i], strlen(names[i])) == 0) {
            return text("%s:log_path=stderr", entry);
        }
    }
    return entry;
}

/* Our environment without BELLWETHER_*, plus `extra`. */
static char **make_environment(const char *const *extra)
{
    size_t n = 0, n_extra = 0;

    while (environ[n]) {
        n++;
    }
    while (extra && extra[n_extra]) {
        n_extra++;
    }
    char **out = scene_alloc((n + n_extra + 1) * sizeof(*out));
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "BELLWETHER_", 11) != 0 &&
            strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0) {
            out[used++] = with_reports_in_the_log(environ[i]);
        }
    }
    for (size_t i = 0; i < n_extra; i++) {
        out[used++] = text("%s", extra[i]);
    }
    return out;
}

/* In the child: only async-signal-safe calls, for the test may have threads. */
static void become(char *const *argv, char *const *env, int out, int err, int netns, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(126);
    }
    if (netns >= 0 && setns(netns, CLONE_NEWNET) != 0) {
        _exit(125);
    }
    (void)dup2(open("/dev/null", O_RDONLY | O_CLOEXEC),
               STDIN_FILENO); /* else its end never comes */
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execvpe(argv[0], argv, env);
    _exit(127);
}

struct process *process_start(const struct process_spec *spec)
{
    static unsigned serial;
    struct process *process = scene_alloc(sizeof(*process));

    process->name = text("%s", spec->name);
    process->out_path = text("%s/%s-%u.out", scene_folder(), spec->name, serial);
    process->log_path = text("%s/%s-%u.log", scene_folder(), spec->name, serial++);
    process->may_die = spec->may_die;
    process->ends_cleanly = spec->ends_cleanly;
    char **env = make_environment(spec->env);
    const int out = open(process->out_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const int err = open(process->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const int netns = spec->netns_of == 0 ? -1
                                          : open(text("/proc/%d/ns/net", (int)spec->netns_of),
                                                 O_RDONLY | O_CLOEXEC);
    cr_assert(out >= 0 && err >= 0 && (spec->netns_of == 0 || netns >= 0), "can't start %s: %s",
              spec->name, strerror(errno));
    const pid_t parent = getpid();
    process->pid = fork();
    if (process->pid == 0) {
        become((char *const *)(uintptr_t)spec->argv, env, out,
               spec->error_fd > 0 ? spec->error_fd : err, netns, parent);
    }
    cr_assert(process->pid > 0, "can't fork: %s", strerror(errno));
    (void)close(out);
    (void)close(err);
    if (netns >= 0) {
        (void)close(netns);
    }
    process->next = all;
    all = process;
    return process;
}

bool process_ended(struct process *process)
{
    if (!process->ended && waitpid(process->pid, &process->status, WNOHANG) == process->pid) {
        process->ended = true;
    }
    return process->ended;
}

int process_wait(struct process *process, int64_t bound_ms)
{
    const int64_t end = running_ms() + bound_ms;

    while (!process_ended(process)) {
        if (running_ms() >= end) {
            return -2;
        }
        nap_ms(5);
    }
    return WIFEXITED(process->status) ? WEXITSTATUS(process->status) : -1;
}

void process_signal(struct process *process, int signal_number)
{
    if (!process_ended(process)) {
        (void)kill(process->pid, signal_number);
    }
}

void process_freeze(struct process *process)
{
    int status = 0;

    process_signal(process, SIGSTOP);
    /* the signal returns before the process stands still */
    WAIT_UNTIL(5000, waitpid(process->pid, &status, WUNTRACED | WNOHANG) == process->pid);
    cr_assert(WIFSTOPPED(status), "%s ended instead of stopping", process->name);
}

void process_kill(struct process *process)
{
    process->may_die = true;
    process_signal(process, SIGKILL);
    (void)process_wait(process, 10000);
}

void process_stop(struct process *process)
{
    process->may_die = true;
    process_signal(process, SIGCONT);
    process_signal(process, SIGTERM);
    if (process_wait(process, 3000) == -2) {
        process_kill(process);
    }
}

struct process_result process_run(int64_t bound_ms, const char *const *env, const char *const *argv)
{
    const char *slash = strrchr(argv[0], '/');
    const int64_t began = now_ms();
    struct process *process = process_start(&(struct process_spec){
        .name = !slash ? argv[0] : slash + 1, .argv = argv, .env = env, .may_die = true});
    struct process_result result = {.exit_code = process_wait(process, patient(bound_ms))};

    result.took_ms = now_ms() - began;
    if (result.exit_code == -2) {
        process_kill(process);
    }
    result.out = file_read(process->out_path);
    result.err = file_read(process->log_path);
    cr_assert(process->status == 0 || !WIFEXITED(process->status) ||
                  WEXITSTATUS(process->status) != 127,
              "%s can't be run", argv[0]);
    return result;
}

char *process_log(const struct process *process)
{
    return file_read(process->log_path);
}

long process_status_kb(pid_t pid, const char *key)
{
    char path[64], line[256];
    long value = -1;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && value < 0 && fgets(line, sizeof(line), file)) {
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':') {
            value = strtol(line + strlen(key) + 1, NULL, 10);
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return value;
}

bool process_can_run(const char *file)
{
    if (strchr(file, '/')) {
        return access(file, X_OK) == 0;
    }
    char *path = text("%s", !getenv("PATH") ? "/usr/bin:/bin" : getenv("PATH"));
    for (char *save = NULL, *at = strtok_r(path, ":", &save); at; at = strtok_r(NULL, ":", &save)) {
        if (access(text("%s/%s", at, file), X_OK) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * A frozen process can't handle SIGTERM, and nothing here has anything to save: the last word at
 * once.
 */
void process_stop_all(void)
{
    for (struct process *process = all; process; process = process->next) {
        if (!process_ended(process)) {
            (void)kill(process->pid, SIGKILL);
        }
    }
    for (struct process *process = all; process; process = process->next) {
        (void)process_wait(process, 10000);
    }
    all = NULL;
}

/*
 * A frozen or killed process is the test's own doing; every other one that ran to here must end
 * well.
 */
static void end_cleanly(struct process *process)
{
    process_signal(process, SIGCONT);
    process_signal(process, SIGTERM);
    const int code = process_wait(process, patient(4000));
    cr_assert(code == 0, "%s did not end cleanly on SIGTERM: %d (-1 signal, -2 still runs)\n%s",
              process->name, code, process_log(process));
    process->may_die = true;
}

void process_check_all(void)
{
    for (struct process *process = all; process; process = process->next) {
        cr_assert(process->may_die || !process_ended(process),
                  "%s ended by itself (status 0x%x):\n%s", process->name, (unsigned)process->status,
                  process_log(process));
        if (process->ends_cleanly && !process_ended(process)) {
            end_cleanly(process);
        }
        const char *log = process_log(process);
        cr_assert(!strstr(log, "Sanitizer") && !strstr(log, "runtime error: "), "%s:\n%s",
                  process->name, log);
    }
}

void process_report_dead(void)
{
    for (struct process *process = all; process; process = process->next) {
        const char *log = process_log(process), *complaint = strstr(log, "Sanitizer");
        const size_t length = strlen(log);

        if (!complaint && (process->may_die || !process_ended(process))) {
            continue;
        }
        if (!complaint && length > 1500) {
            log += length - 1500;
        }
        (void)fprintf(stderr, "%s: %s said:\n%.4000s\n", scene_test_name(), process->name,
                      !complaint ? log : complaint);
    }
}
