/* Problem bodies, from one table: the machine reads `type`, people read `title` and `detail`. */
#include "problem.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/http/render.h"

static const struct {
    const char *type;
    unsigned status;
    const char *title;
} problems[] = {
#define X(kind, slug, status, title) {"urn:bellwether:problem:" slug, (status), (title)},
    PROBLEMS(X)
#undef X
};

unsigned problem_status(enum problem_kind kind)
{
    return problems[kind].status;
}

json_t *problem_new(enum problem_kind kind, const char *detail)
{
    json_t *json = json_object();

    json_object_set_new(json, "type", json_string(problems[kind].type));
    json_object_set_new(json, "title", json_string(problems[kind].title));
    json_object_set_new(json, "status", json_integer(problems[kind].status));
    json_object_set_new(json, "detail", render_text(detail));
    return json;
}

char *problem_line(enum problem_kind kind, const json_t *problem)
{
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    size_t size = strlen(problems[kind].title) + (detail ? strlen(detail) : 0) + 4;
    char *line = mem_new(size, 1);

    snprintf(line, size, "%s%s%s", problems[kind].title, detail ? ": " : "", detail ? detail : "");
    for (char *c = line; *c; c++) { /* one line, whatever somebody else's words held */
        if (*c == '\n' || *c == '\r') {
            *c = ' ';
        }
    }
    strncat(line, "\n", size - strlen(line) - 1);
    return line;
}
