/* Problem bodies: words for clients that show nothing else, and help that is there. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/topology/state.h"
#include "http/server/problem.h"

#define PAGE "deploy/man/bellwether-troubleshooting.7.md"

static char page[1 << 18];

static void expect_help(const json_t *problem)
{
    const char *help = json_string_value(json_object_get(problem, "help"));
    char anchor[128];

    if (*page == '\0') {
        FILE *file = fopen(PAGE, "re");

        cr_assert_not_null(file, "run the tests from the top folder");
        cr_assert_gt(fread(page, 1, sizeof(page) - 1, file), 0);
        fclose(file);
    }
    cr_assert_not_null(help);
    cr_assert_eq(strncmp(help, PAGE "#", strlen(PAGE "#")), 0, "%s", help);
    snprintf(anchor, sizeof(anchor), "<a id=\"%s\"></a>", help + strlen(PAGE "#"));
    cr_expect_not_null(strstr(page, anchor), "the page has no %s", anchor);
}

Test(http_problem, each_has_words_and_help)
{
    static const struct {
        enum problem_kind kind;
        const char *word;
    } rows[] = {
#define X(kind, word, slug, status, title) {PROBLEM_##kind, word},
        PROBLEMS(X)
#undef X
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *problem = problem_new(rows[i].kind, "what to do");
        const char *error = json_string_value(json_object_get(problem, "error"));
        char wanted[64];

        snprintf(wanted, sizeof(wanted), "%s what to do", rows[i].word);
        cr_expect_str_eq(error, wanted);
        expect_help(problem);
        json_decref(problem);
    }
}

Test(http_problem, each_reason_has_help)
{
    static const char *const reasons[] = {
#define X(name, text) text,
        REASONS(X)
#undef X
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        json_t *problem = problem_new(PROBLEM_NO_MASTER, "what to do");

        problem_help_with(problem, reasons[i]);
        expect_help(problem);
        cr_expect(!reasons[i] ||
                  strstr(json_string_value(json_object_get(problem, "help")), reasons[i]));
        json_decref(problem);
    }
}
