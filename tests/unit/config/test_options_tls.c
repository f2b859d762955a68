/* The options of TLS: which of them holds where, and one line for each that can't be used. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../support/certificates.h"
#include "options_fixture.h"

static char *folder;
static char text[4096];

/* The file's text, with the folder's path for each %s. */
static char *with_folder(const char *format)
{
    char *out = text;

    for (const char *at = format; *at != '\0'; at++) {
        if (at[0] == '%' && at[1] == 's') {
            out += snprintf(out, (size_t)(text + sizeof(text) - out), "%s", folder);
            at++;
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
    return text;
}

#define CERTIFICATES "tls-ca = %s/ca.crt\ntls-cert = %s/good.crt\ntls-key = %s/good.key\n"

static void run(const char *format)
{
    options_run_file(with_folder(format));
}

static void begin(void)
{
    folder = certificates_usual();
}

static void end(void)
{
    certificates_remove(folder);
}

TestSuite(options_tls, .init = begin, .fini = end);

Test(options_tls, off_unless_switched_on)
{
    run("sentinel = a:1\n" CERTIFICATES);
    options_expect_run();
    cr_expect_null(options.watch.redis_tls);
    cr_expect_null(options.watch.deployments[0].tls);
    cr_expect_eq(options.watch.n_tls, 0);
    cr_assert_eq(options.n_notes, 1);
    cr_expect_str_eq(options.notes[0].value, "tls-ca");
    run("sentinel = a:1\nredis-tls = on\n" CERTIFICATES);
    options_expect_run();
    cr_expect_not_null(options.watch.redis_tls);
    cr_expect_null(options.watch.deployments[0].tls);
    run("sentinel = a:1\nsentinel-tls = on\n" CERTIFICATES);
    options_expect_run();
    cr_expect_null(options.watch.redis_tls);
    cr_expect_not_null(options.watch.deployments[0].tls);
    cr_assert_eq(options.watch.n_tls, 1);
    cr_expect_str_eq(options.watch.tls[0].side, "sentinel");
    cr_expect_null(options.watch.tls[0].master);
}

Test(options_tls, the_nearest_one_holds)
{
    run("sentinel = a:1\nredis-tls = on\ntls-ca = %s/ca.crt\nredis-tls-ca = /none/side\n");
    options_expect_refused("redis-tls-ca", "/none/side", "cannot be read", NULL);
    run("sentinel = a:1\nsentinel-tls = on\ntls-ca = /none/both\nredis-tls-ca = %s/ca.crt\n");
    options_expect_refused("tls-ca (", "/none/both", NULL);
    run("sentinel = a:1\nredis-tls = on\ntls-ca = %s/ca.crt\n"
        "[master m]\ntls-ca = /none/section\n");
    options_expect_refused("tls-ca (", ":5)", "/none/section", NULL);
    run("sentinel = a:1\nredis-tls = on\ntls-ca = %s/ca.crt\n"
        "[master m]\ntls-ca = %s/ca.crt\nredis-tls-ca = /none/nearest\n");
    options_expect_refused("redis-tls-ca (", "/none/nearest", NULL);
}

Test(options_tls, sections_have_their_own_or_share)
{
    run("sentinel = a:1\nredis-tls = on\nsentinel-tls = on\ntls-ca = %s/ca.crt\n"
        "[master shares]\nredis-username = x\n"
        "[master plain]\nredis-tls = off\n"
        "[master own]\nredis-tls-verify = ca\n"
        "[master far]\nsentinel = b:1\n"
        "[master other]\nsentinel = c:1\nsentinel-tls = off\n");
    options_expect_run();
    const struct watch_config *watch = &options.watch;
    cr_assert_eq(watch->n_overrides, 3);
    cr_expect_eq(watch->overrides[0].redis_tls, watch->redis_tls);
    cr_expect_null(watch->overrides[1].redis_tls);
    cr_expect_not_null(watch->overrides[2].redis_tls);
    cr_expect_neq(watch->overrides[2].redis_tls, watch->redis_tls);
    cr_assert_eq(watch->n_deployments, 3);
    cr_expect_eq(watch->deployments[1].tls, watch->deployments[0].tls);
    cr_expect_null(watch->deployments[2].tls);
    cr_expect_not_null(watch->deployments[2].tls_learned, "Redis' own TLS is on");
    cr_expect_null(watch->deployments[1].tls_learned);
    cr_assert_eq(watch->n_tls, 4);
    cr_expect_str_eq(watch->tls[2].master, "own");
}

/* Its Sentinels list each other by ports that speak TLS; they are checked as is said for all. */
Test(options_tls, a_master_with_tls_among_shared_sentinels)
{
    run("sentinel = a:1\nsentinel-tls-ca = %s/ca.crt\n"
        "[master m]\nredis-tls = on\ntls-ca = %s/good.crt\n"
        "[master plain]\nredis-username = x\n"
        "[master far]\nsentinel = b:1\n");
    options_expect_run();
    const struct watch_config *watch = &options.watch;
    cr_assert_eq(watch->n_deployments, 2);
    cr_expect_null(watch->deployments[0].tls);
    cr_expect_not_null(watch->deployments[0].tls_learned);
    cr_expect_null(watch->deployments[1].tls_learned, "its own Redis speaks plain");
    cr_expect_null(watch->redis_tls);
    cr_assert_eq(watch->n_overrides, 2);
    cr_expect_not_null(watch->overrides[0].redis_tls);
    cr_expect_null(watch->overrides[1].redis_tls);
    cr_assert_eq(watch->n_tls, 2);
    cr_expect_str_eq(watch->tls[0].side, "sentinel");
    cr_expect_null(watch->tls[0].master);
    cr_expect_str_eq(watch->tls[1].side, "redis");
    cr_expect_str_eq(watch->tls[1].master, "m");

    run("sentinel = a:1\nsentinel-tls-ca = /none/shared\n[master m]\nredis-tls = on\n");
    options_expect_refused("sentinel-tls-ca", "/none/shared", NULL);
    run("sentinel = a:1\nsentinel-tls-ca = /none/shared\nlearn-sentinels = off\n"
        "[master m]\nredis-tls = on\n");
    options_expect_run();
    cr_expect_null(watch->deployments[0].tls_learned, "none is learned");
    run("sentinel = a:1\n[master m]\nredis-tls = on\nsentinel-tls-ca = /none/own\n");
    options_expect_refused("sentinel-tls-ca", ":4)", "/none/own", NULL);
    run("sentinel = a:1\n[master m]\nsentinel-tls-ca = /none/own\n");
    options_expect_run();
    cr_expect_eq(watch->n_deployments, 1, "nothing speaks TLS");
}

Test(options_tls, what_belongs_together)
{
    run("sentinel = a:1\nredis-tls = on\ntls-cert = %s/good.crt\n");
    options_expect_refused("tls-cert", "tls-key", NULL);
    run("sentinel = a:1\nredis-tls = on\ntls-key = %s/good.key\n");
    options_expect_refused("tls-key", "good.key", "takes tls-cert with it", NULL);
    run("sentinel = a:1\nredis-tls = on\nredis-tls-cert = %s/good.crt\n");
    options_expect_refused("redis-tls-cert", "good.crt", "takes redis-tls-key with it", NULL);
    run("sentinel = a:1\nredis-tls = on\ntls-cert = %s/good.crt\ntls-key = %s/ca.key\n");
    options_expect_refused("tls-key", "does not belong", NULL);
    run("sentinel = a:1\nredis-tls = on\ntls-verify = off\nredis-tls-ciphers = NONE-SUCH\n");
    options_expect_refused("redis-tls-ciphers", "NONE-SUCH", NULL);
    run("sentinel = a:1\nredis-tls = on\ntls-min-version = 1.1\n");
    options_expect_refused("tls-min-version", "1.1", "1.2", NULL);
    run("sentinel = a:1\nredis-tls = on\ntls-verify = some\n");
    options_expect_refused("tls-verify", "some", "full", NULL);
}

/* To OpenSSL an empty name is any, and one that begins with a dot is a whole domain. */
Test(options_tls, a_server_name_is_one_that_certificates_are_for)
{
    static const char *const wrong[] = {"%", "%eth0", ".", ".example", "*.example", "a b", "[::1"};
    char file[256];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        snprintf(file, sizeof(file), "sentinel = a:1\nredis-tls = on\ntls-server-name = %s\n",
                 wrong[i]);
        options_run_file(file);
        options_expect_refused("tls-server-name", "takes a host name", NULL);
    }
    run("sentinel = a:1\nredis-tls = on\ntls-server-name = [::1]\n");
    options_expect_run();
    run("sentinel = a:1\nredis-tls = on\ntls-server-name = Redis.example.\n");
    options_expect_run();
}

/* As of any option: the name, the value, and what it takes. */
Test(options_tls, what_is_no_value)
{
    static const char *const names[] = {"a b", "host:6379", "*.example", "x..y", "-x"};
    static const struct {
        const char *option, *value, *takes;
    } bad[] = {{"tls-ca", "/nowhere", "takes a file, or a folder"},
               {"redis-tls-ca", "/dev/null", "takes a file, or a folder"},
               {"tls-ciphersuites", "NONE-SUCH", "takes names such as"},
               {"tls-ciphers", "NONE-SUCH", "takes what"}};
    char lines[300];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(lines, sizeof(lines),
                       "sentinel = a:1\nredis-tls = on\ntls-server-name = %s\n", names[i]);
        run(lines);
        options_expect_refused("tls-server-name", names[i], "takes a host name", NULL);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(lines, sizeof(lines), "sentinel = a:1\nredis-tls = on\n%s = %s\n",
                       bad[i].option, bad[i].value);
        run(lines);
        options_expect_refused(bad[i].option, bad[i].value, bad[i].takes, NULL);
    }
    run("sentinel = a:1\nredis-tls = on\ntls-cert = %s/nowhere.crt\ntls-key = %s/good.key\n");
    options_expect_refused("tls-cert", "nowhere.crt", "takes certificates in PEM", NULL);
    run("sentinel = a:1\nredis-tls = on\ntls-verify = off\ntls-server-name = Node-1.example.\n");
    cr_expect_not_null(options.watch.redis_tls);
}

/* Learned Sentinels may speak Redis' TLS, so one file is looked at for both. */
Test(options_tls, one_note_for_one_file)
{
    run("sentinel = a:1\nredis-tls = on\nsentinel-tls = on\ntls-verify = off\n");
    cr_expect_eq(options.n_notes, 1);
}
