/*
 * Options end to end: arguments, variables and a file in; struct options, or one line and exit 2,
 * out. The suite `options` begins each test with none of them.
 */
#ifndef BELLWETHER_TESTS_UNIT_CONFIG_OPTIONS_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_CONFIG_OPTIONS_FIXTURE_H

#include "bellwether/config/options.h"

/* Of the last options_run(). */
extern struct options options;
extern enum options_outcome outcome;
extern int exit_code;
extern char said[65536];   /* standard output */
extern char failed[65536]; /* standard error */
extern char path[64];      /* of the file made by options_write_file() */

void options_set_variable(char *text);
/** Its path is in `path`; it is removed at the end. */
void options_write_file(const char *text);
/** Runs options_read() with the arguments, which end with NULL, and captures what it prints. */
void options_run(char *first, ...);
/** The file as --config, with a Sentinel so that nothing else is missing. */
void options_run_file(const char *text);
void options_expect_run(void);
/** Exit 2 and exactly one line that holds all the words. */
void options_expect_refused(const char *words, ...);

#define RUN(...) options_run(__VA_ARGS__, NULL)
#define A(text) ((char[]){text})

#endif
