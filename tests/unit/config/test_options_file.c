/*
 * Options from a file: its syntax, its sections, password files, and that what is printed can be
 * read again.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/config/options.h"
#include "options_fixture.h"

Test(options, file_syntax)
{
    options_run_file(
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
    options_expect_run();
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
        options_run_file(rows[i].text);
        options_expect_refused(path, rows[i].line, rows[i].words, NULL);
    }
}

Test(options, a_line_that_inih_would_cut_is_refused)
{
    char text[600];

    memset(text, 'a', sizeof(text));
    memcpy(text, "sentinel = ", 11);
    text[400] = '\n';
    text[401] = '\0';
    options_run_file(text);
    options_expect_refused(":1:", "too long", NULL);
}

Test(options, files_that_cannot_be_read)
{
    RUN(A("--sentinel=a:1"), A("--config=/nonexistent/file"));
    options_expect_refused("config", "/nonexistent/file", "No such file", NULL);
    RUN(A("--sentinel=a:1"), A("--config=/tmp"));
    options_expect_refused("config", "/tmp", NULL);
    RUN(A("--sentinel=a:1"), A("--redis-password-file=/nonexistent/password"));
    options_expect_refused("redis-password-file", "/nonexistent/password",
                           "a file that can be read", NULL);
    RUN(A("--sentinel=a:1"), A("--sentinel-password-file=/tmp"));
    options_expect_refused("sentinel-password-file", "/tmp", NULL);
}

Test(options, sections_differ_in_credentials_beside_named_masters)
{
    options_set_variable(A("BELLWETHER_REDIS_PASSWORD=global"));
    options_run_file(
        "sentinel = a:1\nredis-username = everyone\nmaster = one\n"
        "[master cache]\nredis-username = app\n"
        "[master a-very-long-name-of-more-than-fifty-characters-as-charts-make-them]\n");
    options_expect_run();
    const struct watch_config *watch = &options.watch;
    cr_assert_eq(watch->n_deployments, 1);
    cr_expect_not(watch->deployments[0].all_masters);
    cr_assert_eq(watch->deployments[0].n_masters, 3);
    cr_expect_str_eq(watch->deployments[0].masters[0], "one");
    cr_expect_str_eq(watch->deployments[0].masters[2],
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
    options_run_file("sentinel = a:1\nsentinel-username = watcher\nmaster = one, cache\n"
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
    options_run_file("[master cache]\nsentinel = b:1\n");
    options_expect_run();
    cr_assert_eq(options.watch.n_deployments, 2);
    cr_expect_eq(options.watch.deployments[0].n_seeds, 0);
    cr_expect_not(options.watch.deployments[0].all_masters);
    options_run_file("[master cache]\nsentinel = b:1\n[master other]\nredis-username = x\n");
    options_expect_refused("--sentinel", NULL);
    options_run_file("[master cache]\nsentinel-username = x\n");
    options_expect_refused("cache", NULL);
}

Test(options, a_section_does_not_keep_other_masters_from_being_watched)
{
    static const char *const sections[] = {"redis-username = x", "sentinel = b:1",
                                           "sentinel-username = x"};

    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        char text[128];

        snprintf(text, sizeof(text), "sentinel = a:1\n[master cache]\n%s\n", sections[i]);
        options_run_file(text);
        options_expect_run();
        cr_expect(options.watch.deployments[0].all_masters, "%s", sections[i]);
        cr_expect_eq(options.watch.deployments[0].n_masters, 0, "nor names it one: %s",
                     sections[i]);
    }
    options_run_file("sentinel = a:1\nmaster = one\n[master cache]\nredis-username = x\n");
    options_expect_run();
    cr_expect_not(options.watch.deployments[0].all_masters);
}

Test(options, password_files_and_the_environment)
{
    options_write_file("from-the-file\n");
    options_set_variable(A("BELLWETHER_REDIS_PASSWORD=from-the-environment"));
    RUN(A("--sentinel=a:1"), A("--redis-password-file"), path);
    options_expect_run();
    cr_expect_str_eq(secret_value(options.watch.redis_password), "from-the-file",
                     "the flag is stronger");
    char config[] = "/tmp/bellwether-config-XXXXXX";
    FILE *file = fdopen(mkstemp(config), "w");
    fprintf(file, "sentinel = a:1\nredis-password-file = %s\n", path);
    fclose(file);
    RUN(A("--config"), config);
    unlink(config);
    options_expect_run();
    cr_expect_str_eq(secret_value(options.watch.redis_password), "from-the-environment",
                     "the file is weaker");
}

Test(options, print_config_tells_values_and_origins_and_masks_secrets)
{
    options_set_variable(A("BELLWETHER_REDIS_PASSWORD=hunter2"));
    options_set_variable(A("BELLWETHER_WORKERS=3"));
    options_write_file("poll-interval = 2s\nlisten = unix:/a\nlisten = unix:/b\n"
                       "[master cache]\nredis-username = app\n");
    RUN(A("--config"), path, A("--sentinel=a:1,b:2"), A("--print-config"));
    char listens[256];
    snprintf(listens, sizeof(listens), "listen = unix:/a  ; %s:2\nlisten = unix:/b  ; %s:3\n", path,
             path);
    cr_expect_not_null(strstr(said, listens), "each with its line");
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
    RUN(A("--sentinel=a:1,[::1]:2"), A("--listen=unix:/nowhere/s,scope=probe,mode=0600"),
        A("--map=a=b"), A("--print-config"));
    cr_assert_eq(exit_code, 0);
    char printed[sizeof(said)];
    memcpy(printed, said, sizeof(said));
    options_run_file(printed);
    options_expect_run();
    cr_expect_eq(options.watch.deployments[0].n_seeds, 2);
    cr_expect_eq(options.listens[0].place.mode, 0600);
    cr_expect_eq(options.watch.map.n, 1);
}
