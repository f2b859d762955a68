/*
 * What a table makes of rules: the verdicts on the commands of a real server (recorded) and of 6.2,
 * on a server that does not tell its commands, and what can never be allowed.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/commands/command_table.h"
#include "command_table_fixture.h"

Test(commands, what_a_server_says_of_its_commands)
{
    struct command_table *commands_table = table_make_7_0(DEFAULT);

    cr_assert(command_table_has_table(commands_table));
    cr_expect_null(command_table_idle_rule(commands_table));
    cr_expect(table_look(commands_table, "get", "k").known);
    cr_expect(table_look(commands_table, "get", "k").read_only);
    cr_expect_not(table_look(commands_table, "get", "k").script);
    cr_expect(table_look(commands_table, "set", "k").known);
    cr_expect_not(table_look(commands_table, "set", "k").read_only);
    /* a container's flags are not its subcommands' */
    cr_expect_not(table_look(commands_table, "object", "").read_only);
    cr_expect(table_look(commands_table, "object", "encoding").read_only);
    cr_expect_not(table_look(commands_table, "object", "help").read_only);
    cr_expect(table_look(commands_table, "memory", "usage").read_only);
    cr_expect(table_look(commands_table, "eval", "return 1").script);
    cr_expect(table_look(commands_table, "eval_ro", "return 1").script);
    cr_expect(table_look(commands_table, "eval_ro", "return 1").read_only);
    cr_expect(table_look(commands_table, "fcall", "f").script);
    cr_expect(table_look(commands_table, "script", "load").script);
    cr_expect_not(table_look(commands_table, "nosuchcommand", "").known);
    cr_expect(table_look(commands_table, "nosuchcommand", "").script);
    cr_expect_not(table_look(commands_table, "nosuchcommand", "").read_only);
    command_table_free(commands_table);
}

Test(commands, three_count_as_read_only_by_no_flag)
{
    struct command_table *commands_table = table_make_7_0(DEFAULT);

    cr_expect(table_look(commands_table, "ping", "").read_only);
    cr_expect(table_look(commands_table, "echo", "x").read_only);
    cr_expect(table_look(commands_table, "time", "").read_only);
    cr_expect_not(table_look(commands_table, "publish", "c").read_only);
    cr_expect_not(table_look(commands_table, "lastsave", "").read_only);
    command_table_free(commands_table);
}

Test(commands, the_default_rules)
{
    struct command_table *commands_table = table_make_7_0(DEFAULT);

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
        "auth",       "hello",       "select",       "client",       "reset",    "quit",
        "multi",      "exec",        "discard",      "watch",        "unwatch",  "monitor",
        "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "sync",     "psync",
        "replconf",   "wait",        "waitaof",      "asking",       "readonly", "readwrite",
        "post",       "host:",
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
    struct command_table *modern = table_make_7_0("allcommands");
    struct command_table *old = table_make_6_2("allcommands");
    struct command_table *none = table_make("allcommands", NULL);

    expect_never(modern);
    expect_never(old);
    expect_never(none);
    expect_refused(modern, "blpop", "l", "never: it blocks");
    cr_expect_eq(table_look(modern, "xread", "block").care, COMMAND_CARE_BLOCK);
    cr_expect_eq(table_look(modern, "publish", "c").care, COMMAND_CARE_CHANNEL);
    cr_expect_eq(table_look(modern, "spublish", "c").care, COMMAND_CARE_CHANNEL);
    cr_expect_eq(table_look(none, "publish", "c").care, COMMAND_CARE_CHANNEL);
    cr_expect_eq(table_look(modern, "get", "c").care, COMMAND_CARE_NONE);
    cr_expect_eq(table_look(modern, "scan", "0").care, COMMAND_CARE_CURSOR);
    cr_expect_eq(table_look(modern, "hscan", "k").care, COMMAND_CARE_CURSOR_OF_KEY);
    cr_expect_eq(table_look(modern, "sscan", "k").care, COMMAND_CARE_CURSOR_OF_KEY);
    cr_expect_eq(table_look(none, "zscan", "k").care, COMMAND_CARE_CURSOR_OF_KEY);
    cr_expect_eq(table_look(modern, "subscribe", "c").care, COMMAND_CARE_STREAM);
    cr_expect_eq(table_look(none, "psubscribe", "c").care, COMMAND_CARE_STREAM);
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

/* They read only, whatever the server's flags say, and rules decide. */
Test(commands, streams_are_for_rules_to_allow)
{
    struct command_table *defaults = table_make_7_0("default");
    struct command_table *one = table_make_7_0("default +subscribe");
    struct command_table *none = table_make("default +psubscribe", NULL);

    expect_refused(defaults, "subscribe", "c", "-@pubsub");
    expect_refused(defaults, "psubscribe", "c*", "-@pubsub");
    expect_allowed(one, "subscribe", "c");
    expect_refused(one, "psubscribe", "c*", "-@pubsub");
    expect_allowed(none, "psubscribe", "c*");
    cr_expect(table_look(one, "subscribe", "c").read_only);
    cr_expect(table_look(none, "psubscribe", "c").read_only);
    expect_refused(one, "unsubscribe", "c", "never: a stream");
    expect_refused(one, "monitor", "", "never: it shows");
    command_table_free(defaults);
    command_table_free(one);
    command_table_free(none);
}

Test(commands, a_rule_by_name_does_not_unblock)
{
    struct command_table *commands_table = table_make_7_0("+blpop +get");

    expect_refused(commands_table, "blpop", "l", "never: it blocks");
    expect_allowed(commands_table, "get", "k");
    command_table_free(commands_table);
}

/* Nor where no flag tells that it blocks. */
Test(commands, without_a_table_what_blocks_is_known_by_name)
{
    struct command_table *commands_table = table_make("+blpop +bzpopmin +xread", NULL);

    expect_refused(commands_table, "blpop", "l", "never: it blocks");
    expect_refused(commands_table, "bzpopmin", "z", "never: it blocks");
    expect_allowed(commands_table, "xread", "streams");
    cr_expect_eq(table_look(commands_table, "xread", "").care, COMMAND_CARE_BLOCK);
    command_table_free(commands_table);
}

Test(commands, names_are_whole)
{
    struct command_table *commands_table = table_make_7_0("+getrange +config|get");

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
    struct command_table *one = table_make_7_0("+config|get");
    struct command_table *but_one = table_make_7_0("+config -config|set");
    struct command_table *all_again = table_make_7_0("-config|set +config");

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
    struct command_table *commands_table = table_make_7_0("+@read -get +@string -set");

    expect_allowed(commands_table, "get", "k");
    expect_allowed(commands_table, "append", "k");
    expect_allowed(commands_table, "hget", "k");
    expect_refused(commands_table, "set", "k", "-set");
    expect_refused(commands_table, "hset", "k", "no rule allows it");
    command_table_free(commands_table);
    commands_table = table_make_7_0("+get +set nocommands +set");
    expect_refused(commands_table, "get", "k", "nocommands");
    expect_allowed(commands_table, "set", "k");
    expect_asked(commands_table, "nosuchcommand", "nosuchcommand");
    command_table_free(commands_table);
}

Test(commands, rules_are_told_as_they_were_written)
{
    struct command_table *commands_table = table_make_7_0("+@ALL -@Dangerous -CONFIG|Set");

    expect_refused(commands_table, "flushall", "", "-@Dangerous");
    expect_refused(commands_table, "config", "set", "-CONFIG|Set");
    command_table_free(commands_table);
}

Test(commands, as_6_2_says_it)
{
    struct command_table *commands_table = table_make_6_2("+@all -@dangerous +config|get");

    cr_assert(command_table_has_table(commands_table));
    expect_allowed(commands_table, "get", "k");
    expect_allowed(commands_table, "config", "get");
    cr_expect(table_look(commands_table, "config", "get").known);
    expect_refused(commands_table, "config", "set", "-@dangerous");
    cr_expect(table_look(commands_table, "object", "encoding").read_only);
    cr_expect(table_look(commands_table, "script", "load").script);
    cr_expect(table_look(commands_table, "ft.search", "i").read_only);
    cr_expect_not(table_look(commands_table, "ft.search", "i").script);
    command_table_free(commands_table);
}

Test(commands, in_resp3)
{
    struct command_table *commands_table =
        table_make("+@all -@dangerous", table_recording("command-7.0-resp3.resp"));

    cr_assert(command_table_has_table(commands_table));
    cr_expect(table_look(commands_table, "get", "k").read_only);
    cr_expect(table_look(commands_table, "eval", "x").script);
    expect_refused(commands_table, "config", "set", "-@dangerous");
    expect_allowed(commands_table, "config", "help");
    expect_refused(commands_table, "blpop", "l", "never: it blocks");
    cr_expect_not(table_look(commands_table, "nosuchcommand", "").known);
    command_table_free(commands_table);
}

Test(commands, without_a_table)
{
    struct command_table *commands_table =
        table_make("-@dangerous +get +config|get -config|set", NULL);

    cr_expect_not(command_table_has_table(commands_table));
    cr_expect_null(command_table_idle_rule(commands_table));
    expect_allowed(commands_table, "get", "k");
    cr_expect_not(table_look(commands_table, "get", "k").read_only);
    cr_expect_not(table_look(commands_table, "get", "k").known);
    cr_expect(table_look(commands_table, "get", "k").script);
    cr_expect(table_look(commands_table, "ping", "").read_only);
    expect_allowed(commands_table, "config", "get");
    expect_refused(commands_table, "config", "set", "-config|set");
    /* whatever its sign, a category refuses */
    expect_refused(commands_table, "set", "k", "-@dangerous: it refuses as long as");
    command_table_free(commands_table);
    commands_table = table_make("+get +@all", NULL);
    expect_refused(commands_table, "get", "k", "+@all: it refuses as long as");
    expect_refused(commands_table, "nosuchcommand", "", "+@all: it refuses as long as");
    command_table_free(commands_table);
    commands_table = table_make("+@read +get", NULL);
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
            table_make("+@all +set", table_reply_of(replies[i], strlen(replies[i])));

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
    struct command_table *commands_table = table_make("+@all", table_reply_of(bytes, (size_t)size));

    cr_expect(command_table_has_table(commands_table));
    cr_expect(table_look(commands_table, "get", "k").read_only);
    expect_refused(commands_table, "", "", "never: no command has a name like that");
    command_table_free(commands_table);
}
