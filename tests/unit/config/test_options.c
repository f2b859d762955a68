/*
 * Options end to end: arguments, variables and a file in; struct options, or one line and exit 2,
 * out.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/config/options.h"

#define MAX_WORDS 32

static struct options options;
static enum options_outcome outcome;
static int exit_code;
static char said[65536];   /* standard output */
static char failed[65536]; /* standard error */
static char *environment[MAX_WORDS];
static size_t n_environment;
static char path[64]; /* of the file made by write_file() */

static void set_up(void)
{
    memset(&options, 0, sizeof(options));
    memset(environment, 0, sizeof(environment));
    n_environment = 0;
    path[0] = '\0';
}

static void tear_down(void)
{
    if (outcome == OPTIONS_RUN) {
        options_release(&options);
    }
    if (path[0] != '\0') {
        unlink(path);
    }
}

TestSuite(options, .init = set_up, .fini = tear_down, .timeout = 20);

static void set_variable(char *text)
{
    environment[n_environment++] = text;
}

static void write_file(const char *text)
{
    snprintf(path, sizeof(path), "/tmp/bellwether-options-XXXXXX");
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void read_back(FILE *file, char *out, size_t size)
{
    rewind(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* Runs options_read() with the arguments, which end with NULL, and captures what it prints. */
static void run(char *first, ...)
{
    char *argv[MAX_WORDS] = {(char[]){"bellwether"}, first};
    int argc = !first ? 1 : 2;
    va_list rest;

    va_start(rest, first);
    while (first && (argv[argc] = va_arg(rest, char *))) {
        argc++;
    }
    va_end(rest);
    if (outcome == OPTIONS_RUN) {
        options_release(&options);
    }
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    fflush(stdout);
    int old_out = dup(STDOUT_FILENO);
    int old_err = dup(STDERR_FILENO);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    outcome = options_read(argc, argv, environment, &options, &exit_code);
    fflush(stdout);
    fflush(stderr);
    dup2(old_out, STDOUT_FILENO);
    dup2(old_err, STDERR_FILENO);
    close(old_out);
    close(old_err);
    read_back(out, said, sizeof(said));
    read_back(err, failed, sizeof(failed));
}

/* The file as --config, with a Sentinel so that nothing else is missing. */
static void run_file(const char *text)
{
    write_file(text);
    run((char[]){"--config"}, path, NULL);
    unlink(path);
}

#define RUN(...) run(__VA_ARGS__, NULL)
#define A(text) ((char[]){text})

static void expect_run(void)
{
    cr_assert_eq(outcome, OPTIONS_RUN, "%s", failed);
    cr_expect_str_eq(failed, "");
}

/* Exit 2 and exactly one line that holds all the words. */
static void expect_refused(const char *words, ...)
{
    va_list more;

    cr_assert_eq(outcome, OPTIONS_EXIT, "accepted; expected a refusal with %s", words);
    cr_expect_eq(exit_code, 2);
    cr_expect_str_eq(said, "");
    size_t length = strlen(failed);
    cr_assert_gt(length, 1);
    cr_expect_eq(strchr(failed, '\n'), failed + length - 1, "not one line: %s", failed);
    va_start(more, words);
    for (; words; words = va_arg(more, const char *)) {
        cr_expect_not_null(strstr(failed, words), "no \"%s\" in: %s", words, failed);
    }
    va_end(more);
}

Test(options, a_sentinel_is_all_that_is_needed)
{
    RUN(A("--sentinel"), A("10.0.0.1:26379"));
    expect_run();
    cr_assert_eq(options.watch.n_deployments, 1);
    cr_assert_eq(options.watch.deployments[0].n_seeds, 1);
    cr_expect_str_eq(options.watch.deployments[0].seeds[0].host, "10.0.0.1");
    cr_expect(options.watch.deployments[0].all_masters);
    cr_expect_not_null(options.watch.deployments[0].password);
    cr_expect_null(secret_value(options.watch.redis_password));
    cr_expect_null(options.watch.default_master);
    cr_expect_eq(options.watch.poll_interval_ms, 1000);
    cr_expect_eq(options.watch.sentinel_timeout_ms, 500);
    cr_expect(options.watch.verify);
    cr_expect_eq(options.watch.verify_interval_ms, 1000);
    cr_expect_eq(options.watch.adopt, WATCH_ADOPT_ANNOUNCED);
    cr_expect_eq(options.watch.verify_timeout_ms, 500);
    cr_expect_eq(options.watch.suspect_after_ms, 1500);
    cr_assert_eq(options.n_listens, 1);
    cr_expect_str_eq(options.listens[0].address.host, "127.0.0.1");
    cr_expect_eq(options.listens[0].address.port, 8380);
    cr_expect_eq(options.listens[0].scope, HTTP_SCOPE_ALL);
    cr_expect_eq(options.workers, 1);
    cr_expect_eq(options.max_connections, 2000);
    cr_expect_eq(options.max_body_bytes, 10 << 20);
    cr_expect_eq(options.max_memory_bytes, 256 << 20);
    cr_expect_eq(options.idle_timeout_ms, 60000);
    cr_expect_eq(options.request_timeout_ms, 10000);
    cr_expect_eq(options.max_per_client, -1, "half of the places");
    cr_expect_eq(options.shutdown_delay_ms, 0);
    cr_expect_eq(options.ready_when, READY_WHEN_RESOLVED);
    cr_expect_eq(options.log_level, LOG_LEVEL_INFO);
    cr_expect_eq(options.log_format, LOG_FORMAT_LOGFMT);
    cr_expect_not(options.once);
    cr_expect_eq(options.format, ONCE_JSON);
    cr_expect_eq(options.n_notes, 0);
}

Test(options, without_a_sentinel_it_does_not_start)
{
    run(NULL);
    expect_refused("--sentinel", "host:port", NULL);
}

Test(options, both_forms_of_a_flag_and_every_simple_type)
{
    RUN(A("--sentinel=a:1"), A("--workers"), A("4"), A("--verify=off"), A("--max-body"), A("10kb"),
        A("--ready-when=all"), A("--log-level"), A("error"), A("--log-format=json"), A("--once"),
        A("--wait=60s"), A("--format"), A("url"), A("--shutdown-delay=5m"),
        A("--poll-interval=250ms"));
    expect_run();
    cr_expect_eq(options.workers, 4);
    cr_expect_not(options.watch.verify);
    cr_expect_eq(options.max_body_bytes, 10240);
    cr_expect_eq(options.ready_when, READY_WHEN_ALL);
    cr_expect_eq(options.log_level, LOG_LEVEL_ERROR);
    cr_expect_eq(options.log_format, LOG_FORMAT_JSON);
    cr_expect(options.once);
    cr_expect_eq(options.wait_ms, 60000);
    cr_expect_eq(options.format, ONCE_URL);
    cr_expect_eq(options.shutdown_delay_ms, 300000);
    cr_expect_eq(options.watch.poll_interval_ms, 250);
}

Test(options, flag_beats_environment_beats_file_beats_default)
{
    set_variable(A("BELLWETHER_POLL_INTERVAL=3s"));
    set_variable(A("BELLWETHER_SENTINEL_TIMEOUT=3s"));
    set_variable(A("BELLWETHER_SENTINEL=env-a:1, env-b:2"));
    write_file(
        "sentinel = file:1\npoll-interval = 2s\nsentinel-timeout = 2s\nverify-timeout = 2s\n");
    RUN(A("--config"), path, A("--poll-interval"), A("4s"));
    expect_run();
    cr_expect_eq(options.watch.poll_interval_ms, 4000);
    cr_expect_eq(options.watch.sentinel_timeout_ms, 3000);
    cr_expect_eq(options.watch.verify_timeout_ms, 2000);
    cr_assert_eq(options.watch.deployments[0].n_seeds, 2, "a list is replaced, not joined");
    cr_expect_str_eq(options.watch.deployments[0].seeds[0].host, "env-a");
    cr_expect_str_eq(options.watch.deployments[0].seeds[1].host, "env-b");
    RUN(A("--config"), path, A("--sentinel"), A("flag:1"));
    expect_run();
    cr_expect_eq(options.watch.deployments[0].n_seeds, 1);
}

Test(options, environment_alone_is_enough)
{
    set_variable(A("BELLWETHER_SENTINEL=a:1 b:2,[::1]:3"));
    set_variable(A("BELLWETHER_MASTER=one two"));
    set_variable(A(
        "BELLWETHER_LISTEN=127.0.0.1:0,scope=probe unix:/tmp/x.sock,scope=discovery,mode=0600, [::1]:0"));
    set_variable(A("BELLWETHER_REDIS_PASSWORD=with, blanks = and more"));
    set_variable(A("BELLWETHER_SENTINEL_PASSWORD=s"));
    set_variable(A("BELLWETHER_LOG_LEVEL="));
    set_variable(A("OTHER=1"));
    run(NULL);
    expect_run();
    cr_expect_eq(options.watch.deployments[0].n_seeds, 3);
    cr_expect_eq(options.watch.deployments[0].n_masters, 2);
    cr_expect_not(options.watch.deployments[0].all_masters);
    cr_expect_str_eq(secret_value(options.watch.redis_password), "with, blanks = and more");
    cr_expect_str_eq(secret_value(options.watch.deployments[0].password), "s");
    cr_assert_eq(options.n_listens, 3);
    cr_expect_eq(options.listens[0].scope, HTTP_SCOPE_PROBE);
    cr_expect_str_eq(options.listens[1].unix_path, "/tmp/x.sock");
    cr_expect_eq(options.listens[1].scope, HTTP_SCOPE_DISCOVERY);
    cr_expect_eq(options.listens[1].mode, 0600);
    cr_expect_str_eq(options.listens[2].address.host, "::1");
    cr_expect_eq(options.log_level, LOG_LEVEL_INFO, "an empty variable counts as not set");
}

Test(options, unknown_variables_are_a_note_for_debugging)
{
    set_variable(A("BELLWETHER_SENTINEL=a:1"));
    set_variable(A("BELLWETHER_PORT=tcp://10.0.0.1:8380"));
    set_variable(A("BELLWETHER_SERVICE_HOST=10.0.0.1"));
    run(NULL);
    expect_run();
    cr_assert_eq(options.n_notes, 2);
    cr_expect_eq(options.notes[0].level, LOG_LEVEL_DEBUG);
    cr_expect_str_eq(options.notes[0].value, "BELLWETHER_PORT");
}

Test(options, a_sentinel_given_twice_is_used_once)
{
    RUN(A("--sentinel"), A("A:1"), A("--sentinel"), A("a:1"), A("--sentinel"), A("a"),
        A("--sentinel=[0::1]:5,[::1]:5"));
    expect_run();
    cr_expect_eq(options.watch.deployments[0].n_seeds, 3);
    cr_expect_eq(options.watch.deployments[0].seeds[1].port, 26379);
    cr_assert_eq(options.n_notes, 2);
    cr_expect_eq(options.notes[0].level, LOG_LEVEL_WARN);
}

Test(options, bad_values_name_option_value_and_what_it_takes)
{
    static const struct {
        char option[32], value[48];
        const char *takes;
    } rows[] = {
        {"sentinel", "a:0", "host:port"},
        {"sentinel", "a:70000", "host:port"},
        {"sentinel", "!!", "host:port"},
        {"sentinel", "::1", "host:port"},
        {"sentinel", "", "host:port"},
        {"sentinel", ",", "host:port"},
        {"sentinel", "a:1,b:x", "host:port"},
        {"poll-interval", "5", "10ms to 1h"},
        {"poll-interval", "9ms", "10ms to 1h"},
        {"poll-interval", "2h", "10ms to 1h"},
        {"poll-interval", "-1s", "10ms to 1h"},
        {"poll-interval", "", "10ms to 1h"},
        {"workers", "0", "1 to 64"},
        {"workers", "65", "1 to 64"},
        {"workers", "1.5", "1 to 64"},
        {"verify", "yes", "on or off"},
        {"adopt", "always", "announced or promoted"},
        {"once", "1", "on or off"},
        {"log-level", "INFO", "debug, info, warn or error"},
        {"log-format", "logfmt|json", "logfmt or json"},
        {"ready-when", "res", "resolved, default, any or all"},
        {"format", "yaml", "json, text or url"},
        {"max-body", "2GiB", "0 to 1GiB"},
        {"max-body", "many", "0 to 1GiB"},
        {"max-memory", "1023KiB", "1MiB to 1024GiB"},
        {"idle-timeout", "999ms", "1s to 24h"},
        {"request-timeout", "99ms", "100ms to 1h"},
        {"max-per-client", "-1", "0 to 1000000"},
        {"listen", "8380", "HOST:PORT"},
        {"listen", "a:1,scope=everything", "HOST:PORT"},
        {"listen", "a:1,mode=0660", "HOST:PORT"},
        {"listen", "unix:", "HOST:PORT"},
        {"listen", "unix:/x,mode=999", "HOST:PORT"},
        {"listen", "unix:/x,mode=1777", "HOST:PORT"},
        {"listen", "a:70000", "HOST:PORT"},
        {"map", "a:1=b", "host:port=host:port"},
        {"map", "a", "host:port=host:port"},
        {"master", "two words", "name"},
        {"master", "line\nbreak", "name"},
        {"default-master", "", "name"},
        {"redis-username", "a\tb", "text"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char flag[128];
        char shown[64];

        snprintf(flag, sizeof(flag), "--%.31s=%.47s", rows[i].option, rows[i].value);
        snprintf(shown, sizeof(shown), "\"%.47s",
                 strchr(rows[i].value, '\n') || strchr(rows[i].value, ',') ||
                         strchr(rows[i].value, '\t')
                     ? ""
                     : rows[i].value);
        RUN(A("--sentinel=ok:1"), flag);
        expect_refused(rows[i].option, shown, rows[i].takes, NULL);
    }
}

Test(options, the_environment_is_held_to_the_same)
{
    set_variable(A("BELLWETHER_WORKERS=many"));
    RUN(A("--sentinel=a:1"));
    expect_refused("workers", "BELLWETHER_WORKERS", "\"many\"", "1 to 64", NULL);
}

Test(options, unknown_flags)
{
    RUN(A("--sentinal"), A("a:1"));
    expect_refused("--sentinal", "did you mean --sentinel?", NULL);
    RUN(A("--log=debug"));
    expect_refused("--log:", "did you mean --log-", NULL);
    RUN(A("--chek-config"));
    expect_refused("did you mean --check-config?", NULL);
    RUN(A("--frobnicate=hunter2"));
    expect_refused("--frobnicate", "--help", NULL);
    cr_expect_null(strstr(failed, "hunter2"), "the value might be a secret");
    cr_expect_null(strstr(failed, "did you mean"));
    RUN(A("-x"));
    expect_refused("\"-x\"", NULL);
    RUN(A("positional"));
    expect_refused("\"positional\"", NULL);
    RUN(A("--"));
    expect_refused("\"--\"", NULL);
    RUN(A("--sentinel"));
    expect_refused("--sentinel", "missing", NULL);
    RUN(A("--sentinel"), A("--once"));
    expect_refused("--sentinel", "missing", NULL);
    RUN(A("--help=x"));
    expect_refused("--help", NULL);
}

Test(options, a_secret_is_never_a_flag_nor_in_the_file)
{
    RUN(A("--sentinel=a:1"), A("--redis-password=hunter2"));
    expect_refused("--redis-password", "--redis-password-file", "BELLWETHER_REDIS_PASSWORD", NULL);
    cr_expect_null(strstr(failed, "hunter2"));
    run_file("sentinel = a:1\nredis-password = hunter2\n");
    expect_refused(":2:", "redis-password", NULL);
    cr_expect_null(strstr(failed, "hunter2"));
}

Test(options, file_syntax)
{
    run_file(
        "\xEF\xBB\xBF# comment\n"
        "; comment of more than two hundred characters .............................................................."
        "............................................................................................................\n"
        "   sentinel = a:1, b:2   ; a remark\n"
        "   sentinel = c:3\n"
        "\n"
        "poll-interval: 2s\r\n"
        "[bellwether]\n"
        "map = 10.0.0.1:6379=192.0.2.1:7000\n"
        "redis-username =\n"
        "[ bellwether ]\n"
        "workers=2");
    expect_run();
    cr_expect_eq(options.watch.deployments[0].n_seeds, 3);
    cr_expect_eq(options.watch.poll_interval_ms, 2000);
    cr_expect_eq(options.watch.map.n, 1);
    cr_expect_null(options.watch.redis_username);
    cr_expect_eq(options.workers, 2);
}

Test(options, bad_files_name_the_line)
{
    static const struct {
        const char *text, *line, *words;
    } rows[] = {
        {"sentinel = a:1\nfoo = 1\n", ":2", "\"foo\""},
        {"sentinels = a:1\n", ":1", "did you mean sentinel"},
        {"\n\n[server]\n", ":3", "\"server\""},
        {"[master]\n", ":1", "\"master\""},
        {"[master a b]\n", ":1", "\"a b\""},
        {"[master a\nredis-username = x\n", ":1", "neither"},
        {"sentinel\n", ":1", "neither"},
        {"sentinel = a:1\nconfig = other\n", ":2", "\"config\""},
        {"[master a]\nworkers = 2\n", ":2", "\"workers\""},
        {"[master a]\nlisten = a:1\n", ":2", "\"listen\""},
        {"workers = 0\n", ":1", "1 to 64"},
        {"workers = 1\nworkers = 2\n", ":2", "second time"},
        {"[master a]\nredis-username = x\n[master b]\n[master a]\nredis-username = y\n", ":5",
         "second time"},
        {"sentinel = \n", ":1", "host:port"},
        {"[master a]\nsentinel = b:x\n", ":2", "host:port"},
        {"help = on\n", ":1", "\"help\""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        run_file(rows[i].text);
        expect_refused(path, rows[i].line, rows[i].words, NULL);
    }
}

Test(options, a_line_that_inih_would_cut_is_refused)
{
    char text[600];

    memset(text, 'a', sizeof(text));
    memcpy(text, "sentinel = ", 11);
    text[400] = '\n';
    text[401] = '\0';
    run_file(text);
    expect_refused(":1:", "too long", NULL);
}

Test(options, files_that_cannot_be_read)
{
    RUN(A("--sentinel=a:1"), A("--config=/nonexistent/file"));
    expect_refused("config", "/nonexistent/file", "No such file", NULL);
    RUN(A("--sentinel=a:1"), A("--config=/tmp"));
    expect_refused("config", "/tmp", NULL);
    RUN(A("--sentinel=a:1"), A("--redis-password-file=/nonexistent/password"));
    expect_refused("redis-password-file", "/nonexistent/password", "a file that can be read", NULL);
    RUN(A("--sentinel=a:1"), A("--sentinel-password-file=/tmp"));
    expect_refused("sentinel-password-file", "/tmp", NULL);
}

Test(options, sections_name_masters_and_differ_in_credentials)
{
    set_variable(A("BELLWETHER_REDIS_PASSWORD=global"));
    run_file("sentinel = a:1\nredis-username = everyone\n"
             "[master cache]\nredis-username = app\n"
             "[master a-very-long-name-of-more-than-fifty-characters-as-charts-make-them]\n");
    expect_run();
    const struct watch_config *watch = &options.watch;
    cr_assert_eq(watch->n_deployments, 1);
    cr_expect_not(watch->deployments[0].all_masters);
    cr_assert_eq(watch->deployments[0].n_masters, 2);
    cr_expect_str_eq(watch->deployments[0].masters[1],
                     "a-very-long-name-of-more-than-fifty-characters-as-charts-make-them");
    cr_assert_eq(watch->n_overrides, 1);
    cr_expect_str_eq(watch->overrides[0].master, "cache");
    cr_expect_str_eq(watch->overrides[0].redis_username, "app");
    cr_expect_str_eq(secret_value(watch->overrides[0].redis_password), "global",
                     "what a section leaves out is as for all");
    cr_expect_str_eq(watch->redis_username, "everyone");
}

Test(options, sections_with_sentinels_are_deployments_of_their_own)
{
    run_file("sentinel = a:1\nsentinel-username = watcher\nmaster = one, cache\n"
             "[master cache]\nsentinel = b:1, b:2, b:1\nsentinel-username =\n"
             "[master jobs]\nsentinel-username = other\n");
    cr_assert_eq(outcome, OPTIONS_RUN, "%s", failed);
    const struct watch_config *watch = &options.watch;
    cr_assert_eq(watch->n_deployments, 3);
    cr_assert_eq(watch->deployments[0].n_masters, 1);
    cr_expect_str_eq(watch->deployments[0].masters[0], "one");
    cr_expect_not(watch->deployments[0].all_masters);
    cr_expect_eq(watch->deployments[1].n_seeds, 2);
    cr_expect_str_eq(watch->deployments[1].masters[0], "cache");
    cr_expect_null(watch->deployments[1].username, "an empty value means none");
    cr_expect_eq(watch->deployments[2].n_seeds, 1, "the global seeds");
    cr_expect_str_eq(watch->deployments[2].seeds[0].host, "a");
    cr_expect_str_eq(watch->deployments[2].username, "other");
}

Test(options, sentinels_only_in_sections)
{
    run_file("[master cache]\nsentinel = b:1\n");
    expect_run();
    cr_assert_eq(options.watch.n_deployments, 2);
    cr_expect_eq(options.watch.deployments[0].n_seeds, 0);
    cr_expect_not(options.watch.deployments[0].all_masters);
    run_file("[master cache]\nsentinel = b:1\n[master other]\nredis-username = x\n");
    expect_refused("--sentinel", NULL);
    run_file("[master cache]\nsentinel-username = x\n");
    expect_refused("cache", NULL);
}

Test(options, global_sentinels_beside_a_section_with_its_own_are_asked_for_all)
{
    run_file("sentinel = a:1\n[master cache]\nsentinel = b:1\n");
    expect_run();
    cr_expect(options.watch.deployments[0].all_masters);
    run_file("sentinel = a:1\n[master cache]\nsentinel-username = x\n");
    expect_run();
    cr_expect_not(options.watch.deployments[0].all_masters, "the section names a master of theirs");
}

Test(options, default_master_must_be_watched)
{
    RUN(A("--sentinel=a:1"), A("--master=x,y,x"), A("--default-master=y"));
    expect_run();
    cr_expect_str_eq(options.watch.default_master, "y");
    cr_expect_eq(options.watch.deployments[0].n_masters, 2);
    RUN(A("--sentinel=a:1"), A("--master=x,y"), A("--default-master=z"));
    expect_refused("default-master", "\"z\"", NULL);
    RUN(A("--sentinel=a:1"), A("--default-master=z"));
    expect_run();
}

Test(options, the_first_master_named_is_the_default_wherever_it_is_watched)
{
    write_file("[master cache]\nsentinel = b:1\n");
    RUN(A("--config"), path, A("--sentinel=a:1"), A("--master=cache"), A("--master=one"));
    expect_run();
    cr_expect_str_eq(options.watch.default_master, "cache");
}

Test(options, a_place_listened_on_twice_is_refused)
{
    RUN(A("--sentinel=a:1"), A("--listen=127.0.0.1:8380"),
        A("--listen=127.0.0.1:8380,scope=probe"));
    expect_refused("listen", "127.0.0.1:8380", NULL);
    RUN(A("--sentinel=a:1"), A("--listen=unix:/x"), A("--listen=unix:/x"));
    expect_refused("listen", "unix:/x", NULL);
    RUN(A("--sentinel=a:1"), A("--listen=127.0.0.1:0"), A("--listen=127.0.0.1:0"));
    expect_run();
    cr_expect_eq(options.n_listens, 2);
}

Test(options, password_files_and_the_environment)
{
    write_file("from-the-file\n");
    set_variable(A("BELLWETHER_REDIS_PASSWORD=from-the-environment"));
    RUN(A("--sentinel=a:1"), A("--redis-password-file"), path);
    expect_run();
    cr_expect_str_eq(secret_value(options.watch.redis_password), "from-the-file",
                     "the flag is stronger");
    char config[] = "/tmp/bellwether-config-XXXXXX";
    FILE *file = fdopen(mkstemp(config), "w");
    fprintf(file, "sentinel = a:1\nredis-password-file = %s\n", path);
    fclose(file);
    RUN(A("--config"), config);
    unlink(config);
    expect_run();
    cr_expect_str_eq(secret_value(options.watch.redis_password), "from-the-environment",
                     "the file is weaker");
}

Test(options, print_config_tells_values_and_origins_and_masks_secrets)
{
    set_variable(A("BELLWETHER_REDIS_PASSWORD=hunter2"));
    set_variable(A("BELLWETHER_WORKERS=3"));
    write_file("poll-interval = 2s\n[master cache]\nredis-username = app\n");
    RUN(A("--config"), path, A("--sentinel=a:1,b:2"), A("--print-config"));
    cr_expect_eq(outcome, OPTIONS_EXIT);
    cr_expect_eq(exit_code, 0, "%s", failed);
    cr_expect_not_null(
        strstr(said, "sentinel = a:1  ; --sentinel\nsentinel = b:2  ; --sentinel\n"));
    cr_expect_not_null(strstr(said, "workers = 3  ; BELLWETHER_WORKERS\n"));
    cr_expect_not_null(strstr(said, "poll-interval = 2s  ; /tmp/bellwether-options-"));
    cr_expect_not_null(strstr(said, "verify-interval = 1s  ; default\n"));
    cr_expect_not_null(strstr(said, "BELLWETHER_REDIS_PASSWORD = ***"));
    cr_expect_not_null(strstr(said, "[master cache]\nredis-username = app"));
    cr_expect_null(strstr(said, "hunter2"));
}

Test(options, print_config_can_be_read_again)
{
    RUN(A("--sentinel=a:1,[::1]:2"), A("--listen=unix:/tmp/s,scope=probe,mode=0600"),
        A("--map=a=b"), A("--print-config"));
    cr_assert_eq(exit_code, 0);
    char printed[sizeof(said)];
    memcpy(printed, said, sizeof(said));
    run_file(printed);
    expect_run();
    cr_expect_eq(options.watch.deployments[0].n_seeds, 2);
    cr_expect_eq(options.listens[0].mode, 0600);
    cr_expect_eq(options.watch.map.n, 1);
}

Test(options, check_config)
{
    RUN(A("--sentinel=a:1"), A("--check-config"));
    cr_expect_eq(outcome, OPTIONS_EXIT);
    cr_expect_eq(exit_code, 0);
    cr_expect_str_eq(said, "ok\n");
    RUN(A("--check-config"));
    expect_refused("--sentinel", NULL);
    RUN(A("--sentinel=a:1"), A("--check-config"), A("--redis-password-file=/nonexistent"));
    expect_refused("redis-password-file", NULL);
}

Test(options, adopting_needs_verification)
{
    RUN(A("--sentinel=a:1"), A("--adopt=promoted"), A("--verify=off"));
    cr_expect_eq(outcome, OPTIONS_EXIT);
    cr_expect_eq(exit_code, 2);
    cr_expect(strstr(failed, "--adopt: \"promoted\" needs --verify on"), "%s", failed);
}

Test(options, adopting)
{
    RUN(A("--sentinel=a:1"), A("--adopt=promoted"));
    cr_assert_eq(outcome, OPTIONS_RUN);
    cr_expect_eq(options.watch.adopt, WATCH_ADOPT_PROMOTED);
}

Test(options, places_of_one_client)
{
    RUN(A("--sentinel=a:1"), A("--max-per-client=0"));
    cr_assert_eq(outcome, OPTIONS_RUN);
    cr_expect_eq(options.max_per_client, 0);
    RUN(A("--sentinel=a:1"), A("--max-per-client=7"), A("--request-timeout=2s"));
    cr_assert_eq(outcome, OPTIONS_RUN);
    cr_expect_eq(options.max_per_client, 7);
    cr_expect_eq(options.request_timeout_ms, 2000);
    cr_expect_eq(options.n_allow_hosts, 0);
    RUN(A("--sentinel=a:1"), A("--allow-host=a.b"), A("--allow-host=c"));
    cr_assert_eq(outcome, OPTIONS_RUN);
    cr_assert_eq(options.n_allow_hosts, 2);
    cr_expect_str_eq(options.allow_hosts[1], "c");
}

Test(options, help_and_the_man_page_list_every_option)
{
    static const char *const names[] = {"sentinel",
                                        "master",
                                        "default-master",
                                        "listen",
                                        "workers",
                                        "poll-interval",
                                        "sentinel-timeout",
                                        "verify",
                                        "verify-interval",
                                        "verify-timeout",
                                        "suspect-after",
                                        "adopt",
                                        "map",
                                        "sentinel-username",
                                        "sentinel-password-file",
                                        "redis-username",
                                        "redis-password-file",
                                        "ready-when",
                                        "max-body",
                                        "max-memory",
                                        "max-connections",
                                        "idle-timeout",
                                        "request-timeout",
                                        "max-per-client",
                                        "shutdown-delay",
                                        "log-level",
                                        "log-format",
                                        "config",
                                        "once",
                                        "wait",
                                        "format",
                                        "print-config",
                                        "check-config",
                                        "help",
                                        "version"};
    char man[sizeof(said)];

    RUN(A("--man-options"));
    cr_expect_eq(exit_code, 0);
    memcpy(man, said, sizeof(said));
    RUN(A("--bogus"), A("--help"));
    cr_expect_eq(outcome, OPTIONS_EXIT);
    RUN(A("--help"));
    cr_expect_eq(exit_code, 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char flag[64];
        char roff[128] = "";

        snprintf(flag, sizeof(flag), "--%s", names[i]);
        cr_expect_not_null(strstr(said, flag), "--help: %s", flag);
        for (const char *p = flag; *p != '\0'; p++) {
            size_t used = strlen(roff);

            snprintf(roff + used, sizeof(roff) - used, "%s%c", *p == (char)45 ? "\\" : "", *p);
        }
        cr_expect_not_null(strstr(man, roff), "--man-options: %s", flag);
    }
    cr_expect_not_null(strstr(said, "10ms to 1h"));
    cr_expect_not_null(strstr(said, "default 1s)"));
    cr_expect_not_null(strstr(said, "BELLWETHER_REDIS_PASSWORD"));
    cr_expect_null(strstr(said, "man-options"), "hidden");
}

Test(options, version)
{
    RUN(A("--version"));
    cr_expect_eq(outcome, OPTIONS_EXIT);
    cr_expect_eq(exit_code, 0);
    cr_expect_eq(strncmp(said, "bellwether ", 11), 0);
    cr_expect_not_null(strstr(said, "\nlibmicrohttpd "));
    cr_expect_not_null(strstr(said, "\nlibuv "));
    cr_expect_not_null(strstr(said, "\nhiredis "));
    cr_expect_not_null(strstr(said, "\njansson "));
}
