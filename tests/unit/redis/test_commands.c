/*
 * The command book: what a real server says of its commands (recorded), what 6.2 says of them (made by hand in its shape), and the
 * verdicts of rules on them.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/redis/commands.h"

#define DEFAULT \
    "+@all -@admin -@dangerous -@blocking -@pubsub -@transaction -@scripting -@connection +publish +ping +echo"

#define LISTED(name, arity, flags, categories) \
    "*7\r\n$" name "\r\n:" arity "\r\n" flags ":1\r\n:1\r\n:1\r\n" categories

/* As Redis 6.2 answers: seven elements, no subcommands, `blocking` among the categories only. */
static const char table_6_2[] = "*8\r\n"                                                                //
    LISTED("3\r\nget", "2", "*2\r\n+readonly\r\n+fast\r\n", "*3\r\n+@read\r\n+@string\r\n+@fast\r\n")   //
    LISTED("3\r\nset", "-3", "*2\r\n+write\r\n+denyoom\r\n", "*3\r\n+@write\r\n+@string\r\n+@slow\r\n") //
    LISTED("6\r\nobject", "-2", "*2\r\n+readonly\r\n+random\r\n",
           "*3\r\n+@keyspace\r\n+@read\r\n+@slow\r\n") //
    LISTED("6\r\nconfig", "-2", "*4\r\n+admin\r\n+noscript\r\n+loading\r\n+stale\r\n",
           "*3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n") //
    LISTED("5\r\nblpop", "-3", "*2\r\n+write\r\n+noscript\r\n",
           "*4\r\n+@write\r\n+@list\r\n+@slow\r\n+@blocking\r\n")                                           //
    LISTED("6\r\nscript", "-2", "*2\r\n+noscript\r\n+may_replicate\r\n", "*2\r\n+@slow\r\n+@scripting\r\n") //
    LISTED("9\r\nFT.SEARCH", "-1", "*2\r\n+readonly\r\n+module\r\n", "*0\r\n")                              //
    LISTED("4\r\nping", "-1", "*3\r\n+stale\r\n+fast\r\n+loading\r\n", "*2\r\n+@fast\r\n+@connection\r\n");

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

    snprintf(path, sizeof path, "tests/unit/redis/recordings/%s", name);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "%s: run the tests from the top folder", path);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return read_bytes(bytes, size);
}

static struct command_book *make(const char *rules, redisReply *table)
{
    char error[256] = "";
    struct policy *policy = policy_parse(rules, error, sizeof error);

    cr_assert_not_null(policy, "%s", error);
    struct command_book *book = command_book_new(policy, table);
    policy_free(policy); /* the book has its own */
    freeReplyObject(table);
    return book;
}

static struct command_book *make_7_0(const char *rules)
{
    return make(rules, read_recording("command-7.0-resp2.resp"));
}

static struct command_book *make_6_2(const char *rules)
{
    return make(rules, read_bytes(table_6_2, sizeof table_6_2 - 1));
}

static struct command_facts look(const struct command_book *book, const char *name, const char *sub)
{
    struct command_facts facts;

    command_book_look(book, name, sub, &facts);
    cr_assert_eq(facts.allowed, facts.rule == NULL, "%s", name);
    return facts;
}

static void expect_allowed(const struct command_book *book, const char *name, const char *sub)
{
    struct command_facts facts = look(book, name, sub);

    cr_expect(facts.allowed, "%s %s is refused by %s", name, sub, facts.rule);
}

static void expect_refused(const struct command_book *book, const char *name, const char *sub,
                           const char *rule)
{
    struct command_facts facts = look(book, name, sub);

    cr_expect_not(facts.allowed, "%s %s is allowed", name, sub);
    if (facts.rule != NULL) {
        cr_expect_eq(strncmp(facts.rule, rule, strlen(rule)), 0, "%s %s: %s", name, sub, facts.rule);
    }
}

Test(commands, what_a_server_says_of_its_commands)
{
    struct command_book *book = make_7_0(DEFAULT);

    cr_assert(command_book_has_table(book));
    cr_expect_null(command_book_idle_rule(book));
    cr_expect(look(book, "get", "k").known);
    cr_expect(look(book, "get", "k").read_only);
    cr_expect_not(look(book, "get", "k").script);
    cr_expect(look(book, "set", "k").known);
    cr_expect_not(look(book, "set", "k").read_only);
    /* a container's flags are not its subcommands' */
    cr_expect_not(look(book, "object", "").read_only);
    cr_expect(look(book, "object", "encoding").read_only);
    cr_expect_not(look(book, "object", "help").read_only);
    cr_expect(look(book, "memory", "usage").read_only);
    cr_expect(look(book, "eval", "return 1").script);
    cr_expect(look(book, "eval_ro", "return 1").script);
    cr_expect(look(book, "eval_ro", "return 1").read_only);
    cr_expect(look(book, "fcall", "f").script);
    cr_expect(look(book, "script", "load").script);
    cr_expect_not(look(book, "nosuchcommand", "").known);
    cr_expect(look(book, "nosuchcommand", "").script);
    cr_expect_not(look(book, "nosuchcommand", "").read_only);
    command_book_free(book);
}

Test(commands, three_count_as_read_only_by_no_flag)
{
    struct command_book *book = make_7_0(DEFAULT);

    cr_expect(look(book, "ping", "").read_only);
    cr_expect(look(book, "echo", "x").read_only);
    cr_expect(look(book, "time", "").read_only);
    cr_expect_not(look(book, "publish", "c").read_only);
    cr_expect_not(look(book, "lastsave", "").read_only);
    command_book_free(book);
}

Test(commands, the_default_rules)
{
    struct command_book *book = make_7_0(DEFAULT);

    expect_allowed(book, "get", "k");
    expect_allowed(book, "set", "k");
    expect_allowed(book, "object", "encoding");
    expect_allowed(book, "publish", "c");
    expect_allowed(book, "ping", "");
    expect_allowed(book, "time", "");
    expect_allowed(book, "dbsize", "");
    expect_allowed(book, "xadd", "s");
    expect_allowed(book, "nosuchcommand", "x");
    expect_refused(book, "flushall", "", "-@dangerous");
    expect_refused(book, "keys", "*", "-@dangerous");
    expect_refused(book, "config", "get", "-@dangerous");
    expect_refused(book, "acl", "setuser", "-@dangerous");
    expect_refused(book, "shutdown", "", "-@dangerous");
    expect_refused(book, "eval", "x", "-@scripting");
    expect_refused(book, "script", "load", "-@scripting");
    expect_refused(book, "function", "load", "-@scripting");
    expect_refused(book, "spublish", "c", "-@pubsub");
    expect_refused(book, "pubsub", "channels", "-@pubsub");
    expect_refused(book, "command", "", "-@connection");
    command_book_free(book);
}

/* Whatever the rules say. */
static void expect_never(const struct command_book *book)
{
    static const char *const names[] = {
        "auth",       "hello",       "select",       "client",       "reset",     "quit",    "multi",
        "exec",       "discard",     "watch",        "unwatch",      "subscribe", "monitor", "psubscribe",
        "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "sync",      "psync",   "replconf",
        "wait",       "waitaof",     "asking",       "readonly",     "readwrite", "post",    "host:",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        expect_refused(book, names[i], "", "never: ");
        expect_refused(book, names[i], "anything", "never: ");
    }
    expect_refused(book, "client", "list", "never: it changes");
    expect_refused(book, "script", "debug", "never: it changes");
    expect_refused(book, "", "", "never: ");
}

Test(commands, what_can_never_be_allowed)
{
    struct command_book *modern = make_7_0("allcommands");
    struct command_book *old = make_6_2("allcommands");
    struct command_book *none = make("allcommands", NULL);

    expect_never(modern);
    expect_never(old);
    expect_never(none);
    expect_refused(modern, "blpop", "l", "never: it blocks");
    expect_refused(modern, "xread", "block", "never: it blocks");
    expect_refused(modern, "bzpopmin", "z", "never: it blocks");
    expect_refused(old, "blpop", "l", "never: it blocks");
    expect_allowed(modern, "script", "load");
    expect_allowed(old, "script", "load");
    expect_allowed(modern, "flushall", "");
    expect_allowed(modern, "failover", "");
    command_book_free(modern);
    command_book_free(old);
    command_book_free(none);
}

Test(commands, a_rule_by_name_does_not_unblock)
{
    struct command_book *book = make_7_0("+blpop +get");

    expect_refused(book, "blpop", "l", "never: it blocks");
    expect_allowed(book, "get", "k");
    command_book_free(book);
}

Test(commands, names_are_whole)
{
    struct command_book *book = make_7_0("+getrange +config|get");

    expect_allowed(book, "getrange", "k");
    expect_refused(book, "get", "k", "no rule allows it");
    expect_refused(book, "getrang", "k", "no rule allows it");
    expect_refused(book, "getranges", "k", "no rule allows it");
    expect_refused(book, "getdel", "k", "no rule allows it");
    /* the table's spelling of a subcommand is no command */
    expect_refused(book, "config|get", "", "no rule allows it");
    expect_refused(book, "config", "get|", "no rule allows it");
    command_book_free(book);
}

Test(commands, subcommands)
{
    struct command_book *one = make_7_0("+config|get");
    struct command_book *but_one = make_7_0("+config -config|set");
    struct command_book *all_again = make_7_0("-config|set +config");
    struct command_book *unheard = make_7_0("+@all -object|nosuch");

    expect_allowed(one, "config", "get");
    expect_refused(one, "config", "set", "no rule allows it");
    expect_refused(one, "config", "", "no rule allows it");
    expect_allowed(but_one, "config", "get");
    expect_allowed(but_one, "config", "rewrite");
    expect_allowed(but_one, "config", "");
    expect_refused(but_one, "config", "set", "-config|set");
    expect_allowed(all_again, "config", "set");
    expect_refused(unheard, "object", "nosuch", "-object|nosuch");
    expect_allowed(unheard, "object", "encoding");
    command_book_free(one);
    command_book_free(but_one);
    command_book_free(all_again);
    command_book_free(unheard);
}

Test(commands, a_later_rule_wins)
{
    struct command_book *book = make_7_0("+@read -get +@string -set");

    expect_allowed(book, "get", "k");
    expect_allowed(book, "append", "k");
    expect_allowed(book, "hget", "k");
    expect_refused(book, "set", "k", "-set");
    expect_refused(book, "hset", "k", "no rule allows it");
    command_book_free(book);
    book = make_7_0("+get +set nocommands +set");
    expect_refused(book, "get", "k", "nocommands");
    expect_allowed(book, "set", "k");
    expect_refused(book, "nosuchcommand", "", "nocommands");
    command_book_free(book);
}

Test(commands, rules_are_told_as_they_were_written)
{
    struct command_book *book = make_7_0("+@ALL -@Dangerous -CONFIG|Set -Json.Set");

    expect_refused(book, "flushall", "", "-@Dangerous");
    expect_refused(book, "config", "set", "-CONFIG|Set");
    expect_refused(book, "json.set", "k", "-Json.Set");
    command_book_free(book);
}

Test(commands, unknown_commands_need_all)
{
    struct command_book *all = make_7_0("+@read +@all");
    struct command_book *some = make_7_0("+@read +@write");
    struct command_book *named = make_7_0("+@read +nosuchcommand");

    expect_allowed(all, "nosuchcommand", "");
    expect_refused(some, "nosuchcommand", "", "no rule allows it");
    expect_allowed(named, "nosuchcommand", "");
    cr_expect_not(look(named, "nosuchcommand", "").known);
    expect_refused(named, "nosuch", "", "no rule allows it");
    command_book_free(all);
    command_book_free(some);
    command_book_free(named);
}

Test(commands, a_category_that_nothing_has)
{
    struct command_book *book = make_7_0("+@all -@dangeruos -@admin");

    cr_assert_not_null(command_book_idle_rule(book));
    cr_expect_str_eq(command_book_idle_rule(book), "-@dangeruos");
    expect_allowed(book, "keys", "*");
    command_book_free(book);
}

Test(commands, as_6_2_says_it)
{
    struct command_book *book = make_6_2("+@all -@dangerous +config|get");

    cr_assert(command_book_has_table(book));
    expect_allowed(book, "get", "k");
    expect_allowed(book, "config", "get");
    cr_expect(look(book, "config", "get").known);
    expect_refused(book, "config", "set", "-@dangerous");
    cr_expect(look(book, "object", "encoding").read_only);
    cr_expect(look(book, "script", "load").script);
    cr_expect(look(book, "ft.search", "i").read_only);
    cr_expect_not(look(book, "ft.search", "i").script);
    command_book_free(book);
}

Test(commands, in_resp3)
{
    struct command_book *book = make("+@all -@dangerous", read_recording("command-7.0-resp3.resp"));

    cr_assert(command_book_has_table(book));
    cr_expect(look(book, "get", "k").read_only);
    cr_expect(look(book, "eval", "x").script);
    expect_refused(book, "config", "set", "-@dangerous");
    expect_allowed(book, "config", "help");
    expect_refused(book, "blpop", "l", "never: it blocks");
    cr_expect_not(look(book, "nosuchcommand", "").known);
    command_book_free(book);
}

Test(commands, without_a_table)
{
    struct command_book *book = make("-@dangerous +get +config|get -config|set", NULL);

    cr_expect_not(command_book_has_table(book));
    cr_expect_null(command_book_idle_rule(book));
    expect_allowed(book, "get", "k");
    cr_expect_not(look(book, "get", "k").read_only);
    cr_expect_not(look(book, "get", "k").known);
    cr_expect(look(book, "get", "k").script);
    cr_expect(look(book, "ping", "").read_only);
    expect_allowed(book, "config", "get");
    expect_refused(book, "config", "set", "-config|set");
    /* whatever its sign, a category refuses */
    expect_refused(book, "set", "k", "-@dangerous: it refuses as long as");
    command_book_free(book);
    book = make("+get +@all", NULL);
    expect_refused(book, "get", "k", "+@all: it refuses as long as");
    expect_refused(book, "nosuchcommand", "", "+@all: it refuses as long as");
    command_book_free(book);
    book = make("+@read +get", NULL);
    expect_allowed(book, "get", "k");
    expect_refused(book, "hget", "k", "+@read: it refuses as long as");
    command_book_free(book);
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

    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct command_book *book = make("+@all +set", read_bytes(replies[i], strlen(replies[i])));
        cr_expect_not(command_book_has_table(book), "%s", replies[i]);
        expect_refused(book, "get", "k", "+@all: it refuses");
        expect_allowed(book, "set", "k");
        expect_never(book);
        command_book_free(book);
    }
    command_book_free(NULL);
}

Test(commands, names_that_no_request_can_hold_are_left_out)
{
    char bytes[512];
    char name[80];

    memset(name, 'x', sizeof name);
    int size = snprintf(bytes, sizeof bytes,
                        "*2\r\n*7\r\n$80\r\n%.80s\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n*0\r\n"
                        "*7\r\n$3\r\nGET\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*0\r\n",
                        name);
    struct command_book *book = make("+@all", read_bytes(bytes, (size_t)size));

    cr_expect(command_book_has_table(book));
    cr_expect(look(book, "get", "k").read_only);
    expect_refused(book, "", "", "never: no command has a name like that");
    command_book_free(book);
}
