/* The language of --commands: what is a rule, and the words for what is none. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/commands/command_table.h"

static char error[256];

static void expect_rules(const char *rules)
{
    struct policy *policy = policy_parse(rules, error, sizeof(error));

    cr_expect_not_null(policy, "\"%s\": %s", rules, error);
    policy_free(policy);
}

static void expect_refusal(const char *rules, const char *word)
{
    memset(error, 0, sizeof(error));
    struct policy *policy = policy_parse(rules, error, sizeof(error));

    cr_expect_null(policy, "\"%s\" is accepted", rules);
    cr_expect_not_null(strstr(error, word), "\"%s\": no \"%s\" in: %s", rules, word, error);
    cr_expect_not_null(strstr(error, "takes "), "\"%s\" does not say what it takes: %s", rules,
                       error);
    policy_free(policy);
}

Test(policy, rules)
{
    expect_rules(
        "+@all -@admin -@dangerous -@blocking -@pubsub -@transaction -@scripting -@connection +publish "
        "+ping +echo");
    expect_rules("allcommands");
    expect_rules("nocommands");
    expect_rules("AllCommands -@All +Get");
    expect_rules("  +get\t+config|get \n -config|set ");
    expect_rules("+json.set +ft._list -restore-asking +my_module:run");
    expect_rules("-select -client|list +script -script|debug");
    expect_rules("default");
    expect_rules("Default +@scripting -eval");
    expect_rules("default +subscribe +psubscribe");
}

/* As Redis' ACL SETUSER has it. */
Test(policy, what_does_not_exist)
{
    expect_refusal("+@all -@dangerus", "\"-@dangerus\" is no category of Redis");
    expect_refusal("+@nosuchcategory", "\"+@nosuchcategory\"");
    expect_refusal("+@all -flushal",
                   "\"-flushal\" is no command of Redis, perhaps -flushall is meant");
    expect_refusal("+@all -FLUHSALL", "-flushall");
    expect_refusal("+@all -config|gett", "perhaps -config|get is meant");
    expect_refusal("-@all +gett", "perhaps +get is meant");
    expect_refusal("default -@dangerus", "-@dangerus");
    /* a module's, a newer server's, a renamed command's: its table tells */
    expect_rules("+@all -ft.drop +json.gett -b840fc02 -graphquery -object|nosuchthing");
    /* every core name, old and new */
    expect_rules(
        "-slaveof -replicaof -waitaof -hgetex -msetex -client|no-touch -vsim -commandlog|get -xdelex");
}

Test(policy, default_is_a_word_at_the_beginning_only)
{
    expect_refusal("+get default", "\"default\" is no rule");
    expect_refusal("default default", "\"default\"");
}

Test(policy, scripts)
{
    static const struct {
        const char *rules;
        bool allows;
    } rows[] = {
        {"default", false},
        {"+@all", true},
        {"default +@scripting", true},
        {"default +eval_ro", true},
        {"+@all -eval", true},
        {"+@all -@scripting", false},
        {"+eval nocommands", false},
        {"+get +set", false},
        {"+@slow", true},
        {"default +fcall -@scripting +get", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy *policy = policy_parse(rows[i].rules, error, sizeof(error));

        cr_assert_not_null(policy, "%s", error);
        cr_expect_eq(policy_allows_scripts(policy), rows[i].allows, "%s", rows[i].rules);
        policy_free(policy);
    }
}

Test(policy, what_is_no_rule)
{
    expect_refusal("", "no rule");
    expect_refusal("   ", "no rule");
    expect_refusal("get", "\"get\"");
    expect_refusal("@all", "\"@all\"");
    expect_refusal("+get set", "\"set\"");
    expect_refusal("+", "\"+\"");
    expect_refusal("-", "\"-\"");
    expect_refusal("+@", "\"+@\"");
    expect_refusal("+get,+set", "\"+get,+set\"");
    expect_refusal("+config|", "\"+config|\"");
    expect_refusal("+|get", "\"+|get\"");
    expect_refusal("+config|get|x", "\"+config|get|x\"");
    expect_refusal("+@read|get", "\"+@read|get\"");
    expect_refusal("++get", "\"++get\"");
    expect_refusal("+get*", "\"+get*\"");
    expect_refusal("+g\xc3\xa9t", "names no command");
    expect_refusal("allcommand", "\"allcommand\"");
    expect_refusal("allcommandsx", "\"allcommandsx\"");
}

Test(policy, what_else_an_acl_says)
{
    static const char *const rules[] = {
        "~*",          "%R~key",    "&channel",       "on",           "off",
        "nopass",      "resetpass", "resetkeys",      "reset",        "allkeys",
        "allchannels", "(+get",     "clearselectors", "resetchannels"};

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        expect_refusal(rules[i], rules[i]);
    }
}

Test(policy, a_password_is_not_repeated)
{
    expect_refusal("+get >secret", "\">...\"");
    cr_expect_null(strstr(error, "secret"));
    expect_refusal("<secret", "\"<...\"");
    expect_refusal("#secret", "\"#...\"");
    cr_expect_null(strstr(error, "secret"));
}

Test(policy, what_can_never_be_allowed)
{
    static const char *const names[] = {"auth",  "HELLO",      "select",       "client|list",
                                        "multi", "ssubscribe", "monitor",      "wait",
                                        "quit",  "post",       "script|debug", "ACL|RESTTOKEN"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char rule[64];

        snprintf(rule, sizeof(rule), "+%s", names[i]);
        expect_refusal(rule, "can't be allowed");
    }
}

Test(policy, long_rules)
{
    char rules[600] = "+";

    memset(rules + 1, 'x', 63);
    expect_rules(rules);
    memset(rules + 1, 'x', 64);
    expect_refusal(rules, "names no command");
    memset(rules + 1, 'x', 500);
    expect_refusal(rules, "...");
    memset(rules, ' ', 500);
    memcpy(rules + 500, "+get", 5);
    expect_rules(rules);
}

Test(policy, copies)
{
    struct policy *policy = policy_parse("+get -config|set", error, sizeof(error));
    struct policy *copy = policy_copy(policy);

    policy_free(policy);
    struct command_table *commands_table = command_table_new(copy, NULL);
    policy_free(copy);
    struct command_facts facts;
    command_table_look(commands_table, "config", "set", &facts);
    cr_expect_not(facts.allowed);
    cr_expect_str_eq(facts.rule, "-config|set");
    command_table_free(commands_table);
    policy_free(NULL);
}
