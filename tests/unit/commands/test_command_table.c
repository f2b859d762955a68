/*
 * The command table: what a real server says of its commands (recorded), what 6.2 says of them
 * (made by hand in its shape), and the verdicts of rules on them.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/commands/batch.h"
#include "bellwether/commands/command_table.h"

#define DEFAULT \
    "+@all -@admin -@dangerous -@blocking -@pubsub -@transaction -@scripting -@connection +publish +ping +echo"

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

static redisReply *read_bytes(const char *bytes, size_t size)
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

static redisReply *read_recording(const char *name)
{
    static char bytes[1 << 18];
    char path[128];

    snprintf(path, sizeof(path), "tests/unit/redis/recordings/%s", name);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "%s: run the tests from the top folder", path);
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return read_bytes(bytes, size);
}

static struct command_table *make(const char *rules, redisReply *table)
{
    char error[256] = "";
    struct policy *policy = policy_parse(rules, error, sizeof(error));

    cr_assert_not_null(policy, "%s", error);
    struct command_table *commands_table = command_table_new(policy, table);
    policy_free(policy); /* the command table has its own */
    freeReplyObject(table);
    return commands_table;
}

static struct command_table *make_7_0(const char *rules)
{
    return make(rules, read_recording("command-7.0-resp2.resp"));
}

static struct command_table *make_6_2(const char *rules)
{
    return make(rules, read_bytes(table_6_2, sizeof(table_6_2) - 1));
}

static struct command_facts look(const struct command_table *commands_table, const char *name,
                                 const char *sub)
{
    struct command_facts facts;

    command_table_look(commands_table, name, sub, &facts);
    cr_assert_eq(facts.allowed, !facts.rule, "%s", name);
    return facts;
}

/* What the server says of COMMAND INFO `name`. */
static void learn_at(struct command_table *commands_table, const char *name, const char *reply,
                     int64_t now_ms)
{
    redisReply *info = read_bytes(reply, strlen(reply));

    command_table_learn(commands_table, name, info, now_ms);
    freeReplyObject(info);
}

static void learn(struct command_table *commands_table, const char *name, const char *reply)
{
    learn_at(commands_table, name, reply, 1000);
}

#define NO_SUCH "*1\r\n*-1\r\n"
#define INFO_OF(size_and_name, flags, categories) \
    "*1\r\n*7\r\n$" size_and_name "\r\n:-1\r\n" flags ":0\r\n:0\r\n:0\r\n" categories

static void expect_asked(const struct command_table *commands_table, const char *name,
                         const char *asked)
{
    struct command_facts facts = look(commands_table, name, "");

    cr_expect_not(facts.allowed, "%s", name);
    cr_assert_not_null(facts.ask, "%s: %s", name, facts.rule);
    cr_expect_str_eq(facts.ask, asked);
}

static void expect_unknown(const struct command_table *commands_table, const char *name)
{
    struct command_facts facts = look(commands_table, name, "");

    cr_expect(facts.unknown, "%s: %s", name, facts.rule ? facts.rule : "it may run");
    cr_expect_null(facts.ask);
}

static void expect_allowed(const struct command_table *commands_table, const char *name,
                           const char *sub)
{
    struct command_facts facts = look(commands_table, name, sub);

    cr_expect(facts.allowed, "%s %s is refused by %s", name, sub, facts.rule);
}

static void expect_refused(const struct command_table *commands_table, const char *name,
                           const char *sub, const char *rule)
{
    struct command_facts facts = look(commands_table, name, sub);

    cr_expect_not(facts.allowed, "%s %s is allowed", name, sub);
    if (facts.rule) {
        cr_expect_eq(strncmp(facts.rule, rule, strlen(rule)), 0, "%s %s: %s", name, sub,
                     facts.rule);
    }
}

Test(commands, what_a_server_says_of_its_commands)
{
    struct command_table *commands_table = make_7_0(DEFAULT);

    cr_assert(command_table_has_table(commands_table));
    cr_expect_null(command_table_idle_rule(commands_table));
    cr_expect(look(commands_table, "get", "k").known);
    cr_expect(look(commands_table, "get", "k").read_only);
    cr_expect_not(look(commands_table, "get", "k").script);
    cr_expect(look(commands_table, "set", "k").known);
    cr_expect_not(look(commands_table, "set", "k").read_only);
    /* a container's flags are not its subcommands' */
    cr_expect_not(look(commands_table, "object", "").read_only);
    cr_expect(look(commands_table, "object", "encoding").read_only);
    cr_expect_not(look(commands_table, "object", "help").read_only);
    cr_expect(look(commands_table, "memory", "usage").read_only);
    cr_expect(look(commands_table, "eval", "return 1").script);
    cr_expect(look(commands_table, "eval_ro", "return 1").script);
    cr_expect(look(commands_table, "eval_ro", "return 1").read_only);
    cr_expect(look(commands_table, "fcall", "f").script);
    cr_expect(look(commands_table, "script", "load").script);
    cr_expect_not(look(commands_table, "nosuchcommand", "").known);
    cr_expect(look(commands_table, "nosuchcommand", "").script);
    cr_expect_not(look(commands_table, "nosuchcommand", "").read_only);
    command_table_free(commands_table);
}

Test(commands, three_count_as_read_only_by_no_flag)
{
    struct command_table *commands_table = make_7_0(DEFAULT);

    cr_expect(look(commands_table, "ping", "").read_only);
    cr_expect(look(commands_table, "echo", "x").read_only);
    cr_expect(look(commands_table, "time", "").read_only);
    cr_expect_not(look(commands_table, "publish", "c").read_only);
    cr_expect_not(look(commands_table, "lastsave", "").read_only);
    command_table_free(commands_table);
}

Test(commands, the_default_rules)
{
    struct command_table *commands_table = make_7_0(DEFAULT);

    expect_allowed(commands_table, "get", "k");
    expect_allowed(commands_table, "set", "k");
    expect_allowed(commands_table, "object", "encoding");
    expect_allowed(commands_table, "publish", "c");
    expect_allowed(commands_table, "ping", "");
    expect_allowed(commands_table, "time", "");
    expect_allowed(commands_table, "dbsize", "");
    expect_allowed(commands_table, "xadd", "s");
    expect_allowed(commands_table, "xread", "streams");
    expect_allowed(commands_table, "xreadgroup", "group");
    expect_asked(commands_table, "nosuchcommand", "nosuchcommand");
    expect_refused(commands_table, "flushall", "", "-@dangerous");
    expect_refused(commands_table, "keys", "*", "-@dangerous");
    expect_refused(commands_table, "config", "get", "-@dangerous");
    expect_refused(commands_table, "acl", "setuser", "-@dangerous");
    expect_refused(commands_table, "shutdown", "", "-@dangerous");
    expect_refused(commands_table, "eval", "x", "-@scripting");
    expect_refused(commands_table, "script", "load", "-@scripting");
    expect_refused(commands_table, "function", "load", "-@scripting");
    expect_refused(commands_table, "spublish", "c", "-@pubsub");
    expect_refused(commands_table, "pubsub", "channels", "-@pubsub");
    expect_refused(commands_table, "command", "", "-@connection");
    command_table_free(commands_table);
}

/* Whatever the rules say. */
static void expect_never(const struct command_table *commands_table)
{
    static const char *const names[] = {
        "auth",     "hello",      "select",     "client",      "reset",        "quit",
        "multi",    "exec",       "discard",    "watch",       "unwatch",      "subscribe",
        "monitor",  "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe",
        "sync",     "psync",      "replconf",   "wait",        "waitaof",      "asking",
        "readonly", "readwrite",  "post",       "host:",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        expect_refused(commands_table, names[i], "", "never: ");
        expect_refused(commands_table, names[i], "anything", "never: ");
    }
    expect_refused(commands_table, "client", "list", "never: it changes");
    expect_refused(commands_table, "script", "debug", "never: it changes");
    expect_refused(commands_table, "", "", "never: ");
}

Test(commands, what_can_never_be_allowed)
{
    struct command_table *modern = make_7_0("allcommands");
    struct command_table *old = make_6_2("allcommands");
    struct command_table *none = make("allcommands", NULL);

    expect_never(modern);
    expect_never(old);
    expect_never(none);
    expect_refused(modern, "blpop", "l", "never: it blocks");
    cr_expect_eq(look(modern, "xread", "block").care, COMMAND_CARE_BLOCK);
    cr_expect_eq(look(modern, "publish", "c").care, COMMAND_CARE_CHANNEL);
    cr_expect_eq(look(modern, "spublish", "c").care, COMMAND_CARE_CHANNEL);
    cr_expect_eq(look(none, "publish", "c").care, COMMAND_CARE_CHANNEL);
    cr_expect_eq(look(modern, "get", "c").care, COMMAND_CARE_NONE);
    cr_expect_eq(look(modern, "scan", "0").care, COMMAND_CARE_CURSOR);
    cr_expect_eq(look(modern, "hscan", "k").care, COMMAND_CARE_CURSOR_OF_KEY);
    cr_expect_eq(look(modern, "sscan", "k").care, COMMAND_CARE_CURSOR_OF_KEY);
    cr_expect_eq(look(none, "zscan", "k").care, COMMAND_CARE_CURSOR_OF_KEY);
    expect_refused(modern, "bzpopmin", "z", "never: it blocks");
    expect_refused(old, "blpop", "l", "never: it blocks");
    expect_allowed(modern, "script", "load");
    expect_allowed(old, "script", "load");
    expect_allowed(modern, "flushall", "");
    expect_allowed(modern, "failover", "");
    command_table_free(modern);
    command_table_free(old);
    command_table_free(none);
}

Test(commands, a_rule_by_name_does_not_unblock)
{
    struct command_table *commands_table = make_7_0("+blpop +get");

    expect_refused(commands_table, "blpop", "l", "never: it blocks");
    expect_allowed(commands_table, "get", "k");
    command_table_free(commands_table);
}

/* Nor where no flag tells that it blocks. */
Test(commands, without_a_table_what_blocks_is_known_by_name)
{
    struct command_table *commands_table = make("+blpop +bzpopmin +xread", NULL);

    expect_refused(commands_table, "blpop", "l", "never: it blocks");
    expect_refused(commands_table, "bzpopmin", "z", "never: it blocks");
    expect_allowed(commands_table, "xread", "streams");
    cr_expect_eq(look(commands_table, "xread", "").care, COMMAND_CARE_BLOCK);
    command_table_free(commands_table);
}

Test(commands, names_are_whole)
{
    struct command_table *commands_table = make_7_0("+getrange +config|get");

    expect_allowed(commands_table, "getrange", "k");
    expect_refused(commands_table, "get", "k", "no rule allows it");
    expect_asked(commands_table, "getrang", "getrang");
    expect_asked(commands_table, "getranges", "getranges");
    expect_refused(commands_table, "getdel", "k", "no rule allows it");
    /* the table's spelling of a subcommand is no command */
    expect_unknown(commands_table, "config|get");
    expect_refused(commands_table, "config", "get|", "no rule allows it");
    command_table_free(commands_table);
}

Test(commands, subcommands)
{
    struct command_table *one = make_7_0("+config|get");
    struct command_table *but_one = make_7_0("+config -config|set");
    struct command_table *all_again = make_7_0("-config|set +config");

    expect_allowed(one, "config", "get");
    expect_refused(one, "config", "set", "no rule allows it");
    expect_refused(one, "config", "", "no rule allows it");
    expect_allowed(but_one, "config", "get");
    expect_allowed(but_one, "config", "rewrite");
    expect_allowed(but_one, "config", "");
    expect_refused(but_one, "config", "set", "-config|set");
    expect_allowed(all_again, "config", "set");
    command_table_free(one);
    command_table_free(but_one);
    command_table_free(all_again);
}

Test(commands, a_later_rule_wins)
{
    struct command_table *commands_table = make_7_0("+@read -get +@string -set");

    expect_allowed(commands_table, "get", "k");
    expect_allowed(commands_table, "append", "k");
    expect_allowed(commands_table, "hget", "k");
    expect_refused(commands_table, "set", "k", "-set");
    expect_refused(commands_table, "hset", "k", "no rule allows it");
    command_table_free(commands_table);
    commands_table = make_7_0("+get +set nocommands +set");
    expect_refused(commands_table, "get", "k", "nocommands");
    expect_allowed(commands_table, "set", "k");
    expect_asked(commands_table, "nosuchcommand", "nosuchcommand");
    command_table_free(commands_table);
}

Test(commands, rules_are_told_as_they_were_written)
{
    struct command_table *commands_table = make_7_0("+@ALL -@Dangerous -CONFIG|Set");

    expect_refused(commands_table, "flushall", "", "-@Dangerous");
    expect_refused(commands_table, "config", "set", "-CONFIG|Set");
    command_table_free(commands_table);
}

/* ---- names that the table lacks ---- */

Test(commands, a_name_that_no_table_has_is_asked_for)
{
    struct command_table *commands_table = make_7_0("+@all -@dangerous");

    expect_asked(commands_table, "nosuchcommand", "nosuchcommand");
    learn(commands_table, "nosuchcommand", NO_SUCH);
    expect_unknown(commands_table, "nosuchcommand");
    expect_asked(commands_table, "another", "another");
    learn(commands_table, "another", "*1\r\n$-1\r\n"); /* 6.2 and RESP3 spell nil so */
    expect_unknown(commands_table, "another");
    /* a module may come */
    command_table_forget(commands_table, 1999);
    expect_unknown(commands_table, "another");
    command_table_forget(commands_table, 2000);
    expect_asked(commands_table, "another", "another");
    learn(commands_table, "another",
          INFO_OF("7\r\nanother", "*1\r\n+readonly\r\n", "*1\r\n+@read\r\n"));
    command_table_forget(commands_table, 99999);
    expect_allowed(commands_table, "another", "");
    cr_expect(look(commands_table, "another", "").read_only);
    cr_expect(look(commands_table, "another", "").known);
    command_table_free(commands_table);
}

Test(commands, a_renamed_command_is_what_it_was)
{
    static const struct {
        const char *name, *info, *rule;
    } rows[] = {
        {"xselect", INFO_OF("6\r\nselect", "*1\r\n+fast\r\n", "*1\r\n+@connection\r\n"),
         "never: it changes"},
        {"xmulti", INFO_OF("5\r\nmulti", "*1\r\n+fast\r\n", "*1\r\n+@transaction\r\n"),
         "never: it changes"},
        {"xblpop", INFO_OF("5\r\nblpop", "*1\r\n+write\r\n", "*1\r\n+@write\r\n"),
         "never: it blocks"},
        {"xflushall", INFO_OF("8\r\nflushall", "*1\r\n+write\r\n", "*1\r\n+@write\r\n"),
         "-@dangerous"},
        {"xconfig", INFO_OF("6\r\nconfig", "*0\r\n", "*1\r\n+@slow\r\n"), "-@dangerous"},
    };
    struct command_table *commands_table = make_7_0("+@all -@dangerous");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_asked(commands_table, rows[i].name, rows[i].name);
        learn(commands_table, rows[i].name, rows[i].info);
        expect_refused(commands_table, rows[i].name, "get", rows[i].rule);
    }
    learn(commands_table, "xget", INFO_OF("3\r\nget", "*1\r\n+write\r\n", "*1\r\n+@write\r\n"));
    expect_allowed(commands_table, "xget", "k");
    /* the table has more to say than COMMAND INFO */
    cr_expect(look(commands_table, "xget", "k").read_only);
    learn(commands_table, "xpub", INFO_OF("7\r\nPUBLISH", "*0\r\n", "*0\r\n"));
    cr_expect_eq(look(commands_table, "xpub", "c").care, COMMAND_CARE_CHANNEL);
    learn(commands_table, "hunt", INFO_OF("4\r\nscan", "*0\r\n", "*0\r\n"));
    cr_expect_eq(look(commands_table, "hunt", "0").care, COMMAND_CARE_CURSOR);
    command_table_free(commands_table);
}

Test(commands, rules_on_either_name_of_a_renamed_command_count)
{
    static const char info[] = INFO_OF("6\r\nconfig", "*0\r\n", "*0\r\n");
    static const char get[] = INFO_OF("3\r\nget", "*0\r\n", "*0\r\n");
    struct command_table *commands_table = make_7_0("+@all -config +b840fc|get -secretget");

    learn(commands_table, "b840fc", info);
    expect_asked(commands_table, "b840fc", "secretget"); /* what is denied has to be there */
    learn(commands_table, "secretget", get);
    expect_allowed(commands_table, "b840fc", "get");
    expect_refused(commands_table, "b840fc", "set", "-config");
    expect_refused(commands_table, "config", "get", "-config");
    expect_refused(commands_table, "secretget", "k", "-secretget");
    expect_allowed(commands_table, "get", "k");
    command_table_free(commands_table);
}

Test(commands, a_module_s_command_with_subcommands)
{
    struct command_table *commands_table = make_7_0("+@all -my.thing|drop");

    expect_asked(commands_table, "get", "my.thing");
    learn(
        commands_table, "my.thing",
        "*1\r\n*10\r\n$8\r\nmy.thing\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n"
        "*2\r\n*10\r\n$13\r\nmy.thing|drop\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n"
        "*10\r\n$13\r\nmy.thing|look\r\n:-2\r\n*1\r\n+readonly\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n");
    expect_allowed(commands_table, "get", "k");
    expect_allowed(commands_table, "my.thing", "look");
    cr_expect(look(commands_table, "my.thing", "look").read_only);
    expect_refused(commands_table, "my.thing", "drop", "-my.thing|drop");
    command_table_free(commands_table);
}

Test(commands, what_the_server_does_not_tell_is_refused)
{
    static const char *const replies[] = {"-NOPERM no\r\n", "*0\r\n", "*1\r\n:1\r\n",
                                          "*1\r\n*1\r\n:1\r\n", "*1\r\n*2\r\n$3\r\nfoo\r\n:1\r\n"};
    struct command_table *commands_table = make_7_0("+@all");

    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        learn(commands_table, "foo", replies[i]);
        expect_refused(commands_table, "foo", "", "the server does not tell");
        cr_expect_not(look(commands_table, "foo", "").unknown);
    }
    command_table_free(commands_table);
}

Test(commands, answers_are_kept_within_bounds)
{
    struct command_table *commands_table = make_7_0("+@all");
    char name[COMMAND_NAME_SIZE];

    learn_at(commands_table, "xget", INFO_OF("3\r\nget", "*0\r\n", "*0\r\n"), 1);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "nosuch%d", i);
        learn_at(commands_table, name, NO_SUCH, 10 + i);
    }
    expect_unknown(commands_table, "nosuch999");
    expect_asked(commands_table, "nosuch0", "nosuch0");
    /* names of nothing do not drive out what there is */
    expect_allowed(commands_table, "xget", "k");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "get%d", i);
        learn_at(commands_table, name, INFO_OF("3\r\nget", "*0\r\n", "*0\r\n"), 5000 + i);
    }
    expect_allowed(commands_table, "get999", "k");
    command_table_free(commands_table);
}

/* ---- rules that name nothing ---- */

Test(commands, a_rule_that_denies_nothing_lets_nothing_run)
{
    static const char words[] = "-Json.Sett: it names no command that this server has";
    struct command_table *commands_table = make_7_0("+@all -Json.Sett");

    cr_expect_null(command_table_closed(commands_table));
    expect_asked(commands_table, "get", "json.sett");
    learn(commands_table, "json.sett", NO_SUCH);
    expect_refused(commands_table, "get", "k", words);
    expect_refused(commands_table, "json.sett", "k", words);
    expect_refused(commands_table, "select", "0", "never: it changes");
    cr_expect_eq(strncmp(command_table_closed(commands_table), words, sizeof(words) - 1), 0);
    command_table_forget(commands_table, 3000);
    expect_asked(commands_table, "get", "json.sett");
    cr_expect_not_null(command_table_closed(commands_table), "until there is another answer");
    learn(commands_table, "json.sett", INFO_OF("9\r\njson.sett", "*0\r\n", "*0\r\n"));
    expect_allowed(commands_table, "get", "k");
    expect_refused(commands_table, "json.sett", "k", "-Json.Sett");
    cr_expect_null(command_table_closed(commands_table));
    command_table_free(commands_table);
}

Test(commands, a_rule_that_denies_an_unknown_subcommand_lets_nothing_run)
{
    struct command_table *commands_table = make_7_0("+@all -object|nosuchthing");

    cr_expect_not_null(command_table_closed(commands_table));
    expect_refused(commands_table, "get", "k", "-object|nosuchthing: it names no command");
    command_table_free(commands_table);
    commands_table = make_6_2("+@all -object|nosuchthing"); /* which does not tell */
    expect_allowed(commands_table, "get", "k");
    expect_refused(commands_table, "object", "nosuchthing", "-object|nosuchthing");
    command_table_free(commands_table);
    commands_table = make_7_0("+@all -get|secret"); /* an argument */
    expect_allowed(commands_table, "get", "k");
    expect_refused(commands_table, "get", "secret", "-get|secret");
    command_table_free(commands_table);
}

/* Those of another version are no slips of the pen. */
Test(commands, a_rule_on_a_command_of_another_version)
{
    struct command_table *commands_table =
        make_7_0("+@all -waitaof -hgetex -client|no-touch -@json +json.get");

    expect_allowed(commands_table, "get", "k");
    cr_expect_null(command_table_closed(commands_table));
    cr_expect_str_eq(command_table_idle_rule(commands_table), "-@json");
    command_table_free(commands_table);
}

Test(commands, as_6_2_says_it)
{
    struct command_table *commands_table = make_6_2("+@all -@dangerous +config|get");

    cr_assert(command_table_has_table(commands_table));
    expect_allowed(commands_table, "get", "k");
    expect_allowed(commands_table, "config", "get");
    cr_expect(look(commands_table, "config", "get").known);
    expect_refused(commands_table, "config", "set", "-@dangerous");
    cr_expect(look(commands_table, "object", "encoding").read_only);
    cr_expect(look(commands_table, "script", "load").script);
    cr_expect(look(commands_table, "ft.search", "i").read_only);
    cr_expect_not(look(commands_table, "ft.search", "i").script);
    command_table_free(commands_table);
}

Test(commands, in_resp3)
{
    struct command_table *commands_table =
        make("+@all -@dangerous", read_recording("command-7.0-resp3.resp"));

    cr_assert(command_table_has_table(commands_table));
    cr_expect(look(commands_table, "get", "k").read_only);
    cr_expect(look(commands_table, "eval", "x").script);
    expect_refused(commands_table, "config", "set", "-@dangerous");
    expect_allowed(commands_table, "config", "help");
    expect_refused(commands_table, "blpop", "l", "never: it blocks");
    cr_expect_not(look(commands_table, "nosuchcommand", "").known);
    command_table_free(commands_table);
}

Test(commands, without_a_table)
{
    struct command_table *commands_table = make("-@dangerous +get +config|get -config|set", NULL);

    cr_expect_not(command_table_has_table(commands_table));
    cr_expect_null(command_table_idle_rule(commands_table));
    expect_allowed(commands_table, "get", "k");
    cr_expect_not(look(commands_table, "get", "k").read_only);
    cr_expect_not(look(commands_table, "get", "k").known);
    cr_expect(look(commands_table, "get", "k").script);
    cr_expect(look(commands_table, "ping", "").read_only);
    expect_allowed(commands_table, "config", "get");
    expect_refused(commands_table, "config", "set", "-config|set");
    /* whatever its sign, a category refuses */
    expect_refused(commands_table, "set", "k", "-@dangerous: it refuses as long as");
    command_table_free(commands_table);
    commands_table = make("+get +@all", NULL);
    expect_refused(commands_table, "get", "k", "+@all: it refuses as long as");
    expect_refused(commands_table, "nosuchcommand", "", "+@all: it refuses as long as");
    command_table_free(commands_table);
    commands_table = make("+@read +get", NULL);
    expect_allowed(commands_table, "get", "k");
    expect_refused(commands_table, "hget", "k", "+@read: it refuses as long as");
    command_table_free(commands_table);
}

Test(commands, what_is_no_table)
{
    static const char *const replies[] = {
        "-NOPERM this user has no permissions to run the 'command' command\r\n",
        "*0\r\n",
        "*-1\r\n",
        ":7\r\n",
        "$3\r\nget\r\n",
        "*1\r\n*-1\r\n",
        "*1\r\n$3\r\nget\r\n",
        /* before 6.0: no categories, so no saying what is dangerous */
        "*1\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n",
        "*1\r\n*7\r\n:1\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n*0\r\n",
        "*1\r\n*7\r\n$3\r\nget\r\n:2\r\n:1\r\n:1\r\n:1\r\n:1\r\n*0\r\n",
        "*1\r\n*7\r\n$3\r\nget\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
        /* half of one */
        "*2\r\n*7\r\n$3\r\nget\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n*0\r\n:1\r\n",
        "*1\r\n*10\r\n$6\r\nconfig\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*0\r\n*1\r\n:1\r\n",
    };

    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        struct command_table *commands_table =
            make("+@all +set", read_bytes(replies[i], strlen(replies[i])));

        cr_expect_not(command_table_has_table(commands_table), "%s", replies[i]);
        expect_refused(commands_table, "get", "k", "+@all: it refuses");
        expect_allowed(commands_table, "set", "k");
        expect_never(commands_table);
        command_table_free(commands_table);
    }
    command_table_free(NULL);
}

Test(commands, names_that_no_request_can_hold_are_left_out)
{
    char bytes[512];
    char name[80];

    memset(name, 'x', sizeof(name));
    int size = snprintf(bytes, sizeof(bytes),
                        "*2\r\n*7\r\n$80\r\n%.80s\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n*0\r\n"
                        "*7\r\n$3\r\nGET\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*0\r\n",
                        name);
    struct command_table *commands_table = make("+@all", read_bytes(bytes, (size_t)size));

    cr_expect(command_table_has_table(commands_table));
    cr_expect(look(commands_table, "get", "k").read_only);
    expect_refused(commands_table, "", "", "never: no command has a name like that");
    command_table_free(commands_table);
}

/* ---- arguments ---- */

static bool refuses(enum command_care care, const char *json, const char *words)
{
    char error[BATCH_ERROR_SIZE];
    struct batch *batch = NULL;

    cr_assert_eq(batch_read(json, strlen(json), BATCH_ONE, &batch, error), 0, "%s: %s", json,
                 error);
    const char *why =
        command_arguments_refused(care, batch_wire(batch, 0), batch->commands[0].arguments);
    batch_free(batch);
    return why && strstr(why, words);
}

Test(commands, sentinels_channels_are_theirs)
{
    static const char *const refused[] = {
        "[\"PUBLISH\",\"__sentinel__:hello\",\"x\"]",
        "[\"SPUBLISH\",\"__sentinel__:hello\",\"x\"]",
        "[\"publish\",\"__sentinel__:\",\"x\"]",
        "[\"publish\",\"\\u005f_sentinel__:hello\\u0000\",\"x\"]",
        "[\"publish\",\"__sentinel__:hello\"]",
    };
    static const char *const fine[] = {
        "[\"PUBLISH\",\"__sentinel__\",\"__sentinel__:hello\"]",
        "[\"PUBLISH\",\"__Sentinel__:hello\",\"x\"]",
        "[\"PUBLISH\",\" __sentinel__:hello\",\"x\"]",
        "[\"PUBLISH\",\"\",\"x\"]",
        "[\"PUBLISH\"]",
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cr_expect(refuses(COMMAND_CARE_CHANNEL, refused[i], "never to channels of __sentinel__"),
                  "%s", refused[i]);
    }
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        cr_expect_not(refuses(COMMAND_CARE_CHANNEL, fine[i], ""), "%s", fine[i]);
    }
}

Test(commands, block_is_an_option_before_streams)
{
    static const char *const refused[] = {
        "[\"XREAD\",\"BLOCK\",0,\"STREAMS\",\"s\",\"$\"]",
        "[\"XREAD\",\"block\",\"1\",\"streams\",\"s\",\"$\"]",
        "[\"XREAD\",\"COUNT\",\"2\",\"BLoCK\",\"1\",\"STREAMS\",\"s\",\"$\"]",
        "[\"XREADGROUP\",\"GROUP\",\"g\",\"c\",\"BLOCK\",\"1\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREADGROUP\",\"GROUP\",\"g\",\"c\",\"NOACK\",\"BLOCK\",\"1\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREADGROUP\",\"BLOCK\",\"1\",\"group\",\"g\",\"c\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREADGROUP\",\"GROUP\",\"STREAMS\",\"c\",\"BLOCK\",\"1\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREAD\",\"COUNT\",\"STREAMS\",\"BLOCK\",\"1\",\"STREAMS\",\"s\",\"$\"]",
        "[\"XREAD\",\"BLOCK\"]",
    };
    static const char *const fine[] = {
        "[\"XREAD\",\"STREAMS\",\"s\",\"0\"]",
        "[\"XREAD\",\"COUNT\",1,\"STREAMS\",\"BLOCK\",\"0\"]",
        "[\"XREADGROUP\",\"GROUP\",\"BLOCK\",\"block\",\"STREAMS\",\"BLOCK\",\">\"]",
        "[\"XREADGROUP\",\"GROUP\",\"BLOCK\",\"c\",\"NOACK\",\"COUNT\",\"9\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREADGROUP\",\"GROUP\",\"g\"]",
        "[\"XREAD\",\"COUNT\"]",
        "[\"XREAD\"]",
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cr_expect(refuses(COMMAND_CARE_BLOCK, refused[i], "without BLOCK"), "%s", refused[i]);
    }
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        cr_expect_not(refuses(COMMAND_CARE_BLOCK, fine[i], ""), "%s", fine[i]);
    }
}
