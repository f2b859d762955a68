pool_task.o: src/redis/pool_task.c include/bellwether/base/clock.h \
  include/bellwether/base/memory.h src/redis/pool_internal.h \
  include/bellwether/redis/conn.h include/bellwether/base/address.h \
  include/bellwether/base/loop.h include/bellwether/redis/result.h \
  include/bellwether/base/buffer.h include/bellwether/redis/cursor.h \
  include/bellwether/redis/pool.h include/bellwether/base/secret.h \
  include/bellwether/metrics/metrics.h include/bellwether/metrics/list.h \
  include/bellwether/redis/batch.h include/bellwether/redis/commands.h \
  include/bellwether/topology/news.h \
  include/bellwether/topology/snapshot.h include/bellwether/base/pulse.h \
  include/bellwether/topology/decide.h \
  include/bellwether/topology/state.h \
  include/bellwether/topology/timeline.h \
  include/bellwether/redis/settle.h

include/bellwether/base/clock.h:

include/bellwether/base/memory.h:

src/redis/pool_internal.h:

include/bellwether/redis/conn.h:

include/bellwether/base/address.h:

include/bellwether/base/loop.h:

include/bellwether/redis/result.h:

include/bellwether/base/buffer.h:

include/bellwether/redis/cursor.h:

include/bellwether/redis/pool.h:

include/bellwether/base/secret.h:

include/bellwether/metrics/metrics.h:

include/bellwether/metrics/list.h:

include/bellwether/redis/batch.h:

include/bellwether/redis/commands.h:

include/bellwether/topology/news.h:

include/bellwether/topology/snapshot.h:

include/bellwether/base/pulse.h:

include/bellwether/topology/decide.h:

include/bellwether/topology/state.h:

include/bellwether/topology/timeline.h:

include/bellwether/redis/settle.h:
