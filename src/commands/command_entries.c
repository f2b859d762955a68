/* The commands that a server has, by name, and how its COMMAND table is read. */
#include "command_entries.h"

#include <stdlib.h>
#include <string.h>

#include "acl.h"
#include "bellwether/base/memory.h"
#include "command_names.h"

#define SLOTS_MIN 64

/* Of a command's entry in COMMAND's reply. */
enum column { COLUMN_NAME, COLUMN_FLAGS = 2, COLUMN_CATEGORIES = 6, COLUMN_SUBCOMMANDS = 9 };

/* ---- what there is ---- */

static const char *text_at(const struct command_entries *entries, uint32_t at)
{
    return entries->texts.bytes + at;
}

const char *command_entry_name(const struct command_entries *entries,
                               const struct command_entry *entry)
{
    return text_at(entries, entry->name);
}

const char *command_entry_sub(const struct command_entries *entries,
                              const struct command_entry *entry)
{
    return text_at(entries, entry->sub);
}

static uint32_t add_text(struct command_entries *entries, const char *text)
{
    uint32_t at = (uint32_t)entries->texts.size;

    buffer_add(&entries->texts, text, strlen(text) + 1);
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
static struct command_entry *find(const struct command_entries *entries, const char *name,
                                  const char *sub, uint32_t hash, size_t *slot)
{
    for (size_t at = hash & (entries->n_slots - 1);; at = (at + 1) & (entries->n_slots - 1)) {
        *slot = at;
        if (entries->slots[at] == 0) {
            return NULL;
        }
        struct command_entry *entry = &entries->all[entries->slots[at] - 1];
        if (entry->hash == hash && strcmp(text_at(entries, entry->name), name) == 0 &&
            strcmp(text_at(entries, entry->sub), sub) == 0) {
            return entry;
        }
    }
}

static void grow(struct command_entries *entries)
{
    entries->room = entries->room == 0 ? SLOTS_MIN / 2 : 2 * entries->room;
    entries->all = mem_resize(entries->all, entries->room, sizeof(*entries->all));
    entries->n_slots = 2 * entries->room;
    free(entries->slots);
    entries->slots = mem_new(entries->n_slots, sizeof(*entries->slots));
    for (size_t i = 0; i < entries->n; i++) {
        size_t at = entries->all[i].hash & (entries->n_slots - 1);

        while (entries->slots[at] != 0) {
            at = (at + 1) & (entries->n_slots - 1);
        }
        entries->slots[at] = (uint32_t)i + 1;
    }
}

const struct command_entry *command_entries_find(const struct command_entries *entries,
                                                 const char *name, const char *sub)
{
    size_t slot;

    return find(entries, name, sub, hash_of(name, sub), &slot);
}

struct command_entry *command_entries_take(struct command_entries *entries, const char *name,
                                           const char *sub)
{
    uint32_t hash = hash_of(name, sub);
    size_t slot = 0;

    if (entries->n == entries->room) { /* half of the slots stay free */
        grow(entries);
    }
    struct command_entry *entry = find(entries, name, sub, hash, &slot);
    if (!entry) {
        entry = &entries->all[entries->n++];
        *entry = (struct command_entry){.hash = hash,
                                        .script = true,
                                        .blocking = command_blocks(name),
                                        .read_only = command_reads_only(name),
                                        .care = command_care_of(name)};
        entry->name = add_text(entries, name);
        entry->sub = add_text(entries, sub);
        entries->slots[slot] = (uint32_t)entries->n;
    }
    return entry;
}

void command_entries_take_below(struct command_entries *entries, const char *name, const char *sub)
{
    struct command_entry parent = *command_entries_take(entries, name, "");

    if (*sub == '\0') {
        return;
    }
    struct command_entry *entry = command_entries_take(entries, name, sub);
    if (!entry->known) {
        entry->known = parent.known && !parent.lists_subs;
        entry->read_only = parent.read_only;
        entry->script = parent.script;
        entry->blocking = parent.blocking;
        entry->categories = parent.categories;
    }
    command_entries_take(entries, name, "")->has_subs = true;
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

bool command_entry_is_in(const struct command_entry *entry, const char *category)
{
    return has_category(entry->categories, category);
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
static bool read_entry(struct command_entries *entries, const redisReply *reply,
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
    struct command_entry *entry = !container ? command_entries_take(entries, own, "")
                                             : command_entries_take(entries, container, own);
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
        if (!read_entry(entries, subs->element[i], own)) {
            return false;
        }
    }
    return true;
}

void command_entries_release(struct command_entries *entries)
{
    free(entries->all);
    free(entries->slots);
    buffer_release(&entries->texts);
    entries->all = NULL;
    entries->slots = NULL;
    entries->n = entries->room = entries->n_slots = 0;
}

bool command_entries_read_one(struct command_entries *entries, const redisReply *reply)
{
    return read_entry(entries, reply, NULL);
}

bool command_entries_read(struct command_entries *entries, const redisReply *table)
{
    bool whole = is_list(table) && table->elements > 0;

    for (size_t i = 0; whole && i < table->elements; i++) {
        whole = read_entry(entries, table->element[i], NULL);
    }
    if (!whole) {
        command_entries_release(entries);
    }
    return whole && entries->n > 0;
}

enum command_answer command_info_read(const redisReply *reply, char name[COMMAND_NAME_SIZE],
                                      const redisReply **info)
{
    const redisReply *only = is_list(reply) && reply->elements == 1 ? reply->element[0] : NULL;

    if (only && (only->type == REDIS_REPLY_NIL || (is_list(only) && only->elements == 0))) {
        return COMMAND_ANSWER_UNKNOWN;
    }
    if (!is_list(only) || !is_text(only->element[COLUMN_NAME]) ||
        !read_name(only->element[COLUMN_NAME], false, name)) {
        return COMMAND_ANSWER_UNTOLD;
    }
    *info = only;
    return COMMAND_ANSWER_KNOWN;
}
