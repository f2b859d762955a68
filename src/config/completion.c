/*
 * Completion for bash, zsh and fish: every flag; on and off and the words of a choice; the names of
 * files. What only the deployment knows (Sentinels, masters, times) is left to who types it.
 */
#include "completion.h"

#include <string.h>

#include "options_table.h"

#define FLAG_COUNT ((int)OPTION_COUNT + (int)ACTION_COUNT)

/* The flags in --help's order. @return NULL for an entry that is no flag, or a hidden one. */
static const struct option_entry *flag_at(int i)
{
    const struct option_entry *entry =
        i < OPTION_COUNT ? &option_table[i] : &option_actions[i - OPTION_COUNT];

    return !entry->prose || (entry->properties & OPTION_ENVIRONMENT_ONLY) != 0 ? NULL : entry;
}

static bool is_bare(const struct option_entry *entry)
{
    return (entry->properties & OPTION_BARE) != 0;
}

/* The words that a flag's value is one of, separated by |; NULL: any other value. */
static const char *words_of(const struct option_entry *entry)
{
    return entry->type == OPTION_SWITCH ? "on|off" : entry->choices;
}

static void print_words(FILE *to, const char *words)
{
    for (const char *p = words; *p != '\0'; p++) {
        (void)fputc(*p == '|' ? ' ' : *p, to);
    }
}

/* The length of the first sentence without its full stop; three dots end none. */
static size_t sentence_length(const char *prose)
{
    for (const char *dot = strchr(prose, '.'); dot; dot = strchr(dot, '.')) {
        size_t dots = strspn(dot, ".");

        if (dots == 1 && (dot[1] == ' ' || dot[1] == '\0')) {
            return (size_t)(dot - prose);
        }
        dot += dots;
    }
    return strlen(prose);
}

/* The first sentence, with a backslash before each of `special` and ' as the shell wants it. */
static void print_sentence(FILE *to, const char *prose, const char *special, const char *quote)
{
    size_t length = sentence_length(prose);

    for (size_t i = 0; i < length; i++) {
        if (prose[i] == '\'') {
            (void)fputs(quote, to);
            continue;
        }
        if (strchr(special, prose[i])) {
            (void)fputc('\\', to);
        }
        (void)fputc(prose[i], to);
    }
}

static void print_flags(FILE *to, void (*print)(FILE *to, const struct option_entry *entry))
{
    for (int i = 0; i < FLAG_COUNT; i++) {
        const struct option_entry *entry = flag_at(i);

        if (entry) {
            print(to, entry);
        }
    }
}

/* ---- bash: a case of each flag that takes a value ---- */

static void print_bash_name(FILE *to, const struct option_entry *entry)
{
    (void)fprintf(to, " --%s", entry->name);
}

static void print_bash_case(FILE *to, const struct option_entry *entry)
{
    if (is_bare(entry)) {
        return;
    }
    (void)fprintf(to, "    --%s) ", entry->name);
    if (words_of(entry)) {
        (void)fputs("words='", to);
        print_words(to, words_of(entry));
        (void)fputs("' ", to);
    } else if (entry->type == OPTION_FILE) {
        (void)fputs("files=yes ", to);
    }
    (void)fputs(";;\n", to);
}

/* Bash takes `--name=value` apart at the equals sign. */
static void print_bash(FILE *to)
{
    (void)fputs("# bash completion for bellwether, made by `bellwether --completion bash`\n"
                "_bellwether()\n"
                "{\n"
                "    local current=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}\n"
                "    local words='' files=''\n"
                "\n"
                "    COMPREPLY=()\n"
                "    if [[ $current == = ]]; then\n"
                "        current=''\n"
                "    elif [[ $option == = ]]; then\n"
                "        option=${COMP_WORDS[COMP_CWORD - 2]}\n"
                "    fi\n"
                "    case $option in\n",
                to);
    print_flags(to, print_bash_case);
    (void)fputs("    *) words='", to);
    print_flags(to, print_bash_name);
    (void)fputs("' ;;\n"
                "    esac\n"
                "    if [[ $files ]]; then\n"
                "        compopt -o filenames 2>/dev/null\n"
                "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                "    elif [[ $words ]]; then\n"
                "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                "    fi\n"
                "}\n"
                "complete -F _bellwether bellwether\n",
                to);
}

/* ---- zsh: an argument of _arguments for each flag ---- */

static void print_zsh_entry(FILE *to, const struct option_entry *entry)
{
    const char *value = entry->value_name ? entry->value_name : entry->name;

    (void)fprintf(to, " \\\n        '%s--%s%s[", (entry->properties & OPTION_LIST) != 0 ? "*" : "",
                  entry->name, is_bare(entry) ? "" : "=");
    print_sentence(to, entry->prose, "\\[]:", "'\\''");
    (void)fputc(']', to);
    if (!is_bare(entry)) {
        (void)fputc(':', to);
        print_sentence(to, value, "\\:", "'\\''");
        (void)fputc(':', to);
        if (words_of(entry)) {
            (void)fputc('(', to);
            print_words(to, words_of(entry));
            (void)fputc(')', to);
        } else {
            (void)fputs(entry->type == OPTION_FILE ? "_files" : " ", to);
        }
    }
    (void)fputc('\'', to);
}

/* The file is a function's body where zsh finds it by its name, or it is sourced. */
static void print_zsh(FILE *to)
{
    (void)fputs("#compdef bellwether\n"
                "# zsh completion for bellwether, made by `bellwether --completion zsh`\n"
                "_bellwether()\n"
                "{\n"
                "    _arguments",
                to);
    print_flags(to, print_zsh_entry);
    (void)fputs("\n}\n"
                "if [[ ${funcstack[1]} == _bellwether ]]; then\n"
                "    _bellwether \"$@\"\n"
                "else\n"
                "    compdef _bellwether bellwether\n"
                "fi\n",
                to);
}

/* ---- fish: a line for each flag ---- */

static void print_fish_entry(FILE *to, const struct option_entry *entry)
{
    (void)fprintf(to, "complete -c bellwether -l %s", entry->name);
    if (words_of(entry) && !is_bare(entry)) {
        (void)fputs(" -x -a '", to);
        print_words(to, words_of(entry));
        (void)fputc('\'', to);
    } else if (!is_bare(entry)) {
        (void)fputs(entry->type == OPTION_FILE ? " -r -F" : " -x", to);
    }
    (void)fputs(" -d '", to);
    print_sentence(to, entry->prose, "\\", "\\'");
    (void)fputs("'\n", to);
}

static void print_fish(FILE *to)
{
    (void)fputs("# fish completion for bellwether, made by `bellwether --completion fish`\n"
                "complete -c bellwether -f\n",
                to);
    print_flags(to, print_fish_entry);
}

void completion_print(FILE *to, enum completion_shell shell)
{
    switch (shell) {
    case COMPLETION_BASH: print_bash(to); break;
    case COMPLETION_ZSH: print_zsh(to); break;
    case COMPLETION_FISH: print_fish(to); break;
    }
}
