/*
 * The language of --commands: rules as a Redis ACL user has them, of which only those about
 * commands mean anything here. Whole words, cut at blanks; names are compared as a whole and never
 * by how they begin.
 */
#include "acl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "command_names.h"

#define BLANKS " \t\r\n\v\f"
#define TAKES \
    "takes +name, -name, +name|sub, +@category, -@category, allcommands or nocommands, and default first"
#define WRONG_SIZE (sizeof(TAKES) + 2 * COMMAND_NAME_SIZE + 64)
#define SHOWN_MAX 100 /* characters of a rule that messages repeat */

#define NEVER_CHANGES "never: it changes the connection, which is shared"
#define NEVER_SHOWS \
    "never: it shows everybody's commands; ask the node itself, with redis-cli MONITOR"
#define NEVER_LEAVES \
    "never: a stream of /redis/subscribe or /redis/psubscribe ends when its caller hangs up"
#define NEVER_ENDS "never: it ends the connection, which is shared"
#define NEVER_UPSTASH \
    "never: ACL RESTTOKEN is Upstash's own, which no Redis has; this daemon takes the tokens in its files (option token-file)"

/* ---- what no flag says ---- */

static const struct {
    const char *name;
    const char *sub; /* "": and whatever is below it */
    const char *why;
} fixed[] = {
    {"auth", "", NEVER_CHANGES},
    {"hello", "", NEVER_CHANGES},
    {"select", "", NEVER_CHANGES},
    {"client", "", NEVER_CHANGES},
    {"reset", "", NEVER_CHANGES},
    {"multi", "", NEVER_CHANGES},
    {"exec", "", NEVER_CHANGES},
    {"discard", "", NEVER_CHANGES},
    {"watch", "", NEVER_CHANGES},
    {"unwatch", "", NEVER_CHANGES},
    {"ssubscribe", "", NEVER_CHANGES},
    {"unsubscribe", "", NEVER_LEAVES},
    {"punsubscribe", "", NEVER_LEAVES},
    {"sunsubscribe", "", NEVER_CHANGES},
    {"monitor", "", NEVER_SHOWS},
    {"sync", "", NEVER_CHANGES},
    {"psync", "", NEVER_CHANGES},
    {"replconf", "", NEVER_CHANGES},
    {"asking", "", NEVER_CHANGES},
    {"readonly", "", NEVER_CHANGES},
    {"readwrite", "", NEVER_CHANGES},
    {"script", "debug", NEVER_CHANGES},
    {"wait", "", COMMAND_NEVER_BLOCKS},
    {"waitaof", "", COMMAND_NEVER_BLOCKS},
    {"acl", "resttoken", NEVER_UPSTASH},
    {"quit", "", NEVER_ENDS},
    /* the server takes these for an HTTP request that a browser was tricked into, and hangs up */
    {"post", "", NEVER_ENDS},
    {"host:", "", NEVER_ENDS},
};

static const struct {
    const char *name;
    enum command_care care;
} careful[] = {
    {"publish", COMMAND_CARE_CHANNEL},     {"spublish", COMMAND_CARE_CHANNEL},
    {"xread", COMMAND_CARE_BLOCK},         {"xreadgroup", COMMAND_CARE_BLOCK},
    {"scan", COMMAND_CARE_CURSOR},         {"sscan", COMMAND_CARE_CURSOR_OF_KEY},
    {"hscan", COMMAND_CARE_CURSOR_OF_KEY}, {"zscan", COMMAND_CARE_CURSOR_OF_KEY},
    {"subscribe", COMMAND_CARE_STREAM},    {"psubscribe", COMMAND_CARE_STREAM},
};

static const char *const fixed_read_only[] = {"ping", "echo", "time", "subscribe", "psubscribe"};

#define N_FIXED (sizeof(fixed) / sizeof(fixed[0]))
#define N_CAREFUL (sizeof(careful) / sizeof(careful[0]))
#define N_FIXED_READ_ONLY (sizeof(fixed_read_only) / sizeof(fixed_read_only[0]))

const char *command_never(const char *name, const char *sub)
{
    for (size_t i = 0; i < N_FIXED; i++) {
        if (strcmp(fixed[i].name, name) == 0 &&
            (*fixed[i].sub == '\0' || strcmp(fixed[i].sub, sub) == 0)) {
            return fixed[i].why;
        }
    }
    return NULL;
}

enum command_care command_care_of(const char *name)
{
    for (size_t i = 0; i < N_CAREFUL; i++) {
        if (strcmp(careful[i].name, name) == 0) {
            return careful[i].care;
        }
    }
    return COMMAND_CARE_NONE;
}

bool command_blocks(const char *name)
{
    static const char *const names[] = {"blmove",     "blmpop", "blpop",    "brpop",
                                        "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool command_reads_only(const char *name)
{
    for (size_t i = 0; i < N_FIXED_READ_ONLY; i++) {
        if (strcmp(fixed_read_only[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool command_noted(size_t i, const char **name, const char **sub)
{
    *sub = "";
    if (i < N_FIXED) {
        *name = fixed[i].name;
        *sub = fixed[i].sub;
    } else if (i < N_FIXED + N_CAREFUL) {
        *name = careful[i - N_FIXED].name;
    } else if (i < N_FIXED + N_CAREFUL + N_FIXED_READ_ONLY) {
        *name = fixed_read_only[i - N_FIXED - N_CAREFUL];
    } else {
        return false;
    }
    return true;
}

/* ---- rules ---- */

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c);
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/*
 * Names of commands, subcommands and categories, modules' too: `json.set`, `restore-asking`,
 * `host:`.
 */
static bool read_name(const char *text, size_t size, char out[COMMAND_NAME_SIZE])
{
    for (size_t i = 0; i < size; i++) {
        if (!is_plain(text[i]) && !is_one_of(text[i], "-_.:")) {
            return false;
        }
    }
    return command_name_copy(out, text, size);
}

/* An ACL's rules on passwords are not repeated: somebody pasted a whole ACL. */
static bool is_secret(const char *word)
{
    return is_one_of(*word, "><#!");
}

static bool refuse(const char *word, size_t size, const char *why, char *error, size_t error_size)
{
    int shown = is_secret(word) ? 1 : (int)(size < SHOWN_MAX ? size : SHOWN_MAX);

    (void)snprintf(error, error_size, "\"%.*s%s\" %s", shown, word,
                   (size_t)shown < size ? "..." : "", why);
    return false;
}

/*
 * A slip of the pen would deny nothing, or allow nothing: Redis' ACL SETUSER takes none either. A
 * name that is like no other is a module's, a newer server's, or a renamed command's: the server's
 * table decides later.
 */
static const char *check_name(const struct rule *rule, char words[WRONG_SIZE])
{
    const char *meant = command_meant(rule->name, rule->sub);

    if (!meant) {
        return NULL;
    }
    (void)snprintf(words, WRONG_SIZE, "is no command of Redis, perhaps %c%s is meant; " TAKES,
                   rule->allow ? '+' : '-', meant);
    return words;
}

/*
 * What stands behind the sign. @return words on what is wrong with it, perhaps in `words`, or NULL.
 */
static const char *read_object(const char *text, size_t size, struct rule *out,
                               char words[WRONG_SIZE])
{
    const char *bar = memchr(text, '|', size);
    size_t first = !bar ? size : (size_t)(bar - text);

    if (size > 0 && *text == '@') {
        if (!read_name(text + 1, size - 1, out->name)) {
            return "is no category; " TAKES;
        }
        out->kind = strcmp(out->name, "all") == 0 ? RULE_ALL : RULE_CATEGORY;
        return command_category_exists(out->name) ? NULL
                                                  : "is no category of Redis (see ACL CAT); " TAKES;
    }
    out->kind = RULE_COMMAND;
    if (!read_name(text, first, out->name) ||
        (bar && !read_name(bar + 1, size - first - 1, out->sub))) {
        return "names no command; " TAKES;
    }
    if (out->allow && strcmp(out->name, "acl") == 0 && command_never(out->name, out->sub)) {
        return "can't be allowed: it is Upstash's own, and no Redis has it; takes other commands";
    }
    if (out->allow && command_never(out->name, out->sub)) {
        return "can't be allowed: callers share the connection that it changes, blocks or ends; takes other commands";
    }
    return check_name(out, words);
}

static bool read_rule(const char *word, size_t size, struct rule *out, char *error,
                      size_t error_size)
{
    struct rule rule = {0};
    const char *wrong = NULL;
    char words[WRONG_SIZE];

    if (size == strlen("allcommands") && strncasecmp(word, "allcommands", size) == 0) {
        rule.allow = true;
    } else if (size == strlen("nocommands") && strncasecmp(word, "nocommands", size) == 0) {
        rule.kind = RULE_ALL;
    } else if (*word != '+' && *word != '-') {
        return refuse(word, size, "is no rule about commands; " TAKES, error, error_size);
    } else {
        rule.allow = *word == '+';
        wrong = read_object(word + 1, size - 1, &rule, words);
    }
    if (wrong) {
        return refuse(word, size, wrong, error, error_size);
    }
    /* it fits: two names, a sign and a bar, or @ */
    (void)snprintf(rule.written, sizeof(rule.written), "%.*s", (int)size, word);
    *out = rule;
    return true;
}

/* Behind those that there are. */
static bool add_rules(struct policy *policy, const char *rules, char *error, size_t error_size)
{
    for (const char *at = rules + strspn(rules, BLANKS); *at != '\0'; at += strspn(at, BLANKS)) {
        size_t size = strcspn(at, BLANKS);

        if (policy->n == 0 && size == strlen("default") && strncasecmp(at, "default", size) == 0) {
            (void)add_rules(policy, POLICY_DEFAULT, error, error_size);
        } else {
            policy->rules = mem_resize(policy->rules, policy->n + 1, sizeof(*policy->rules));
            if (!read_rule(at, size, &policy->rules[policy->n], error, error_size)) {
                return false;
            }
            policy->n++;
        }
        at += size;
    }
    return true;
}

struct policy *policy_parse(const char *rules, char *error, size_t error_size)
{
    struct policy *policy = mem_new(1, sizeof(*policy));

    if (!add_rules(policy, rules, error, error_size)) {
        policy_free(policy);
        return NULL;
    }
    if (policy->n == 0) {
        (void)snprintf(error, error_size, "there is no rule; " TAKES);
        policy_free(policy);
        return NULL;
    }
    return policy;
}

static bool allows_script(const struct rule *rule)
{
    static const char *const names[] = {"eval",       "evalsha", "eval_ro",
                                        "evalsha_ro", "fcall",   "fcall_ro"};

    if (rule->kind != RULE_COMMAND) {
        return rule->kind == RULE_ALL || strcmp(rule->name, "scripting") == 0 ||
               strcmp(rule->name, "slow") == 0;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(rule->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool policy_allows_scripts(const struct policy *policy)
{
    bool allows = false;

    for (size_t i = 0; i < policy->n; i++) {
        if (allows_script(&policy->rules[i])) {
            allows = policy->rules[i].allow || (allows && policy->rules[i].kind == RULE_COMMAND);
        }
    }
    return allows;
}

struct policy *policy_copy(const struct policy *policy)
{
    struct policy *copy = mem_new(1, sizeof(*copy));

    copy->n = policy->n;
    copy->rules = mem_new(policy->n, sizeof(*copy->rules));
    memcpy(copy->rules, policy->rules, policy->n * sizeof(*copy->rules));
    return copy;
}

void policy_free(struct policy *policy)
{
    if (policy) {
        free(policy->rules);
        free(policy);
    }
}
