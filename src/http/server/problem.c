/*
 * Problem bodies, from one table: the machine reads `type`, people read `title` and `detail`. Redis
 * clients show people nothing but `error`, so that is there on every route, not only on those that
 * are theirs. `help` is a row of the manual's tables.
 */
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/base/one_line.h"
#include "bellwether/http/master_json.h"

#define HELP "deploy/man/bellwether-troubleshooting.7.md#"

static const struct {
    const char *word;
    const char *type;
    unsigned status;
    const char *title;
} problems[] = {
#define X(kind, word, slug, status, title) \
    {word, "urn:bellwether:problem:" slug, (status), (title)},
    PROBLEMS(X)
#undef X
};

unsigned problem_status(enum problem_kind kind)
{
    return problems[kind].status;
}

static void set_joined(json_t *json, const char *key, const char *first, const char *second,
                       const char *third)
{
    size_t size = strlen(first) + strlen(second) + strlen(third) + 1;
    char *text = mem_new(size, 1);

    snprintf(text, size, "%s%s%s", first, second, third);
    json_object_set_new(json, key, render_text(text));
    free(text);
}

json_t *problem_new(enum problem_kind kind, const char *detail)
{
    json_t *json = json_object();

    json_object_set_new(json, "type", json_string(problems[kind].type));
    json_object_set_new(json, "title", json_string(problems[kind].title));
    json_object_set_new(json, "status", json_integer(problems[kind].status));
    json_object_set_new(json, "detail", render_text(detail));
    set_joined(json, "error", problems[kind].word, " ", detail ? detail : problems[kind].title);
    set_joined(json, "help", HELP, "", strrchr(problems[kind].type, ':') + 1);
    return json;
}

void problem_help_with(json_t *problem, const char *reason)
{
    if (reason && *reason) {
        set_joined(problem, "help", HELP, "reason-", reason);
    }
}

static char *line_of(enum problem_kind kind, const json_t *problem)
{
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    size_t size = strlen(problems[kind].title) + (detail ? strlen(detail) : 0) + 4;
    char *line = mem_new(size, 1);

    snprintf(line, size, "%s%s%s", problems[kind].title, detail ? ": " : "", detail ? detail : "");
    one_line(line, strlen(line));
    strncat(line, "\n", size - strlen(line) - 1);
    return line;
}

char *problem_write(enum problem_kind kind, json_t *problem, bool as_line, bool pretty,
                    size_t *size)
{
    char *line;

    if (!as_line) {
        return render_dump(problem, pretty, size);
    }
    line = line_of(kind, problem);
    *size = strlen(line);
    json_decref(problem);
    return line;
}
