/* The stage of a suite, one a test. */
#include "suite_stage.h"

struct stage stage;

void close_stage(void)
{
    stage_close(&stage);
}
