/*
 * The status page over HTTP, against openapi.yaml; tests/clients/page.test.mjs opens it in a
 * browser.
 */
#include <string.h>

#include "../support/cluster.h"
#include "../support/daemon.h"
#include "../support/scene.h"

SCENE_SUITE(integration_page);

#define BROWSER "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

SCENE(integration_page, browsers_get_the_page_others_the_routes)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    struct daemon *daemon = daemon_start(cluster, NULL);
    const struct http_answer *answer;

    EXPECT_MASTER(daemon, &cluster->nodes[0], 10000);
    answer = daemon_get_with(daemon, "/", BROWSER);
    cr_expect_eq(answer->status, 200);
    cr_expect_str_eq(http_header(answer, "content-type"), "text/html; charset=utf-8");
    cr_expect(strstr(http_header(answer, "content-security-policy"), "frame-ancestors 'none'"));
    cr_expect(strstr(answer->body, text("mymaster is 127.0.0.1:%u, ", cluster->nodes[0].port)),
              "%s", answer->body);
    answer = daemon_get(daemon, "/");
    cr_expect_str_eq(http_header(answer, "content-type"), "application/json");
    cr_expect_str_eq(http_string(answer, "name"), "bellwether");
    server_kill(&cluster->nodes[0]);
    WAIT_UNTIL(10000, status_of(daemon, "/master") == 503);
    answer = daemon_get_with(daemon, "/", BROWSER);
    cr_expect_eq(answer->status, 200, "the page is there in every state");
    (void)cluster_wait_switch(cluster, &cluster->nodes[0], 30000);
    WAIT_UNTIL(20000, strstr(daemon_get_with(daemon, "/", BROWSER)->body,
                             text(", before that 127.0.0.1:%u", cluster->nodes[0].port)) != NULL);
}
