/*
 * Options from flags and variables: which of them counts, what is refused and how it is said, and
 * what is printed instead of running.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/config/options.h"
#include "options_fixture.h"

Test(options, a_sentinel_is_all_that_is_needed)
{
    RUN(A("--sentinel"), A("10.0.0.1:26379"));
    options_expect_run();
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
    cr_expect_str_eq(options.listens[0].place.address.host, "127.0.0.1");
    cr_expect_eq(options.listens[0].place.address.port, 8380);
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
    options_run(NULL);
    options_expect_refused("--sentinel", "host:port", NULL);
}

Test(options, both_forms_of_a_flag_and_every_simple_type)
{
    RUN(A("--sentinel=a:1"), A("--workers"), A("4"), A("--verify=off"), A("--max-body"), A("10kb"),
        A("--ready-when=all"), A("--log-level"), A("error"), A("--log-format=json"), A("--once"),
        A("--wait=60s"), A("--format"), A("url"), A("--shutdown-delay=5m"),
        A("--poll-interval=250ms"));
    options_expect_run();
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

Test(options, a_probe_is_a_flag_and_reads_nothing_else)
{
    options_set_variable(A("BELLWETHER_POLL_INTERVAL=often"));
    options_set_variable(A("BELLWETHER_CONFIG=/nonexistent"));
    RUN(A("--probe"), A("unix:x"), A("--probe-timeout=300ms"));
    options_expect_run();
    cr_expect_str_eq(options.probe, "unix:x");
    cr_expect_eq(options.probe_timeout_ms, 300);
    RUN(A("--probe="));
    options_expect_run();
    cr_expect_str_eq(options.probe, "", "what is wrong with it is said by the probe");
    cr_expect_eq(options.probe_timeout_ms, 2000);
    RUN(A("--probe"), A("unix:x"), A("--workers"), A("0"));
    options_expect_refused("--workers", NULL);
    RUN(A("--probe"));
    options_expect_refused("--probe", "a value is missing", NULL);
}

Test(options, a_probe_is_no_setting)
{
    options_run_file("probe = unix:x\n");
    options_expect_refused("not an option for this file", "probe", NULL);
    options_set_variable(A("BELLWETHER_PROBE=unix:x"));
    RUN(A("--sentinel=a:1"));
    options_expect_run();
    cr_expect_null(options.probe);
}

Test(options, flag_beats_environment_beats_file_beats_default)
{
    options_set_variable(A("BELLWETHER_POLL_INTERVAL=3s"));
    options_set_variable(A("BELLWETHER_SENTINEL_TIMEOUT=3s"));
    options_set_variable(A("BELLWETHER_SENTINEL=env-a:1, env-b:2"));
    options_write_file(
        "sentinel = file:1\npoll-interval = 2s\nsentinel-timeout = 2s\nverify-timeout = 2s\n");
    RUN(A("--config"), path, A("--poll-interval"), A("4s"));
    options_expect_run();
    cr_expect_eq(options.watch.poll_interval_ms, 4000);
    cr_expect_eq(options.watch.sentinel_timeout_ms, 3000);
    cr_expect_eq(options.watch.verify_timeout_ms, 2000);
    cr_assert_eq(options.watch.deployments[0].n_seeds, 2, "a list is replaced, not joined");
    cr_expect_str_eq(options.watch.deployments[0].seeds[0].host, "env-a");
    cr_expect_str_eq(options.watch.deployments[0].seeds[1].host, "env-b");
    RUN(A("--config"), path, A("--sentinel"), A("flag:1"));
    options_expect_run();
    cr_expect_eq(options.watch.deployments[0].n_seeds, 1);
}

Test(options, environment_alone_is_enough)
{
    options_set_variable(A("BELLWETHER_SENTINEL=a:1 b:2,[::1]:3"));
    options_set_variable(A("BELLWETHER_MASTER=one two"));
    options_set_variable(A(
        "BELLWETHER_LISTEN=127.0.0.1:0,scope=probe unix:/nowhere/x.sock,scope=discovery,mode=0600, [::1]:0"));
    options_set_variable(A("BELLWETHER_REDIS_PASSWORD=with, blanks = and more"));
    options_set_variable(A("BELLWETHER_SENTINEL_PASSWORD=s"));
    options_set_variable(A("BELLWETHER_LOG_LEVEL="));
    options_set_variable(A("OTHER=1"));
    options_run(NULL);
    options_expect_run();
    cr_expect_eq(options.watch.deployments[0].n_seeds, 3);
    cr_expect_eq(options.watch.deployments[0].n_masters, 2);
    cr_expect_not(options.watch.deployments[0].all_masters);
    cr_expect_str_eq(secret_value(options.watch.redis_password), "with, blanks = and more");
    cr_expect_str_eq(secret_value(options.watch.deployments[0].password), "s");
    cr_assert_eq(options.n_listens, 3);
    cr_expect_eq(options.listens[0].scope, HTTP_SCOPE_PROBE);
    cr_expect_str_eq(options.listens[1].place.unix_path, "/nowhere/x.sock");
    cr_expect_eq(options.listens[1].scope, HTTP_SCOPE_DISCOVERY);
    cr_expect_eq(options.listens[1].place.mode, 0600);
    cr_expect_str_eq(options.listens[2].place.address.host, "::1");
    cr_expect_eq(options.log_level, LOG_LEVEL_INFO, "an empty variable counts as not set");
}

Test(options, unknown_variables_are_a_note_for_debugging)
{
    options_set_variable(A("BELLWETHER_SENTINEL=a:1"));
    options_set_variable(A("BELLWETHER_PORT=tcp://10.0.0.1:8380"));
    options_set_variable(A("BELLWETHER_SERVICE_HOST=10.0.0.1"));
    options_run(NULL);
    options_expect_run();
    cr_assert_eq(options.n_notes, 2);
    cr_expect_eq(options.notes[0].level, LOG_LEVEL_DEBUG);
    cr_expect_str_eq(options.notes[0].value, "BELLWETHER_PORT");
}

Test(options, a_sentinel_given_twice_is_used_once)
{
    RUN(A("--sentinel"), A("A:1"), A("--sentinel"), A("a:1"), A("--sentinel"), A("a"),
        A("--sentinel=[0::1]:5,[::1]:5"));
    options_expect_run();
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
        options_expect_refused(rows[i].option, shown, rows[i].takes, NULL);
    }
}

Test(options, the_environment_is_held_to_the_same)
{
    options_set_variable(A("BELLWETHER_WORKERS=many"));
    RUN(A("--sentinel=a:1"));
    options_expect_refused("workers", "BELLWETHER_WORKERS", "\"many\"", "1 to 64", NULL);
}

Test(options, unknown_flags)
{
    RUN(A("--sentinal"), A("a:1"));
    options_expect_refused("--sentinal", "did you mean --sentinel?", NULL);
    RUN(A("--log=debug"));
    options_expect_refused("--log:", "did you mean --log-", NULL);
    RUN(A("--chek-config"));
    options_expect_refused("did you mean --check-config?", NULL);
    RUN(A("--frobnicate=hunter2"));
    options_expect_refused("--frobnicate", "--help", NULL);
    cr_expect_null(strstr(failed, "hunter2"), "the value might be a secret");
    cr_expect_null(strstr(failed, "did you mean"));
    RUN(A("-x"));
    options_expect_refused("\"-x\"", NULL);
    RUN(A("positional"));
    options_expect_refused("\"positional\"", NULL);
    RUN(A("--"));
    options_expect_refused("\"--\"", NULL);
    RUN(A("--sentinel"));
    options_expect_refused("--sentinel", "missing", NULL);
    RUN(A("--sentinel"), A("--once"));
    options_expect_refused("--sentinel", "missing", NULL);
    RUN(A("--help=x"));
    options_expect_refused("--help", NULL);
}

Test(options, a_secret_is_never_a_flag_nor_in_the_file)
{
    RUN(A("--sentinel=a:1"), A("--redis-password=hunter2"));
    options_expect_refused("--redis-password", "--redis-password-file", "BELLWETHER_REDIS_PASSWORD",
                           NULL);
    cr_expect_null(strstr(failed, "hunter2"));
    options_run_file("sentinel = a:1\nredis-password = hunter2\n");
    options_expect_refused(":2:", "redis-password", NULL);
    cr_expect_null(strstr(failed, "hunter2"));
}

Test(options, default_master_must_be_watched)
{
    RUN(A("--sentinel=a:1"), A("--master=x,y,x"), A("--default-master=y"));
    options_expect_run();
    cr_expect_str_eq(options.watch.default_master, "y");
    cr_expect_eq(options.watch.deployments[0].n_masters, 2);
    RUN(A("--sentinel=a:1"), A("--master=x,y"), A("--default-master=z"));
    options_expect_refused("default-master", "\"z\"", NULL);
    RUN(A("--sentinel=a:1"), A("--default-master=z"));
    options_expect_run();
}

Test(options, the_first_master_named_is_the_default_wherever_it_is_watched)
{
    options_write_file("[master cache]\nsentinel = b:1\n");
    RUN(A("--config"), path, A("--sentinel=a:1"), A("--master=cache"), A("--master=one"));
    options_expect_run();
    cr_expect_str_eq(options.watch.default_master, "cache");
}

Test(options, a_place_listened_on_twice_is_refused)
{
    RUN(A("--sentinel=a:1"), A("--listen=127.0.0.1:8380"),
        A("--listen=127.0.0.1:8380,scope=probe"));
    options_expect_refused("listen", "127.0.0.1:8380", NULL);
    RUN(A("--sentinel=a:1"), A("--listen=unix:/x"), A("--listen=unix:/x"));
    options_expect_refused("listen", "unix:/x", NULL);
    RUN(A("--sentinel=a:1"), A("--listen=127.0.0.1:0"), A("--listen=127.0.0.1:0"));
    options_expect_run();
    cr_expect_eq(options.n_listens, 2);
}

Test(options, check_config)
{
    RUN(A("--sentinel=a:1"), A("--check-config"));
    cr_expect_eq(outcome, OPTIONS_EXIT);
    cr_expect_eq(exit_code, 0);
    cr_expect_str_eq(said, "ok\n");
    RUN(A("--check-config"));
    options_expect_refused("--sentinel", NULL);
    RUN(A("--sentinel=a:1"), A("--check-config"), A("--redis-password-file=/nonexistent"));
    options_expect_refused("redis-password-file", NULL);
}

Test(options, adopting_needs_verification)
{
    RUN(A("--sentinel=a:1"), A("--adopt=promoted"), A("--verify=off"));
    cr_expect_eq(outcome, OPTIONS_EXIT);
    cr_expect_eq(exit_code, 2);
    cr_expect(strstr(failed, "adopt (--adopt): \"promoted\" needs --verify on"), "%s", failed);
    options_run_file("sentinel = a:1\nadopt = promoted\nverify = off\n");
    options_expect_refused("adopt (/", ":2): \"promoted\" needs --verify on", NULL);
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
                                        "completion",
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

Test(options, completion)
{
    static const struct {
        const char *shell, *adopt, *file, *bare;
    } wanted[] = {
        {"bash", "--adopt) words='announced promoted' ;;\n", "--tls-ca) files=yes ;;\n",
         " --once "},
        {"zsh", ":WHEN:(announced promoted)'", "]:PATH:_files'", "'--once["},
        {"fish", "-l adopt -x -a 'announced promoted' ", "-l tls-ca -r -F ", "-l once -d "},
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        RUN(A("--completion"), (char *)wanted[i].shell);
        cr_expect_eq(outcome, OPTIONS_EXIT);
        cr_expect_eq(exit_code, 0);
        cr_expect_not_null(strstr(said, wanted[i].adopt), "%s", wanted[i].shell);
        cr_expect_not_null(strstr(said, wanted[i].file), "%s", wanted[i].shell);
        cr_expect_not_null(strstr(said, wanted[i].bare), "%s", wanted[i].shell);
        cr_expect_null(strstr(said, "redis-password "), "a secret is never a flag");
        cr_expect_null(strstr(said, "man-options"), "hidden");
    }
    RUN(A("--completion=fish"), A("--version"));
    cr_expect_not_null(strstr(said, "complete -c bellwether"), "the first of two counts");
    RUN(A("--completion"));
    options_expect_refused("--completion", "bash, zsh or fish", NULL);
    RUN(A("--completion"), A("tcsh"));
    options_expect_refused("--completion", "\"tcsh\"", "bash, zsh or fish", NULL);
    RUN(A("--help=yes"));
    options_expect_refused("--help", "unknown option", NULL);
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
    cr_expect_not_null(strstr(said, "\nopenssl 3."));
    cr_expect_not_null(strstr(said, "\ngnutls 3."));
}
