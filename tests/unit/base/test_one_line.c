/* What becomes of ends of lines in the words of others. */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/base/one_line.h"

Test(base_one_line, ends_of_lines_are_blanks)
{
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"", ""},
        {"one line, \"quoted\"", "one line, \"quoted\""},
        {"a\nb", "a b"},
        {"a\rb", "a b"},
        {"\r\na\n\nb\r\n", "  a  b  "},
        {"tab\tstays \xc3\xa4\x7f", "tab\tstays \xc3\xa4\x7f"},
    };
    char text[64];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)strcpy(text, rows[i].text);
        one_line(text, strlen(text));
        cr_expect_str_eq(text, rows[i].line, "row %zu", i);
    }
}

Test(base_one_line, so_many_bytes_and_no_more)
{
    char bytes[] = {'a', '\n', '\0', '\r', '\n', '\n'};

    one_line(bytes, 4);
    cr_expect_eq(memcmp(bytes, "a \0 \n\n", sizeof(bytes)), 0);
    one_line(bytes, 0);
    cr_expect_eq(memcmp(bytes, "a \0 \n\n", sizeof(bytes)), 0);
}
