/* The options of commands over HTTP: rules, tokens, and where no token is needed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellwether/base/error.h"
#include "config/build.h"
#include "config/help.h"

#define MAX_WORDS 16
#define DEFAULT \
    "+@all -@admin -@dangerous -@blocking -@pubsub -@transaction -@scripting -@connection +publish +ping +echo"

static struct settings settings;
static struct options options;
static struct options_error error;
static char *environment[2];
static char path[64];

static void set_up(void)
{
    snprintf(path, sizeof(path), "/tmp/bellwether-token-XXXXXX");
    close(mkstemp(path));
}

static void forget(void)
{
    options_release(&options);
    settings_release(&settings);
    error.text[0] = '\0';
}

static void tear_down(void)
{
    forget();
    unlink(path);
}

TestSuite(options_commands, .init = set_up, .fini = tear_down, .timeout = 20);

static void write_tokens(const char *text)
{
    FILE *file = fopen(path, "we");

    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    fclose(file);
}

/* Flags that end with NULL, beside a Sentinel; `environment` too. */
static int build(char *const *flags)
{
    char *argv[MAX_WORDS] = {(char[]){"bellwether"}, (char[]){"--sentinel=a:1"}};
    int argc = 2;

    forget();
    while (*flags) {
        argv[argc++] = *flags++;
    }
    int failed = settings_from_flags(&settings, argc, argv, &error);
    if (failed == 0) {
        failed = settings_from_environment(&settings, environment, &error);
    }
    if (failed == 0) {
        failed = options_build(&settings, &options, &error);
    }
    cr_expect_eq(failed == 0, error.text[0] == '\0', "%s", error.text);
    return failed;
}

#define FLAGS(...) ((char *const[]){__VA_ARGS__, NULL})
#define A(text) ((char[]){text})

static void expect_run(char *const *flags)
{
    cr_assert_eq(build(flags), 0, "%s", error.text);
}

static void expect_refused(char *const *flags, const char *first, const char *second)
{
    cr_assert_eq(build(flags), -BW_EINVAL, "accepted; expected a refusal with %s", first);
    cr_expect_not_null(strstr(error.text, first), "no \"%s\" in: %s", first, error.text);
    cr_expect_not_null(strstr(error.text, second), "no \"%s\" in: %s", second, error.text);
    cr_expect_null(strchr(error.text, '\n'));
}

static bool allows(const char *name)
{
    struct command_table *book = command_table_new(options.policy, NULL);
    struct command_facts facts;

    command_table_look(book, name, "", &facts);
    command_table_free(book);
    return facts.allowed;
}

static bool warns_of_scripts(void)
{
    for (size_t i = 0; i < options.n_notes; i++) {
        if (strstr(options.notes[i].message, "do not hold within them")) {
            return true;
        }
    }
    return false;
}

Test(options_commands, default_and_more)
{
    expect_run(FLAGS(A("--commands=default +@scripting"), A("--redis-api=loopback")));
    cr_expect(policy_allows_scripts(options.policy));
    cr_expect(warns_of_scripts());
    expect_run(FLAGS(A("--commands=default +@scripting")));
    cr_expect_not(warns_of_scripts(), "nobody can run them");
    expect_run(FLAGS(A("--redis-api=loopback")));
    cr_expect_not(warns_of_scripts());
    expect_refused(FLAGS(A("--commands=+@all -@dangerus")), "\"-@dangerus\"", "takes ");
    expect_refused(FLAGS(A("--commands=+@all -flushal")), "\"-flushal\"", "-flushall");
}

Test(options_commands, what_they_are_by_themselves)
{
    expect_run(FLAGS(NULL));
    cr_expect_eq(options.redis_api, REDIS_API_OFF);
    cr_expect_null(options.tokens);
    cr_expect_null(options.read_only_tokens);
    cr_assert_not_null(options.policy);
    cr_expect_eq(options.pool_size, 2);
    cr_expect_eq(options.command_timeout_ms, 5000);
    cr_expect_eq(options.watch.fence_timeout_ms, 3000);
    cr_expect_eq(options.max_pending, 1000);
    cr_expect_eq(options.max_reply_bytes, 64 << 20);
    cr_expect_eq(options.max_body_bytes, 10 << 20);
    cr_expect_eq(options.replica_max_lag_bytes, -1);
    cr_expect_eq(options.replica_fallback, REPLICA_FALLBACK_NONE);
    cr_expect_eq(options.n_notes, 0);
    cr_expect_str_eq(option_table[OPTION_ID_COMMANDS].fallback, DEFAULT);
}

Test(options_commands, numbers)
{
    expect_run(FLAGS(A("--redis-api=loopback"), A("--pool-size=8"), A("--command-timeout=250ms"),
                     A("--fence-timeout=1s"), A("--max-pending=0"), A("--max-reply=1GiB"),
                     A("--replica-max-lag=10mb"), A("--replica-fallback=master")));
    cr_expect_eq(options.redis_api, REDIS_API_LOOPBACK);
    cr_expect_eq(options.pool_size, 8);
    cr_expect_eq(options.command_timeout_ms, 250);
    cr_expect_eq(options.watch.fence_timeout_ms, 1000);
    cr_expect_eq(options.max_pending, 0);
    cr_expect_eq(options.max_reply_bytes, 1 << 30);
    cr_expect_eq(options.replica_max_lag_bytes, 10 << 20);
    cr_expect_eq(options.replica_fallback, REPLICA_FALLBACK_MASTER);
    expect_run(FLAGS(A("--replica-max-lag=0")));
    cr_expect_eq(options.replica_max_lag_bytes, 0);
}

Test(options_commands, bad_values)
{
    expect_refused(FLAGS(A("--redis-api=on")), "--redis-api: \"on\"", "off, token or loopback");
    expect_refused(FLAGS(A("--pool-size=0")), "--pool-size: \"0\"", "1 to 64");
    expect_refused(FLAGS(A("--command-timeout=1ms")), "--command-timeout: \"1ms\"", "10ms to 10m");
    expect_refused(FLAGS(A("--fence-timeout=0")), "--fence-timeout: \"0\"", "100ms to 10m");
    expect_refused(FLAGS(A("--max-pending=-1")), "--max-pending: \"-1\"", "0 to 1000000");
    expect_refused(FLAGS(A("--max-reply=2GiB")), "--max-reply: \"2GiB\"", "1KiB to 1GiB");
    expect_refused(FLAGS(A("--replica-max-lag=near")), "--replica-max-lag: \"near\"", "a size");
    expect_refused(FLAGS(A("--replica-fallback=replica")), "--replica-fallback: \"replica\"",
                   "none or master");
    expect_refused(FLAGS(A("--token=x")), "--token-file", "BELLWETHER_TOKEN");
}

Test(options_commands, rules)
{
    expect_run(FLAGS(A("--commands"), A("+get +config|get -set")));
    cr_expect(allows("get"));
    cr_expect_not(allows("set"));
    expect_run(FLAGS(A("--commands=-@all +get")));
    cr_expect(allows("get"));
    environment[0] = A("BELLWETHER_COMMANDS=+set");
    expect_run(FLAGS(NULL));
    cr_expect(allows("set"));
    environment[0] = NULL;
    expect_refused(FLAGS(A("--commands=+get set")), "commands (--commands): \"set\"",
                   "takes +name");
    expect_refused(FLAGS(A("--commands=+get,+set")), "\"+get,+set\"", "takes +name");
    expect_refused(FLAGS(A("--commands=+client|list")), "\"+client|list\"", "can't be allowed");
    /* no rules are not the usual ones */
    expect_refused(FLAGS(A("--commands=")), "commands (--commands): there is no rule",
                   "nocommands");
    /* wrong is wrong, whether it would be used or not */
    expect_refused(FLAGS(A("--redis-api=off"), A("--commands=get")), "\"get\"", "takes");
}

Test(options_commands, tokens)
{
    char file[128];
    char read_only[128];

    snprintf(file, sizeof(file), "--token-file=%s", path);
    snprintf(read_only, sizeof(read_only), "--read-only-token-file=%s", path);
    write_tokens("new\nold\n");
    expect_run(FLAGS(A("--redis-api=token"), file));
    cr_expect_str_eq(secret_value(options.tokens), "new\nold");
    cr_expect_null(secret_value(options.read_only_tokens));
    expect_run(FLAGS(A("--redis-api=token"), read_only));
    cr_expect_null(secret_value(options.tokens));
    cr_expect_str_eq(secret_value(options.read_only_tokens), "new\nold");
    environment[0] = A("BELLWETHER_TOKEN=hidden");
    expect_run(FLAGS(A("--redis-api=token"), read_only));
    cr_expect_str_eq(secret_value(options.tokens), "hidden");
    cr_expect_str_eq(secret_value(options.read_only_tokens), "new\nold");
    expect_run(FLAGS(A("--redis-api=token"), file)); /* the flag is stronger */
    cr_expect_str_eq(secret_value(options.tokens), "new\nold");
}

Test(options_commands, tokens_that_stop_the_start)
{
    char file[128];
    char read_only[128];

    snprintf(file, sizeof(file), "--token-file=%s", path);
    snprintf(read_only, sizeof(read_only), "--read-only-token-file=%s", path);
    expect_refused(FLAGS(A("--redis-api=token")), "redis-api: \"token\" without a token",
                   "BELLWETHER_TOKEN");
    expect_refused(FLAGS(A("--redis-api=token"), file), path, "is empty");
    write_tokens("\n\n");
    expect_refused(FLAGS(A("--redis-api=token"), file), path, "holds no token");
    write_tokens("one\ntwo\nthree\n");
    expect_refused(FLAGS(A("--redis-api=token"), file), path, "holds more than two tokens");
    cr_expect_null(strstr(error.text, "three"));
    write_tokens("two words\n");
    expect_refused(FLAGS(A("--redis-api=token"), read_only), "read-only-token-file", "blank");
    cr_expect_null(strstr(error.text, "words"));
    expect_refused(FLAGS(A("--redis-api=token"), A("--token-file=/nonexistent/token")),
                   "/nonexistent/token", "a file that can be read");
    environment[0] = A("BELLWETHER_TOKEN=two words");
    expect_refused(FLAGS(A("--redis-api=token")), "BELLWETHER_TOKEN", "blank");
    cr_expect_null(strstr(error.text, "words"));
}

static size_t count_notes(const char *message, const char *value)
{
    size_t n = 0;

    for (size_t i = 0; i < options.n_notes; i++) {
        const struct options_note *note = &options.notes[i];

        n += note->level == LOG_LEVEL_WARN && strstr(note->message, message) &&
             strstr(note->value, value);
        cr_expect_null(strstr(note->value, "sesame"));
    }
    return n;
}

Test(options_commands, tokens_that_are_not_well_kept)
{
    char file[128];
    char password[128];

    snprintf(file, sizeof(file), "--token-file=%s", path);
    snprintf(password, sizeof(password), "--redis-password-file=%s", path);
    write_tokens("sesame-sesame-sesame\n");
    cr_assert_eq(chmod(path, 0640), 0);
    expect_run(FLAGS(A("--redis-api=token"), file, password));
    cr_expect_eq(options.n_notes, 0);
    cr_assert_eq(chmod(path, 0644), 0);
    expect_run(FLAGS(A("--redis-api=token"), file, password));
    cr_expect_eq(options.n_notes, 1, "one file, one note");
    cr_expect_eq(count_notes("others can get at", path), 1);
    write_tokens("sesame-sesame-sesame\nsesame\n");
    cr_assert_eq(chmod(path, 0600), 0);
    expect_run(FLAGS(A("--redis-api=token"), file));
    cr_expect_eq(options.n_notes, 1);
    cr_expect_eq(count_notes("shorter than 16", "token-file"), 1);
    environment[0] = A("BELLWETHER_TOKEN=sesame");
    expect_run(FLAGS(A("--redis-api=token")));
    cr_expect_eq(count_notes("shorter than 16", "token"), 1);
}

Test(options_commands, variables_that_hold_secrets_are_overwritten)
{
    char token[] = "BELLWETHER_TOKEN=sesame", redis[] = "BELLWETHER_REDIS_PASSWORD=sesame",
         sentinel[] = "BELLWETHER_SENTINEL_PASSWORD=sesame", other[] = "BELLWETHER_MASTER=sesame",
         odd[] = "BELLWETHER_TOKEN", strange[] = "OTHER_TOKEN=sesame";
    char *all[] = {token, redis, sentinel, other, odd, strange, NULL};

    options_hide_secrets(all);
    for (size_t i = 0; i < sizeof(token) - sizeof("BELLWETHER_TOKEN="); i++) {
        cr_expect_eq(token[sizeof("BELLWETHER_TOKEN=") - 1 + i], '\0');
    }
    cr_expect_str_eq(token, "BELLWETHER_TOKEN=");
    cr_expect_str_eq(redis, "BELLWETHER_REDIS_PASSWORD=");
    cr_expect_str_eq(sentinel, "BELLWETHER_SENTINEL_PASSWORD=");
    cr_expect_str_eq(other, "BELLWETHER_MASTER=sesame");
    cr_expect_str_eq(odd, "BELLWETHER_TOKEN");
    cr_expect_str_eq(strange, "OTHER_TOKEN=sesame");
}

Test(options_commands, tokens_that_nobody_looks_at)
{
    environment[0] = A("BELLWETHER_TOKEN=hidden");
    expect_run(FLAGS(NULL));
    cr_expect_null(options.tokens);
    cr_assert_eq(options.n_notes, 1);
    cr_expect_eq(options.notes[0].level, LOG_LEVEL_WARN);
    cr_expect_str_eq(options.notes[0].value, "BELLWETHER_TOKEN");
    expect_run(FLAGS(A("--redis-api=loopback"), A("--token-file=/nonexistent/token")));
    cr_expect_eq(options.n_notes, 2);
}

Test(options_commands, tokens_are_masked)
{
    FILE *file = tmpfile();
    char said[16384] = "";

    environment[0] = A("BELLWETHER_TOKEN=hidden");
    expect_run(FLAGS(A("--redis-api=token")));
    cr_assert_gt(options.n_shown, 0);
    for (size_t i = 0; i < options.n_shown; i++) {
        for (size_t k = 0; k < options.shown[i].n_values; k++) {
            cr_expect_null(strstr(options.shown[i].values[k], "hidden"), "%s",
                           options.shown[i].name);
        }
    }
    settings.action = ACTION_PRINT_CONFIG;
    cr_expect(options_print(file, &settings));
    rewind(file);
    cr_expect_gt(fread(said, 1, sizeof(said) - 1, file), 0);
    fclose(file);
    cr_expect_not_null(strstr(said, "BELLWETHER_TOKEN = ***"), "%s", said);
    cr_expect_null(strstr(said, "hidden"));
    cr_expect_not_null(strstr(said, "commands = " DEFAULT "  ; default\n"));
}

Test(options_commands, loopback_needs_listeners_that_only_this_host_reaches)
{
    expect_run(FLAGS(A("--redis-api=loopback")));
    expect_run(FLAGS(A("--redis-api=loopback"), A("--listen=127.0.0.5:1,[::1]:1,unix:/nowhere/s")));
    expect_run(FLAGS(A("--redis-api=loopback"), A("--listen=127.0.0.1:1"),
                     A("--listen=0.0.0.0:2,scope=discovery"), A("--listen=[::]:3,scope=probe")));
    expect_refused(
        FLAGS(A("--redis-api=loopback"), A("--listen=127.0.0.1:1"), A("--listen=0.0.0.0:2")),
        "redis-api: \"loopback\"", "--listen 0.0.0.0:2");
    expect_refused(FLAGS(A("--redis-api=loopback"), A("--listen=[::]:2,scope=all")), "redis-api",
                   "[::]:2");
    expect_refused(FLAGS(A("--redis-api=loopback"), A("--listen=localhost:2")), "localhost:2",
                   "127.0.0.1");
    write_tokens("one\n");
    environment[0] = A("BELLWETHER_TOKEN=one");
    expect_run(FLAGS(A("--redis-api=token"), A("--listen=0.0.0.0:2")));
}
