/* What makes a shell complete the options and their values: --completion. From the table. */
#ifndef BELLWETHER_CONFIG_COMPLETION_H
#define BELLWETHER_CONFIG_COMPLETION_H

#include <stdio.h>

enum completion_shell { COMPLETION_BASH, COMPLETION_ZSH, COMPLETION_FISH }; /* as in the table */

void completion_print(FILE *to, enum completion_shell shell);

#endif
