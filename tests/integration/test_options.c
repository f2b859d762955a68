/* Options: bad ones stop the start with one line, good ones from every source, --once. */
#include <string.h>

#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_options);

#define SEED "--sentinel", "127.0.0.1:1"

/* Exit 2 and one line that holds each word. */
static void expect_refusal(struct process_result result, const char *option, const char *value,
                           const char *what)
{
    cr_assert_eq(result.exit_code, 2, "%s: exit %d: %s%s", what, result.exit_code, result.out,
                 result.err);
    cr_assert_eq(count_in(result.err, "\n"), 1, "%s: not one line: %s", what, result.err);
    cr_assert(!option || strcasestr(result.err, option), "%s: does not name %s: %s", what, option,
              result.err);
    cr_assert(!value || strstr(result.err, value), "%s: does not name %s: %s", what, value,
              result.err);
    cr_assert_str_eq(result.out, "", "%s", what);
}

SCENE(integration_options, bad_values)
{
    static const struct {
        const char *flag, *value;
    } cases[] = {
        {"sentinel", "10.0.0.1:0"},
        {"sentinel", "10.0.0.1:70000"},
        {"sentinel", "10.0.0.1:port"},
        {"sentinel", "10.0.0.1:"},
        {"sentinel", ":26379"},
        {"sentinel", "[::1"},
        {"sentinel", "two words:26379"},
        {"listen", "127.0.0.1:70000"},
        {"listen", "127.0.0.1:-1"},
        {"listen", "127.0.0.1"},
        {"listen", "unix:"},
        {"listen", "127.0.0.1:8380,scope=everything"},
        {"listen", "unix:/nowhere/x,mode=999"},
        {"listen", "colour=red"},
        {"workers", "0"},
        {"workers", "65"},
        {"workers", "two"},
        {"workers", "1.5"},
        {"workers", ""},
        {"poll-interval", "fast"},
        {"poll-interval", "-1s"},
        {"poll-interval", "1 fortnight"},
        {"poll-interval", "99999999999999999999s"},
        {"sentinel-timeout", "0s"},
        {"verify-interval", "soon"},
        {"verify-timeout", "1x"},
        {"suspect-after", "never"},
        {"verify", "maybe"},
        {"map", "10.0.0.1"},
        {"map", "=10.0.0.1"},
        {"map", "10.0.0.1:99999=10.0.0.2:1"},
        {"ready-when", "never"},
        {"max-body", "-1"},
        {"max-body", "lots"},
        {"max-memory", "10KiB"},
        {"max-connections", "0"},
        {"max-connections", "many"},
        {"idle-timeout", "x"},
        {"shutdown-delay", "later"},
        {"log-level", "loud"},
        {"log-format", "xml"},
        {"format", "xml"},
        {"wait", "long"},
        {"config", "/nonexistent/bellwether.ini"},
        {"redis-password-file", "/nonexistent/password"},
        {"sentinel-password-file", "/nonexistent/password"},
        {"redis-api", "on"},
        {"commands", "get"},
        {"commands", "+get,+set"},
        {"commands", "+ssubscribe"},
        {"commands", "~keys"},
        {"pool-size", "0"},
        {"command-timeout", "soon"},
        {"fence-timeout", "0"},
        {"max-pending", "-1"},
        {"max-reply", "1"},
        {"replica-max-lag", "near"},
        {"replica-fallback", "replica"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *what = text("--%s '%s'", cases[i].flag, cases[i].value);

        expect_refusal(daemon_run(5000, SEED, text("--%s", cases[i].flag), cases[i].value,
                                  "--check-config", NULL),
                       cases[i].flag, cases[i].value, what);
    }
}

SCENE(integration_options, bad_values_stop_the_start_itself)
{
    expect_refusal(daemon_run(5000, SEED, "--workers", "0", NULL), "workers", "0", "workers");
    expect_refusal(daemon_run(5000, SEED, "--sentinel", "nonsense:nonsense", NULL), "sentinel",
                   "nonsense", "sentinel");
}

/* The start itself, not only --check-config. */
SCENE(integration_options, commands_without_protection_stop_the_start)
{
    const char *path = text("%s/token", scene_folder());
    const char *const api[] = {"--redis-api", "token", "--token-file", path, NULL};

    static const struct {
        const char *contents, *value;
    } cases[] = {
        {"", "empty"},
        {"\n\n", "no token"},
        {"one\ntwo\nthree\n", "more than two"},
        {"two words\n", "blank"},
    };

    expect_refusal(daemon_run(5000, SEED, api[0], api[1], NULL), "redis-api", "token", "no token");
    expect_refusal(daemon_run(5000, SEED, api[0], api[1], api[2], path, NULL), "token-file", path,
                   "no file");
    expect_refusal(daemon_run(5000, SEED, api[0], api[1], "--read-only-token-file", path, NULL),
                   "read-only-token-file", path, "no file");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        file_write(path, cases[i].contents);
        expect_refusal(daemon_run(5000, SEED, api[0], api[1], api[2], path, NULL), "token-file",
                       cases[i].value, cases[i].value);
    }
    file_write(path, "one\ntwo\n");
    const struct process_result good =
        daemon_run(5000, SEED, api[0], api[1], api[2], path, "--check-config", NULL);
    cr_assert_eq(good.exit_code, 0, "%s", good.err);
    expect_refusal(
        daemon_run(5000, SEED, "--redis-api", "loopback", "--listen", "0.0.0.0:8380", NULL),
        "redis-api", "0.0.0.0:8380", "a listener for everybody");
    expect_refusal(daemon_run(5000, SEED, "--redis-api", "loopback", "--listen",
                              "127.0.0.1:8380,[::]:8381,scope=all", NULL),
                   "redis-api", "[::]:8381", "one of two listeners");
    const struct process_result narrow =
        daemon_run(5000, SEED, "--redis-api", "loopback", "--listen",
                   "127.0.0.1:8380,0.0.0.0:8381,scope=discovery", "--check-config", NULL);
    cr_assert_eq(narrow.exit_code, 0, "%s", narrow.err);
}

SCENE(integration_options, unknown_and_missing)
{
    expect_refusal(daemon_run(5000, SEED, "--nonsense", "1", NULL), "nonsense", NULL,
                   "unknown flag");
    expect_refusal(daemon_run(5000, SEED, "--poll-intervall", "1s", NULL), "poll-interval", NULL,
                   "a close one is suggested");
    expect_refusal(daemon_run(5000, SEED, "stray", NULL), NULL, "stray", "a stray word");
    expect_refusal(daemon_run(5000, "--sentinel", NULL), "sentinel", NULL,
                   "a flag without its value");
    expect_refusal(daemon_run(5000, "--master", "mymaster", NULL), "sentinel", NULL,
                   "no sentinel at all");
    expect_refusal(daemon_run(5000, SEED, "--master", "a", "--default-master", "b", NULL),
                   "default-master", "b", "a default that is not watched");
}

SCENE(integration_options, bad_environment)
{
    static const struct {
        const char *entry, *name, *value;
    } cases[] = {
        {"BELLWETHER_WORKERS=0", "workers", "0"},
        {"BELLWETHER_SENTINEL=10.0.0.1:70000", "sentinel", "10.0.0.1:70000"},
        {"BELLWETHER_VERIFY=perhaps", "verify", "perhaps"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *const env[] = {cases[i].entry, NULL};

        expect_refusal(
            daemon_run_env(5000, env, SEED, "--poll-interval", "1s", "--check-config", NULL),
            i == 1 ? NULL : cases[i].name, i == 1 ? NULL : cases[i].value, cases[i].entry);
    }
}

SCENE(integration_options, unknown_environment_is_no_error)
{
    const char *const env[] = {"BELLWETHER_PORT=tcp://10.0.0.1:8380",
                               "BELLWETHER_SERVICE_HOST=10.0.0.1", NULL};
    const struct process_result result = daemon_run_env(5000, env, SEED, "--check-config", NULL);

    cr_assert_eq(result.exit_code, 0, "%s", result.err);
}

SCENE(integration_options, bad_files)
{
    static const struct {
        const char *contents, *option, *value;
    } cases[] = {
        {"sentinel = 127.0.0.1:1\nnonsense = 1\n", "nonsense", ":2"},
        {"sentinel = 127.0.0.1:1\nworkers = none\n", "workers", "none"},
        {"sentinel = 127.0.0.1:70000\n", "sentinel", "127.0.0.1:70000"},
        {"sentinel = 127.0.0.1:1\n[master mymaster]\nworkers = 1\n", "workers", ":3"},
        {"sentinel = 127.0.0.1:1\n[nonsense]\nworkers = 1\n", "nonsense", NULL},
        {"sentinel = 127.0.0.1:1\nthis is no line\n", NULL, ":2"},
        {"sentinel = 127.0.0.1:1\n[master a]\nredis-password-file = /nonexistent/x\n",
         "redis-password-file", "/nonexistent/x"},
    };
    const char *path = text("%s/bellwether.ini", scene_folder());
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        file_write(path, cases[i].contents);
        expect_refusal(daemon_run(5000, "--config", path, "--check-config", NULL), cases[i].option,
                       cases[i].value, cases[i].contents);
    }
}

SCENE(integration_options, flag_beats_environment_beats_file_beats_default)
{
    const char *path = text("%s/bellwether.ini", scene_folder());

    file_write(path,
               "sentinel = 127.0.0.1:1\nworkers = 2\npoll-interval = 3s\nverify-interval = 4s\n");
    const char *const env[] = {text("BELLWETHER_CONFIG=%s", path), "BELLWETHER_WORKERS=5",
                               "BELLWETHER_POLL_INTERVAL=6s", NULL};
    const struct process_result result =
        daemon_run_env(5000, env, "--workers", "7", "--print-config", NULL);
    cr_assert_eq(result.exit_code, 0, "%s", result.err);
    static const char *const wanted[][2] = {{"workers", "7"},
                                            {"poll-interval", "6s"},
                                            {"verify-interval", "4s"},
                                            {"sentinel-timeout", "500ms"}};
    for (size_t i = 0; i < 4; i++) {
        const char *line = strstr(result.out, text("\n%s", wanted[i][0]));

        cr_assert(line || strncmp(result.out, wanted[i][0], strlen(wanted[i][0])) == 0, "%s: %s",
                  wanted[i][0], result.out);
        const char *whole = text("%.*s", (int)strcspn(line + 1, "\n"), line + 1);
        cr_assert(strstr(whole, wanted[i][1]), "%s: %s", wanted[i][0], whole);
    }
}

SCENE(integration_options, print_config_masks_secrets)
{
    const char *const env[] = {"BELLWETHER_REDIS_PASSWORD=hunter2",
                               "BELLWETHER_SENTINEL_PASSWORD=sesame", "BELLWETHER_TOKEN=bearer7",
                               NULL};
    const struct process_result result =
        daemon_run_env(5000, env, SEED, "--redis-api", "token", "--print-config", NULL);

    cr_assert_eq(result.exit_code, 0, "%s", result.err);
    cr_assert(strstr(result.out, "***"), "%s", result.out);
    cr_assert(!strstr(result.out, "hunter2") && !strstr(result.out, "sesame") &&
                  !strstr(result.out, "bearer7"),
              "%s", result.out);
    cr_assert(!strstr(result.err, "hunter2"));
}

SCENE(integration_options, help_version_and_check)
{
    const struct process_result help = daemon_run(5000, "--help", NULL);

    cr_assert_eq(help.exit_code, 0);
    static const char *const options[] = {"--sentinel", "--master", "--listen", "--once",
                                          "--wait",     "--map",    "--verify", "--ready-when"};
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        cr_assert(strstr(help.out, options[i]), "%s is not in --help", options[i]);
    }
    const struct process_result version = daemon_run(5000, "--version", NULL);
    cr_assert_eq(version.exit_code, 0);
    cr_assert(strncmp(version.out, "bellwether ", 11) == 0, "%s", version.out);
    const struct process_result good = daemon_run(5000, SEED, "--check-config", NULL);
    cr_assert_eq(good.exit_code, 0, "%s", good.err);
}

SCENE(integration_options, sentinel_given_twice_is_one)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel", cluster->sentinels[0].address, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    cr_assert_eq(json_array_size(http_value(daemon_get(daemon, "/sentinels"), "sentinels")), 1);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "level=warn"));
}

SCENE(integration_options, environment_alone_configures_everything)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1});
    const unsigned port = port_reserve(), probe = port_reserve();
    const char *const env[] = {
        text("BELLWETHER_SENTINEL=%s,%s %s", cluster->sentinels[0].address,
             cluster->sentinels[1].address, cluster->sentinels[2].address),
        text("BELLWETHER_LISTEN=127.0.0.1:%u 127.0.0.1:%u,scope=probe", port, probe),
        "BELLWETHER_MASTER=mymaster", "BELLWETHER_LOG_FORMAT=json", NULL};
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){.env = env, .no_listen = true});

    daemon->base = text("http://127.0.0.1:%u", port);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    daemon->base = text("http://127.0.0.1:%u", probe);
    cr_assert_eq(status_of(daemon, "/livez"), 200);
    cr_assert_eq(status_of(daemon, "/master"), 404);
}

/* --once */

SCENE(integration_options, once_in_every_format)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const char *seed = cluster->sentinels[0].address, *address = cluster->nodes[0].address;
    struct process_result result = daemon_run(5000, "--sentinel", seed, "--once", NULL);

    cr_assert_eq(result.exit_code, 0, "%s", result.err);
    json_t *master = json_loads(result.out, 0, NULL);
    cr_assert(master, "%s", result.out);
    cr_assert_str_eq(json_string_value(json_object_get(master, "address")), address);
    cr_assert_str_eq(json_string_value(json_object_get(master, "state")), "ok");
    json_decref(master);
    cr_assert_eq(count_in(result.out, "\n"), 1);
    cr_assert_str_eq(result.err, "", "only warnings and errors are logged");
    cr_assert(strstr(result.out, "{\"name\":\"mymaster\",\"state\":") == result.out, "%s",
              result.out);
    result = daemon_run(5000, "--sentinel", seed, "--once", "--format", "json", NULL);
    cr_assert(result.exit_code == 0 && *result.out == '{');
    result = daemon_run(5000, "--sentinel", seed, "--once", "--format", "text", NULL);
    cr_assert_eq(result.exit_code, 0);
    cr_assert_str_eq(result.out, text("%s\n", address));
    const int64_t began_ms = running_ms();
    result = daemon_run(5000, "--sentinel", seed, "--once", "--format=url", NULL);
    cr_assert_eq(result.exit_code, 0);
    cr_assert_str_eq(result.out, text("redis://%s\n", address));
    cr_assert_leq(running_ms() - began_ms, patient(2000));
}

static void expect_no_master(struct process_result result, const char *word)
{
    cr_assert_eq(result.exit_code, 3, "exit %d: %s%s", result.exit_code, result.out, result.err);
    cr_assert_str_eq(result.out, "");
    cr_assert_geq(count_in(result.err, "\n"), 1);
    cr_assert(!word || strstr(result.err, word), "%s is not said: %s", word, result.err);
}

SCENE(integration_options, once_without_a_master)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const char *seed = cluster->sentinels[0].address;
    const int64_t began_ms = running_ms();
    struct process_result result =
        daemon_run(8000, "--sentinel", text("127.0.0.1:%u", port_reserve()), "--once", NULL);

    expect_no_master(result, "no_sentinel_reachable");
    cr_assert_leq(running_ms() - began_ms, patient(4000));
    expect_no_master(daemon_run(8000, "--sentinel", seed, "--master", "nosuch", "--once", NULL),
                     "unknown_name");
    expect_no_master(daemon_run(8000, "--sentinel", "no-such-host.invalid:26379", "--once", NULL),
                     NULL);
    struct server *second = cluster_add_node(cluster, NULL);
    cluster_monitor(cluster, "second", second);
    result = daemon_run(8000, "--sentinel", seed, "--once", NULL);
    expect_no_master(result, "mymaster");
    cr_assert(strstr(result.err, "second"), "%s", result.err);
    result = daemon_run(8000, "--sentinel", seed, "--once", "--master", "second", "--format",
                        "text", NULL);
    cr_assert_str_eq(result.out, text("%s\n", second->address));
    server_kill(&cluster->nodes[0]);
    expect_no_master(daemon_run(8000, "--sentinel", seed, "--master", "mymaster", "--once", NULL),
                     "redis_unreachable");
}

SCENE(integration_options, once_waits)
{
    struct cluster *cluster = cluster_prepare(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const char *const argv[] = {daemon_binary(), "--sentinel", cluster->sentinels[0].address,
                                "--once",        "--wait",     "30s",
                                "--format",      "text",       NULL};
    struct process *once =
        process_start(&(struct process_spec){.name = "once", .argv = argv, .may_die = true});

    HOLDS_FOR(300, !process_ended(once));
    cluster_run(cluster);
    cr_assert_eq(process_wait(once, patient(20000)), 0, "%s", process_log(once));
    cr_assert_str_eq(file_read(once->out_path), text("%s\n", cluster->nodes[0].address));
    const int64_t began_ms = running_ms();
    const struct process_result result = daemon_run(
        8000, "--sentinel", text("127.0.0.1:%u", port_reserve()), "--once", "--wait", "2s", NULL);
    expect_no_master(result, NULL);
    cr_assert(result.took_ms >= 1800 && running_ms() - began_ms < patient(5000), "%lld ms",
              (long long)result.took_ms);
}
