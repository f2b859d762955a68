test_pool_scan.o: tests/unit/redis/test_pool_scan.c \
  include/bellwether/redis/cursor.h include/bellwether/base/address.h \
  tests/unit/redis/pool_stage.h include/bellwether/redis/pool.h \
  include/bellwether/base/loop.h include/bellwether/base/secret.h \
  include/bellwether/metrics/metrics.h include/bellwether/metrics/list.h \
  include/bellwether/redis/batch.h include/bellwether/base/buffer.h \
  include/bellwether/redis/commands.h include/bellwether/redis/result.h \
  include/bellwether/topology/news.h \
  include/bellwether/topology/snapshot.h include/bellwether/base/pulse.h \
  include/bellwether/topology/decide.h \
  include/bellwether/topology/state.h \
  include/bellwether/topology/timeline.h tests/unit/redis/peer.h

include/bellwether/redis/cursor.h:

include/bellwether/base/address.h:

tests/unit/redis/pool_stage.h:

include/bellwether/redis/pool.h:

include/bellwether/base/loop.h:

include/bellwether/base/secret.h:

include/bellwether/metrics/metrics.h:

include/bellwether/metrics/list.h:

include/bellwether/redis/batch.h:

include/bellwether/base/buffer.h:

include/bellwether/redis/commands.h:

include/bellwether/redis/result.h:

include/bellwether/topology/news.h:

include/bellwether/topology/snapshot.h:

include/bellwether/base/pulse.h:

include/bellwether/topology/decide.h:

include/bellwether/topology/state.h:

include/bellwether/topology/timeline.h:

tests/unit/redis/peer.h:
