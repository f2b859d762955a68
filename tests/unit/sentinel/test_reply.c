/*
 * Every reply of Sentinels and servers that is parsed, in RESP2 and RESP3 form, and what must be
 * refused. Each check of a failure also sees that the output was left alone.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/redis/node_reply.h"
#include "bellwether/sentinel/reply.h"
#include "wire.h"

#define ID "b99484c622d95d456ef03f3e41e772b430e9ec0d"
#define ROW_RESP3 \
    "%3\r\n$4\r\nname\r\n$8\r\nmymaster\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$4\r\n7000\r\n"
#define ROW_RESP2 \
    "*6\r\n$4\r\nname\r\n$8\r\nmymaster\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$4\r\n7000\r\n"
#define ROW_NAMELESS "%1\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"

static void expect_address(const struct address *address, const char *text)
{
    char found[ADDRESS_TEXT_SIZE] = "";

    if (address_is_set(address)) {
        address_format(address, found);
    }
    cr_expect_str_eq(found, text, "%s instead of %s", found, text);
}

/* ---- GET-MASTER-ADDR-BY-NAME ---- */

static void check_address(const char *bytes, int expected, const char *text)
{
    redisReply *reply = wire_reply(bytes);
    struct address address = {.host = "untouched", .port = 1};

    cr_expect_eq(sentinel_parse_address(reply, &address), expected, "for %s", bytes);
    expect_address(&address, expected == 0 ? text : "untouched:1");
    freeReplyObject(reply);
}

Test(sentinel_reply, address)
{
    check_address("*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n", 0, "127.0.0.1:7000");
    check_address("*2\r\n$3\r\n::1\r\n$5\r\n65535\r\n", 0, "[::1]:65535");
    check_address("*2\r\n$5\r\n[::1]\r\n$1\r\n1\r\n", 0, "[::1]:1");
    check_address("*2\r\n$14\r\nRedis-1.domain\r\n:6379\r\n", 0, "redis-1.domain:6379");
    check_address("*2\r\n+127.0.0.1\r\n+7000\r\n", 0, "127.0.0.1:7000");
}

Test(sentinel_reply, address_nil)
{
    check_address("*-1\r\n", -BW_ENIL, NULL);
    check_address("_\r\n", -BW_ENIL, NULL);
    check_address("$-1\r\n", -BW_ENIL, NULL);
}

Test(sentinel_reply, address_unusable)
{
    check_address("*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n", -BW_EINVAL, NULL);
    check_address("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n65536\r\n", -BW_EINVAL, NULL);
    check_address("*2\r\n$9\r\n127.0.0.1\r\n$3\r\n7x0\r\n", -BW_EINVAL, NULL);
    check_address("*2\r\n$9\r\n127.0.0.1\r\n$0\r\n\r\n", -BW_EINVAL, NULL);
    check_address("*2\r\n$9\r\n127.0.0.1\r\n:-1\r\n", -BW_EINVAL, NULL);
    check_address("*2\r\n$9\r\n127.0.0.1\r\n:9223372036854775807\r\n", -BW_EINVAL, NULL);
    check_address("*2\r\n$0\r\n\r\n$4\r\n7000\r\n", -BW_EINVAL, NULL);
    check_address("*2\r\n$1\r\n?\r\n$4\r\n7000\r\n", -BW_EINVAL, NULL);
    check_address("*2\r\n$3\r\na b\r\n$4\r\n7000\r\n", -BW_EINVAL, NULL);
}

Test(sentinel_reply, address_garbage)
{
    check_address("*0\r\n", -BW_EPROTO, NULL);
    check_address("*1\r\n$9\r\n127.0.0.1\r\n", -BW_EPROTO, NULL);
    check_address("*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n2\r\n", -BW_EPROTO, NULL);
    check_address("*2\r\n*0\r\n$4\r\n7000\r\n", -BW_EPROTO, NULL);
    check_address("*2\r\n_\r\n_\r\n", -BW_EPROTO, NULL);
    check_address("%1\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n", -BW_EPROTO, NULL);
    check_address("+OK\r\n", -BW_EPROTO, NULL);
    check_address("-NOPERM no\r\n", -BW_EPROTO, NULL);
    check_address(":5\r\n", -BW_EPROTO, NULL);
    check_address("#t\r\n", -BW_EPROTO, NULL);
    cr_expect_eq(sentinel_parse_address(NULL, NULL), -BW_EPROTO);
}

/* ---- rows ---- */

Test(sentinel_reply, master_row_recorded)
{
    static const char *const files[] = {"asked-before.resp", "asked-before-resp2.resp"};

    for (size_t i = 0; i < 2; i++) {
        struct wire wire = wire_open(files[i]);
        struct sentinel_master_row row;
        redisReply *reply;

        for (size_t skip = i == 0 ? 2 : 1; skip > 0; skip--) { /* HELLO, the address */
            freeReplyObject(wire_next(&wire));
        }
        reply = wire_next(&wire);
        cr_assert_eq(sentinel_parse_master(reply, &row), 0);
        cr_expect_str_eq(row.name, "mymaster");
        cr_expect_eq(row.flags, SENTINEL_MASTER);
        cr_expect_str_eq(row.flags_text, "master");
        cr_expect_eq(strlen(row.run_id), 40);
        cr_expect(address_is_loopback(&row.address));
        cr_expect_str_eq(row.failover_state, "");
        cr_expect_eq(row.config_epoch, 0);
        cr_expect_eq(row.quorum, 2);
        cr_expect_eq(row.num_other_sentinels, 2);
        cr_expect_eq(row.num_slaves, 2);
        cr_expect_eq(row.down_after_ms, 1000);
        cr_expect_eq(row.failover_timeout_ms, 10000);
        freeReplyObject(reply);
        wire_close(&wire);
    }
}

Test(sentinel_reply, master_row_in_a_failover)
{
    struct wire wire = wire_open("asked-during.resp");
    struct sentinel_master_row row;
    redisReply *reply;

    freeReplyObject(wire_next(&wire));
    freeReplyObject(wire_next(&wire));
    reply = wire_next(&wire);
    cr_assert_eq(sentinel_parse_master(reply, &row), 0);
    cr_expect_eq(row.flags, SENTINEL_MASTER | SENTINEL_S_DOWN | SENTINEL_O_DOWN |
                                SENTINEL_DISCONNECTED | SENTINEL_FAILOVER_IN_PROGRESS);
    cr_expect_str_eq(row.failover_state, "wait_start");
    freeReplyObject(reply);
    wire_close(&wire);
}

static int parse_row(const char *bytes, struct sentinel_master_row *row)
{
    redisReply *reply = wire_reply(bytes);
    int result = sentinel_parse_master(reply, row);

    freeReplyObject(reply);
    return result;
}

Test(sentinel_reply, master_row_small)
{
    static const char *const forms[] = {ROW_RESP2, ROW_RESP3};

    for (size_t i = 0; i < 2; i++) {
        struct sentinel_master_row row;

        cr_assert_eq(parse_row(forms[i], &row), 0);
        expect_address(&row.address, "127.0.0.1:7000");
        cr_expect_str_eq(row.run_id, "");
        cr_expect_str_eq(row.flags_text, "");
        cr_expect_eq(row.config_epoch, -1);
        cr_expect_eq(row.failover_timeout_ms, -1);
    }
}

Test(sentinel_reply, master_row_with_odd_fields)
{
    struct sentinel_master_row row;

    cr_assert_eq(
        parse_row("%6\r\n$4\r\nname\r\n$1\r\n@\r\n$2\r\nip\r\n$0\r\n\r\n$4\r\nport\r\n$1\r\n0\r\n"
                  "$12\r\nconfig-epoch\r\n$3\r\n-12\r\n$6\r\nquorum\r\n*1\r\n:1\r\n:5\r\n:6\r\n",
                  &row),
        0);
    cr_expect_str_eq(row.name, "@");
    cr_expect_not(address_is_set(&row.address));
    cr_expect_eq(row.config_epoch, -1);
    cr_expect_eq(row.quorum, -1);
    cr_assert_eq(
        parse_row(
            "%3\r\n$4\r\nname\r\n$1\r\nx\r\n$12\r\nconfig-epoch\r\n$20\r\n99999999999999999999\r\n"
            "$6\r\nquorum\r\n:3\r\n",
            &row),
        0);
    cr_expect_eq(row.config_epoch, -1, "an overflow is no epoch");
    cr_expect_eq(row.quorum, 3);
}

Test(sentinel_reply, master_row_refused)
{
    static const char *const bad[] = {
        "-ERR No such master with that name\r\n",
        "+OK\r\n",
        "*0\r\n",
        "%0\r\n",
        ROW_NAMELESS,
        "*1\r\n$4\r\nname\r\n",
        "*3\r\n$4\r\nname\r\n$1\r\nx\r\n$2\r\nip\r\n",
        "%1\r\n$4\r\nname\r\n$0\r\n\r\n",
        "%1\r\n$4\r\nname\r\n$3\r\na b\r\n",
        "%1\r\n$4\r\nname\r\n$3\r\na\nb\r\n",
        "%1\r\n$4\r\nname\r\n$2\r\n\xc3(\r\n",
        "%1\r\n$4\r\nname\r\n$3\r\n\xed\xa0\x80\r\n",
        "%1\r\n$4\r\nname\r\n$2\r\n\xc0\xaf\r\n",
        "%1\r\n$4\r\nname\r\n$1\r\n\xff\r\n",
        "%1\r\n$4\r\nname\r\n*0\r\n",
        ("*1\r\n" ROW_RESP3),
    };
    struct sentinel_master_row row, before;

    memset(&row, 0x5a, sizeof(row));
    before = row;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_expect_eq(parse_row(bad[i], &row), -BW_EPROTO, "for %s", bad[i]);
        cr_expect_eq(memcmp(&row, &before, sizeof(row)), 0, "touched by %s", bad[i]);
    }
    cr_expect_eq(parse_row("_\r\n", &row), -BW_ENIL);
    cr_expect_eq(parse_row("*-1\r\n", &row), -BW_ENIL);
}

Test(sentinel_reply, names)
{
    char bytes[1024], name[SENTINEL_NAME_SIZE + 1];
    struct sentinel_master_row row;

    cr_expect_eq(
        parse_row("%1\r\n$4\r\nname\r\n$9\r\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x91\r\n", &row), 0);
    cr_expect_str_eq(row.name, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x91");
    memset(name, 'n', sizeof(name));
    name[SENTINEL_NAME_SIZE] = '\0';
    snprintf(bytes, sizeof(bytes), "%%1\r\n$4\r\nname\r\n$%d\r\n%s\r\n", SENTINEL_NAME_SIZE, name);
    cr_expect_eq(parse_row(bytes, &row), -BW_EPROTO, "a name that does not fit is not cut");
    name[SENTINEL_NAME_SIZE - 1] = '\0';
    snprintf(bytes, sizeof(bytes), "%%1\r\n$4\r\nname\r\n$%d\r\n%s\r\n", SENTINEL_NAME_SIZE - 1,
             name);
    cr_expect_eq(parse_row(bytes, &row), 0);
    cr_expect_str_eq(row.name, name);
}

static unsigned flags_of(const char *flags, char *text)
{
    char bytes[1024];
    struct sentinel_master_row row;

    snprintf(bytes, sizeof(bytes), "%%2\r\n$4\r\nname\r\n$1\r\nx\r\n$5\r\nflags\r\n$%zu\r\n%s\r\n",
             strlen(flags), flags);
    cr_assert_eq(parse_row(bytes, &row), 0);
    if (text) {
        memcpy(text, row.flags_text, sizeof(row.flags_text));
    }
    return row.flags;
}

Test(sentinel_reply, flags)
{
    char all[] =
        "s_down,o_down,master,slave,sentinel,disconnected,master_down,failover_in_progress,promoted,"
        "reconf_sent,reconf_inprog,reconf_done,force_failover,script_kill_sent,coordinated_failover";
    char text[SENTINEL_FLAGS_SIZE];

    cr_expect_eq(flags_of(all, text), (1U << 15) - 1,
                 "flags past the end of the kept text count too");
    cr_expect_eq(strlen(text), SENTINEL_FLAGS_SIZE - 1);
    cr_expect_eq(flags_of("", NULL), 0);
    cr_expect_eq(flags_of(",,", NULL), 0);
    cr_expect_eq(flags_of("masterly,s_dow,S_DOWN, slave,master_reboot", NULL), 0,
                 "whole words only");
    cr_expect_eq(flags_of("slave,promoted", NULL), SENTINEL_SLAVE | SENTINEL_PROMOTED);
    flags_of("a\nb\x80", text);
    cr_expect_str_eq(text, "a?b?");
}

/* ---- lists ---- */

static int parse_masters(const char *bytes, struct sentinel_master_row **rows, size_t *n)
{
    redisReply *reply = wire_reply(bytes);
    int result = sentinel_parse_masters(reply, rows, n);

    freeReplyObject(reply);
    return result;
}

Test(sentinel_reply, masters)
{
    static const char *const forms[] = {"*4\r\n" ROW_RESP3 ROW_NAMELESS ":3\r\n" ROW_RESP3,
                                        "*2\r\n" ROW_RESP2 ROW_RESP2, "~2\r\n" ROW_RESP2 ROW_RESP3};

    for (size_t i = 0; i < 3; i++) {
        struct sentinel_master_row *rows = NULL;
        size_t n = 0;

        cr_expect_eq(parse_masters(forms[i], &rows, &n), 0);
        cr_assert_eq(n, 2);
        cr_expect_str_eq(rows[0].name, "mymaster");
        expect_address(&rows[1].address, "127.0.0.1:7000");
        free(rows);
    }
}

Test(sentinel_reply, masters_none)
{
    struct sentinel_master_row *rows = NULL;
    size_t n = 7;

    cr_expect_eq(parse_masters("*0\r\n", &rows, &n), 0);
    cr_expect_eq(n, 0);
    free(rows);
}

Test(sentinel_reply, lists_refused)
{
    static const char *const bad[] = {"-NOPERM no\r\n", "+OK\r\n",     ":1\r\n",
                                      ROW_RESP2,        ROW_RESP3,     "*1\r\n*0\r\n",
                                      "*1\r\n_\r\n",    "*1\r\n:1\r\n"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        redisReply *reply = wire_reply(bad[i]);
        struct sentinel_master_row here, *masters = &here;
        struct sentinel_peer_row peer, *peers = &peer;
        struct sentinel_replica_row replica, *replicas = &replica;
        size_t n = 77;

        cr_expect_eq(sentinel_parse_masters(reply, &masters, &n), -BW_EPROTO, "for %s", bad[i]);
        cr_expect_eq(sentinel_parse_peers(reply, &peers, &n), -BW_EPROTO, "for %s", bad[i]);
        cr_expect_eq(sentinel_parse_replicas(reply, &replicas, &n), -BW_EPROTO, "for %s", bad[i]);
        cr_expect(masters == &here && peers == &peer && replicas == &replica && n == 77);
        freeReplyObject(reply);
    }
    cr_expect_eq(sentinel_parse_peers(NULL, NULL, NULL), -BW_EPROTO);
}

/* The replies to one batch of questions, as a real Sentinel gave them. */
static void check_conversation(const char *file, bool with_hello)
{
    struct wire wire = wire_open(file);
    struct sentinel_master_row *masters;
    struct sentinel_peer_row *peers;
    struct sentinel_replica_row *replicas;
    struct node_hello hello;
    struct address address;
    char id[SENTINEL_RUN_ID_SIZE], text[160], role[SENTINEL_WORD_SIZE];
    bool ok = false, tilt = true;
    size_t n = 0;
    redisReply *replies[14] = {0};
    redisReply **r = replies + (with_hello ? 1 : 0);

    for (size_t i = 0; i < (with_hello ? 14 : 13); i++) {
        cr_assert_not_null(replies[i] = wire_next(&wire), "%s ends after %zu", file, i);
    }
    cr_expect_null(wire_next(&wire));
    if (with_hello) {
        cr_expect_eq(node_parse_hello(replies[0], &hello), 0);
        cr_expect_str_eq(hello.mode, "sentinel");
        cr_expect_str_eq(hello.version, "7.0.15");
        cr_expect_eq(hello.proto, 3);
        cr_expect_str_eq(hello.role, "");
    }
    cr_expect_eq(sentinel_parse_address(r[0], &address), 0);
    cr_expect_eq(sentinel_parse_masters(r[2], &masters, &n), 0);
    cr_expect_eq(n, 1);
    cr_expect(address_equal(&masters[0].address, &address));
    cr_expect_eq(sentinel_parse_peers(r[3], &peers, &n), 0);
    cr_expect_eq(n, 2);
    cr_expect_eq(peers[0].flags, SENTINEL_SENTINEL);
    cr_expect_eq(strlen(peers[1].run_id), 40);
    cr_expect_geq(peers[1].last_ok_ping_reply_ms, 0);
    cr_expect_eq(sentinel_parse_replicas(r[4], &replicas, &n), 0);
    cr_expect_eq(n, 2);
    cr_expect(replicas[0].flags & SENTINEL_SLAVE);
    cr_expect_eq(replicas[0].priority, 100);
    cr_expect_geq(replicas[0].repl_offset, 0);
    cr_expect_geq(replicas[0].info_refresh_ms, 0);
    cr_expect_eq(sentinel_parse_myid(r[5], id), 0);
    cr_expect_eq(strlen(id), 40);
    cr_expect_eq(sentinel_parse_ckquorum(r[6], &ok, text, sizeof(text)), 0);
    cr_expect(ok);
    cr_expect_eq(node_parse_role(r[7], role), 0);
    cr_expect_str_eq(role, "sentinel");
    cr_expect_eq(sentinel_parse_tilt(r[8], &tilt), 0);
    cr_expect_not(tilt);
    cr_expect_eq(sentinel_parse_address(r[9], &address), -BW_ENIL);
    cr_expect_eq(sentinel_error_kind(r[10]), SENTINEL_ERROR_NO_SUCH_MASTER);
    cr_expect_eq(sentinel_error_kind(r[11]), SENTINEL_ERROR_UNKNOWN_COMMAND, "%s", r[11]->str);
    cr_expect_eq(sentinel_error_kind(r[12]), SENTINEL_ERROR_UNKNOWN_COMMAND, "%s", r[12]->str);
    free(masters);
    free(peers);
    free(replicas);
    for (size_t i = 0; i < 14; i++) {
        freeReplyObject(replies[i]);
    }
    wire_close(&wire);
}

Test(sentinel_reply, recorded_conversations)
{
    check_conversation("asked-before.resp", true);
    check_conversation("asked-before-resp2.resp", false);
    check_conversation("asked-after.resp", true);
}

Test(sentinel_reply, replicas_by_field)
{
    redisReply *reply =
        wire_reply("*2\r\n%7\r\n$4\r\nname\r\n$10\r\n[::1]:7001\r\n$2\r\nip\r\n$3\r\n::1\r\n"
                   "$4\r\nport\r\n$4\r\n7001\r\n$18\r\nmaster-link-status\r\n$2\r\nok\r\n"
                   "$11\r\nmaster-host\r\n$3\r\n::1\r\n$11\r\nmaster-port\r\n$4\r\n7000\r\n"
                   "$14\r\nslave-priority\r\n$1\r\n0\r\n"
                   "*8\r\n$4\r\nname\r\n$1\r\nx\r\n$18\r\nmaster-link-status\r\n$3\r\nerr\r\n"
                   "$11\r\nmaster-host\r\n$1\r\n?\r\n$11\r\nmaster-port\r\n$1\r\n0\r\n");
    struct sentinel_replica_row *rows;
    size_t n;

    cr_assert_eq(sentinel_parse_replicas(reply, &rows, &n), 0);
    cr_assert_eq(n, 2);
    expect_address(&rows[0].address, "[::1]:7001");
    expect_address(&rows[0].master, "[::1]:7000");
    cr_expect(rows[0].link_up);
    cr_expect_eq(rows[0].priority, 0);
    cr_expect_eq(rows[0].repl_offset, -1);
    cr_expect_not(rows[1].link_up);
    expect_address(&rows[1].master, "");
    expect_address(&rows[1].address, "");
    free(rows);
    freeReplyObject(reply);
}

/* ---- single words ---- */

static int parse_myid(const char *bytes, char *id)
{
    redisReply *reply = wire_reply(bytes);
    int result = sentinel_parse_myid(reply, id);

    freeReplyObject(reply);
    return result;
}

Test(sentinel_reply, myid)
{
    char id[SENTINEL_RUN_ID_SIZE] = "untouched";

    cr_expect_eq(parse_myid("$0\r\n\r\n", id), -BW_EPROTO);
    cr_expect_eq(parse_myid("$48\r\n012345678901234567890123456789012345678901234567\r\n", id),
                 -BW_EPROTO);
    cr_expect_eq(parse_myid("$3\r\na b\r\n", id), -BW_EPROTO);
    cr_expect_eq(parse_myid("-ERR unknown command 'SENTINEL'\r\n", id), -BW_EPROTO);
    cr_expect_eq(parse_myid(":12\r\n", id), -BW_EPROTO);
    cr_expect_eq(parse_myid("_\r\n", id), -BW_ENIL);
    cr_expect_str_eq(id, "untouched");
    cr_expect_eq(parse_myid("$40\r\n" ID "\r\n", id), 0);
    cr_expect_str_eq(id, ID);
    cr_expect_eq(parse_myid("+" ID "\r\n", id), 0);
}

static int parse_ckquorum(const char *bytes, bool *ok, char *text, size_t size)
{
    redisReply *reply = wire_reply(bytes);
    int result = sentinel_parse_ckquorum(reply, ok, text, size);

    freeReplyObject(reply);
    return result;
}

Test(sentinel_reply, ckquorum)
{
    char text[160] = "untouched", small[5];
    bool ok = true;

    cr_expect_eq(parse_ckquorum("-ERR No such master with that name\r\n", &ok, text, sizeof(text)),
                 -BW_EPROTO);
    cr_expect_eq(parse_ckquorum("-NOPERM no\r\n", &ok, text, sizeof(text)), -BW_EPROTO);
    cr_expect_eq(parse_ckquorum("-NOQUORUMS\r\n", &ok, text, sizeof(text)), -BW_EPROTO);
    cr_expect_eq(parse_ckquorum("+OKAY\r\n", &ok, text, sizeof(text)), -BW_EPROTO);
    cr_expect_eq(parse_ckquorum(":1\r\n", &ok, text, sizeof(text)), -BW_EPROTO);
    cr_expect_eq(parse_ckquorum("_\r\n", &ok, text, sizeof(text)), -BW_ENIL);
    cr_expect_str_eq(text, "untouched");
    cr_expect(ok);
    cr_expect_eq(
        parse_ckquorum(
            "-NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified "
            "quorum for this master\r\n",
            &ok, text, sizeof(text)),
        0);
    cr_expect_not(ok);
    cr_expect_eq(strncmp(text, "NOQUORUM 1 usable", 17), 0);
    cr_expect_eq(parse_ckquorum(
                     "+OK 3 usable Sentinels. Quorum and failover authorization can be reached\r\n",
                     &ok, small, sizeof(small)),
                 0);
    cr_expect(ok);
    cr_expect_str_eq(small, "OK 3");
}

static int parse_tilt(const char *bytes, bool *tilt)
{
    redisReply *reply = wire_reply(bytes);
    int result = sentinel_parse_tilt(reply, tilt);

    freeReplyObject(reply);
    return result;
}

Test(sentinel_reply, tilt)
{
    bool tilt = false;

    cr_expect_eq(parse_tilt("$27\r\n# Sentinel\r\nsentinel_tilt:1\r\n", &tilt), 0);
    cr_expect(tilt);
    cr_expect_eq(parse_tilt("=37\r\ntxt:a:b\r\nsentinel_tilt:0\r\nother:1\r\n\r\n\r\n", &tilt), 0);
    cr_expect_not(tilt);
    cr_expect_eq(parse_tilt("+sentinel_tilt:1\r\n", &tilt), 0);
    cr_expect(tilt);
    cr_expect_eq(parse_tilt("+xsentinel_tilt:0\r\n", &tilt), -BW_EPROTO);
    cr_expect_eq(parse_tilt("+sentinel_tilt:\r\n", &tilt), -BW_EPROTO);
    cr_expect_eq(parse_tilt("+sentinel_tilt:2\r\n", &tilt), -BW_EPROTO);
    cr_expect_eq(parse_tilt("+sentinel_tilt\r\n", &tilt), -BW_EPROTO);
    cr_expect_eq(parse_tilt("$0\r\n\r\n", &tilt), -BW_EPROTO);
    cr_expect_eq(parse_tilt("-sentinel_tilt:0\r\n", &tilt), -BW_EPROTO);
    cr_expect_eq(parse_tilt("*1\r\n+sentinel_tilt:0\r\n", &tilt), -BW_EPROTO);
    cr_expect(tilt);
}

Test(sentinel_reply, error_kinds)
{
    static const struct {
        const char *bytes;
        enum sentinel_error kind;
    } cases[] = {
        {"-ERR No such master with that name\r\n", SENTINEL_ERROR_NO_SUCH_MASTER},
        {"-NOQUORUM 1 usable Sentinels.\r\n", SENTINEL_ERROR_NOQUORUM},
        {"-NOPERM this user has no permissions to run the 'role' command\r\n",
         SENTINEL_ERROR_NOPERM},
        {"-NOAUTH Authentication required.\r\n", SENTINEL_ERROR_NOAUTH},
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
         SENTINEL_ERROR_WRONGPASS},
        {"-ERR invalid password\r\n", SENTINEL_ERROR_WRONGPASS},
        {"-ERR unknown command 'X', with args beginning with: \r\n",
         SENTINEL_ERROR_UNKNOWN_COMMAND},
        {"-ERR unknown command `X`\r\n", SENTINEL_ERROR_UNKNOWN_COMMAND},
        {"-ERR Unknown sentinel subcommand 'X'\r\n", SENTINEL_ERROR_UNKNOWN_COMMAND},
        {"-ERR unknown subcommand 'X'. Try SENTINEL HELP.\r\n", SENTINEL_ERROR_UNKNOWN_COMMAND},
        {"-LOADING Redis is loading the dataset in memory\r\n", SENTINEL_ERROR_LOADING},
        {"-BUSY Redis is busy running a script.\r\n", SENTINEL_ERROR_BUSY},
        {"-MASTERDOWN Link with MASTER is down\r\n", SENTINEL_ERROR_MASTERDOWN},
        {"-ERR max number of clients reached\r\n", SENTINEL_ERROR_MAXCLIENTS},
        {"-NOAUTH\r\n", SENTINEL_ERROR_NOAUTH},
        {"-NOAUTHOR\r\n", SENTINEL_ERROR_OTHER},
        {"-ERR something else\r\n", SENTINEL_ERROR_OTHER},
        {"-\r\n", SENTINEL_ERROR_OTHER},
        {"+NOAUTH\r\n", SENTINEL_ERROR_OTHER},
        {"_\r\n", SENTINEL_ERROR_OTHER},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        redisReply *reply = wire_reply(cases[i].bytes);

        cr_expect_eq(sentinel_error_kind(reply), cases[i].kind, "for %s", cases[i].bytes);
        freeReplyObject(reply);
    }
    cr_expect_eq(sentinel_error_kind(NULL), SENTINEL_ERROR_OTHER);
}
