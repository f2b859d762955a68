/*
 * HTML that grows piece by piece. Pure. What comes from outside goes through html_text(), nothing
 * else does.
 */
#ifndef BELLWETHER_HTTP_RENDER_HTML_H
#define BELLWETHER_HTTP_RENDER_HTML_H

#include <stddef.h>

/* Zeroed is a good start; `text` is the owner's to free(). */
struct html {
    char *text;
    size_t len, room;
};

/** Markup, as it is. */
void html_raw(struct html *html, const char *markup);
/** The same with a length. */
void html_bytes(struct html *html, const char *bytes, size_t size);
/** One byte of text, escaped. */
void html_char(struct html *html, char c);
/**
 * Text, escaped for contents and for quoted attributes alike. @param text valid UTF-8; NULL adds
 * nothing.
 */
void html_text(struct html *html, const char *text);
/** Numbers and fixed words, formatted, then escaped: what is longer than a line is cut. */
void html_format(struct html *html, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
