service.o: src/service.c src/service.h include/bellwether/options.h \
  include/bellwether/base/address.h include/bellwether/base/log.h \
  include/bellwether/base/secret.h include/bellwether/http/worker.h \
  include/bellwether/base/loop.h include/bellwether/base/pulse.h \
  include/bellwether/redis/commands.h include/bellwether/watch/watcher.h \
  include/bellwether/base/clock.h include/bellwether/base/memory.h \
  include/bellwether/metrics/metrics.h include/bellwether/metrics/list.h \
  include/bellwether/redis/pool.h include/bellwether/redis/batch.h \
  include/bellwether/base/buffer.h include/bellwether/redis/result.h \
  include/bellwether/topology/news.h \
  include/bellwether/topology/snapshot.h \
  include/bellwether/topology/decide.h \
  include/bellwether/topology/state.h \
  include/bellwether/topology/timeline.h src/manager.h \
  build/gen/version.h

src/service.h:

include/bellwether/options.h:

include/bellwether/base/address.h:

include/bellwether/base/log.h:

include/bellwether/base/secret.h:

include/bellwether/http/worker.h:

include/bellwether/base/loop.h:

include/bellwether/base/pulse.h:

include/bellwether/redis/commands.h:

include/bellwether/watch/watcher.h:

include/bellwether/base/clock.h:

include/bellwether/base/memory.h:

include/bellwether/metrics/metrics.h:

include/bellwether/metrics/list.h:

include/bellwether/redis/pool.h:

include/bellwether/redis/batch.h:

include/bellwether/base/buffer.h:

include/bellwether/redis/result.h:

include/bellwether/topology/news.h:

include/bellwether/topology/snapshot.h:

include/bellwether/topology/decide.h:

include/bellwether/topology/state.h:

include/bellwether/topology/timeline.h:

src/manager.h:

build/gen/version.h:
