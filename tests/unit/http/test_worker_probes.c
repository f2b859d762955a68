/* A real worker: probes, what it says of itself, the listener for probes alone. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/http/router.h"
#include "worker_fixture.h"

Test(http_worker, readyz)
{
    struct reply reply;

    expect_body("/readyz", NULL, "ok\n");
    expect_body(
        "/readyz?verbose", NULL,
        "[+]resolved ok\n[+]shutdown ok\n[+]master ok\n[+]sentinel ok\n[+]quorum ok\nreadyz check passed\n");
    expect_body("/readyz/master", NULL, "ok\n");
    expect_body("/readyz?master=mymaster", NULL, "ok\n");
    expect_status("GET", "/readyz?master=other", NULL, 404);
    expect_status("GET", "/readyz/etcd", NULL, 404);
    expect_status("GET", "/readyz?exclude=etcd", NULL, 400);
    harness_post(&harness, make_snapshot(make_master_in("m", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                                         NULL, NULL));
    expect_body(
        "/readyz?verbose&exclude=sentinel", NULL,
        "[+]resolved ok\n[+]shutdown ok\n[-]master failed: m is down, redis_unreachable (does not count)\n"
        "[+]sentinel excluded: ok\n[+]quorum ok\nreadyz check passed\n");
    reply = get(&harness, "/readyz/master");
    expect_problem(&reply, 503, "not-ready");
    cr_expect_str_eq(member(&reply, "checks"),
                     "[{\"check\":\"master\",\"ok\":false,\"counts\":true,"
                     "\"detail\":\"m is down, redis_unreachable\"}]");
    reply_release(&reply);
    reply = get(&harness, "/readyz/master?verbose");
    cr_expect_eq(reply.status, 503);
    cr_expect_str_eq(reply.body,
                     "[-]master failed: m is down, redis_unreachable\nreadyz check failed\n");
    reply_release(&reply);
    expect_status("GET", "/readyz/master?exclude=master", NULL, 503);
}

Test(http_worker, livez)
{
    struct reply reply;

    expect_body("/livez", NULL, "ok\n");
    expect_body("/healthz", NULL, "ok\n");
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - 11000);
    reply = get(&harness, "/livez");
    expect_problem(&reply, 503, "not-alive");
    cr_expect(strstr(member(&reply, "detail"), "watcher"));
    reply_release(&reply);
    expect_status("GET", "/healthz", NULL, 503);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - 5000);
    expect_status("GET", "/livez", NULL, 200);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms());
    atomic_store(&harness.pulses[1].at_boot_ms, clock_boot_ms() - 20000);
    expect_status("GET", "/livez", NULL, 503);
    for (int i = 0; i < 500 && clock_boot_ms() - atomic_load(&harness.pulses[1].at_boot_ms) > 10000;
         i++) {
        usleep(10000);
    }
    expect_status("GET", "/livez", NULL, 200); /* the worker shows its own life */
}

Test(http_worker, index_version_openapi)
{
    struct reply reply = get(&harness, "/");

    cr_expect_eq(reply.status, 200);
    for (int i = 0; i < ROUTES_COUNT; i++) {
        char path[96];

        snprintf(path, sizeof(path), "\"path\":\"%s\"", router_row((enum route_id)i)->path);
        cr_expect_eq(strstr(reply.body, path) != NULL,
                     !route_runs_commands(router_row((enum route_id)i)), "%s", path);
    }
    reply_release(&reply);
    reply = get(&harness, "/version");
    cr_expect_str_neq(member(&reply, "version"), "");
    cr_expect(strstr(member(&reply, "libraries"), "libmicrohttpd"));
    cr_expect(strstr(member(&reply, "libraries"), "openssl"));
    cr_expect(strstr(member(&reply, "libraries"), "gnutls"));
    reply_release(&reply);
    reply = get(&harness, "/openapi.yaml");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/yaml");
    cr_expect_eq(strncmp(reply.body, "openapi: 3.1", 12), 0);
    reply_release(&reply);
}

Test(http_worker, probe_listener)
{
    static const char *const probes[] = {"/livez", "/healthz", "/readyz", "/version",
                                         "/readyz/sentinel"};
    static const char *const others[] = {"/",         "/master",    "/masters",
                                         "/replicas", "/sentinels", "/openapi.yaml"};

    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        struct reply reply = ask_probe(&harness, "GET", probes[i]);

        cr_expect_eq(reply.status, 200, "%s", probes[i]);
        reply_release(&reply);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct reply reply = ask_probe(&harness, "GET", others[i]);

        expect_problem(&reply, 404, "not-found");
        reply_release(&reply);
    }
}
