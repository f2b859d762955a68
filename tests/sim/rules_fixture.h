/* How the tests of the rules begin; the suite `sim_rules` closes the stage. */
#ifndef BELLWETHER_TESTS_SIM_RULES_FIXTURE_H
#define BELLWETHER_TESTS_SIM_RULES_FIXTURE_H

#include "suite_stage.h"

#define OLD 7001
#define NEW 7002
#define THIRD 7003

/** Three Sentinels that agree on OLD at epoch 5, and OLD says master. */
void open_agreed(void);
/** The same without verification. */
void open_agreed_unverified(void);

#endif
