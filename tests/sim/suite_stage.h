/* The stage on which a suite plays: .init opens it, close_stage() is the .fini. */
#ifndef BELLWETHER_TESTS_SIM_SUITE_STAGE_H
#define BELLWETHER_TESTS_SIM_SUITE_STAGE_H

#include "stage.h"

extern struct stage stage;

void close_stage(void);

#endif
