/* See worker_fixture.h. */
#include "worker_fixture.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void start_worker(void)
{
    harness_init(&harness);
    harness_start(&harness);
}

void start_with_master(void)
{
    struct snapshot_master *master = make_master("mymaster");

    start_worker();
    add_replicas(master, 3);
    harness_post(&harness, make_snapshot(master, NULL, NULL));
}

void expect_status(const char *method, const char *target, const char *more, int status)
{
    struct reply reply = ask(&harness, method, target, more);

    cr_expect_eq(reply.status, status, "%s %s: %d, not %d\n%s", method, target, reply.status,
                 status, reply.body);
    reply_release(&reply);
}

void expect_body(const char *target, const char *more, const char *body)
{
    struct reply reply = ask(&harness, "GET", target, more);

    cr_expect_eq(reply.status, 200, "%s: %d %s", target, reply.status, reply.body);
    cr_expect_str_eq(reply.body, body, "%s", target);
    reply_release(&reply);
}

const char *member(const struct reply *reply, const char *key)
{
    static char text[1024];
    json_t *json = json_loads(reply->body, 0, NULL);
    json_t *value = json_object_get(json, key);
    char *dumped = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

    snprintf(text, sizeof(text), "%s",
             json_is_string(value) ? json_string_value(value)
             : dumped              ? dumped
                                   : "");
    free(dumped);
    json_decref(json);
    return text;
}

void expect_problem(const struct reply *reply, int status, const char *slug)
{
    char type[96], number[8];

    snprintf(type, sizeof(type), "urn:bellwether:problem:%s", slug);
    snprintf(number, sizeof(number), "%d", status);
    cr_expect_eq(reply->status, status, "%d: %s", reply->status, reply->body);
    cr_expect_str_eq(member(reply, "type"), type);
    cr_expect_str_eq(member(reply, "status"), number);
    cr_expect_str_neq(member(reply, "detail"), "");
    cr_expect_str_eq(header_of(reply, "content-type"), "application/problem+json");
    cr_expect_str_eq(header_of(reply, "cache-control"), "no-store");
    cr_expect_str_eq(header_of(reply, "etag"), "");
    cr_expect_str_eq(header_of(reply, "retry-after"), status == 503 ? "1" : "");
    cr_expect_eq(reply->body[reply->size - 1], '\n');
}

void expect_refusal(const char *target, const char *state, const char *reason)
{
    struct reply reply = get(&harness, target);

    expect_problem(&reply, 503, "no-master");
    cr_expect_str_eq(member(&reply, "state"), state, "%s", target);
    cr_expect_str_eq(member(&reply, "reason"), reason, "%s", target);
    reply_release(&reply);
}
