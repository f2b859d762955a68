/*
 * Command tables made of recorded replies, or of those that 6.2 gives, made by hand in its shape.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "command_table_fixture.h"

#define LISTED(name, arity, flags, categories) \
    "*7\r\n$" name "\r\n:" arity "\r\n" flags ":1\r\n:1\r\n:1\r\n" categories

/* As Redis 6.2 answers: seven elements, no subcommands, `blocking` among the categories only. */
static const char table_6_2[] = "*8\r\n" //
    LISTED("3\r\nget", "2", "*2\r\n+readonly\r\n+fast\r\n",
           "*3\r\n+@read\r\n+@string\r\n+@fast\r\n") //
    LISTED("3\r\nset", "-3", "*2\r\n+write\r\n+denyoom\r\n",
           "*3\r\n+@write\r\n+@string\r\n+@slow\r\n") //
    LISTED("6\r\nobject", "-2", "*2\r\n+readonly\r\n+random\r\n",
           "*3\r\n+@keyspace\r\n+@read\r\n+@slow\r\n") //
    LISTED("6\r\nconfig", "-2", "*4\r\n+admin\r\n+noscript\r\n+loading\r\n+stale\r\n",
           "*3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n") //
    LISTED("5\r\nblpop", "-3", "*2\r\n+write\r\n+noscript\r\n",
           "*4\r\n+@write\r\n+@list\r\n+@slow\r\n+@blocking\r\n") //
    LISTED("6\r\nscript", "-2", "*2\r\n+noscript\r\n+may_replicate\r\n",
           "*2\r\n+@slow\r\n+@scripting\r\n")                                  //
    LISTED("9\r\nFT.SEARCH", "-1", "*2\r\n+readonly\r\n+module\r\n", "*0\r\n") //
    LISTED("4\r\nping", "-1", "*3\r\n+stale\r\n+fast\r\n+loading\r\n",
           "*2\r\n+@fast\r\n+@connection\r\n");

redisReply *table_reply_of(const char *bytes, size_t size)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    redisReaderFeed(reader, bytes, size);
    cr_assert_eq(redisReaderGetReply(reader, &reply), REDIS_OK, "%s", reader->errstr);
    cr_assert_not_null(reply, "not a whole reply");
    cr_assert_eq(reader->pos, reader->len, "more than one reply");
    redisReaderFree(reader);
    return reply;
}

redisReply *table_recording(const char *name)
{
    static char bytes[1 << 18];
    char path[128];

    snprintf(path, sizeof(path), "tests/unit/redis/recordings/%s", name);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "%s: run the tests from the top folder", path);
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return table_reply_of(bytes, size);
}

struct command_table *table_make(const char *rules, redisReply *table)
{
    char error[256] = "";
    struct policy *policy = policy_parse(rules, error, sizeof(error));

    cr_assert_not_null(policy, "%s", error);
    struct command_table *commands_table = command_table_new(policy, table);
    policy_free(policy); /* the command table has its own */
    freeReplyObject(table);
    return commands_table;
}

struct command_table *table_make_7_0(const char *rules)
{
    return table_make(rules, table_recording("command-7.0-resp2.resp"));
}

struct command_table *table_make_6_2(const char *rules)
{
    return table_make(rules, table_reply_of(table_6_2, sizeof(table_6_2) - 1));
}

struct command_facts table_look(const struct command_table *commands_table, const char *name,
                                const char *sub)
{
    struct command_facts facts;

    command_table_look(commands_table, name, sub, &facts);
    cr_assert_eq(facts.allowed, !facts.rule, "%s", name);
    return facts;
}

void table_learn_at(struct command_table *commands_table, const char *name, const char *reply,
                    int64_t now_ms)
{
    redisReply *info = table_reply_of(reply, strlen(reply));

    command_table_learn(commands_table, name, info, now_ms);
    freeReplyObject(info);
}

void table_learn(struct command_table *commands_table, const char *name, const char *reply)
{
    table_learn_at(commands_table, name, reply, 1000);
}

void expect_asked(const struct command_table *commands_table, const char *name, const char *asked)
{
    struct command_facts facts = table_look(commands_table, name, "");

    cr_expect_not(facts.allowed, "%s", name);
    cr_assert_not_null(facts.ask, "%s: %s", name, facts.rule);
    cr_expect_str_eq(facts.ask, asked);
}

void expect_unknown(const struct command_table *commands_table, const char *name)
{
    struct command_facts facts = table_look(commands_table, name, "");

    cr_expect(facts.unknown, "%s: %s", name, facts.rule ? facts.rule : "it may run");
    cr_expect_null(facts.ask);
}

void expect_allowed(const struct command_table *commands_table, const char *name, const char *sub)
{
    struct command_facts facts = table_look(commands_table, name, sub);

    cr_expect(facts.allowed, "%s %s is refused by %s", name, sub, facts.rule);
}

void expect_refused(const struct command_table *commands_table, const char *name, const char *sub,
                    const char *rule)
{
    struct command_facts facts = table_look(commands_table, name, sub);

    cr_expect_not(facts.allowed, "%s %s is allowed", name, sub);
    if (facts.rule) {
        cr_expect_eq(strncmp(facts.rule, rule, strlen(rule)), 0, "%s %s: %s", name, sub,
                     facts.rule);
    }
}
