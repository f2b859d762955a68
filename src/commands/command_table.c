/*
 * The command table: COMMAND's reply, the rules, and what no rule can change, made into one table
 * whose entries hold their verdict. A request costs one look-up, two where its command has
 * subcommands.
 *
 * Which commands there are, their flags and their categories is the server's to say. Written down,
 * in acl.c, is only what no flag says: commands that must not run on a connection that callers
 * share, those whose arguments have to be looked at, and three that read nothing and change nothing
 * and yet have no flag `readonly`.
 *
 * What is in the command table: the commands and subcommands of the table; those that rules name,
 * since `+config|get` is to mean something where the server (6.2) does not list subcommands; and
 * the fixed ones.
 *
 * Any other name is asked for, with COMMAND INFO: a command that rename-command gave another name
 * stands in the table under its first one, and COMMAND INFO of the new name tells that one; a
 * module may have come since. What was learned is kept, of a renamed command the rules on either
 * name count. What the server does not know is not sent.
 */
#include "bellwether/commands/command_table.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acl.h"
#include "bellwether/base/memory.h"
#include "command_entries.h"
#include "command_names.h"

#define NEVER_UNREADABLE "never: no command has a name like that"
#define NOT_TOLD "the server does not tell what command it is"
#define NOT_KNOWN "the server has no such command"
#define NOT_ASKED "the server was not asked about it yet"
#define NO_RULE "no rule allows it"
#define WITHOUT_TABLE_SIZE (2 * COMMAND_NAME_SIZE + 96)
#define ENTRIES_MAX 16384 /* beyond, nothing more is learned */
#define LEARNED_MAX 64    /* names that were asked for */
#define LEARNED_MS 1000   /* for so long the server has no such command */

/* A name that the server was asked for. */
struct learned {
    char name[COMMAND_NAME_SIZE];
    char real[COMMAND_NAME_SIZE]; /* KNOWN: as the table has it */
    enum command_answer answer;
    int64_t at_ms;
};

/* A rule that denies something which no server is known to have. */
struct doubt {
    size_t rule;
    char words[WITHOUT_TABLE_SIZE]; /* why nothing runs as long as there is no such thing */
};

struct command_table {
    struct policy *policy;
    bool has_table;
    struct command_entries entries;
    const char *unknown_rule;
    const char *idle_rule;
    struct doubt *doubts;
    size_t n_doubts;
    const char *closed; /* words of one that nothing runs for; NULL: none */
    struct learned learned[LEARNED_MAX];
    size_t n_learned;
    char (*without_table)[WITHOUT_TABLE_SIZE]; /* a text for each rule, where there is no table */
};

/* ---- verdicts ---- */

static bool fits(const struct command_table *commands_table, const struct rule *rule,
                 const struct command_entry *entry)
{
    switch (rule->kind) {
    case RULE_ALL: return true;
    case RULE_CATEGORY:
        if (!rule->allow && entry->care == COMMAND_CARE_BLOCK &&
            strcmp(rule->name, "blocking") == 0) {
            return false; /* its arguments decide */
        }
        return !commands_table->has_table || command_entry_is_in(entry, rule->name);
    case RULE_COMMAND: break;
    }
    return strcmp(rule->name, command_entry_name(&commands_table->entries, entry)) == 0 &&
           (rule->sub[0] == '\0' ||
            strcmp(rule->sub, command_entry_sub(&commands_table->entries, entry)) == 0);
}

/* The last rule that fits; -1: none. */
static int decide(const struct command_table *commands_table, const struct command_entry *entry)
{
    int i = (int)commands_table->policy->n - 1;

    while (i >= 0 && !fits(commands_table, &commands_table->policy->rules[i], entry)) {
        i--;
    }
    return i;
}

/* What refuses it, or NULL. */
static const char *refusal(const struct command_table *commands_table, int decided)
{
    if (decided < 0) {
        return NO_RULE;
    }
    const struct rule *rule = &commands_table->policy->rules[decided];
    if (!commands_table->has_table && rule->kind != RULE_COMMAND) {
        return commands_table->without_table[decided];
    }
    return rule->allow ? NULL : rule->written;
}

static void judge_entry(const struct command_table *commands_table, struct command_entry *entry)
{
    entry->never = command_never(command_entry_name(&commands_table->entries, entry),
                                 command_entry_sub(&commands_table->entries, entry));
    if (!entry->never && entry->blocking && entry->care != COMMAND_CARE_BLOCK) {
        entry->never = COMMAND_NEVER_BLOCKS;
    }
    entry->decided = decide(commands_table, entry);
    entry->categories = NULL;
}

/* Whether the server has what the rule names, by its table. */
static bool is_known(const struct command_table *commands_table, const struct rule *rule)
{
    const struct command_entry *entry =
        command_entries_find(&commands_table->entries, rule->name, rule->sub);

    return entry && entry->known;
}

/* Nothing of what it names is there. */
static bool is_idle(const struct command_table *commands_table, const struct rule *rule)
{
    bool idle = rule->kind != RULE_ALL;

    if (rule->kind == RULE_COMMAND) {
        return !is_known(commands_table, rule) && !command_is_core(rule->name, rule->sub);
    }
    for (size_t k = 0; idle && k < commands_table->entries.n; k++) {
        idle = !command_entry_is_in(&commands_table->entries.all[k], rule->name);
    }
    return idle;
}

/* A rule that denies what nobody has was meant to deny something else: then nothing runs. */
static void note_idle_rules(struct command_table *commands_table)
{
    for (size_t i = 0; i < commands_table->policy->n; i++) {
        const struct rule *rule = &commands_table->policy->rules[i];

        if (!is_idle(commands_table, rule)) {
            continue;
        }
        if (rule->kind == RULE_COMMAND && !rule->allow) {
            commands_table->doubts =
                mem_resize(commands_table->doubts, commands_table->n_doubts + 1,
                           sizeof(*commands_table->doubts));
            struct doubt *doubt = &commands_table->doubts[commands_table->n_doubts++];
            doubt->rule = i;
            (void)snprintf(doubt->words, sizeof(doubt->words),
                           "%s: it names no command that this server has, so nothing runs",
                           rule->written);
        } else if (!commands_table->idle_rule) {
            commands_table->idle_rule = rule->written;
        }
    }
}

static void write_words_without_table(struct command_table *commands_table)
{
    commands_table->without_table =
        mem_new(commands_table->policy->n, sizeof(*commands_table->without_table));
    for (size_t i = 0; i < commands_table->policy->n; i++) {
        (void)snprintf(commands_table->without_table[i], sizeof(commands_table->without_table[i]),
                       "%s: it refuses as long as the server does not tell its COMMAND table",
                       commands_table->policy->rules[i].written);
    }
}

static void note_closed(struct command_table *commands_table);

struct command_table *command_table_new(const struct policy *policy, const redisReply *table)
{
    struct command_table *commands_table = mem_new(1, sizeof(*commands_table));

    commands_table->policy = policy_copy(policy);
    commands_table->has_table = command_entries_read(&commands_table->entries, table);
    if (!commands_table->has_table) {
        write_words_without_table(commands_table);
    }
    for (size_t i = 0; i < policy->n; i++) {
        if (policy->rules[i].kind == RULE_COMMAND) {
            command_entries_take_below(&commands_table->entries, policy->rules[i].name,
                                       policy->rules[i].sub);
        }
    }
    const char *name, *sub;
    for (size_t i = 0; command_noted(i, &name, &sub); i++) {
        command_entries_take_below(&commands_table->entries, name, sub);
    }
    if (commands_table->has_table) {
        note_idle_rules(commands_table);
    }
    commands_table->unknown_rule =
        refusal(commands_table,
                decide(commands_table, command_entries_take(&commands_table->entries, "", "")));
    for (size_t i = 0; i < commands_table->entries.n; i++) {
        judge_entry(commands_table, &commands_table->entries.all[i]);
    }
    note_closed(commands_table);
    return commands_table;
}

bool command_table_has_table(const struct command_table *commands_table)
{
    return commands_table->has_table;
}

const char *command_table_idle_rule(const struct command_table *commands_table)
{
    return commands_table->idle_rule;
}

/* ---- names that the table lacks ---- */

static const struct learned *recall(const struct command_table *commands_table, const char *name)
{
    for (size_t i = 0; i < commands_table->n_learned; i++) {
        if (strcmp(commands_table->learned[i].name, name) == 0) {
            return &commands_table->learned[i];
        }
    }
    return NULL;
}

/*
 * Where the next answer goes: in place of the oldest one that no command is known by, else of the
 * oldest.
 */
static struct learned *place_for(struct command_table *commands_table, const char *name)
{
    struct learned *oldest = NULL;

    for (size_t i = 0; i < commands_table->n_learned; i++) {
        struct learned *at = &commands_table->learned[i];

        if (strcmp(at->name, name) == 0) {
            return at;
        }
        if (!oldest ||
            (oldest->answer == COMMAND_ANSWER_KNOWN && at->answer != COMMAND_ANSWER_KNOWN) ||
            ((oldest->answer == COMMAND_ANSWER_KNOWN) == (at->answer == COMMAND_ANSWER_KNOWN) &&
             at->at_ms < oldest->at_ms)) {
            oldest = at;
        }
    }
    return commands_table->n_learned < LEARNED_MAX
               ? &commands_table->learned[commands_table->n_learned++]
               : oldest;
}

/* A command that is new: with what rules say of it. */
static bool learn_entry(struct command_table *commands_table, const redisReply *reply)
{
    bool whole = commands_table->entries.n < ENTRIES_MAX &&
                 command_entries_read_one(&commands_table->entries, reply);

    for (size_t i = 0; whole && i < commands_table->policy->n; i++) {
        const struct rule *rule = &commands_table->policy->rules[i];
        if (rule->kind == RULE_COMMAND &&
            command_entries_find(&commands_table->entries, rule->name, "")) {
            command_entries_take_below(&commands_table->entries, rule->name, rule->sub);
        }
    }
    for (size_t i = 0; i < commands_table->entries.n; i++) {
        if (commands_table->entries.all[i].categories) {
            judge_entry(commands_table, &commands_table->entries.all[i]);
        }
    }
    return whole;
}

static enum command_answer read_answer(struct command_table *commands_table,
                                       const redisReply *reply, char real[COMMAND_NAME_SIZE])
{
    const redisReply *info;
    enum command_answer answer = command_info_read(reply, real, &info);

    if (answer != COMMAND_ANSWER_KNOWN) {
        return answer;
    }
    const struct command_entry *entry = command_entries_find(&commands_table->entries, real, "");
    if (!entry || !entry->known) {
        return learn_entry(commands_table, info) ? COMMAND_ANSWER_KNOWN : COMMAND_ANSWER_UNTOLD;
    }
    return COMMAND_ANSWER_KNOWN;
}

void command_table_forget(struct command_table *commands_table, int64_t now_ms)
{
    for (size_t i = 0; i < commands_table->n_learned;) {
        if (commands_table->learned[i].answer != COMMAND_ANSWER_KNOWN &&
            now_ms - commands_table->learned[i].at_ms >= LEARNED_MS) {
            commands_table->learned[i] = commands_table->learned[--commands_table->n_learned];
        } else {
            i++;
        }
    }
}

/*
 * Whether the server has it after all, or has to be asked: then `out` is set. @return NULL: nothing
 * is wrong.
 */
static const char *doubt_of(const struct command_table *commands_table, const struct doubt *doubt,
                            const char **ask)
{
    const struct rule *rule = &commands_table->policy->rules[doubt->rule];
    const struct command_entry *parent =
        command_entries_find(&commands_table->entries, rule->name, "");
    const struct learned *learned = recall(commands_table, rule->name);

    if (parent && parent->known) { /* 6.2 lists no subcommands; and a rule may name an argument */
        return is_known(commands_table, rule) || !parent->lists_subs ? NULL : doubt->words;
    }
    if (!learned) {
        *ask = rule->name;
        return NOT_ASKED;
    }
    return learned->answer == COMMAND_ANSWER_KNOWN ? NULL : doubt->words;
}

/* What is asked for anew stays as it was until the answer is there. */
static void note_closed(struct command_table *commands_table)
{
    bool asks = false;

    for (size_t i = 0; i < commands_table->n_doubts; i++) {
        const char *ask = NULL;
        const char *words = doubt_of(commands_table, &commands_table->doubts[i], &ask);

        if (words && !ask) {
            commands_table->closed = words;
            return;
        }
        asks = asks || ask;
    }
    commands_table->closed = asks ? commands_table->closed : NULL;
}

void command_table_learn(struct command_table *commands_table, const char *name,
                         const redisReply *reply, int64_t now_ms)
{
    char real[COMMAND_NAME_SIZE] = "";
    enum command_answer answer = read_answer(commands_table, reply, real);
    struct learned *learned = place_for(commands_table, name);

    learned->answer = answer;
    learned->at_ms = now_ms;
    (void)snprintf(learned->name, sizeof(learned->name), "%s", name);
    (void)snprintf(learned->real, sizeof(learned->real), "%s", real);
    note_closed(commands_table);
}

const char *command_table_closed(const struct command_table *commands_table)
{
    return commands_table->closed;
}

/* ---- the look-up ---- */

/* @param out  set where nothing runs, or nothing is known. @return false: it is not. */
static bool look_at_doubts(const struct command_table *commands_table, struct command_facts *out)
{
    for (size_t i = 0; i < commands_table->n_doubts; i++) {
        const char *ask = NULL;
        const char *words = doubt_of(commands_table, &commands_table->doubts[i], &ask);

        if (words) {
            *out = (struct command_facts){.script = true, .rule = words, .ask = ask};
            return true;
        }
    }
    return false;
}

/* The last rule that names what a renamed command is called. */
static int decide_renamed(const struct command_table *commands_table, const char *name,
                          const char *sub)
{
    int i = (int)commands_table->policy->n - 1;

    for (; i >= 0; i--) {
        const struct rule *rule = &commands_table->policy->rules[i];

        if (rule->kind == RULE_COMMAND && strcmp(rule->name, name) == 0 &&
            (rule->sub[0] == '\0' || strcmp(rule->sub, sub) == 0)) {
            break;
        }
    }
    return i;
}

/* By the name that the table has. @param called  how it is called, where that is another. */
static void look_at_entry(const struct command_table *commands_table,
                          const struct command_entry *entry, const char *sub, const char *called,
                          struct command_facts *out)
{
    const char *name = command_entry_name(&commands_table->entries, entry);
    if (entry->has_subs && *sub != '\0') {
        const struct command_entry *below =
            command_entries_find(&commands_table->entries, name, sub);

        entry = below ? below : entry;
    }
    int decided = entry->decided;
    if (called) {
        int by_name = decide_renamed(commands_table, called, sub);

        decided = by_name > decided ? by_name : decided;
    }
    const char *rule = entry->never ? entry->never : refusal(commands_table, decided);
    *out = (struct command_facts){.known = entry->known,
                                  .read_only = entry->read_only,
                                  .script = entry->script,
                                  .allowed = !rule,
                                  .care = entry->care,
                                  .rule = rule};
}

/* Of a name that the table lacks. */
static void look_at_learned(const struct command_table *commands_table, const char *name,
                            const char *sub, struct command_facts *out)
{
    const struct learned *learned = recall(commands_table, name);
    *out = (struct command_facts){.script = true};
    if (strchr(name, '|')) {
        /* COMMAND INFO would tell a subcommand; as a command there is no such thing */
        out->rule = NOT_KNOWN;
        out->unknown = true;
    } else if (!learned) {
        out->rule = NOT_ASKED;
        out->ask = name;
    } else if (learned->answer == COMMAND_ANSWER_KNOWN) {
        const struct command_entry *entry =
            command_entries_find(&commands_table->entries, learned->real, "");

        if (!entry) { /* it was learned, so it is there */
            out->rule = NOT_TOLD;
            return;
        }
        look_at_entry(commands_table, entry, sub, strcmp(learned->real, name) == 0 ? NULL : name,
                      out);
    } else {
        out->unknown = learned->answer == COMMAND_ANSWER_UNKNOWN;
        out->rule = out->unknown ? NOT_KNOWN : NOT_TOLD;
    }
}

void command_table_look(const struct command_table *commands_table, const char *name,
                        const char *sub, struct command_facts *out)
{
    const struct command_entry *entry = command_entries_find(&commands_table->entries, name, "");

    if (*name == '\0') {
        *out = (struct command_facts){.script = true, .rule = NEVER_UNREADABLE};
    } else if ((!entry || !entry->never) && look_at_doubts(commands_table, out)) {
        return;
    } else if (entry && (entry->never || entry->known || !commands_table->has_table)) {
        look_at_entry(commands_table, entry, sub, NULL, out);
    } else if (commands_table->has_table) {
        look_at_learned(commands_table, name, sub, out);
    } else {
        *out = (struct command_facts){.script = true,
                                      .allowed = !commands_table->unknown_rule,
                                      .rule = commands_table->unknown_rule};
    }
}

void command_table_free(struct command_table *commands_table)
{
    if (commands_table) {
        command_entries_release(&commands_table->entries);
        free(commands_table->without_table);
        free(commands_table->doubts);
        policy_free(commands_table->policy);
        free(commands_table);
    }
}
