/* Snapshots in JSON, against the literal text of the contract. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/http/master_json.h"
#include "fixture.h"

static char *dump(json_t *json)
{
    size_t size;
    char *text = render_dump(json, false, &size);

    cr_expect_eq(size, strlen(text));
    return text;
}

#define EXPECT_JSON(json, expected) \
    do { \
        char *text_ = dump(json); \
        cr_expect_str_eq(text_, expected "\n"); \
        free(text_); \
    } while (0)

Test(http_render, master)
{
    struct snapshot_master *master = make_master("mymaster");

    master->index = 1795348800123;
    master->has_previous = true;
    master->previous = make_address("10.0.0.11:6379");
    EXPECT_JSON(
        render_master(master, false),
        "{\"name\":\"mymaster\",\"state\":\"ok\",\"reason\":null,\"host\":\"10.0.0.12\",\"port\":6379,"
        "\"address\":\"10.0.0.12:6379\",\"url\":\"redis://10.0.0.12:6379\",\"verified\":true,"
        "\"majority\":true,\"stale\":false,\"config_epoch\":3,\"index\":1795348800123,"
        "\"since\":\"2026-11-22T12:00:00.123Z\",\"previous\":{\"host\":\"10.0.0.11\",\"port\":6379,"
        "\"address\":\"10.0.0.11:6379\"},\"restarted\":null}");
    snapshot_master_unref(master);
}

Test(http_render, master_never_resolved)
{
    struct snapshot_master *master = make_master_in("m", MASTER_UNKNOWN, REASON_STARTING);

    EXPECT_JSON(
        render_master(master, false),
        "{\"name\":\"m\",\"state\":\"unknown\",\"reason\":\"starting\",\"host\":null,\"port\":null,"
        "\"address\":null,\"url\":null,\"verified\":false,\"majority\":true,\"stale\":false,"
        "\"config_epoch\":null,\"index\":7,\"since\":null,\"previous\":null,\"restarted\":null}");
    snapshot_master_unref(master);
}

Test(http_render, ipv6_and_tls)
{
    struct snapshot_master *master = make_master("m");

    master->address = make_address("[2001:db8::1]:6380");
    master->tls = true;
    EXPECT_JSON(
        render_master(master, true),
        "{\"name\":\"m\",\"state\":\"ok\",\"reason\":null,\"host\":\"2001:db8::1\",\"port\":6380,"
        "\"address\":\"[2001:db8::1]:6380\",\"url\":\"rediss://[2001:db8::1]:6380\",\"verified\":true,"
        "\"majority\":true,\"stale\":true,\"config_epoch\":3,\"index\":7,"
        "\"since\":\"2026-11-22T12:00:00.123Z\",\"previous\":null,\"restarted\":null}");
    snapshot_master_unref(master);
}

Test(http_render, replicas)
{
    struct snapshot_master *master = make_master("m");

    add_replicas(master, 1);
    master->replicas[0].lag_bytes = -1;
    master->replicas[0].why_not[0] = "priority_0";
    master->replicas[0].n_why_not = 1;
    snprintf(master->replicas[0].flags, sizeof(master->replicas[0].flags), "slave,s_down");
    EXPECT_JSON(
        render_replicas(master, 70000),
        "{\"name\":\"m\",\"index\":7,\"replicas\":[{\"host\":\"10.0.1.1\",\"port\":6379,"
        "\"address\":\"10.0.1.1:6379\",\"url\":\"redis://10.0.1.1:6379\","
        "\"run_id\":\"0000000000000000000000000000000000000100\",\"healthy\":true,\"link_up\":true,"
        "\"link_down_ms\":0,\"lag_bytes\":null,\"lag_age_ms\":null,\"priority\":100,\"promotable\":true,"
        "\"why_not\":[\"priority_0\"],\"flags\":[\"slave\",\"s_down\"]}]}");
    snapshot_master_unref(master);
}

Test(http_render, sentinels)
{
    struct snapshot_master *master = make_master("m");
    struct snapshot_sentinel *sentinel = &master->sentinels[0];

    master->n_sentinels = 1;
    sentinel->has_ckquorum = sentinel->ckquorum_ok = true;
    snprintf(sentinel->ckquorum_text, sizeof(sentinel->ckquorum_text), "OK 3 usable Sentinels.");
    snprintf(sentinel->error_code, sizeof(sentinel->error_code), "NOPERM");
    snprintf(sentinel->error_text, sizeof(sentinel->error_text), "no permission");
    sentinel->error_wall_ms = 0;
    EXPECT_JSON(
        render_sentinels(master),
        "{\"name\":\"m\",\"quorum\":2,\"known\":3,\"reachable\":3,\"agreeing\":3,\"voters_needed\":2,"
        "\"majority\":true,\"sentinels\":[{\"address\":\"10.0.2.1:26379\","
        "\"run_id\":\"0000000000000000000000000000000000000001\",\"source\":\"configured\","
        "\"reachable\":true,\"says\":\"10.0.0.12:6379\",\"config_epoch\":3,\"agrees\":true,\"voters\":3,"
        "\"ckquorum\":{\"ok\":true,\"text\":\"OK 3 usable Sentinels.\"},\"tilt\":false,"
        "\"master_flags\":[\"master\"],\"down_after_ms\":1000,\"failover_timeout_ms\":null,"
        "\"error\":{\"code\":\"NOPERM\",\"text\":\"no permission\",\"at\":\"1970-01-01T00:00:00.000Z\"},\"foreign\":false,\"tls\":false,\"tls_why\":null}]}");
    snapshot_master_unref(master);
}

Test(http_render, sentinel_that_never_answered)
{
    struct snapshot_master *master = make_master("m");
    struct snapshot_sentinel *sentinel = &master->sentinels[0];

    memset(sentinel, 0, sizeof(*sentinel));
    sentinel->address = make_address("[::1]:26379");
    sentinel->config_epoch = sentinel->voters = sentinel->down_after_ms =
        sentinel->failover_timeout_ms = -1;
    master->n_sentinels = 1;
    master->quorum = -1;
    master->reachable = master->agreeing = 0;
    master->majority = false;
    EXPECT_JSON(
        render_sentinels(master),
        "{\"name\":\"m\",\"quorum\":null,\"known\":3,\"reachable\":0,\"agreeing\":0,\"voters_needed\":2,"
        "\"majority\":false,\"sentinels\":[{\"address\":\"[::1]:26379\",\"run_id\":null,"
        "\"source\":\"learned\",\"reachable\":false,\"says\":null,\"config_epoch\":null,\"agrees\":false,"
        "\"voters\":null,\"ckquorum\":null,\"tilt\":false,\"master_flags\":[],\"down_after_ms\":null,"
        "\"failover_timeout_ms\":null,\"error\":null,\"foreign\":false,\"tls\":false,\"tls_why\":null}]}");
    snapshot_master_unref(master);
}

Test(http_render, text_that_is_no_utf8)
{
    static const struct {
        const char *in, *out;
    } texts[] = {
        {"plain", "\"plain\""},
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"a\xff"
         "b",
         "\"a\xef\xbf\xbd"
         "b\""},
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"cut\xe2\x82", "\"cut\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf0\x9f\x90\x91\xff", "\"\xf0\x9f\x90\x91\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *json = render_text(texts[i].in);
        char *text;

        cr_assert_not_null(json, "%zu", i);
        text = json_dumps(json, JSON_ENCODE_ANY);
        cr_expect_str_eq(text, texts[i].out, "%zu", i);
        free(text);
        json_decref(json);
    }
    cr_expect(json_is_null(render_text(NULL)));
}

Test(http_render, pretty)
{
    size_t size;
    char *text = render_dump(json_pack("{s:i}", "a", 1), true, &size);

    cr_expect_str_eq(text, "{\n  \"a\": 1\n}\n");
    free(text);
}

Test(http_render, url)
{
    struct address address = make_address("[::1]:6379");
    char out[RENDER_URL_SIZE];

    cr_expect_str_eq(render_url(&address, false, out), "redis://[::1]:6379");
    cr_expect_str_eq(render_url(&address, true, out), "rediss://[::1]:6379");
}

Test(http_render, failover)
{
    struct failover failover = {.id = 7,
                                .name = (char[]){"mymaster"},
                                .has_from = true,
                                .from = make_address("10.0.0.11:6379"),
                                .config_epoch = EPOCH_UNKNOWN,
                                .outcome = FAILOVER_RUNNING,
                                .began_wall_ms = 1795348800123,
                                .unavailable_ms = -1};

    EXPECT_JSON(
        render_failover(&failover),
        "{\"id\":7,\"name\":\"mymaster\",\"from\":\"10.0.0.11:6379\",\"to\":null,\"config_epoch\":null,"
        "\"leader\":null,\"kind\":\"unknown\",\"outcome\":\"running\",\"reason\":null,"
        "\"began\":\"2026-11-22T12:00:00.123Z\",\"ended\":null,\"phases\":[],\"unavailable_ms\":null}");
    failover.has_to = true;
    failover.to = make_address("[::1]:6380");
    failover.config_epoch = 0;
    snprintf(failover.leader, sizeof(failover.leader), "10.0.2.1:26379");
    failover.kind = FAILOVER_MANUAL;
    failover.outcome = FAILOVER_ABORTED;
    failover.reason = "slave_timeout";
    failover.ended_wall_ms = 1795348801000;
    failover.phases[0].phase = PHASE_ELECTED;
    failover.phases[0].at_wall_ms = 1795348800123;
    failover.phases[1].phase = PHASE_PROMOTING;
    failover.phases[1].at_wall_ms = 1795348800200;
    failover.phases[1].ms = 77;
    failover.n_phases = 2;
    failover.unavailable_ms = 0;
    EXPECT_JSON(
        render_failover(&failover),
        "{\"id\":7,\"name\":\"mymaster\",\"from\":\"10.0.0.11:6379\",\"to\":\"[::1]:6380\",\"config_epoch\":0,"
        "\"leader\":\"10.0.2.1:26379\",\"kind\":\"manual\",\"outcome\":\"aborted\",\"reason\":\"slave_timeout\","
        "\"began\":\"2026-11-22T12:00:00.123Z\",\"ended\":\"2026-11-22T12:00:01.000Z\",\"phases\":["
        "{\"phase\":\"elected\",\"at\":\"2026-11-22T12:00:00.123Z\",\"ms\":0},"
        "{\"phase\":\"promoting\",\"at\":\"2026-11-22T12:00:00.200Z\",\"ms\":77}],\"unavailable_ms\":0}");
}
