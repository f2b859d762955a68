/* HTML that grows piece by piece, and the one place that escapes. */
#include "html.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bellwether/base/memory.h"

#define FORMAT_SIZE 512

void html_bytes(struct html *html, const char *bytes, size_t size)
{
    if (html->len + size + 1 > html->room) {
        html->room = (html->len + size + 1) * 2;
        html->text = mem_resize(html->text, html->room, 1);
    }
    memcpy(html->text + html->len, bytes, size);
    html->len += size;
    html->text[html->len] = '\0';
}

void html_raw(struct html *html, const char *markup)
{
    html_bytes(html, markup, strlen(markup));
}

static const char *escape_of(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return "\xef\xbf\xbd"; /* control characters, which HTML does not have */
    }
}

/* Whether the character goes out as it is. Newlines and tabs do. */
static bool is_plain(char c)
{
    return !strchr("&<>\"'\x7f", c) && ((unsigned char)c >= ' ' || c == '\n' || c == '\t');
}

void html_char(struct html *html, char c)
{
    if (is_plain(c)) {
        html_bytes(html, &c, 1);
    } else {
        html_raw(html, escape_of(c));
    }
}

void html_text(struct html *html, const char *text)
{
    for (; text && *text; text++) {
        html_char(html, *text);
    }
}

void html_format(struct html *html, const char *format, ...)
{
    char text[FORMAT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    html_text(html, text);
}
