/* What nodes say of themselves: HELLO, ROLE and INFO, as they write it and as nobody should. */
#include "bellwether/redis/node_reply.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../sentinel/wire.h"
#include "bellwether/base/error.h"

/* ---- HELLO and ROLE ---- */

static int parse_hello(const char *bytes, struct node_hello *hello)
{
    redisReply *reply = wire_reply(bytes);
    int result = node_parse_hello(reply, hello);

    freeReplyObject(reply);
    return result;
}

Test(redis_node_reply, hello)
{
    static const char *const forms[] = {
        "%4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$7\r\nreplica\r\n$7\r\nmodules\r\n*0\r\n",
        "*8\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$7\r\nreplica\r\n$7\r\nmodules\r\n*0\r\n"};
    struct node_hello hello;

    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(parse_hello(forms[i], &hello), 0);
        cr_expect_str_eq(hello.server, "redis");
        cr_expect_str_eq(hello.role, "replica");
        cr_expect_str_eq(hello.mode, "");
        cr_expect_eq(hello.proto, 3);
    }
    cr_expect_eq(parse_hello("%1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n", &hello), 0);
    cr_expect_eq(hello.proto, -1);
    cr_expect_str_eq(hello.server, "");
}

Test(redis_node_reply, hello_refused)
{
    static const char *const bad[] = {"-NOAUTH HELLO must be called with ...\r\n", "+OK\r\n",
                                      "%0\r\n", "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n",
                                      "*3\r\n$6\r\nserver\r\n$1\r\nx\r\n:1\r\n"};
    struct node_hello hello = {.proto = 42};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_expect_eq(parse_hello(bad[i], &hello), -BW_EPROTO, "for %s", bad[i]);
    }
    cr_expect_eq(parse_hello("_\r\n", &hello), -BW_ENIL);
    cr_expect_eq(hello.proto, 42);
}

static int parse_role(const char *bytes, char *role, bool info)
{
    redisReply *reply = wire_reply(bytes);
    int result = info ? node_parse_info_role(reply, role) : node_parse_role(reply, role);

    freeReplyObject(reply);
    return result;
}

Test(redis_node_reply, role)
{
    char role[NODE_WORD_SIZE] = "untouched";

    cr_expect_eq(parse_role("*0\r\n", role, false), -BW_EPROTO);
    cr_expect_eq(parse_role("*1\r\n:1\r\n", role, false), -BW_EPROTO);
    cr_expect_eq(parse_role("*1\r\n$0\r\n\r\n", role, false), -BW_EPROTO);
    cr_expect_eq(parse_role("+master\r\n", role, false), -BW_EPROTO);
    cr_expect_eq(parse_role("-NOPERM no\r\n", role, false), -BW_EPROTO);
    cr_expect_eq(parse_role("_\r\n", role, false), -BW_ENIL);
    cr_expect_str_eq(role, "untouched");
    cr_expect_eq(parse_role("*3\r\n$6\r\nmaster\r\n:6686\r\n*0\r\n", role, false), 0);
    cr_expect_str_eq(role, "master");
    cr_expect_eq(
        parse_role("*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:49009\r\n$9\r\nconnected\r\n:6677\r\n",
                   role, false),
        0);
    cr_expect_str_eq(role, "slave");
    cr_expect_eq(parse_role("*2\r\n$8\r\nsentinel\r\n*1\r\n$8\r\nmymaster\r\n", role, false), 0);
    cr_expect_str_eq(role, "sentinel");
}

Test(redis_node_reply, info_role)
{
    char role[NODE_WORD_SIZE] = "untouched";

    cr_expect_eq(parse_role("+connected_slaves:0\r\n", role, true), -BW_EPROTO);
    cr_expect_eq(parse_role("+myrole:master\r\n", role, true), -BW_EPROTO);
    cr_expect_eq(parse_role("+role:\r\n", role, true), -BW_EPROTO);
    cr_expect_eq(parse_role("-NOPERM no\r\n", role, true), -BW_EPROTO);
    cr_expect_str_eq(role, "untouched");
    cr_expect_eq(
        parse_role("$48\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n", role, true),
        0);
    cr_expect_str_eq(role, "master");
    cr_expect_eq(parse_role("=32\r\ntxt:# Replication\nrole:slave\nx:1\r\n", role, true), 0);
    cr_expect_str_eq(role, "slave");
    cr_expect_eq(parse_role("+role:master\r\n", role, true), 0, "without a line's end");
}

/* ---- offsets ---- */

static int64_t parse(const char *text, struct replica_offset **out, size_t *n)
{
    const redisReply info = {
        .type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)text, .len = strlen(text)};

    return node_info_offsets(&info, out, n);
}

Test(redis_node_reply, a_master_with_two_replicas)
{
    struct replica_offset *found;
    size_t n;
    int64_t own = parse("# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
                        "slave0:ip=10.0.0.2,port=6379,state=online,offset=1200,lag=0\r\n"
                        "slave1:ip=fd00::3,port=6380,state=online,offset=900,lag=1\r\n"
                        "master_failover_state:no-failover\r\nmaster_repl_offset:1234\r\n",
                        &found, &n);

    cr_assert_eq(own, 1234);
    cr_assert_eq(n, 2);
    cr_assert_str_eq(found[0].replica.host, "10.0.0.2");
    cr_assert_eq(found[0].replica.port, 6379);
    cr_assert_eq(found[0].offset, 1200);
    cr_assert_str_eq(found[1].replica.host, "fd00::3");
    cr_assert_eq(found[1].offset, 900);
    free(found);
}

Test(redis_node_reply, a_replica_that_is_not_online_has_no_offset)
{
    struct replica_offset *found;
    size_t n;
    int64_t own =
        parse("slave0:ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=0\n"
              "slave1:ip=10.0.0.3,port=6379,state=send_bulk,offset=0,lag=0\nmaster_repl_offset:7\n",
              &found, &n);

    cr_assert_eq(own, 7);
    cr_assert_eq(n, 0);
    cr_assert_null(found);
}

Test(redis_node_reply, fields_in_any_order_and_more_of_them)
{
    struct replica_offset *found;
    size_t n;

    (void)parse("slave12:state=online,offset=5,new=1,port=1,ip=a.example\n", &found, &n);
    cr_assert_eq(n, 1);
    cr_assert_str_eq(found[0].replica.host, "a.example");
    cr_assert_eq(found[0].offset, 5);
    free(found);
}

Test(redis_node_reply, garbage_is_passed_over)
{
    static const char *const texts[] = {
        "",
        "\n\n\r\n",
        "slave0",
        "slave0:",
        "slave0:ip=,port=1,state=online,offset=1\n",
        "slave0:ip=10.0.0.2,port=0,state=online,offset=1\n",
        "slave0:ip=10.0.0.2,port=70000,state=online,offset=1\n",
        "slave0:ip=10.0.0.2,port=1,state=online,offset=-1\n",
        "slave0:ip=10.0.0.2,port=1,state=online,offset=99999999999999999999\n",
        "slave0:ip=10.0.0.2,port=1,state=online\n",
        "slaves:ip=10.0.0.2,port=1,state=online,offset=1\n",
        "slave_repl_offset:12\nslave_priority:100\n",
        "master_repl_offset:\n",
        "master_repl_offset:12x\n",
        "master_repl_offset2:12\n",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct replica_offset *found;
        size_t n;

        cr_assert_eq(parse(texts[i], &found, &n), -1, "%s", texts[i]);
        cr_assert_eq(n, 0, "%s", texts[i]);
        free(found);
    }
}
