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
#include "bellwether/base/buffer.h"
#include "bellwether/base/memory.h"
#include "command_names.h"

#define NEVER_UNREADABLE "never: no command has a name like that"
#define NOT_TOLD "the server does not tell what command it is"
#define NOT_KNOWN "the server has no such command"
#define NOT_ASKED "the server was not asked about it yet"
#define NO_RULE "no rule allows it"
#define WITHOUT_TABLE_SIZE (2 * COMMAND_NAME_SIZE + 96)
#define SLOTS_MIN 64
#define ENTRIES_MAX 16384 /* beyond, nothing more is learned */
#define LEARNED_MAX 64    /* names that were asked for */
#define LEARNED_MS 1000   /* for so long the server has no such command */

/* Of a command's entry in COMMAND's reply. */
enum column { COLUMN_NAME, COLUMN_FLAGS = 2, COLUMN_CATEGORIES = 6, COLUMN_SUBCOMMANDS = 9 };

struct entry {
    uint32_t name, sub; /* where they stand in the command table's texts */
    uint32_t hash;
    bool known, read_only, script, blocking;
    bool has_subs;
    bool lists_subs; /* the table does, so one that it lacks is none */
    enum command_care care;
    const redisReply *categories; /* borrowed while the command table is made, then NULL */
    const char *never;            /* why no rule can allow it; NULL: `decided` */
    int decided;                  /* the rule that decides; -1: none does */
};

enum answer { ANSWER_UNKNOWN, ANSWER_UNTOLD, ANSWER_KNOWN };

/* A name that the server was asked for. */
struct learned {
    char name[COMMAND_NAME_SIZE];
    char real[COMMAND_NAME_SIZE]; /* KNOWN: as the table has it */
    enum answer answer;
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
    struct entry *entries;
    size_t n, room;
    struct buffer texts;
    uint32_t *slots; /* open addressing: an entry's number plus one, 0: free */
    size_t n_slots;  /* a power of two */
    const char *unknown_rule;
    const char *idle_rule;
    struct doubt *doubts;
    size_t n_doubts;
    const char *closed; /* words of one that nothing runs for; NULL: none */
    struct learned learned[LEARNED_MAX];
    size_t n_learned;
    char (*without_table)[WITHOUT_TABLE_SIZE]; /* a text for each rule, where there is no table */
};

/* ---- the entries ---- */

static const char *text_at(const struct command_table *commands_table, uint32_t at)
{
    return commands_table->texts.bytes + at;
}

static uint32_t add_text(struct command_table *commands_table, const char *text)
{
    uint32_t at = (uint32_t)commands_table->texts.size;

    buffer_add(&commands_table->texts, text, strlen(text) + 1);
    return at;
}

/* FNV-1a over both, with what no name contains between them. */
static uint32_t hash_of(const char *name, const char *sub)
{
    uint32_t hash = UINT32_C(2166136261);

    for (const char *p = name; *p != '\0'; p++) {
        hash = (hash ^ (unsigned char)*p) * UINT32_C(16777619);
    }
    hash = (hash ^ (unsigned char)'|') * UINT32_C(16777619);
    for (const char *p = sub; *p != '\0'; p++) {
        hash = (hash ^ (unsigned char)*p) * UINT32_C(16777619);
    }
    return hash;
}

/* The entry, or NULL; `slot` is where it is or would go. */
static struct entry *find(const struct command_table *commands_table, const char *name,
                          const char *sub, uint32_t hash, size_t *slot)
{
    for (size_t at = hash & (commands_table->n_slots - 1);;
         at = (at + 1) & (commands_table->n_slots - 1)) {
        *slot = at;
        if (commands_table->slots[at] == 0) {
            return NULL;
        }
        struct entry *entry = &commands_table->entries[commands_table->slots[at] - 1];
        if (entry->hash == hash && strcmp(text_at(commands_table, entry->name), name) == 0 &&
            strcmp(text_at(commands_table, entry->sub), sub) == 0) {
            return entry;
        }
    }
}

static void grow(struct command_table *commands_table)
{
    commands_table->room = commands_table->room == 0 ? SLOTS_MIN / 2 : 2 * commands_table->room;
    commands_table->entries =
        mem_resize(commands_table->entries, commands_table->room, sizeof(*commands_table->entries));
    commands_table->n_slots = 2 * commands_table->room;
    free(commands_table->slots);
    commands_table->slots = mem_new(commands_table->n_slots, sizeof(*commands_table->slots));
    for (size_t i = 0; i < commands_table->n; i++) {
        size_t at = commands_table->entries[i].hash & (commands_table->n_slots - 1);

        while (commands_table->slots[at] != 0) {
            at = (at + 1) & (commands_table->n_slots - 1);
        }
        commands_table->slots[at] = (uint32_t)i + 1;
    }
}

/* The entry, made where there is none; good until the next one is made. */
static struct entry *take(struct command_table *commands_table, const char *name, const char *sub)
{
    uint32_t hash = hash_of(name, sub);
    size_t slot = 0;

    if (commands_table->n == commands_table->room) { /* half of the slots stay free */
        grow(commands_table);
    }
    struct entry *entry = find(commands_table, name, sub, hash, &slot);
    if (!entry) {
        entry = &commands_table->entries[commands_table->n++];
        *entry = (struct entry){.hash = hash,
                                .script = true,
                                .blocking = command_blocks(name),
                                .read_only = command_reads_only(name),
                                .care = command_care_of(name)};
        entry->name = add_text(commands_table, name);
        entry->sub = add_text(commands_table, sub);
        commands_table->slots[slot] = (uint32_t)commands_table->n;
    }
    return entry;
}

/*
 * A subcommand that rules or the fixed list name: as its command, where the table says nothing of
 * it.
 */
static void take_below(struct command_table *commands_table, const char *name, const char *sub)
{
    struct entry parent = *take(commands_table, name, "");

    if (*sub == '\0') {
        return;
    }
    struct entry *entry = take(commands_table, name, sub);
    if (!entry->known) {
        entry->known = parent.known && !parent.lists_subs;
        entry->read_only = parent.read_only;
        entry->script = parent.script;
        entry->blocking = parent.blocking;
        entry->categories = parent.categories;
    }
    take(commands_table, name, "")->has_subs = true;
}

/* ---- the server's table ---- */

static bool is_list(const redisReply *reply)
{
    return reply && (reply->type == REDIS_REPLY_ARRAY || reply->type == REDIS_REPLY_SET);
}

static bool is_text(const redisReply *reply)
{
    return reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
}

static bool is_word(const redisReply *reply, const char *word, size_t size)
{
    return is_text(reply) && reply->len == size && strncasecmp(reply->str, word, size) == 0;
}

static bool has_word(const redisReply *list, const char *word)
{
    size_t size = strlen(word);

    for (size_t i = 0; list && i < list->elements; i++) {
        if (is_word(list->element[i], word, size)) {
            return true;
        }
    }
    return false;
}

static bool has_category(const redisReply *list, const char *category)
{
    size_t size = strlen(category);

    for (size_t i = 0; list && i < list->elements; i++) {
        const redisReply *word = list->element[i];

        if (is_text(word) && word->len == size + 1 && word->str[0] == '@' &&
            strncasecmp(word->str + 1, category, size) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * In lower case, cut behind the `config|` of `config|get`. @return false: it fits no request's
 * either.
 */
static bool read_name(const redisReply *reply, bool below, char out[COMMAND_NAME_SIZE])
{
    const char *bar = below ? memchr(reply->str, '|', reply->len) : NULL;
    size_t skipped = !bar ? 0 : (size_t)(bar - reply->str) + 1;

    return command_name_copy(out, reply->str + skipped, reply->len - skipped);
}

/*
 * One command's entry, or with `container` one of its subcommands'. @return false: it is not of
 * that shape.
 */
static bool read_entry(struct command_table *commands_table, const redisReply *reply,
                       const char *container)
{
    char own[COMMAND_NAME_SIZE];

    if (reply->type == REDIS_REPLY_NIL) {
        return true;
    }
    if (!is_list(reply) || reply->elements <= COLUMN_CATEGORIES ||
        !is_text(reply->element[COLUMN_NAME]) || !is_list(reply->element[COLUMN_FLAGS]) ||
        !is_list(reply->element[COLUMN_CATEGORIES])) {
        return false;
    }
    if (!read_name(reply->element[COLUMN_NAME], container != NULL, own)) {
        return true;
    }
    const redisReply *flags = reply->element[COLUMN_FLAGS];
    const redisReply *categories = reply->element[COLUMN_CATEGORIES];
    struct entry *entry =
        !container ? take(commands_table, own, "") : take(commands_table, container, own);
    entry->known = true;
    entry->read_only =
        entry->read_only || (has_word(flags, "readonly") && !has_word(flags, "write"));
    entry->script = has_category(categories, "scripting");
    entry->blocking =
        entry->blocking || has_word(flags, "blocking") || has_category(categories, "blocking");
    entry->categories = categories;
    if (container || reply->elements <= COLUMN_SUBCOMMANDS ||
        !is_list(reply->element[COLUMN_SUBCOMMANDS])) {
        return true;
    }
    const redisReply *subs = reply->element[COLUMN_SUBCOMMANDS];
    entry->has_subs = entry->lists_subs = subs->elements > 0;
    for (size_t i = 0; i < subs->elements; i++) {
        if (!read_entry(commands_table, subs->element[i], own)) {
            return false;
        }
    }
    return true;
}

static void forget_entries(struct command_table *commands_table)
{
    free(commands_table->entries);
    free(commands_table->slots);
    buffer_release(&commands_table->texts);
    commands_table->entries = NULL;
    commands_table->slots = NULL;
    commands_table->n = commands_table->room = commands_table->n_slots = 0;
}

/* All of it, or none: half a table would let dangerous commands pass as unknown ones. */
static bool read_table(struct command_table *commands_table, const redisReply *table)
{
    bool whole = is_list(table) && table->elements > 0;

    for (size_t i = 0; whole && i < table->elements; i++) {
        whole = read_entry(commands_table, table->element[i], NULL);
    }
    if (!whole) {
        forget_entries(commands_table);
    }
    return whole && commands_table->n > 0;
}

/* ---- verdicts ---- */

static bool fits(const struct command_table *commands_table, const struct rule *rule,
                 const struct entry *entry)
{
    switch (rule->kind) {
    case RULE_ALL: return true;
    case RULE_CATEGORY:
        if (!rule->allow && entry->care == COMMAND_CARE_BLOCK &&
            strcmp(rule->name, "blocking") == 0) {
            return false; /* its arguments decide */
        }
        return !commands_table->has_table || has_category(entry->categories, rule->name);
    case RULE_COMMAND: break;
    }
    return strcmp(rule->name, text_at(commands_table, entry->name)) == 0 &&
           (rule->sub[0] == '\0' || strcmp(rule->sub, text_at(commands_table, entry->sub)) == 0);
}

/* The last rule that fits; -1: none. */
static int decide(const struct command_table *commands_table, const struct entry *entry)
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

static void judge_entry(const struct command_table *commands_table, struct entry *entry)
{
    entry->never =
        command_never(text_at(commands_table, entry->name), text_at(commands_table, entry->sub));
    if (!entry->never && entry->blocking && entry->care != COMMAND_CARE_BLOCK) {
        entry->never = COMMAND_NEVER_BLOCKS;
    }
    entry->decided = decide(commands_table, entry);
    entry->categories = NULL;
}

/* Whether the server has what the rule names, by its table. */
static bool is_known(const struct command_table *commands_table, const struct rule *rule)
{
    size_t slot;
    const struct entry *entry =
        find(commands_table, rule->name, rule->sub, hash_of(rule->name, rule->sub), &slot);

    return entry && entry->known;
}

/* Nothing of what it names is there. */
static bool is_idle(const struct command_table *commands_table, const struct rule *rule)
{
    bool idle = rule->kind != RULE_ALL;

    if (rule->kind == RULE_COMMAND) {
        return !is_known(commands_table, rule) && !command_is_core(rule->name, rule->sub);
    }
    for (size_t k = 0; idle && k < commands_table->n; k++) {
        idle = !has_category(commands_table->entries[k].categories, rule->name);
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
    commands_table->has_table = read_table(commands_table, table);
    if (!commands_table->has_table) {
        write_words_without_table(commands_table);
    }
    for (size_t i = 0; i < policy->n; i++) {
        if (policy->rules[i].kind == RULE_COMMAND) {
            take_below(commands_table, policy->rules[i].name, policy->rules[i].sub);
        }
    }
    const char *name, *sub;
    for (size_t i = 0; command_noted(i, &name, &sub); i++) {
        take_below(commands_table, name, sub);
    }
    if (commands_table->has_table) {
        note_idle_rules(commands_table);
    }
    commands_table->unknown_rule =
        refusal(commands_table, decide(commands_table, take(commands_table, "", "")));
    for (size_t i = 0; i < commands_table->n; i++) {
        judge_entry(commands_table, &commands_table->entries[i]);
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
        if (!oldest || (oldest->answer == ANSWER_KNOWN && at->answer != ANSWER_KNOWN) ||
            ((oldest->answer == ANSWER_KNOWN) == (at->answer == ANSWER_KNOWN) &&
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
    bool whole = commands_table->n < ENTRIES_MAX && read_entry(commands_table, reply, NULL);

    for (size_t i = 0; whole && i < commands_table->policy->n; i++) {
        const struct rule *rule = &commands_table->policy->rules[i];
        size_t slot;

        if (rule->kind == RULE_COMMAND &&
            find(commands_table, rule->name, "", hash_of(rule->name, ""), &slot)) {
            take_below(commands_table, rule->name, rule->sub);
        }
    }
    for (size_t i = 0; i < commands_table->n; i++) {
        if (commands_table->entries[i].categories) {
            judge_entry(commands_table, &commands_table->entries[i]);
        }
    }
    return whole;
}

static enum answer read_answer(struct command_table *commands_table, const redisReply *reply,
                               char real[COMMAND_NAME_SIZE])
{
    size_t slot;

    if (!is_list(reply) || reply->elements != 1) {
        return ANSWER_UNTOLD;
    }
    const redisReply *info = reply->element[0];
    if (info->type == REDIS_REPLY_NIL || (is_list(info) && info->elements == 0)) {
        return ANSWER_UNKNOWN;
    }
    if (!is_list(info) || info->elements == 0 || !is_text(info->element[COLUMN_NAME]) ||
        !read_name(info->element[COLUMN_NAME], false, real)) {
        return ANSWER_UNTOLD;
    }
    const struct entry *entry = find(commands_table, real, "", hash_of(real, ""), &slot);
    if (!entry || !entry->known) {
        return learn_entry(commands_table, info) ? ANSWER_KNOWN : ANSWER_UNTOLD;
    }
    return ANSWER_KNOWN;
}

void command_table_forget(struct command_table *commands_table, int64_t now_ms)
{
    for (size_t i = 0; i < commands_table->n_learned;) {
        if (commands_table->learned[i].answer != ANSWER_KNOWN &&
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
    size_t slot;
    const struct entry *parent =
        find(commands_table, rule->name, "", hash_of(rule->name, ""), &slot);
    const struct learned *learned = recall(commands_table, rule->name);

    if (parent && parent->known) { /* 6.2 lists no subcommands; and a rule may name an argument */
        return is_known(commands_table, rule) || !parent->lists_subs ? NULL : doubt->words;
    }
    if (!learned) {
        *ask = rule->name;
        return NOT_ASKED;
    }
    return learned->answer == ANSWER_KNOWN ? NULL : doubt->words;
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
    enum answer answer = read_answer(commands_table, reply, real);
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
static void look_at_entry(const struct command_table *commands_table, const struct entry *entry,
                          const char *sub, const char *called, struct command_facts *out)
{
    const char *name = text_at(commands_table, entry->name);
    size_t slot;

    if (entry->has_subs && *sub != '\0') {
        const struct entry *below = find(commands_table, name, sub, hash_of(name, sub), &slot);

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
    size_t slot;

    *out = (struct command_facts){.script = true};
    if (strchr(name, '|')) {
        /* COMMAND INFO would tell a subcommand; as a command there is no such thing */
        out->rule = NOT_KNOWN;
        out->unknown = true;
    } else if (!learned) {
        out->rule = NOT_ASKED;
        out->ask = name;
    } else if (learned->answer == ANSWER_KNOWN) {
        const struct entry *entry =
            find(commands_table, learned->real, "", hash_of(learned->real, ""), &slot);

        if (!entry) { /* it was learned, so it is there */
            out->rule = NOT_TOLD;
            return;
        }
        look_at_entry(commands_table, entry, sub, strcmp(learned->real, name) == 0 ? NULL : name,
                      out);
    } else {
        out->unknown = learned->answer == ANSWER_UNKNOWN;
        out->rule = out->unknown ? NOT_KNOWN : NOT_TOLD;
    }
}

void command_table_look(const struct command_table *commands_table, const char *name,
                        const char *sub, struct command_facts *out)
{
    size_t slot;
    const struct entry *entry = find(commands_table, name, "", hash_of(name, ""), &slot);

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
        forget_entries(commands_table);
        free(commands_table->without_table);
        free(commands_table->doubts);
        policy_free(commands_table->policy);
        free(commands_table);
    }
}
