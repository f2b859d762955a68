/*
 * Names that the table lacks: the server is asked for them, what it says is judged as what it is,
 * and a rule that names nothing lets nothing run.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/commands/batch.h"
#include "bellwether/commands/command_table.h"
#include "command_table_fixture.h"

/* ---- names that the table lacks ---- */

Test(commands, a_name_that_no_table_has_is_asked_for)
{
    struct command_table *commands_table = table_make_7_0("+@all -@dangerous");

    expect_asked(commands_table, "nosuchcommand", "nosuchcommand");
    table_learn(commands_table, "nosuchcommand", NO_SUCH);
    expect_unknown(commands_table, "nosuchcommand");
    expect_asked(commands_table, "another", "another");
    table_learn(commands_table, "another", "*1\r\n$-1\r\n"); /* 6.2 and RESP3 spell nil so */
    expect_unknown(commands_table, "another");
    /* a module may come */
    command_table_forget(commands_table, 1999);
    expect_unknown(commands_table, "another");
    command_table_forget(commands_table, 2000);
    expect_asked(commands_table, "another", "another");
    table_learn(commands_table, "another",
                INFO_OF("7\r\nanother", "*1\r\n+readonly\r\n", "*1\r\n+@read\r\n"));
    command_table_forget(commands_table, 99999);
    expect_allowed(commands_table, "another", "");
    cr_expect(table_look(commands_table, "another", "").read_only);
    cr_expect(table_look(commands_table, "another", "").known);
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
    struct command_table *commands_table = table_make_7_0("+@all -@dangerous");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_asked(commands_table, rows[i].name, rows[i].name);
        table_learn(commands_table, rows[i].name, rows[i].info);
        expect_refused(commands_table, rows[i].name, "get", rows[i].rule);
    }
    table_learn(commands_table, "xget",
                INFO_OF("3\r\nget", "*1\r\n+write\r\n", "*1\r\n+@write\r\n"));
    expect_allowed(commands_table, "xget", "k");
    /* the table has more to say than COMMAND INFO */
    cr_expect(table_look(commands_table, "xget", "k").read_only);
    table_learn(commands_table, "xpub", INFO_OF("7\r\nPUBLISH", "*0\r\n", "*0\r\n"));
    cr_expect_eq(table_look(commands_table, "xpub", "c").care, COMMAND_CARE_CHANNEL);
    table_learn(commands_table, "hunt", INFO_OF("4\r\nscan", "*0\r\n", "*0\r\n"));
    cr_expect_eq(table_look(commands_table, "hunt", "0").care, COMMAND_CARE_CURSOR);
    command_table_free(commands_table);
}

Test(commands, rules_on_either_name_of_a_renamed_command_count)
{
    static const char info[] = INFO_OF("6\r\nconfig", "*0\r\n", "*0\r\n");
    static const char get[] = INFO_OF("3\r\nget", "*0\r\n", "*0\r\n");
    struct command_table *commands_table = table_make_7_0("+@all -config +b840fc|get -secretget");

    table_learn(commands_table, "b840fc", info);
    expect_asked(commands_table, "b840fc", "secretget"); /* what is denied has to be there */
    table_learn(commands_table, "secretget", get);
    expect_allowed(commands_table, "b840fc", "get");
    expect_refused(commands_table, "b840fc", "set", "-config");
    expect_refused(commands_table, "config", "get", "-config");
    expect_refused(commands_table, "secretget", "k", "-secretget");
    expect_allowed(commands_table, "get", "k");
    command_table_free(commands_table);
}

Test(commands, a_module_s_command_with_subcommands)
{
    struct command_table *commands_table = table_make_7_0("+@all -my.thing|drop");

    expect_asked(commands_table, "get", "my.thing");
    table_learn(
        commands_table, "my.thing",
        "*1\r\n*10\r\n$8\r\nmy.thing\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n"
        "*2\r\n*10\r\n$13\r\nmy.thing|drop\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n"
        "*10\r\n$13\r\nmy.thing|look\r\n:-2\r\n*1\r\n+readonly\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n");
    expect_allowed(commands_table, "get", "k");
    expect_allowed(commands_table, "my.thing", "look");
    cr_expect(table_look(commands_table, "my.thing", "look").read_only);
    expect_refused(commands_table, "my.thing", "drop", "-my.thing|drop");
    command_table_free(commands_table);
}

Test(commands, what_the_server_does_not_tell_is_refused)
{
    static const char *const replies[] = {"-NOPERM no\r\n", "*0\r\n", "*1\r\n:1\r\n",
                                          "*1\r\n*1\r\n:1\r\n", "*1\r\n*2\r\n$3\r\nfoo\r\n:1\r\n"};
    struct command_table *commands_table = table_make_7_0("+@all");

    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        table_learn(commands_table, "foo", replies[i]);
        expect_refused(commands_table, "foo", "", "the server does not tell");
        cr_expect_not(table_look(commands_table, "foo", "").unknown);
    }
    command_table_free(commands_table);
}

Test(commands, answers_are_kept_within_bounds)
{
    struct command_table *commands_table = table_make_7_0("+@all");
    char name[COMMAND_NAME_SIZE];

    table_learn_at(commands_table, "xget", INFO_OF("3\r\nget", "*0\r\n", "*0\r\n"), 1);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "nosuch%d", i);
        table_learn_at(commands_table, name, NO_SUCH, 10 + i);
    }
    expect_unknown(commands_table, "nosuch999");
    expect_asked(commands_table, "nosuch0", "nosuch0");
    /* names of nothing do not drive out what there is */
    expect_allowed(commands_table, "xget", "k");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "get%d", i);
        table_learn_at(commands_table, name, INFO_OF("3\r\nget", "*0\r\n", "*0\r\n"), 5000 + i);
    }
    expect_allowed(commands_table, "get999", "k");
    command_table_free(commands_table);
}

/* ---- rules that name nothing ---- */

Test(commands, a_rule_that_denies_nothing_lets_nothing_run)
{
    static const char words[] = "-Json.Sett: it names no command that this server has";
    struct command_table *commands_table = table_make_7_0("+@all -Json.Sett");

    cr_expect_null(command_table_closed(commands_table));
    expect_asked(commands_table, "get", "json.sett");
    table_learn(commands_table, "json.sett", NO_SUCH);
    expect_refused(commands_table, "get", "k", words);
    expect_refused(commands_table, "json.sett", "k", words);
    expect_refused(commands_table, "select", "0", "never: it changes");
    cr_expect_eq(strncmp(command_table_closed(commands_table), words, sizeof(words) - 1), 0);
    command_table_forget(commands_table, 3000);
    expect_asked(commands_table, "get", "json.sett");
    cr_expect_not_null(command_table_closed(commands_table), "until there is another answer");
    table_learn(commands_table, "json.sett", INFO_OF("9\r\njson.sett", "*0\r\n", "*0\r\n"));
    expect_allowed(commands_table, "get", "k");
    expect_refused(commands_table, "json.sett", "k", "-Json.Sett");
    cr_expect_null(command_table_closed(commands_table));
    command_table_free(commands_table);
}

Test(commands, a_rule_that_denies_an_unknown_subcommand_lets_nothing_run)
{
    struct command_table *commands_table = table_make_7_0("+@all -object|nosuchthing");

    cr_expect_not_null(command_table_closed(commands_table));
    expect_refused(commands_table, "get", "k", "-object|nosuchthing: it names no command");
    command_table_free(commands_table);
    commands_table = table_make_6_2("+@all -object|nosuchthing"); /* which does not tell */
    expect_allowed(commands_table, "get", "k");
    expect_refused(commands_table, "object", "nosuchthing", "-object|nosuchthing");
    command_table_free(commands_table);
    commands_table = table_make_7_0("+@all -get|secret"); /* an argument */
    expect_allowed(commands_table, "get", "k");
    expect_refused(commands_table, "get", "secret", "-get|secret");
    command_table_free(commands_table);
}

/* Those of another version are no slips of the pen. */
Test(commands, a_rule_on_a_command_of_another_version)
{
    struct command_table *commands_table =
        table_make_7_0("+@all -waitaof -hgetex -client|no-touch -@json +json.get");

    expect_allowed(commands_table, "get", "k");
    cr_expect_null(command_table_closed(commands_table));
    cr_expect_str_eq(command_table_idle_rule(commands_table), "-@json");
    command_table_free(commands_table);
}
